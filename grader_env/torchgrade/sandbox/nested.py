"""Make a sandbox of this process, a fork of one that is in a sandbox already: namespaces, mounts, and no way back.

The grader's warm parent (torchgrade.kernels.parent) has imported everything before; a fork of it has neither the time
nor the need to start a Python through bubblewrap. What bubblewrap does for a cold sandbox is done here by hand.
Standard library only. Every step raises OSError where the machine does not allow it.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Sequence

from torchgrade.sandbox import seccomp

# <linux/sched.h>
NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_USER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
NEW_PID, NEW_NET = 0x20000000, 0x40000000
# <sys/mount.h>
NO_SUID, NO_DEV, NO_EXEC, BIND, MOVE, RECURSIVE, PRIVATE = 2, 4, 8, 4096, 8192, 16384, 1 << 18
# <sys/prctl.h>, <linux/capability.h>, <linux/sockios.h>, <net/if.h>
DROP_FROM_BOUND, NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER_MODE = 24, 38, 22, 2
CAPABILITY_VERSION, LAST_CAPABILITY = 0x20080522, 63
SET_INTERFACE_FLAGS, INTERFACE_UP = 0x8914, 0x1 | 0x40

INODES_PER_MIB = 256  # of a scratch folder: as many files as 4 KiB each would make of its size

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Go into new namespaces. Returns in a new process, the first of its own process namespace; the caller ends."""
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(NEW_USER | NEW_MOUNT | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    if os.fork():
        os._exit(0)


def furnish(*, spare: str, scratch: int, shared_memory: int, keep: Sequence[str]) -> None:
    """New /proc, /tmp (`scratch` bytes) and /dev/shm (`shared_memory` bytes), and the loopback interface.

    spare: an empty folder; keep: what stands below /tmp and must stay readable
    """
    _mount("none", "/", None, RECURSIVE | PRIVATE)
    _mount("proc", "/proc", "proc", NO_SUID | NO_DEV | NO_EXEC)
    _mount("tmpfs", "/dev/shm", "tmpfs", NO_SUID | NO_DEV, _size(shared_memory))
    _mount("tmpfs", spare, "tmpfs", NO_SUID | NO_DEV, _size(scratch))
    for path in keep:
        os.makedirs(spare + path.removeprefix("/tmp"), mode=0o755)
        _mount(path, spare + path.removeprefix("/tmp"), None, BIND | RECURSIVE)
    _mount(spare, "/tmp", None, MOVE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_INTERFACE_FLAGS, struct.pack("16sh14x", b"lo", INTERFACE_UP))


def give_up_privileges() -> None:
    """From here on no capability, no new privilege by executing a file, no new user namespace; for good."""
    _check(_libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")
    for capability in range(LAST_CAPABILITY + 1):
        _libc.prctl(DROP_FROM_BOUND, capability, 0, 0, 0)  # fails for numbers that this kernel does not have
    header, nothing = struct.pack("Ii", CAPABILITY_VERSION, 0), bytes(24)
    _check(_libc.capset(header, nothing), "capset")
    program = seccomp.compiled()
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _check(_libc.prctl(SET_SECCOMP, FILTER_MODE, described, 0, 0), "seccomp")


def _size(size: int) -> str:
    return f"mode=1777,size={size},nr_inodes={max(1024, (size >> 20) * INODES_PER_MIB)}"


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    kind_, options_ = kind.encode() if kind else None, options.encode() or None
    result = _libc.mount(source.encode(), target.encode(), kind_, ctypes.c_ulong(flags), options_)
    _check(result, f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
