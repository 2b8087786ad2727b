"""Start a program in a sandbox, see how it ends, and end everything in it."""

import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

import psutil

from torchgrade.sandbox import bubblewrap, memory, seccomp
from torchgrade.sandbox.limits import Limits

INSIDE = str(bubblewrap.PACKAGE / "sandbox" / "inside.py")
PASSWD = "student:x:{uid}:{uid}::" + bubblewrap.HOME + ":/bin/sh\n"

# Where the grader is root: ids that no real user has, another one for each sandbox, because limits count per user.
_uids = (60_000 + number % 5000 for number in itertools.count(os.getpid()))


class Sandbox:
    """A program in namespaces of its own: no network, no files but a Python's, its own processes, limits.

    argv: the program, by its full path. Its working directory is a scratch folder that holds `files` (relative names).
    pass_fds: descriptors that it keeps, by number. It has no others but stdin, stdout (nowhere) and stderr (scratch).

    The program's end does not end the sandbox: what it forked lives on until `close`, or the end of this process.
    Raises CourseError if bubblewrap is missing, ValueError for a file name that leads out of the folder.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        limits: Limits,
        files: Mapping[str, bytes] | None = None,
        pass_fds: Sequence[int] = (),
    ):
        self.stopped_for: str | None = None
        self._report: dict[str, Any] | None = None
        with contextlib.ExitStack() as undo:
            control, self._control = _pipe(undo)
            self.ended, status = _pipe(undo)
            uid = next(_uids) if os.geteuid() == 0 else None
            content = (
                _packed(files or {}),
                PASSWD.format(uid=uid or os.geteuid()).encode(),
                seccomp.no_user_namespaces(),
            )
            packed, passwd, filters = (_in_memory(text, undo) for text in content)
            settings = {"control": control, "status": status, "files": packed, "limits": _resources(limits)}
            settings |= {"work": bubblewrap.WORK, "home": bubblewrap.HOME, "uid": uid, "passed": [*pass_fds]}
            options = bubblewrap.arguments(limits, passwd=passwd, seccomp=filters)
            inside = [sys.executable, "-I", "-S", INSIDE, json.dumps(settings), *argv]
            self._bwrap = subprocess.Popen(
                [bubblewrap.program(), *options, "--", *inside],
                pass_fds=[control, status, packed, passwd, filters, *pass_fds],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            os.set_blocking(self.ended, False)
            undo.pop_all()
        for descriptor in (control, status, packed, passwd, filters):
            os.close(descriptor)
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=(limits.memory,), daemon=True)
        self._watcher.start()

    def program_ended(self) -> int | None:
        """The program's exit status (negative: the signal that ended it), None while it runs."""
        if self._report is None and select.select([self.ended], [], [], 0)[0]:
            try:
                line = os.read(self.ended, 1 << 16)
                self._report = json.loads(line) if line else {"status": -9, "errors": self._bwraps_words()}
            except (OSError, ValueError):
                self._report = {"status": -9, "errors": ""}
        return None if self._report is None else int(self._report["status"])

    def wait(self, seconds: float) -> None:
        """Until the program has ended, at most `seconds`."""
        if self.program_ended() is None:
            select.select([self.ended], [], [], seconds)

    def errors(self) -> str:
        """The last lines the program wrote to stderr; there once it has ended."""
        return str(self._report["errors"]) if self._report else ""

    def end_program(self) -> None:
        """End the program, and wait until it has; what it forked lives on."""
        if self.program_ended() is None:
            with contextlib.suppress(OSError):
                os.write(self._control, b"k")
            self.wait(10)

    def close(self) -> None:
        """End every process of the sandbox, and wait until they are gone. Does nothing the second time."""
        if self._closed.is_set():
            return
        self._closed.set()
        with contextlib.suppress(OSError):
            os.close(self._control)
        try:
            self._bwrap.wait(timeout=5)
        except subprocess.TimeoutExpired:  # bwrap itself was stopped, or waits for a dying process
            self._kill()
            self._bwrap.wait()
        if self._bwrap.stderr:
            self._bwrap.stderr.close()
        self._watcher.join()
        os.close(self.ended)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _watch(self, limit: int) -> None:
        watch = memory.Watch(self._bwrap.pid, limit)
        while not self._closed.wait(memory.SECONDS):
            if watch.is_outgrown():
                self.stopped_for = "memory"
                self._kill()
                return

    def _kill(self) -> None:
        """End process 1 of the sandbox, and with it all others."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._bwrap.pid).children():
                process.kill()
        self._bwrap.kill()

    def _bwraps_words(self) -> str:
        """Why bwrap itself failed; from a sandbox that has started, nothing comes this way."""
        assert self._bwrap.stderr is not None
        ready = select.select([self._bwrap.stderr], [], [], 0.5)[0]
        return os.read(self._bwrap.stderr.fileno(), 2000).decode(errors="replace") if ready else ""


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    return tuple(_owned(descriptor, undo) for descriptor in os.pipe())  # type: ignore[return-value]


def _in_memory(content: bytes, undo: contextlib.ExitStack) -> int:
    descriptor = _owned(os.memfd_create("torchgrade"), undo)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _owned(descriptor: int, undo: contextlib.ExitStack) -> int:
    undo.callback(os.close, descriptor)
    return descriptor


def _packed(files: Mapping[str, bytes]) -> bytes:
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise ValueError(f"not a name inside the work folder: {name!r}")
    return (
        json.dumps({name: len(content) for name, content in files.items()}).encode() + b"\n" + b"".join(files.values())
    )


def _resources(limits: Limits) -> dict[str, int]:
    return {
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_DATA": limits.memory,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_FSIZE": limits.scratch,
        "RLIMIT_CORE": 0,
    }
