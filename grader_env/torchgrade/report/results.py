"""What every graded cell of a class came to: points from the gradebook, verdicts from the notebooks in `autograded`."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SQLAlchemyError
from traitlets.config.loader import PyFileConfigLoader

from torchgrade.autograde.judging import verdict_of
from torchgrade.errors import CourseError
from torchgrade.feedback.hide import Outcome, outcome_in
from torchgrade.feedback.summary import EXERCISE
from torchgrade.feedback.version import graded, version_now
from torchgrade.lessons.master import Master, nbgrader, read_master, read_notebook


@dataclass(frozen=True)
class Result:
    """One graded cell of one student.

    exercise: as "1.3 Distances you can trust"; mistake: the misconception, if the judge named one; see: its section
    why: for staff, what happened, if a person must look
    outdated: graded with an older version of the lesson
    """

    student: str
    lesson: str
    exercise: str
    grade_id: str
    score: float
    points: float
    outcome: Outcome
    mistake: str = ""
    see: str = ""
    why: str = ""
    outdated: bool = False


@dataclass(frozen=True)
class Class:
    """All results, and who is in the class at all."""

    students: tuple[str, ...]
    results: tuple[Result, ...]

    def of(self, lesson: str) -> "Class":
        return Class(self.students, tuple(one for one in self.results if one.lesson == lesson))


@dataclass(frozen=True)
class Mistake:
    text: str
    see: str
    students: tuple[str, ...]


def mistakes(results: Iterable[Result]) -> list[Mistake]:
    """Each misconception with its students, most frequent first; one student counts once, however many cells fail."""
    who: dict[tuple[str, str], dict[str, None]] = {}
    for one in results:
        if one.mistake:
            who.setdefault((one.mistake, one.see), {})[one.student] = None
    found = [Mistake(text, see, tuple(students)) for (text, see), students in who.items()]
    return sorted(found, key=lambda one: -len(one.students))


def shares(results: Iterable[Result], key: Callable[[Result], str]) -> dict[str, float]:
    """The share of the points, from 0 to 1, of all results with the same key together."""
    got: dict[str, float] = {}
    points: dict[str, float] = {}
    for one in results:
        got[key(one)] = got.get(key(one), 0.0) + one.score
        points[key(one)] = points.get(key(one), 0.0) + one.points
    return {name: got[name] / points[name] if points[name] else 0.0 for name in got}


def course_directory(course: Path) -> CourseDirectory:
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    return CourseDirectory(config=config, root=str(course))


def read_class(course: Path, lessons: list[str]) -> Class:
    """Everything about `lessons`, or about all that were graded if none is named.

    Raises CourseError if there is no gradebook, a lesson is not in it, or a graded notebook cannot be read.
    """
    folders = course_directory(course)
    if folders.db_url.startswith("sqlite:///") and not Path(folders.db_url.removeprefix("sqlite:///")).is_file():
        raise CourseError("there is no gradebook yet.", where=course, remedy="Grade something first.")
    try:
        with Gradebook(folders.db_url, folders.course_id) as gradebook:
            known = [one.name for one in gradebook.assignments if one.num_submissions]
            if missing := [lesson for lesson in lessons if lesson not in known]:
                raise CourseError(
                    f"nobody's {missing[0]} has been graded.", remedy=f"Graded so far: {', '.join(known) or 'nothing'}."
                )
            students = tuple(student.id for student in gradebook.students)
            found = [one for lesson in lessons or known for one in _of_lesson(course, folders, gradebook, lesson)]
    except SQLAlchemyError as error:
        raise CourseError(f"the gradebook cannot be read: {error}.", where=folders.db_url) from error
    return Class(students, tuple(found))


def _of_lesson(course: Path, folders: CourseDirectory, gradebook: Gradebook, lesson: str) -> Iterator[Result]:
    exercises, now = exercise_titles(read_master(course, lesson)), version_now(course, lesson)
    for submission in gradebook.assignment_submissions(lesson):
        student = submission.student.id
        for notebook in submission.notebooks:
            path = Path(folders.format_path(folders.autograded_directory, student, lesson), f"{notebook.name}.ipynb")
            there = read_notebook(path) if path.is_file() else None  # it may have been graded and taken away
            cells = _cells(there) if there else {}
            outdated = there is not None and graded(there, path, now).changed
            for grade in notebook.grades:
                one = _result(student, lesson, exercises.get(grade.name, grade.name), grade, cells.get(grade.name))
                yield replace(one, outdated=outdated)


def _result(student: str, lesson: str, exercise: str, grade: Any, cell: Any | None) -> Result:
    verdict = verdict_of(cell) if cell is not None else None
    score, points = float(grade.score or 0), float(grade.max_score)
    waits = bool(grade.needs_manual_grade)
    outcome = outcome_in(cell, score, points, waits=waits)
    diagnosis = verdict.diagnosis if verdict else None
    why = ""
    if waits:
        why = verdict.for_staff.splitlines()[0] if verdict else "an answer in words"
    return Result(
        *(student, lesson, exercise, grade.name, score, points, outcome),
        mistake=diagnosis.misconception if diagnosis else "",
        see=diagnosis.see if diagnosis else "",
        why=why,
    )


def _cells(notebook: Any) -> dict[str, Any]:
    """The graded cells by their ids."""
    return {nbgrader(cell)["grade_id"]: cell for cell in notebook.cells if nbgrader(cell).get("grade")}


def exercise_titles(lesson: Master) -> dict[str, str]:
    """grade_id -> "1.3 Distances you can trust", from the heading above the cell; the grade_id where there is none."""
    name, names = "", {}
    for cell in lesson.notebook.cells:
        if cell.cell_type == "markdown" and (found := EXERCISE.search(cell.source)):
            name = re.sub(r"\s+", " ", f"{found[1]} {found[2]}").strip()
        if grade_id := nbgrader(cell).get("grade_id"):
            names[grade_id] = name or grade_id
    return names
