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
import threading
import time
from collections.abc import Iterator
from types import TracebackType
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
BESIDE = 0.03  # of the time, that other processes of the student's may compute: what is idle wakes up now and then
WAITING = 1.4  # times the baseline's, that the clock on the wall may show over the CPU clock
SHORT = 0.001  # seconds for which nobody is blamed
LOOK_SECONDS = 0.001  # between two looks at the memory of a student's processes


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
        self._since, self._beside = self._clocks(), self._clocks_beside()

    def disturbed(self) -> str:
        clocks, beside = self._clocks(), self._clocks_beside()
        passed, computed, called, computed_called = (now - then for now, then in zip(clocks, self._since, strict=True))
        computed_beside = sum(beside.values()) - sum(self._beside.values())
        found = ""
        if computed - computed_called > IDLE * (passed - called) + SHORT:
            found = "the student's process computed while it was the baseline's turn"
        elif computed_called > PARALLEL * called + SHORT:
            found = "the student's process computed in more than one thread"
        elif beside.keys() != self._beside.keys():  # the dead take their clocks with them
            found = "other processes of the student's started or ended at the same time"
        elif computed_beside > BESIDE * passed + SHORT:
            found = "other processes of the student's computed at the same time"
        self._since, self._beside = clocks, beside
        return found

    def waited(self) -> str:
        """Asked at the end: did it wait much more than the baseline, in its quietest call and in all together?"""
        waits = self.stretch > WAITING * self._baseline.stretch
        waits &= self.wall * self._baseline.cpu > WAITING * self._baseline.wall * self.cpu
        return "the student's process waited for something instead of computing" if waits else ""

    def _clocks(self) -> tuple[float, float, float, float]:
        """Seconds so far: on the wall and of CPU; and of both, those of calls."""
        return time.perf_counter(), self._clock(), self.wall, self.cpu if self._pid else 0.0

    def _clocks_beside(self) -> dict[int, float]:
        with contextlib.suppress(OSError):
            return processes.clocks(processes.companions(self._pid))
        return {}


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
        together = _Together(pid, [number for _, number in forks])
        yield Sides(candidate, baseline, second, together, empty.seconds)


def peak_memory(who: RemoteStudent, payload: bytes, inputs: Inputs) -> tuple[int, Any]:
    """(bytes above the start while the function runs on `inputs`, its result). Raises Stopped, memory.NoAccount.

    The bytes are those of all the student's processes together: it must not help to let another one do the work.
    """
    pid = who.process()
    if not pid:
        raise memory.NoAccount("the number of the student's process is not known")
    side = RemoteSide(who, pid, payload, inputs, exact_memory=True)
    side.settle()
    with Account(pid) as account:
        _, (result,) = side.call([()])
    return account.growth, result


class Account:
    """The memory of a student's processes, looked at again and again while the block lasts.

    For a process may reset its own high-water mark, and a child takes its account with it when it ends: nothing of what
    is seen may ever grow less, and the processes must stay the same. Raises memory.NoAccount at the end otherwise.
    """

    def __init__(self, pid: int):
        self._pid, self._pids = pid, self._all_of(pid)
        self._over = threading.Event()
        self._odd = ""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.growth = 0

    def __enter__(self) -> "Account":
        self._before = {pid: memory.reset(pid) for pid in self._pids}
        self._most = dict(self._before)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if error is None:
            self._look()
            self._look_around()
            if self._odd:
                raise memory.NoAccount(self._odd)
            self.growth = sum(self._most.values()) - sum(self._before.values())

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look()
            self._look_around()

    def _look(self) -> None:
        for pid in self._pids:
            try:
                highest = memory.highest(pid)
            except memory.NoAccount:
                self._odd = self._odd or "a process of the student's ended meanwhile"
                continue
            if highest < self._most[pid] - memory.NOISE:
                self._odd = self._odd or "a process of the student's has reset its account"
            self._most[pid] = max(highest, self._most[pid])

    def _look_around(self) -> None:
        if self._all_of(self._pid) != self._pids:
            self._odd = self._odd or "processes of the student's started or ended meanwhile"

    @staticmethod
    def _all_of(pid: int) -> list[int]:
        """But for the first process of a sandbox, which is the grader's and lets nobody look."""
        try:
            return [one for one in sorted((pid, *processes.companions(pid))) if not processes.is_first(one)]
        except OSError as error:
            raise memory.NoAccount(str(error)) from None


class _Together:
    """Puts processes on one core, drawn anew each time, and this one on the others while they race.

    All that the student's code has started goes there too, and cannot leave (sandbox/seccomp.py): nothing runs beside.
    """

    def __init__(self, student: int, trusted: list[int]):
        self._student, self._trusted = student, trusted

    @contextlib.contextmanager
    def __call__(self) -> Iterator[bool]:
        mine, pinned = processes.cores(), self._student != 0
        core = random.SystemRandom().choice(mine)
        try:
            for pid in self._trusted:
                processes.pin(pid, [core])
            if pinned:
                processes.pin(self._student, [core])
                for pid in processes.companions(self._student):
                    with contextlib.suppress(FileNotFoundError):  # it has ended
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
