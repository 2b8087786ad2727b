"""Start a program in a sandbox by bubblewrap."""

import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from torchgrade.sandbox import bubblewrap, cgroup, seccomp
from torchgrade.sandbox.contained import Contained, kill_children
from torchgrade.sandbox.limits import Limits

INSIDE = str(bubblewrap.PACKAGE / "sandbox" / "inside.py")
PASSWD = "student:x:{uid}:{uid}::" + bubblewrap.HOME + ":/bin/sh\n"
ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'  # control groups

# Where the grader is root: ids that no real user has, another one for each sandbox, because limits count per user.
_uids = (60_000 + number % 5000 for number in itertools.count(os.getpid()))


class Sandbox(Contained):
    """A sandbox of its own for one program.

    argv: the program, by its full path. Its working directory is a scratch folder that holds `files` (relative names)
    pass_fds: descriptors that it keeps, by number. It has no others but stdin, stdout (nowhere) and stderr (scratch).
    nests: see bubblewrap.arguments

    Raises CourseError if bubblewrap is missing, ValueError for a file name that leads out of the folder.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        limits: Limits,
        files: Mapping[str, bytes] | None = None,
        pass_fds: Sequence[int] = (),
        nests: bool = False,
    ):
        with contextlib.ExitStack() as undo:
            control, our_control = _pipe(undo)
            our_end, status = _pipe(undo)
            uid = next(_uids) if bubblewrap.is_root() else None
            passwd_text = PASSWD.format(uid=uid or os.geteuid() or bubblewrap.ORDINARY).encode()
            content = (packed(files or {}), passwd_text, seccomp.compiled())
            contents, passwd, filters = (_owned(in_memory(text), undo) for text in content)
            given = settings(limits, control=control, status=status, files=contents, passed=pass_fds) | {"uid": uid}
            group = None if nests else new_group(limits, undo)
            doors = [] if group is None else ["/bin/sh", "-c", ENTER, "sh", *group.doors, "--"]
            options = bubblewrap.arguments(limits, passwd=passwd, seccomp=filters, nests=nests)
            inside = [sys.executable, "-I", "-S", INSIDE, json.dumps(given), *argv]
            self._bwrap = subprocess.Popen(
                [*doors, bubblewrap.program(), *options, "--", *inside],
                pass_fds=[control, status, contents, passwd, filters, *pass_fds],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            undo.pop_all()
        for descriptor in (control, status, contents, passwd, filters):
            os.close(descriptor)
        super().__init__(control=our_control, ended=our_end, limits=limits, group=group)

    @property
    def _pid(self) -> int:
        return self._bwrap.pid

    def _is_gone(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._bwrap.wait(timeout=seconds)
        return self._bwrap.returncode is not None

    def _kill(self) -> None:
        kill_children(self._bwrap.pid)
        self._bwrap.kill()

    def _release(self) -> None:
        if self._bwrap.stderr:
            self._bwrap.stderr.close()

    def _why_it_is_gone(self) -> str:
        """bwrap's words, if it failed itself; from a sandbox that has started, nothing comes this way."""
        assert self._bwrap.stderr is not None
        ready = select.select([self._bwrap.stderr], [], [], 0.5)[0]
        return os.read(self._bwrap.stderr.fileno(), 2000).decode(errors="replace") if ready else ""


def settings(limits: Limits, *, control: int, status: int, files: int, passed: Sequence[int]) -> dict[str, object]:
    """What inside.py is told, but for the user."""
    described = {"control": control, "status": status, "files": files, "passed": [*passed]}
    return described | {"work": bubblewrap.WORK, "home": bubblewrap.HOME, "limits": _resources(limits)}


def new_group(limits: Limits, undo: contextlib.ExitStack) -> cgroup.Group | None:
    """A control group with these limits, where there may be one."""
    where = cgroup.hierarchies()
    if where is None:
        return None
    group = cgroup.Group(where, limits)
    undo.callback(group.close)
    return group


def in_memory(content: bytes) -> int:
    """A descriptor of a file that exists in memory only."""
    descriptor = os.memfd_create("torchgrade")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def packed(files: Mapping[str, bytes]) -> bytes:
    """What inside.py unpacks. Raises ValueError for a name that leads out of the work folder."""
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise ValueError(f"not a name inside the work folder: {name!r}")
    sizes = {name: len(content) for name, content in files.items()}
    return json.dumps(sizes).encode() + b"\n" + b"".join(files.values())


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    return tuple(_owned(descriptor, undo) for descriptor in os.pipe())  # type: ignore[return-value]


def _owned(descriptor: int, undo: contextlib.ExitStack) -> int:
    undo.callback(os.close, descriptor)
    return descriptor


def _resources(limits: Limits) -> dict[str, tuple[int, int]]:
    """{name: (soft, hard)}; a kernel takes the spare processes for its snapshots (kernels/snapshot.py)."""
    both = {
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_DATA": limits.memory,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_FSIZE": limits.scratch,
        "RLIMIT_CORE": 0,
    }
    processes = limits.processes, limits.processes + limits.spare_processes
    return {name: (value, value) for name, value in both.items()} | {"RLIMIT_NPROC": processes}
