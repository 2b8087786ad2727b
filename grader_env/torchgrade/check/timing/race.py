"""Baseline and candidate in turns until the sign test is sure, by whoever can run them and hold a clock.

A unit is the smallest of three repetitions a side, interleaved in random order, each with inputs of its own. Time is
CPU time: on a core that others use too, the clock on the wall charges a longer call for more interruptions than a
shorter one, and shifts the ratio (at a load of 5 on two cores, a true 1.5 came out as 0.7 to 6.9). What slows both
sides in other ways, such as cold caches, cancels because they take turns on one core.
"""

import abc
import contextlib
import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import torch

from torchgrade.check.close import close
from torchgrade.check.failures import CellError
from torchgrade.check.timing.record import Finding, Record, load_average, median_ratio
from torchgrade.check.timing.sign_test import MOST, Outcome, look

REPETITIONS = 3  # of which a unit takes the smallest
SAMPLE_SECONDS = 0.004  # that a baseline's sample lasts at least, by calling it on several inputs
SHORTEST = 1e-6  # seconds; what is left of an empty call may be less than nothing
MOST_CALLS = 32  # in one sample
MOST_BYTES = 16 << 20  # of inputs in one sample
WARM_UPS = 3
CAP_SECONDS = 12.0  # of measuring
EVEN = (0.95, 1.05)  # where the baseline's time against a second baseline's must lie
CEILING = 20.0  # times the ratio asked for: no honest answer gets there
TOLERANCE = (1e-4, 1e-4)  # of float32 while it is timed: another order of sums is fine, half precision is not
HOPELESS = 0.5  # of the ratio asked for: if no pair gets there until the time is up, there is no need for more
UNPINNED_MARGIN = 0.8  # without a common core only a candidate below this part of the threshold fails

Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Task:
    """What is raced.

    candidate, baseline: functions of (*fixed, *inputs); the candidate's other names are the student's
    inputs, fixed: functions without arguments that draw tensors, anew for every call or once
    """

    candidate: FunctionType
    baseline: FunctionType
    inputs: Callable[[], Inputs]
    fixed: Callable[[], Inputs]
    at_least: float


class Side(abc.ABC):
    """One of the two, ready to be called."""

    @abc.abstractmethod
    def call(self, inputs: list[Inputs]) -> tuple[float, list[Any]]:
        """CPU seconds for one call on each of `inputs`, and what came out."""

    def disturbed(self) -> str:
        """What was odd about this side since the last question: for staff; empty if nothing was."""
        return ""

    def waited(self) -> str:
        """The same about all calls together."""
        return ""


@dataclass
class Sides:
    """A candidate and its baseline; a second baseline where there is one, to tell a steady machine.

    together: within this block all of them run on one core, drawn anew; gives whether the machine lets them
    empty: seconds that a call on these inputs costs besides the work, which are subtracted from every side's
    """

    candidate: Side
    baseline: Side
    second: Side | None
    together: Callable[[], contextlib.AbstractContextManager[bool]]
    empty: Callable[[list[Inputs]], float] = lambda _: 0.0


@dataclass
class _Times:
    baseline: list[float] = field(default_factory=list)
    candidate: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(base / mine for base, mine in zip(self.baseline, self.candidate, strict=True))


def race(task: Task, sides: Sides, *, seed: int, progress: Callable[[int, float], None] | None = None) -> Record:
    """Race them.

    seed: of the inputs and the order
    progress: is told (pairs so far, median ratio)

    Raises what check.run raises if the candidate stops or gives something else than the baseline; CellError if the
    baseline stops.
    """
    order, draw = random.Random(seed), _Draw(task, seed)
    with _quiet():
        first, calls = _warm_up(sides, draw)
        sides.candidate.disturbed()  # what went on while warming up does not count
        times, pinned, why, wins = _Times(), True, "", 0
        outcome, until = Outcome.OPEN, time.monotonic() + CAP_SECONDS
        while outcome is Outcome.OPEN and len(times.candidate) < MOST and time.monotonic() < until:
            with sides.together() as on_one_core:
                pinned &= on_one_core
                _unit(sides, draw, calls, order, times)
            why = why or sides.candidate.disturbed()
            wins += times.ratios[-1] > task.at_least
            outcome = look(wins, len(times.candidate))
            if progress:
                progress(len(times.candidate), statistics.median(times.ratios))
    if outcome is Outcome.OPEN and len(times.candidate) < MOST and max(times.ratios) < HOPELESS * task.at_least:
        outcome = Outcome.FAIL
    even = median_ratio(times.baseline, times.second) if times.second else None
    ratio = statistics.median(times.ratios)
    why = why or sides.candidate.waited()
    if ratio > CEILING * task.at_least:
        why = why or f"more than {CEILING:g} times what is asked for"
    return Record(
        finding=_finding(outcome, ratio / task.at_least, even, pinned, why),
        ratios=times.ratios,
        at_least=task.at_least,
        seconds=(statistics.median(times.baseline) / calls, statistics.median(times.candidate) / calls),
        first=first,
        way=statistics.median(way / (way + base) for way, base in zip(times.empty, times.baseline, strict=True)),
        even=even,
        seed=seed,
        load=load_average(),
        pinned=pinned,
        why=why,
    )


