"""Forked processes: each starts with everything this one has computed, and whatever it breaks dies with it."""

import ctypes
import faulthandler
import math
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

_FORK = multiprocessing.get_context("fork")
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
_POLL = 0.2  # seconds; the end of a pipe is not enough, a grandchild may hold it open

Send = Callable[[Any], None]


class Child:
    """A fork that runs `work(send)`; what it sends gathers in `received`.

    seconds: how long it may last
    cpu_seconds: how long it may compute, which does not depend on what else the machine does

    It ends with this process, and its clocks are its own. Its output goes nowhere.
    """

    def __init__(self, work: Callable[[Send], None], seconds: float, cpu_seconds: float = math.inf):
        self.received: list[Any] = []
        self.pipe, writer = _FORK.Pipe(duplex=False)
        state = random.getstate()  # Python seeds anew in a fork
        self._process = _FORK.Process(target=_run, args=(work, writer, seconds, cpu_seconds, state, os.getpid()))
        self._process.start()
        writer.close()

    @property
    def timed_out(self) -> bool:
        return self._process.exitcode in (-signal.SIGALRM, -signal.SIGPROF)

    @property
    def crashed(self) -> bool:
        return self._process.exitcode != 0 and not self.timed_out

    def lives(self, seconds: float = _POLL) -> bool:
        """Gather what has been sent, or wait a moment for it. False: the child has ended and everything is here."""
        alive = self._process.is_alive()  # before the look into the pipe: nothing is sent afterwards
        while self.pipe.poll(seconds if alive else 0):
            seconds = 0
            try:
                self.received.append(self.pipe.recv())
            except EOFError:
                alive = False
                break
        if not alive:
            self._process.join()
        return alive

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


class Crew:
    """At most `size` children at a time. `with` ends them all, whatever happens."""

    def __init__(self, size: int, done: Callable[[Child], None]):
        self._size, self._done = size, done
        self._running: list[Child] = []

    def start(self, work: Callable[[Send], None], seconds: float, cpu_seconds: float = math.inf) -> Child:
        """Start a child as soon as there is room; `done` gets each child that has ended."""
        self._wait_until_fewer_than(self._size)
        child = Child(work, seconds, cpu_seconds)
        self._running.append(child)
        return child

    def finish(self) -> None:
        self._wait_until_fewer_than(1)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for child in self._running:
            child.kill()

    def _wait_until_fewer_than(self, count: int) -> None:
        for child in self._ended():
            self._done(child)
        while len(self._running) >= count:
            multiprocessing.connection.wait([child.pipe for child in self._running], _POLL)
            for child in self._ended():
                self._done(child)

    def _ended(self) -> Iterator[Child]:
        for child in list(self._running):
            if not child.lives(0):
                self._running.remove(child)
                yield child


def _run(
    work: Callable[[Send], None],
    writer: multiprocessing.connection.Connection,
    seconds: float,
    cpu_seconds: float,
    state: Any,
    parent: int,
) -> None:
    for alarm in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(alarm, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    if cpu_seconds < math.inf:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    end_with_parent(parent)
    random.setstate(state)
    faulthandler.disable()  # a crash is reported as one, not printed
    silence()
    work(writer.send)


def silence() -> None:
    """Have nothing that this process prints go anywhere, until it ends."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    os.dup2(sys.stdout.fileno(), 1)
    os.dup2(sys.stdout.fileno(), 2)


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends. Where there is no such call, the clock does it later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)
