"""A student's code against a baseline, each in a process of its own, with the judge's clocks.

What counts is the CPU time of a process from the moment an input is sent until the result is here, as the system
accounts for it; what the way costs is measured on a third baseline and subtracted. A student's process that computes
before, after, elsewhere, or waits for somebody who does, shows it on one of the judge's other clocks.
"""

import contextlib
import math
import os
import random
import socket
import time
from collections.abc import Iterator
from typing import Any

from torchgrade.check import capture, codec, probe
from torchgrade.check.failures import CellError
from torchgrade.check.student import Stopped
from torchgrade.check.timing import memory
from torchgrade.check.timing.race import Inputs, Side, Sides, Task
from torchgrade.judge import agent, processes
from torchgrade.judge.remote import NoAnswer, RemoteStudent
from torchgrade.lessons.forked import end_with_parent, silence

IDLE = 0.05  # of the time in which it was not asked, that a process may compute
PARALLEL = 1.3  # times the clock on the wall, that the CPU clock of one thread may show
BESIDE = 0.1  # of the time, that other processes of the student's may compute
WAITING = 1.4  # times the baseline's, that the clock on the wall may show over the CPU clock
SHORT = 0.001  # seconds for which nobody is blamed


class RemoteSide(Side):
    """A function in the process `pid` behind `who`. Where that is not known (0), the clock on the wall has to do."""

    def __init__(self, who: RemoteStudent, pid: int, payload: bytes, fixed: Inputs, *, exact_memory: bool = False):
        self._who, self._pid = who, pid
        self.stretch = math.inf  # the least that the clock on the wall showed over the CPU clock
        self.wall = self.cpu = 0.0  # what they showed in all
        self._exchange({"calls": "load", "exact_memory": exact_memory}, payload)
        header, body = codec.encode(fixed)
        self._exchange({"calls": "hold", "value": header.decode()}, body)

    def call(self, inputs: list[Inputs]) -> tuple[float, list[Any]]:
        return self._on("call", inputs)

    def settle(self) -> None:
        """Let the process give back the memory that it does not use."""
        self._exchange({"calls": "settle"}, b"")

    def _on(self, what: str, inputs: list[Inputs]) -> tuple[float, list[Any]]:
        header, body = codec.encode(inputs)
        return self._exchange({"calls": what, "value": header.decode()}, body)

    def _exchange(self, question: dict[str, Any], body: bytes) -> tuple[float, Any]:
        cpu = self._clock()
        wall, reply = self._who.timed(question, body)
        seconds = self._clock() - cpu if self._pid else wall
        if reply.raised is not None or reply.unsendable is not None:
            raise Stopped(reply)
        self.wall, self.cpu = self.wall + wall, self.cpu + seconds
        if seconds > SHORT:
            self.stretch = min(self.stretch, wall / seconds)
        return seconds, probe.value_of(reply)

    def _clock(self) -> float:
        return processes.cpu_seconds(self._pid) if self._pid else 0.0


class Baseline(RemoteSide):
    """Trusted code in a fork of this process: if it stops, the cell is wrong."""

    def _exchange(self, question: dict[str, Any], body: bytes) -> tuple[float, Any]:
        try:
            return super()._exchange(question, body)
        except Stopped as stopped:
            why = stopped.reply.raised.message if stopped.reply.raised else f"it gives {stopped.reply.unsendable}"
            raise CellError(f"check.speed: the baseline stops: {why}") from None
        except NoAnswer as error:
            raise CellError(f"check.speed: the process of the baseline {error}") from None


class Empty(Baseline):
    """What a call costs besides its work: the way of the inputs, and the way back of results like theirs.

    In a process of its own, so that the others' memory is not warmer or colder for it.
    """

    _results = 0  # calls whose results it holds

    def seconds(self, inputs: list[Inputs]) -> float:
        if self._results != len(inputs):
            self.call(inputs)
            self._results = len(inputs)
        return self._on("echo", inputs)[0]


