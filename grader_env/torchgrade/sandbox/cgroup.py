"""Control groups: limits that count all processes of a sandbox together, where the grader may make groups (tier T3).

Version 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html) needs the controllers memory and pids delegated to the
grader's own group, as `systemd-run --user --scope -p Delegate=yes` does; version 1 needs its two hierarchies writable.
"""

import contextlib
import functools
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from torchgrade.sandbox.limits import Limits

MOUNTS = Path("/proc/self/mountinfo")
MEMBERSHIPS = Path("/proc/self/cgroup")
OWN = "torchgrade-grader"  # where the grader itself goes: in version 2 a group with children holds no processes
REMOVE_SECONDS = 2.0
REMEDY = "start the grader with `systemd-run --user --scope -p Delegate=yes`, for instance."
_numbers = itertools.count()


@dataclass(frozen=True)
class Hierarchies:
    """Folders in which groups can be made; in version 2 it is one folder for both."""

    version: int
    memory: Path
    pids: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.memory, self.pids)))


@functools.cache
def hierarchies() -> Hierarchies | None:
    """Where groups can be made, tried out; None where they cannot."""
    for found in filter(None, (_version_2(), _version_1())):
        try:
            Group(found, Limits()).close()
        except OSError:
            continue
        return found
    return None


class Group:
    """Limits for the processes that are added, and for all that these start. Raises OSError if it cannot be made."""

    def __init__(self, where: Hierarchies, limits: Limits):
        name = f"torchgrade-{os.getpid()}-{next(_numbers)}"
        self._folders = [folder / name for folder in where.folders]
        try:
            for folder in self._folders:
                folder.mkdir()
            self._memory, pids = where.memory / name, where.pids / name
            (self._memory / ("memory.max" if where.version == 2 else "memory.limit_in_bytes")).write_text(
                str(limits.memory)
            )
            swap = self._memory / "memory.swap.max"
            if swap.exists():
                swap.write_text("0")
            (pids / "pids.max").write_text(str(limits.processes + limits.spare_processes))
        except OSError:
            self.close()
            raise

    @property
    def doors(self) -> list[str]:
        """The files into which a process's id is written to put it into the group."""
        return [str(folder / "cgroup.procs") for folder in self._folders]

    def add(self, pid: int) -> None:
        for door in self.doors:
            Path(door).write_text(str(pid))

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed one of its processes for memory."""
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                lines = (self._memory / name).read_text().splitlines()
                return any(line.startswith("oom_kill ") and not line.endswith(" 0") for line in lines)
        return False

    def close(self) -> None:
        """Remove it, once its processes are gone."""
        deadline = time.monotonic() + REMOVE_SECONDS
        for folder in self._folders:
            while folder.exists() and time.monotonic() < deadline:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.01)


def _version_2() -> Hierarchies | None:
    folder = _own_folder("cgroup2", "")
    if folder is None:
        return None
    try:
        if not {"memory", "pids"} <= set((folder / "cgroup.controllers").read_text().split()):
            return None
        children = folder / "cgroup.subtree_control"
        if not {"memory", "pids"} <= set(children.read_text().split()):
            (folder / OWN).mkdir(exist_ok=True)
            (folder / OWN / "cgroup.procs").write_text(str(os.getpid()))
            children.write_text("+memory +pids")
    except OSError:
        return None
    return Hierarchies(2, folder, folder)


def _version_1() -> Hierarchies | None:
    memory, pids = _own_folder("cgroup", "memory"), _own_folder("cgroup", "pids")
    return Hierarchies(1, memory, pids) if memory and pids else None


def _own_folder(kind: str, controller: str) -> Path | None:
    """This process's own group in the hierarchy of this kind, as a folder."""
    mount = next((point for point, options in _mounts(kind) if not controller or controller in options), None)
    for line in MEMBERSHIPS.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if mount and controller in controllers.split(","):
            folder = mount / path.removesuffix(f"/{OWN}").lstrip("/")
            return folder if os.access(folder, os.W_OK) else None
    return None


def _mounts(kind: str) -> list[tuple[Path, list[str]]]:
    """(mount point, options) of the file systems of this kind."""
    found = []
    for line in MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        name, _, options = after.split(" ", 2)
        if name == kind:
            found.append((Path(before.split(" ")[4]), options.split(",")))
    return found
