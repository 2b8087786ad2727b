"""`torchgrade hub ...`: the commands of the hub."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchgrade.errors import CourseError


def add_commands(add: Callable[..., argparse.ArgumentParser], tools: Any) -> None:
    """add: makes a command of `tools` (a name, what runs it, a line of help)"""
    add(tools, "serve", _serve, "start JupyterHub for the class of hub_config/ and stay until Ctrl-C")
    add(tools, "sync", _sync, "bring the gradebook and the hub in line with roster.csv")
    passwords = add(tools, "passwords", _passwords, "give passwords, and show them this once")
    passwords.add_argument("names", nargs="*", metavar="NAME", help="who gets a new one (default: who has none)")
    add(tools, "prepare", _prepare, "make unix users and folders for real use (as root)")
    backup = add(tools, "backup", _backup, "copy hub database, gradebook, exchange and homes into a new folder")
    backup.add_argument("target", type=Path, metavar="DIR", help="a folder that does not exist yet")
    restore = add(tools, "restore", _restore, "put a backup in place; what was there is kept beside it")
    restore.add_argument("source", type=Path, metavar="DIR", help="a folder that `backup` made")
    cluster = add(tools, "cluster", _cluster, "write what Kubernetes needs for the class; nothing is sent anywhere")
    cluster.add_argument("--out", type=Path, metavar="DIR", help="the folder to write (default: build/cluster)")


def _serve(_: argparse.Namespace) -> int:
    from torchgrade.hub import serve

    return _run(serve.run)


def _sync(_: argparse.Namespace) -> int:
    from torchgrade.hub import sync

    return _run(sync.run)


def _passwords(options: argparse.Namespace) -> int:
    from torchgrade.hub import passwords

    return _run(passwords.run, options.names)


def _prepare(_: argparse.Namespace) -> int:
    from torchgrade.hub import prepare

    return _run(prepare.run)


def _backup(options: argparse.Namespace) -> int:
    from torchgrade.hub import backup

    return _run(backup.run, options.target)


def _restore(options: argparse.Namespace) -> int:
    from torchgrade.hub import restore

    return _run(restore.run, options.source)


def _cluster(options: argparse.Namespace) -> int:
    from torchgrade.hub.cluster import render

    return _run(render.run, options.out or _course() / "build" / "cluster")


def _run(command: Callable[..., int], *arguments: Any) -> int:
    """Run it for the course that we are in; what the disk or its permissions refuse is one line, too."""
    try:
        return command(_course(), *arguments)
    except OSError as error:
        what = f"{error.strerror or error}."
        raise CourseError(what, where=error.filename, remedy="Mend it, then run this again.") from error


def _course() -> Path:
    from torchgrade.lessons.master import course_root

    if sys.platform != "linux":
        raise CourseError("the hub runs on Linux only.", remedy="Use a machine or a container with Linux.")
    return course_root()
