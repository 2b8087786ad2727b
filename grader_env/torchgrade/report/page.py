"""`torchgrade report`: the class at a glance, one self-contained page and a table beside it."""

import csv
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader
from rich.progress import track

from torchgrade.feedback.hide import Outcome
from torchgrade.report import figures
from torchgrade.report.figures import Picture
from torchgrade.report.results import Class, Mistake, Result, mistakes, read_class, shares
from torchgrade.report.table import harmless

PAGE, TABLE = "report.html", "report.csv"
HELP_BELOW = 0.5  # of the points: then a student may need help
SHOWN = 12  # misconceptions of a lesson that have a bar


@dataclass(frozen=True)
class LessonReport:
    """shares: student -> share of the points; missing: who handed nothing in; mistakes: most frequent first"""

    name: str
    points: float
    shares: dict[str, float]
    missing: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    waiting: tuple[Result, ...]
    distribution: Picture
    difficulty: Picture
    misconceptions: Picture | None

    @property
    def mean(self) -> float:
        return mean(self.shares.values())

    @property
    def median(self) -> float:
        return median(self.shares.values())

    @property
    def low(self) -> list[tuple[str, float]]:
        """Who may need help, lowest first."""
        return sorted(
            ((name, share) for name, share in self.shares.items() if share < HELP_BELOW), key=lambda one: one[1]
        )


def run(course: Path, lessons: list[str]) -> int:
    """`torchgrade report`. Raises CourseError as read_class does."""
    reports = write(course, lessons)
    waiting = sum(len(one.waiting) for one in reports)
    print(f"report: {len(reports)} lesson{'s' * (len(reports) != 1)}, {waiting} results wait for a person.")
    print(f"Open {course / PAGE}; the table is {course / TABLE}.")
    return 0


def write(course: Path, lessons: list[str]) -> list[LessonReport]:
    """Write the page and the table into the course's folder; lessons: those named, else all graded."""
    mpl.use("agg")
    found = read_class(course, lessons)
    names = sorted({one.lesson for one in found.results})
    reports = [
        _of_lesson(found.of(name), name)
        for name in track(names, "report", transient=True, disable=not sys.stdout.isatty())
    ]
    environment = Environment(loader=PackageLoader("torchgrade.report"), autoescape=True)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = environment.get_template("report.html.j2").render(reports=reports, made=made, students=len(found.students))
    (course / PAGE).write_text(page, encoding="utf8")
    with (course / TABLE).open("w", encoding="utf8", newline="") as table:
        write_csv(found.results, csv.writer(table))
    return reports


def write_csv(results: tuple[Result, ...], table: Any) -> None:
    """One row per graded cell. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    table.writerow(("student", "lesson", "exercise", "grade_id", "score", "points", "outcome", "mistake", "see"))
    for one in results:
        texts = (one.student, one.lesson, one.exercise, one.grade_id)
        row = (*texts, f"{one.score:g}", f"{one.points:g}", one.outcome.word, one.mistake, one.see)
        table.writerow([harmless(text) for text in row])


def _of_lesson(found: Class, name: str) -> LessonReport:
    by_student = shares(found.results, lambda one: one.student)
    common = tuple(mistakes(found.results))
    counts = {f"{one.see} {one.text}": len(one.students) for one in common[:SHOWN]}
    first = found.results[0].student
    return LessonReport(
        name,
        points=sum(one.points for one in found.results if one.student == first),
        shares=by_student,
        missing=tuple(student for student in found.students if student not in by_student),
        mistakes=common,
        waiting=tuple(one for one in found.results if one.outcome is Outcome.WAITS),
        distribution=figures.distribution(list(by_student.values())),
        difficulty=figures.difficulty(found.results),
        misconceptions=figures.misconceptions(counts, len(by_student)) if counts else None,
    )
