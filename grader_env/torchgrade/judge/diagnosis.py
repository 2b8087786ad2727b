"""Which mistake of the bank gives exactly what the student's code gives?

A mistake is named only if it answers every question of the cell as the student did, fails this cell itself, and is the
only such one. It runs in its place in the solved lesson, so that whatever uses it sees it.
"""

import time
from collections.abc import Iterable, Iterator

from torchgrade.judge.cell import run_cell
from torchgrade.judge.lesson import SolvedLesson
from torchgrade.judge.question import seconds_from_now
from torchgrade.judge.verdict import Diagnosis
from torchgrade.lessons.alike import Answers, alike
from torchgrade.lessons.bank import Bank, Variant

SECONDS = 60.0  # for all mistakes of one cell together: a kernel is interpreted and compiled anew for each


class _OutOfTime(Exception):
    pass


def diagnose(
    grade_id: str, exercise: str, source: str, answers: Answers, lesson: SolvedLesson, bank: Bank
) -> Diagnosis | None:
    """The mistake behind a cell that failed with `answers`; None if it is unknown, or not the only one."""
    deadline = seconds_from_now(SECONDS)

    def others() -> Iterator[tuple[Variant, Answers | None]]:
        for variant in bank.mistakes:
            if variant.exercise == exercise:
                if time.monotonic() > deadline:
                    raise _OutOfTime
                yield variant, answers_of(variant, grade_id, source, lesson, bank, deadline)

    try:
        return the_only_one(answers, others())
    except _OutOfTime:
        return None


def the_only_one(answers: Answers, others: Iterable[tuple[Variant, Answers | None]]) -> Diagnosis | None:
    """The mistake of `others` that gives `answers`, if there is exactly one; none gives anything if it passes."""
    found: dict[Diagnosis, None] = {}
    for variant, given in others:
        if given is not None and alike(answers, given):
            found[Diagnosis(variant.text, str(variant.see))] = None
        if len(found) > 1:
            return None
    return next(iter(found), None)


def answers_of(
    variant: Variant, grade_id: str, source: str, lesson: SolvedLesson, bank: Bank, deadline: float
) -> Answers | None:
    """What this mistake gives in the cell; None if the cell passes."""
    answer = f"{bank.prelude}\n{variant.source}"
    with lesson.student_at(grade_id, answer, deadline=deadline) as other:
        error = run_cell(source, grade_id, other)
    return None if error is None else Answers(tuple(other.heard), str(error))
