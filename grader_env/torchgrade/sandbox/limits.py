"""How much of the machine a sandbox may use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of one sandbox.

    cpu_seconds: of each process
    memory: bytes; of data for each process (RLIMIT_DATA works with CPU torch, RLIMIT_AS does not), and of all processes
        together: by a control group where there are some, else watched from outside
    processes: processes and threads together
    spare_processes: beyond that, for the snapshots of a kernel that has used up its own
    open_files: of each process
    scratch: bytes of files, all in memory
    """

    cpu_seconds: int = 900
    memory: int = 4 << 30
    processes: int = 64
    spare_processes: int = 64
    open_files: int = 1024
    scratch: int = 512 << 20
