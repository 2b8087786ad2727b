"""`speed` and `peak_memory`: is it fast enough, and does its memory grow as it should?"""

import contextlib
import random
import sys
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

from torchgrade.check import capture, probe, student
from torchgrade.check.close import close
from torchgrade.check.failures import TooSlow, Undecided, WrongMethod
from torchgrade.check.timing import memory
from torchgrade.check.timing.growth import Growth
from torchgrade.check.timing.race import Inputs, Task, race
from torchgrade.check.timing.record import Finding, Record

ENOUGH = 0.97  # of the ratio asked for: where it is too close to call, this gets the points
PAUSE = (1.0, 3.0)  # seconds before a second try; what disturbed the first may be over


def speed(
    candidate: FunctionType,
    baseline: FunctionType,
    inputs: Callable[[], Inputs],
    *,
    at_least: float,
    because: str,
    fixed: Callable[[], Inputs] = tuple,
) -> float:
    """The student's code must be `at_least` times as fast as the baseline. Returns the ratio measured.

    candidate: takes (*fixed, *inputs) and calls the student's code; names its cell does not define are the student's
    baseline: takes the same and names nothing of the student's; computes the same, and its results are compared
    inputs: draws a tuple of tensors, anew for every call; its way to the other process is not counted
    fixed: draws what stays the same for all calls, such as weights or a cache
    because: the usual reason for being too slow, in one sentence

    A ratio from turns taken in one thread, never a time; the answer comes from a sequential sign test. Without a clear
    answer (a tie, an unsteady machine, an odd measurement) nobody loses a point: a person decides under a grader, and
    in a notebook the check passes with a note.

    Raises TooSlow; Undecided under a grader; and what check.run and check.close raise if the code stops or is wrong.
    """
    for own in (candidate, baseline):
        probe.require_own(own, sys._getframe())
    task = Task(candidate, baseline, inputs, fixed, at_least)
    who, watched = probe.student_of(candidate), student.current() is None
    record = _measured(task, who, watched)
    if record.finding not in (Finding.PASS, Finding.FAIL):
        if not watched:
            time.sleep(random.SystemRandom().uniform(*PAUSE))
        record = _measured(task, who, watched)
    who.note(record)
    if watched:
        _show(record)
    if record.finding is Finding.FAIL:
        raise TooSlow(f"{record.sentence}.\n{because}")
    unclear = record.finding is Finding.INCONCLUSIVE and record.ratio < ENOUGH * at_least
    # What was measured on an unfit machine is worth no points either.
    if (unclear or record.finding in (Finding.UNFIT, Finding.SUSPICIOUS)) and not watched:
        raise Undecided(f"{record.sentence}; {record.for_staff}")
    return record.ratio


def peak_memory(
    candidate: FunctionType,
    inputs: Callable[[int], Inputs],
    sizes: tuple[int, int],
    *,
    growth: float = 2.6,
    because: str,
    reference: Callable[..., Any] | None = None,
) -> tuple[int, int]:
    """From the first size to the second, twice as large, the student's highest memory may grow `growth`-fold.

    candidate: takes *inputs(size) and calls the student's code
    inputs: draws a tuple of tensors of a size, so large that memory in use at the first is above 2 MiB
    growth: linear growth gives 2, quadratic 4
    reference: if given, the result at the first size must equal what it computes from the same inputs

    Returns the bytes above the start at both sizes. Under a grader they are read from outside the student's process.
    Where the system keeps no account (it takes Linux), a notebook's check passes with a note.
    """
    probe.require_own(candidate, sys._getframe())
    payload, who = capture.pack_call(candidate), probe.student_of(candidate)
    found: list[int] = []
    try:
        for size in sizes:
            given = inputs(size)
            if not found:  # it loads libraries, or compiles; it does not count
                with contextlib.suppress(memory.NoAccount):
                    who.peak_memory(payload, given)
            used, result = who.peak_memory(payload, given)
            found.append(used)
            if reference is not None and len(found) == 1:
                close(result, reference(*given), "while its memory was measured: equal to the reference")
    except student.Stopped as stopped:
        raise _explained(stopped, candidate) from None
    except memory.NoAccount as error:
        if student.current() is not None:
            raise Undecided(f"the memory of the student's process cannot be read: {error}") from None
        print("Memory is measured on Linux only; your submission will be checked there.")
        return 0, 0
    small, large = found
    grown = Growth(small, large, growth)
    if grown.ratio > growth:
        failure = WrongMethod(
            f"Memory grows {grown.ratio:.1f}-fold, from {small / 2**20:.1f} to {large / 2**20:.1f} MiB, when the size"
            f" goes from {sizes[0]} to {sizes[1]}; at most {growth:g}-fold is asked for: {because}"
        )
        failure.shows = grown
        raise failure
    return small, large


def _measured(task: Task, who: student.Student, watched: bool) -> Record:
    try:
        with who.sides(task) as sides:
            progress = _progress if watched else None
            return race(task, sides, seed=random.SystemRandom().getrandbits(64), progress=progress)
    except student.Stopped as stopped:
        raise _explained(stopped, task.candidate) from None


def _explained(stopped: student.Stopped, candidate: FunctionType) -> Exception:
    try:
        probe.value_of(stopped.reply, probe.exercise_of(candidate))
    except Exception as error:
        return error
    raise AssertionError("a reply that stopped a call holds no value")


def _in_notebook() -> bool:
    return "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None


def _progress(pairs: int, ratio: float) -> None:
    if _in_notebook():
        print(f"\rmeasuring: {pairs:2d} pairs, {ratio:.2f} times", end="", flush=True)


def _show(record: Record) -> None:
    if _in_notebook():
        print("\r", end="")
    print(record.sentence)
    if record.finding not in (Finding.PASS, Finding.FAIL):
        print("Your submission is measured again where it is graded; a person decides if it stays unclear there.")
    if _in_notebook():
        from torchgrade.check.timing import picture

        picture.show(record)
