"""The highest memory of a process, from Linux's own account of it (proc(5): clear_refs, VmHWM, VmRSS).

Another process may read it, so that what is measured has no say in it. The process itself only sees to it that what is
freed leaves it at once: glibc otherwise keeps blocks of up to 32 MiB, and the account would depend on earlier sizes.
"""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

MMAP_THRESHOLD = -3  # mallopt(3): from this size on a block is mapped, and unmapped when it is freed
TRIM_THRESHOLD = -1  # mallopt(3): so much free memory at its end makes the heap shrink
NOISE = 2 << 20  # bytes of a process that come and go by themselves
EXACT, USUAL = 128 << 10, 32 << 20  # bytes; the second is where glibc's own adjustment ends
NEVER = 1 << 30  # bytes that no heap here has free
RESET_HIGH_WATER = "5"  # to /proc/PID/clear_refs; since Linux 4.0


class NoAccount(Exception):
    """This system keeps none, or does not let us read it, or what it says cannot be believed."""


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Within this block every large tensor that is freed leaves the process, and what was freed before has left it."""
    libc = _glibc()
    if libc is None:
        raise NoAccount("it takes Linux with glibc")
    libc.mallopt(MMAP_THRESHOLD, EXACT)
    settle()
    try:
        yield
    finally:
        keep_freed()


def keep_freed() -> None:
    """From here on blocks of up to 32 MiB are used again when they are freed, where glibc is.

    glibc gets there by itself, but only after larger blocks have come and gone. A process with another past would be
    several times as fast or as slow in the very same work, for each mapped block costs a fault per page.
    """
    if libc := _glibc():
        libc.mallopt(MMAP_THRESHOLD, USUAL)
        libc.mallopt(TRIM_THRESHOLD, NEVER)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None


def settle() -> None:
    """Let go of what is not in use any more."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def reset(pid: int | str = "self") -> int:
    """Let the high-water mark start from now. Returns the bytes in use."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(RESET_HIGH_WATER)
    except OSError as error:
        raise NoAccount(str(error)) from None
    return _bytes(pid, "VmRSS")


def highest(pid: int | str = "self") -> int:
    """Bytes in use at most since the last reset."""
    return _bytes(pid, "VmHWM")


def _bytes(pid: int | str, name: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
    except OSError as error:
        raise NoAccount(str(error)) from None
    raise NoAccount(f"no {name}")