class Watched(RemoteSide):
    """A student's function, of whose process the system says when and how much it computes."""

    def __init__(self, who: RemoteStudent, pid: int, payload: bytes, fixed: Inputs, baseline: RemoteSide):
        super().__init__(who, pid, payload, fixed)
        self._baseline = baseline
        self._began = self._ended = time.perf_counter()
        self._cpu, self._beside = self._clock(), self._clock_beside()
        self._idle = self._computed_idle = self._called = self._computed = 0.0

    def call(self, inputs: list[Inputs]) -> tuple[float, list[Any]]:
        now, cpu = time.perf_counter(), self._clock()
        self._idle += now - self._ended
        self._computed_idle += cpu - self._cpu
        seconds, results = super().call(inputs)
        self._ended, self._cpu = time.perf_counter(), self._clock()
        self._called += self._ended - now
        self._computed += self._cpu - cpu
        return seconds, results

    def disturbed(self) -> str:
        beside, now = self._clock_beside(), time.perf_counter()
        found = ""
        if self._computed_idle > IDLE * self._idle + SHORT:
            found = "the student's process computed while it was the baseline's turn"
        elif self._computed > PARALLEL * self._called + SHORT:
            found = "the student's process computed in more than one thread"
        elif beside - self._beside > BESIDE * (now - self._began) + SHORT:
            found = "other processes of the student's computed at the same time"
        self._began, self._beside = now, beside
        self._idle = self._computed_idle = self._called = self._computed = 0.0
        return found

    def waited(self) -> str:
        """Asked at the end: did it wait much more than the baseline, in its quietest call and in all together?"""
        waits = self.stretch > WAITING * self._baseline.stretch
        waits &= self.wall * self._baseline.cpu > WAITING * self._baseline.wall * self.cpu
        return "the student's process waited for something instead of computing" if waits else ""

    def _clock_beside(self) -> float:
        with contextlib.suppress(OSError):
            return processes.cpu_seconds_beside(self._pid)
        return 0.0


@contextlib.contextmanager
def sides(who: RemoteStudent, task: Task, *, deadline: float) -> Iterator[Sides]:
    """The student's candidate behind `who`, and forks of this process with the baseline."""
    fixed, payload = task.fixed(), capture.pack_call(task.baseline)
    with contextlib.ExitStack() as stack:
        forks = [stack.enter_context(_trusted(deadline)) for _ in range(3)]
        baseline, second = (Baseline(*fork, payload, fixed) for fork in forks[:2])
        empty = Empty(*forks[2], payload, fixed)
        pid = who.process()
        candidate = Watched(who, pid, capture.pack_call(task.candidate), fixed, baseline)
        together = _Together((pid, *(number for _, number in forks)))
        yield Sides(candidate, baseline, second, together, empty.seconds)


def peak_memory(who: RemoteStudent, payload: bytes, inputs: Inputs) -> tuple[int, Any]:
    """(bytes above the start while the function runs on `inputs`, its result). Raises Stopped, memory.NoAccount."""
    pid = who.process()
    if not pid:
        raise memory.NoAccount("the number of the student's process is not known")
    side = RemoteSide(who, pid, payload, inputs, exact_memory=True)
    side.settle()
    before = memory.reset(pid)
    _, (result,) = side.call([()])
    return memory.highest(pid) - before, result


class _Together:
    """Puts processes on one core, drawn anew each time, and this one on the others while they race."""

    def __init__(self, pids: tuple[int, ...]):
        self._pids = pids

    @contextlib.contextmanager
    def __call__(self) -> Iterator[bool]:
        mine, pinned = processes.cores(), all(self._pids)
        core = random.SystemRandom().choice(mine)
        try:
            for pid in self._pids:
                processes.pin(pid, [core])
            processes.pin(0, [other for other in mine if other != core] or mine)
        except OSError:
            pinned = False
        try:
            yield pinned
        finally:
            with contextlib.suppress(OSError):
                processes.pin(0, mine)


@contextlib.contextmanager
def _trusted(deadline: float) -> Iterator[tuple[RemoteStudent, int]]:
    """A fork of this process that answers like a student, from an empty namespace; and its number."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            end_with_parent(parent)
            silence()
            ours.close()
            agent.serve(theirs, {})
        finally:
            os._exit(0)
    theirs.close()
    try:
        with ours:
            yield RemoteStudent(ours, deadline=deadline), child
    finally:
        os.waitpid(child, 0)