def _finding(outcome: Outcome, margin: float, even: float | None, pinned: bool, why: str) -> Finding:
    if why:
        return Finding.SUSPICIOUS
    if even is not None and not EVEN[0] <= even <= EVEN[1]:
        return Finding.UNFIT
    if outcome is Outcome.FAIL and not pinned and margin > UNPINNED_MARGIN:
        return Finding.INCONCLUSIVE
    return {Outcome.PASS: Finding.PASS, Outcome.FAIL: Finding.FAIL, Outcome.OPEN: Finding.INCONCLUSIVE}[outcome]


class _Draw:
    """Fresh inputs, the same for the same seed, without a trace in this process's own random numbers."""

    def __init__(self, task: Task, seed: int):
        self._task = task
        self._seeds = random.Random(seed)

    def samples(self, calls: int) -> list[Inputs]:
        return [self.one() for _ in range(calls)]

    def one(self) -> Inputs:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seeds.getrandbits(63))
            inputs = self._task.inputs()
        if not isinstance(inputs, tuple):
            raise CellError("check.speed: `inputs` must return a tuple of arguments; write `lambda: (x,)` for one.")
        return inputs


def _warm_up(sides: Sides, draw: _Draw) -> tuple[float, int]:
    """(seconds of the candidate's first call, calls that make a sample of the baseline long enough)."""
    inputs = [draw.one()]
    first, results = sides.candidate.call(inputs)
    _require_equal(results, sides.baseline.call(inputs)[1])
    shortest, size = math.inf, 0
    for _ in range(WARM_UPS):
        inputs = [draw.one()]
        size = max(1, sum(value.nbytes for value in inputs[0] if isinstance(value, torch.Tensor)))
        for side in filter(None, (sides.second, sides.candidate)):
            side.call(inputs)
        shortest = min(shortest, sides.baseline.call(inputs)[0] - sides.empty(inputs))
    calls = math.ceil(SAMPLE_SECONDS / max(shortest, SHORTEST))
    return first, max(1, min(calls, MOST_CALLS, MOST_BYTES // size))


def _unit(sides: Sides, draw: _Draw, calls: int, order: random.Random, times: _Times) -> None:
    turns = {"candidate": sides.candidate, "baseline": sides.baseline}
    if sides.second is not None:
        turns["second"] = sides.second
    names = list(turns)
    spent: dict[str, list[float]] = {name: [] for name in ("empty", *names)}
    for _ in range(REPETITIONS):
        inputs = draw.samples(calls)
        order.shuffle(names)
        results: dict[str, list[Any]] = {}
        for name in names:
            seconds, results[name] = turns[name].call(inputs)
            spent[name].append(seconds)
        spent["empty"].append(sides.empty(inputs))
        _require_equal(results["candidate"], results["baseline"])
    empty = _smallest(spent["empty"])
    times.empty.append(empty)
    for name in names:
        getattr(times, name).append(max(_smallest(spent[name]) - empty, SHORTEST))


def _smallest(seconds: list[float]) -> float:
    """Without what a clock made up: another process's CPU clock stands still once in some hundred reads (measured)."""
    return min(one for one in seconds if one >= statistics.median(seconds) / 2)


def _require_equal(results: list[Any], expected: list[Any]) -> None:
    for got, right in zip(results, expected, strict=True):
        single = isinstance(right, torch.Tensor) and right.dtype is torch.float32
        tolerance, because = (TOLERANCE, "other cells look at precision") if single else (None, None)
        close(got, right, "while it was timed: equal to the baseline", tolerance=tolerance, because=because)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection in the middle of a sample."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
