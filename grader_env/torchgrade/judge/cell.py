"""Judge one graded cell: run it here, with the student at the other end of a socket, and decide who is to blame."""

import base64
import contextlib
import io
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType

from torchgrade.check.failures import CheckFailed, NotAnswered, NotComparable, StudentRaised, Undecided
from torchgrade.check.student import Student
from torchgrade.check.timing import picture
from torchgrade.check.timing.growth import Growth
from torchgrade.check.where import Where
from torchgrade.judge import error_map
from torchgrade.judge.lesson import SolvedLesson
from torchgrade.judge.question import CELL_SECONDS, SECONDS, seconds_from_now
from torchgrade.judge.remote import Garbled, NoAnswer, RemoteStudent, TimeOut
from torchgrade.judge.verdict import Kind, Stop, Verdict
from torchgrade.lessons.master import HIDDEN
from torchgrade.lessons.solved import first_line, run_graded

NOT_COMPARABLE = "Your result could not be compared ({}). Does it have the type and shape that the exercise asks for?"


class TookTooLong(Exception):
    """The cell itself, not the student, ran out of time."""


def judge(grade_id: str, source: str, who: RemoteStudent, lesson: SolvedLesson) -> Verdict:
    """The verdict on one cell, with what was measured if it is a speed check.

    Whatever stops it other than a failed check: if the same cell passes with the author's solution, the student's
    result tripped it; if not, the grader is at fault, and the student's points wait for a person.
    """
    verdict = _judge(grade_id, source, who, lesson)
    if not who.records:
        return verdict
    record = who.records[-1]
    return replace(verdict, speed=record.to_dict(), picture=_base64(picture.png(record)), in_words=record.sentence)


def _judge(grade_id: str, source: str, who: RemoteStudent, lesson: SolvedLesson) -> Verdict:
    started = time.monotonic()
    error = run_cell(source, grade_id, who)
    seconds = round(time.monotonic() - started, 3)
    if error is None:
        return Verdict(grade_id, Kind.PASSED, seconds=seconds)
    if isinstance(error, Undecided):
        return Verdict(grade_id, Kind.INCONCLUSIVE, detail=str(error), seconds=seconds)
    if isinstance(error, CheckFailed):
        kind = Kind.NO_ANSWER if isinstance(error, NotAnswered) else Kind.FAILED
        stop = _stop(who) if isinstance(error, StudentRaised) else None
        verdict = Verdict(grade_id, kind, str(error), type(error).__name__, stop=stop, seconds=seconds)
        return _with_picture(verdict, error, hidden=HIDDEN[0].lstrip("# ") in source)
    if isinstance(error, NoAnswer):
        return Verdict(grade_id, _kind_of(error), _sentence(error), type(error).__name__, seconds=seconds)
    what = f"{type(error).__name__}: {first_line(error)}"
    if fault := fault_of_grader(grade_id, source, lesson):
        return Verdict(grade_id, Kind.GRADER_ERROR, detail=f"{what}\n{fault}", failure="GraderError", seconds=seconds)
    return not_comparable(grade_id, type(error).__name__, detail=what, seconds=seconds)


def _with_picture(verdict: Verdict, error: CheckFailed, *, hidden: bool) -> Verdict:
    match error.shows:
        case Growth() as growth:
            return replace(verdict, picture=_base64(growth.png()), in_words=growth.sentence)
        case Where() as where:
            cells, words = (where.drawing, where.in_general) if hidden else (where.cells, where.words)
            return replace(verdict, picture=_base64(error_map.png(cells)), in_words=words)
    return verdict


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode()


def not_comparable(grade_id: str, why: str, *, detail: str = "", seconds: float = 0.0) -> Verdict:
    message = NOT_COMPARABLE.format(why)
    return Verdict(grade_id, Kind.FAILED, message, NotComparable.__name__, detail, seconds=seconds)


def fault_of_grader(grade_id: str, source: str, lesson: SolvedLesson) -> str:
    """What goes wrong when the author's solution takes this cell; empty if it passes."""
    if not lesson.knows(grade_id):
        return "The master no longer has this cell: was it changed after the release? Generate the assignment again."
    with lesson.student_at(grade_id, deadline=seconds_from_now(SECONDS)) as author:
        error = run_cell(source, grade_id, author)
    if error is None:
        return ""
    words = f"With the author's solution: {type(error).__name__}: {first_line(error)}."
    if isinstance(error, NameError):
        words += (
            " The cell reaches a name outside check.run. If its tests are meant to name the student's functions"
            " directly, list the assignment in c.RunCells.classic."
        )
    return words


def run_cell(source: str, grade_id: str, who: Student) -> BaseException | None:
    """What the cell stops with; None if it runs to its end. What it prints goes nowhere."""
    try:
        with _time_limit(CELL_SECONDS), contextlib.redirect_stdout(io.StringIO()):
            run_graded(source, grade_id, who)
    except (Exception, SystemExit) as error:
        return error
    return None


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"the cell itself took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _stop(who: RemoteStudent) -> Stop | None:
    """What the last reply says: a cell stops at the first one that is an error."""
    raised = who.heard[-1][1].raised if who.heard else None
    if raised is None:
        return None
    error = raised.kinds[0]
    return Stop(error, raised.lines[-1].text, raised.lines[-1].number) if raised.lines else Stop(error)


def _kind_of(error: NoAnswer) -> Kind:
    if isinstance(error, TimeOut):
        return Kind.TIME
    return Kind.UNREADABLE if isinstance(error, Garbled) else Kind.CRASHED


def _sentence(error: NoAnswer) -> str:
    return f"The process that runs your code {error}."
