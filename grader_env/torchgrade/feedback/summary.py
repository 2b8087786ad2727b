"""What stands on top of a feedback page, and one part per exercise: made from cells that hold nothing secret any more.

It reads what GetGrades, HideTests and ShortErrors have left, so it cannot show what those took away.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nbconvert.filters import strip_ansi
from nbgrader.utils import is_grade, is_solution

from torchgrade.feedback.hide import DIAGNOSIS, OUTCOME, FeedbackPreprocessor, Outcome

EXERCISE = re.compile(r"^#{2,4} *(?:Exercise|Question) (\d+\.\d+)\b *·? *(.*)$", re.MULTILINE)
TITLE = re.compile(r"^# (Lesson .+)$", re.MULTILINE)
SECTION = re.compile(r"^## *(\d+\.\d+)\b", re.MULTILINE)
PROMISE = re.compile(r"^# (?:After you submit, this also checks: *)?(.*?)\.?$")
VISIBLE = re.compile(r"^# Check [\d.]+\b")


@dataclass(frozen=True)
class Part:
    """A piece of a sentence; `section` is the number it stands for, if the notebook has that section."""

    text: str
    section: str = ""


@dataclass(frozen=True)
class Check:
    """A graded cell. `about`: what it looks at; `said`: how it ended, line by line; `pictures`: PNGs in base64."""

    grade_id: str
    about: str
    outcome: Outcome
    score: float
    points: float
    said: tuple[str, ...]
    pictures: tuple[tuple[str, str], ...]  # (base64, description)


@dataclass
class Exercise:
    """`number`: "1.3", or the name of the answer where no heading is found; `answers`: the student's cells.

    diagnoses: the mistakes that give the student's results, as sentences
    """

    number: str
    title: str = ""
    diagnoses: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def score(self) -> float:
        return sum(check.score for check in self.checks)

    @property
    def points(self) -> float:
        return sum(check.points for check in self.checks)

    @property
    def outcome(self) -> Outcome:
        """The first that applies: something is wrong, unanswered, waits; else all passed."""
        found = {check.outcome for check in self.checks}
        return next(one for one in Outcome if one in found)

    @property
    def comments(self) -> list[str]:
        return [comment for cell in self.answers if (comment := cell.metadata.nbgrader.get("comment"))]

    @property
    def anchor(self) -> str:
        return f"exercise-{self.number}"


@dataclass(frozen=True)
class Summary:
    """first: the exercise to mend first; None if all that has been graded passed"""

    title: str
    exercises: tuple[Exercise, ...]

    @property
    def first(self) -> Exercise | None:
        return next((one for one in self.exercises if one.outcome in (Outcome.FAILED, Outcome.UNANSWERED)), None)

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many checks ended in each way that occurs."""
        ended = Counter(check.outcome for one in self.exercises for check in one.checks)
        return {outcome: ended[outcome] for outcome in Outcome if ended[outcome]}


class Summarize(FeedbackPreprocessor):
    """resources["summary"] for the template `feedback`; it must come after the cells are stripped."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        title, sections = resources["nbgrader"]["notebook"], set()
        for cell in nb.cells:
            if cell.cell_type == "markdown" and (found := SECTION.search(cell.source)):
                cell.metadata["torchgrade_section"] = found.group(1)
                sections.add(found.group(1))
        if nb.cells and (found := TITLE.search("\n".join(cell.source for cell in nb.cells[:3]))):
            title = found.group(1)
        resources["summary"] = Summary(title, tuple(_exercises(nb, sections)))
        return nb, resources


def _exercises(nb: Any, sections: set[str]) -> Iterator[Exercise]:
    """An exercise begins at its heading; in a notebook without headings, at an answer that follows checks."""
    last, has_heading = Exercise(""), False
    for cell in nb.cells:
        heading = EXERCISE.search(cell.source) if cell.cell_type == "markdown" else None
        begins = is_solution(cell) and not has_heading and (last.checks or not last.number)
        if heading or begins:
            if last.checks:
                yield last
            has_heading = heading is not None
            last = Exercise(heading[1], heading[2]) if heading else Exercise(cell.metadata.nbgrader.grade_id)
        if is_solution(cell):
            last.answers.append(cell)
        if is_grade(cell):
            last.number = last.number or cell.metadata.nbgrader.grade_id
            last.checks.append(_check(cell))
            if sentence := cell.metadata.get(DIAGNOSIS):
                last.diagnoses[sentence] = tuple(_parts(sentence, sections))
    if last.checks:
        yield last


def _check(cell: Any) -> Check:
    data = cell.metadata.nbgrader
    outputs = cell.get("outputs", [])
    lines = (line for output in outputs for line in _text(output).splitlines() if line.strip())
    said = (line for line in lines if line != cell.metadata.get(DIAGNOSIS))
    pictures = [
        (output.data["image/png"], output.get("metadata", {}).get("image/png", {}).get("alt", ""))
        for output in outputs
        if "image/png" in output.get("data", {})
    ]
    outcome, score, points = Outcome[cell.metadata[OUTCOME]], float(data.score or 0), float(data.points)
    return Check(data.grade_id, _about(cell), outcome, score, points, tuple(said), tuple(pictures))


def _about(cell: Any) -> str:
    """What a check looks at, from the line that every graded cell begins with."""
    if is_solution(cell):
        return "Your answer in words" if cell.cell_type == "markdown" else "Your answer"
    first = cell.source.split("\n", 1)[0]
    if VISIBLE.match(first):
        return "The check you could run yourself"
    found = PROMISE.match(first)
    return (
        found.group(1)[:1].upper() + found.group(1)[1:] if found and found.group(1) else cell.metadata.nbgrader.grade_id
    )


def _parts(line: str, sections: set[str]) -> Iterator[Part]:
    for index, piece in enumerate(re.split(r"(?<=Section )(\d+\.\d+)", line)):
        yield Part(piece, piece if index % 2 and piece in sections else "")


def _text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    return strip_ansi("\n".join(output.traceback)) if output.output_type == "error" else ""
