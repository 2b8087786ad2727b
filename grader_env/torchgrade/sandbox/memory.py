"""Do the processes of a sandbox together use more memory than they may?"""

import contextlib

import psutil

SECONDS = 0.25  # between two looks
LOW = 0.1  # of the machine's memory: below that, every sandbox is measured


class Watch:
    """Looks at the machine often, which is cheap, and at the processes only when memory has gone somewhere.

    Copies of a process share most of their memory, so the sum of what each one maps means nothing; their proportional
    shares (PSS) add up, but take milliseconds each to read.
    """

    def __init__(self, pid: int, limit: int):
        self._pid, self._limit = pid, limit
        machine = psutil.virtual_memory()
        self._available, self._low = machine.available, LOW * machine.total

    def is_outgrown(self) -> bool:
        available = psutil.virtual_memory().available
        if self._available - available < self._limit // 2 and available > self._low:
            return False
        return self._used() > self._limit

    def _used(self) -> int:
        """Bytes of all processes below the one that was started."""
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._pid).children(recursive=True):
                with contextlib.suppress(psutil.Error, OSError):
                    total += process.memory_full_info().pss
        return total
