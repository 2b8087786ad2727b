"""The grader's end of a sandbox, however it was started: see its program end, end it, end everything in it."""

import abc
import contextlib
import json
import os
import select
import threading
from types import TracebackType
from typing import Any

import psutil

from torchgrade.sandbox import cgroup, memory
from torchgrade.sandbox.limits import Limits

CLOSE_SECONDS = 5.0


class Contained(abc.ABC):
    """A program in namespaces of its own: no network, no files but a Python's, its own processes, limits.

    The program's end does not end the sandbox: what it forked lives on until `close`, or the end of this process.
    """

    def __init__(self, *, control: int, ended: int, limits: Limits, group: cgroup.Group | None):
        """control, ended: this side's descriptors of the pipes of inside.py, which are ours from now on"""
        os.set_blocking(ended, False)
        self.ended = ended  # has something to read once the program has ended
        self._control, self._group = control, group
        self._report: dict[str, Any] | None = None
        self._outgrown = False
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=(limits.memory,), daemon=True)
        self._watcher.start()

    @property
    def ended_for_memory(self) -> bool:
        """Whether all of it was ended because its processes together used too much memory."""
        return self._outgrown

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether one of its processes, or all, were ended for memory."""
        return self._outgrown or (self._group is not None and self._group.ran_out_of_memory)

    def program_ended(self) -> int | None:
        """The program's exit status (negative: the signal that ended it), None while it runs."""
        if self._report is None and select.select([self.ended], [], [], 0)[0]:
            try:
                line = os.read(self.ended, 1 << 16)
                self._report = json.loads(line) if line else {"status": -9, "errors": self._why_it_is_gone()}
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
        if not self._is_gone(CLOSE_SECONDS):  # stopped, or waiting for a dying process
            self._kill()
            self._is_gone(CLOSE_SECONDS)
        self._release()
        self._watcher.join()
        os.close(self.ended)
        if self._group is not None:
            self._group.close()

    def __enter__(self) -> "Contained":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _watch(self, limit: int) -> None:
        watch = memory.Watch(self._pid, limit)
        while not self._closed.wait(memory.SECONDS):
            if watch.is_outgrown():
                self._outgrown = True
                self._kill()
                return

    def _why_it_is_gone(self) -> str:
        """What is known when process 1 has ended without a report."""
        return ""

    @property
    @abc.abstractmethod
    def _pid(self) -> int:
        """A process of which all processes in the sandbox are descendants, itself or not."""

    @abc.abstractmethod
    def _is_gone(self, seconds: float) -> bool:
        """Whether all processes have ended, or do within `seconds`."""

    @abc.abstractmethod
    def _kill(self) -> None:
        """End process 1 of the sandbox, and with it all others."""

    @abc.abstractmethod
    def _release(self) -> None:
        """Give back what the subclass holds."""


def kill_children(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children():
            process.kill()
