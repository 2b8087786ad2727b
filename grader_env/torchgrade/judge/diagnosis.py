"""Which mistake of the bank gives exactly what the student's code gives?

A mistake is named only if it answers every question of the cell as the student did, fails this cell itself, and is the
only such one. It runs in its place in the solved lesson, so that whatever uses it sees it.
"""

import time
from collections.abc import Sequence

from torchgrade.check import codec
from torchgrade.check.close import close
from torchgrade.check.failures import CheckFailed
from torchgrade.check.student import Reply
from torchgrade.judge.cell import run_cell
from torchgrade.judge.lesson import SolvedLesson
from torchgrade.judge.question import seconds_from_now
from torchgrade.judge.verdict import Diagnosis
from torchgrade.lessons.bank import Bank, Variant

SECONDS = 20.0  # for all mistakes of one cell together
Heard = Sequence[tuple[str, Reply]]


def diagnose(
    grade_id: str, exercise: str, source: str, heard: Heard, failure: str, lesson: SolvedLesson, bank: Bank
) -> Diagnosis | None:
    """The mistake behind a failed cell. heard: the student's replies; failure: the message the cell stopped with."""
    deadline = seconds_from_now(SECONDS)
    found: dict[Diagnosis, None] = {}
    for variant in bank.mistakes:
        if variant.exercise != exercise:
            continue
        if time.monotonic() > deadline or len(found) > 1:
            return None  # unknown, or not the only one
        if gives(variant, grade_id, source, heard, failure, lesson, bank, deadline):
            found[Diagnosis(variant.text, str(variant.see))] = None
    return next(iter(found)) if len(found) == 1 else None


def gives(
    variant: Variant,
    grade_id: str,
    source: str,
    heard: Heard,
    failure: str,
    lesson: SolvedLesson,
    bank: Bank,
    deadline: float,
) -> bool:
    """Whether the cell fails with this mistake in the way it failed with the student's answer."""
    answer = f"{bank.prelude}\n{variant.source}"
    with lesson.student_at(grade_id, answer, deadline=deadline) as other:
        error = run_cell(source, grade_id, other)
    if error is None:
        return False
    if any(kind == "names" for kind, _ in heard):  # names differ between equal programs; what the check says does not
        return str(error) == failure
    return _alike(heard, other.heard)


def _alike(one: Heard, other: Heard) -> bool:
    return len(one) == len(other) and all(
        kind == other_kind and _same(reply, other_reply)
        for (kind, reply), (other_kind, other_reply) in zip(one, other, strict=True)
    )


def _same(one: Reply, other: Reply) -> bool:
    if one.raised is not None or other.raised is not None:
        return _raised(one) == _raised(other)
    if one.unsendable is not None or other.unsendable is not None:
        return one.unsendable == other.unsendable
    try:
        close(codec.decode(one.header, one.body), codec.decode(other.header, other.body), "the same result")
    except (codec.Unreadable, CheckFailed):
        return False
    return True


def _raised(reply: Reply) -> tuple[str, str] | None:
    return (reply.raised.kinds[0], reply.raised.message) if reply.raised else None
