"""Are a lesson's speed thresholds fair on this machine? Right answers beat them and naive ones miss them, with room.

Every graded cell that calls `check.speed` is judged as a submission's would be, with the author's solution, with every
accepted variant of its exercise and with every mistake. A mistake that is right but slow is the naive attempt.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from torchgrade.check.timing.race import CEILING
from torchgrade.check.timing.record import Record
from torchgrade.errors import CourseError
from torchgrade.judge.cell import run_cell
from torchgrade.judge.lesson import SolvedLesson
from torchgrade.judge.question import CELL_SECONDS, seconds_from_now
from torchgrade.lessons.bank import Bank, Variant
from torchgrade.lessons.master import Master, nbgrader

MOST_WAY = 0.5  # of a baseline's call; the way there and back would be measured, not the work
ROOM = 1.3  # between a threshold and the slowest right answer, and between the fastest naive one and the threshold


@dataclass(frozen=True)
class Attempt:
    """One implementation in one speed cell. variant: None for the author's solution"""

    cell: str
    variant: Variant | None
    record: Record

    @property
    def is_right(self) -> bool:
        return self.variant is None or not self.variant.is_mistake

    @property
    def margin(self) -> float:
        """Its ratio over the ratio asked for."""
        return self.record.ratio / self.record.at_least

    @property
    def name(self) -> str:
        return "the solution" if self.variant is None else self.variant.text


def attempts(master: Master, bank: Bank) -> Iterator[Attempt]:
    """Every attempt that comes to be timed: one that stops before, or gives wrong results, is no measure of speed.

    Raises CourseError if the lesson has no speed check, or its solution is not timed.
    """
    cells = {
        str(nbgrader(cell)["grade_id"]): cell.source
        for cell in master.notebook.cells
        if nbgrader(cell).get("grade_id") in master.graded and "check.speed(" in cell.source
    }
    if not cells:
        raise CourseError("no graded cell calls check.speed.", where=master.path)
    with contextlib.closing(SolvedLesson(master)) as lesson:
        for grade_id, source in cells.items():
            exercise = master.exercise_of(grade_id)
            variants = [one for one in bank.variants if one.exercise == exercise]
            for variant in (None, *variants):
                answer = f"{bank.prelude}\n{variant.source}" if variant else None
                with lesson.student_at(grade_id, answer, deadline=seconds_from_now(CELL_SECONDS)) as who:
                    error = run_cell(source, grade_id, who)
                if who.records:
                    yield Attempt(grade_id, variant, who.records[-1])
                elif variant is None:
                    raise CourseError(f"the solution is not timed: {error}", where=f"{master.path}: {grade_id}")


def refusals(found: list[Attempt]) -> list[str]:
    """What is unfair, a line each: cells without room on a side, or without a naive attempt."""
    lines = []
    for cell in dict.fromkeys(attempt.cell for attempt in found):
        of_cell = [attempt for attempt in found if attempt.cell == cell]
        lines += [
            f"{cell}: {attempt.name}: only {attempt.margin:.2f} times what is asked for; {ROOM:g} is needed"
            for attempt in of_cell
            if attempt.is_right and attempt.margin < ROOM
        ]
        lines += [
            f"{cell}: {attempt.name}: {attempt.margin:.1f} times what is asked for; beyond {CEILING:g} is suspicious"
            for attempt in of_cell
            if attempt.is_right and attempt.margin > CEILING / ROOM
        ]
        if max(attempt.record.way for attempt in of_cell) > MOST_WAY:
            lines.append(f"{cell}: most of a call is the way of its inputs and results; take smaller ones or more work")
        naive = [attempt for attempt in of_cell if not attempt.is_right and attempt.margin < 1]
        if not naive:
            lines.append(f"{cell}: no mistake is right but too slow; add the naive attempt to mistakes.py")
        lines += [
            f"{cell}: {attempt.name}: misses it by {1 / attempt.margin:.2f} only; {ROOM:g} is needed"
            for attempt in naive
            if attempt.margin > 1 / ROOM
        ]
    return lines


def run(lessons: list[tuple[Master, Bank]]) -> int:
    """Print a line for each attempt and for each refusal; 1 if there are refusals."""
    refused: list[str] = []
    for master, bank in lessons:
        print(master.name)
        found = []
        for attempt in attempts(master, bank):
            print(_line(attempt), flush=True)
            found.append(attempt)
        refused += refusals(found)
    print("\n".join(refused or ["every threshold has room"]))
    return 1 if refused else 0


def _line(attempt: Attempt) -> str:
    record, (low, high) = attempt.record, attempt.record.interval
    beats = attempt.margin >= 1
    room = (
        f"{'beats' if beats else 'misses'} {record.at_least:g} by {attempt.margin if beats else 1 / attempt.margin:.2f}"
    )
    return f"  {attempt.cell:<24} {record.ratio:6.2f} ({low:.2f} to {high:.2f})  {room}: {attempt.name}"
