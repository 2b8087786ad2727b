"""A student's process seen from outside: its number, its core, its CPU clock, and what else runs beside it. Linux only.

Every function raises OSError where the machine does not allow it.
"""

import os
import select
import socket
import struct
import time
from collections.abc import Collection
from pathlib import Path

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


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
    """Have all threads of a process (0: this one) run on these cores only."""
    for thread in os.listdir(f"/proc/{pid or 'self'}/task"):
        os.sched_setaffinity(int(thread), to)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far, by the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def cpu_seconds_beside(pid: int) -> float:
    """CPU time so far of all other processes in the process namespace of `pid`: what a student's code has started."""
    namespace = os.readlink(f"/proc/{pid}/ns/pid")
    if namespace == os.readlink("/proc/self/ns/pid"):
        return 0.0  # not in a sandbox
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != pid:
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == namespace:
                    total += int(Path(f"/proc/{name}/schedstat").read_text().split()[0])
            except OSError:
                continue  # it has ended, or is not ours to see
    return total / 1e9
