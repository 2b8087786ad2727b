"""A student's process seen from outside: its number, its core, its CPU clock, and what else runs beside it. Linux only.

Every function raises OSError where the machine does not allow it.
"""

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Collection

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)
MOST_PASSES = 20  # over the threads of a process, until all of them are on their core


def ask_for_credentials(connection: socket.socket) -> None:
    """From now on what arrives on `connection` says which process sent it; the kernel writes that, not the sender."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def sender(connection: socket.socket, seconds: float) -> int:
    """The number, here, of the process that sent what arrives next; it stays to be read. 0 if none is known."""
    if not select.select([connection], [], [], seconds)[0]:
        return 0
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(CREDENTIALS.size), socket.MSG_PEEK)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(CREDENTIALS.unpack(data[: CREDENTIALS.size])[0])
    return 0


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def pin(pid: int, to: Collection[int]) -> None:
    """Have all threads of a process (0: this one) run on these cores only, those too that start meanwhile."""
    wanted = set(to)
    for _ in range(MOST_PASSES):
        moved = False
        for thread in map(int, os.listdir(f"/proc/{pid or 'self'}/task")):
            with contextlib.suppress(ProcessLookupError):  # it has ended
                if os.sched_getaffinity(thread) != wanted:
                    os.sched_setaffinity(thread, wanted)
                    moved = True
        if not moved:
            return
    raise OSError(errno.EAGAIN, "more threads start all the time")


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far, by the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def companions(pid: int) -> list[int]:
    """All other processes in the process namespace of `pid`, which a student's code may have started."""
    namespace = os.readlink(f"/proc/{pid}/ns/pid")
    if namespace == os.readlink("/proc/self/ns/pid"):
        return []  # not in a sandbox
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != pid:
            with contextlib.suppress(OSError):  # it has ended, or is not ours to see
                if os.readlink(f"/proc/{name}/ns/pid") == namespace:
                    found.append(int(name))
    return found


def is_first(pid: int) -> bool:
    """Whether it is process 1 of its namespace."""
    with open(f"/proc/{pid}/status") as status:
        return any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status)


def clocks(pids: Collection[int]) -> dict[int, float]:
    """The CPU time so far of each of these processes that still lives."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found[pid] = cpu_seconds(pid)
    return found
