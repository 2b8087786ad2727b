"""Which mistake of the bank gives exactly what the student's code gives?

A mistake is named only if it answers every question of the cell as the student did, fails this cell itself, and is the
only such one. It runs in its place in the solved lesson, so that whatever uses it sees it.
"""

import time

from torchgrade.judge.cell import run_cell
from torchgrade.judge.lesson import SolvedLesson
from torchgrade.judge.question import seconds_from_now
from torchgrade.judge.verdict import Diagnosis
from torchgrade.lessons.alike import Answers, alike
from torchgrade.lessons.bank import Bank, Variant

SECONDS = 20.0  # for all mistakes of one cell together


def diagnose(
    grade_id: str, exercise: str, source: str, answers: Answers, lesson: SolvedLesson, bank: Bank
) -> Diagnosis | None:
    """The mistake behind a cell that failed with the student's `answers`."""
    deadline = seconds_from_now(SECONDS)
    found: dict[Diagnosis, None] = {}
    for variant in bank.mistakes:
        if variant.exercise != exercise:
            continue
        if time.monotonic() > deadline or len(found) > 1:
            return None  # unknown, or not the only one
        if gives(variant, grade_id, source, answers, lesson, bank, deadline):
            found[Diagnosis(variant.text, str(variant.see))] = None
    return next(iter(found)) if len(found) == 1 else None


def gives(
    variant: Variant, grade_id: str, source: str, answers: Answers, lesson: SolvedLesson, bank: Bank, deadline: float
) -> bool:
    """Whether the cell fails with this mistake in the way it failed with the student's answer."""
    answer = f"{bank.prelude}\n{variant.source}"
    with lesson.student_at(grade_id, answer, deadline=deadline) as other:
        error = run_cell(source, grade_id, other)
    return error is not None and alike(answers, Answers(tuple(other.heard), str(error)))
