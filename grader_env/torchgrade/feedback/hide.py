"""Strip from the feedback what students must not see, and what would not help them.

nbgrader shows hidden tests in its feedback by design, and a traceback repeats them line by line. The notebooks in
`autograded/` keep everything for the people who grade.
"""

from enum import Enum
from typing import Any

from nbconvert.filters import strip_ansi
from nbconvert.preprocessors import Preprocessor
from nbformat.v4 import new_output
from nbgrader.utils import compute_checksum, is_grade, is_solution
from traitlets import default

from torchgrade.autograde.judging import pictures, verdict_of
from torchgrade.autograde.original import HIDDEN, MARK_SCHEME, SOLUTION
from torchgrade.autograde.outcome import Stopped, errors
from torchgrade.autograde.unfinished import is_marked
from torchgrade.errors import CourseError
from torchgrade.feedback.places import hide_places
from torchgrade.feedback.stops import Lines, own_lines
from torchgrade.feedback.vocabulary import PASSED, is_check_failure, verdict
from torchgrade.judge.verdict import Kind
from torchgrade.lessons.master import without_regions

OUTCOME, DIAGNOSIS = "torchgrade_outcome", "torchgrade_diagnosis"  # in a graded cell's metadata, for the summary
TOO_SLOW = "TooSlow"  # of check.failures, which loads torch
MAX_CODE = 50_000  # characters of a cell on the page, ten times a lesson's longest


class Outcome(Enum):
    """What became of a graded cell: the mark and the word for it. In the order in which a student should care."""

    FAILED = "✗", "to mend"
    UNANSWERED = "○", "not answered"
    WAITS = "…", "a person will look at it"
    PASSED = "✓", "passed"

    @property
    def mark(self) -> str:
        return self.value[0]

    @property
    def word(self) -> str:
        return self.value[1]


def outcome_in(cell: Any | None, score: float, points: float, *, waits: bool) -> Outcome:
    """Of a graded cell as it is in `autograded/` (None if it is gone); waits: for a person, says the gradebook."""
    if waits:
        return Outcome.WAITS
    if score >= points:
        return Outcome.PASSED
    return Outcome.UNANSWERED if cell is not None and _is_unanswered(cell) else Outcome.FAILED


def _is_unanswered(cell: Any) -> bool:
    decided = verdict_of(cell)
    if decided:
        return decided.kind is Kind.NO_ANSWER
    # An answer in words: nbgrader's sum of the cell as it was given out.
    return bool(is_solution(cell) and cell.metadata.nbgrader.get("checksum") == compute_checksum(cell))


class FeedbackPreprocessor(Preprocessor):
    """On without being configured, as nbgrader's are; those complain about an option of the HTML exporter."""

    @default("enabled")
    def _always(self) -> bool:
        return True


class HideTests(FeedbackPreprocessor):
    """A graded cell shows what the student was given and how it ended; one with hidden tests not even their words."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        if is_marked(nb):
            student = resources["nbgrader"]["student"]
            raise CourseError("it is not graded to its end.", where=student, remedy="Run nbgrader autograde again.")
        own = own_lines(nb)
        for cell in nb.cells:
            has_hidden = HIDDEN[0] in cell.source
            if is_grade(cell):
                cell.metadata[OUTCOME] = _outcome(cell).name
            if len(cell.source) > MAX_CODE:
                cell.source = f"{cell.source[:MAX_CODE]}\n# cut here: this cell has {len(cell.source):,} characters"
            cell.source = without_regions(cell.source, HIDDEN, MARK_SCHEME, SOLUTION).rstrip("\n")
            if cell.cell_type == "code" and (has_hidden or verdict_of(cell)):
                cell.outputs = _how_it_ended(cell, has_hidden, own)
        return nb, resources


class ShortErrors(FeedbackPreprocessor):
    """A failed check shows its message, any other error only the frames inside the notebook: no paths of the grader."""

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        if cell.cell_type != "code":
            return cell, resources
        for output in cell.outputs:
            if output.output_type == "error":
                output.traceback = _short(output)
            hide_places(output)
        if is_grade(cell) and not is_solution(cell) and not cell.outputs:
            cell.outputs = [_line(f"Checks: {PASSED}.")]
        return cell, resources


def _outcome(cell: Any) -> Outcome:
    data = cell.metadata.nbgrader
    return outcome_in(cell, float(data.get("score") or 0), float(data.points), waits=data.get("waits", False))


def _how_it_ended(cell: Any, has_hidden: bool, own: Lines) -> list[Any]:
    decided = verdict_of(cell)
    said = [] if has_hidden else errors(cell)
    if not said:
        said = [_line(f"{'Hidden checks' if has_hidden else 'Checks'}: {verdict(cell, own)}.")]
    if decided and decided.diagnosis:
        said.append(_line(decided.diagnosis.sentence))
        cell.metadata[DIAGNOSIS] = decided.diagnosis.sentence
    if decided and decided.speed:
        # Any other failure's message may hold a student's words, who has seen hidden inputs.
        how_far = decided.message if decided.failure == TOO_SLOW else decided.speed["sentence"]
        said += [_line(how_far), *pictures(cell)]
    elif decided and decided.in_words:
        # A visible check's message says it already.
        said += [*([_line(f"{decided.in_words}.")] if has_hidden else []), *pictures(cell)]
    return said


def _short(error: Any) -> list[str]:
    if is_check_failure(error.ename) or error.ename in Stopped.__members__:
        return [error.evalue]
    return [frame for frame in error.traceback if not strip_ansi(frame).startswith("File ")]


def _line(text: str) -> Any:
    return new_output("stream", name="stdout", text=text)
