"""`torchgrade debrief`: after the deadline, the solved lesson without its hidden tests, and what the class ran into."""

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Gradebook

from torchgrade.errors import CourseError
from torchgrade.lessons.master import (
    HIDDEN,
    MARK_SCHEME,
    SOLUTION,
    Master,
    nbgrader,
    read_master,
    without_marker_lines,
    without_regions,
)
from torchgrade.report.results import Class, course_directory, mistakes, read_class

SHOWN = 3  # mistakes of an exercise
STAYS_HIDDEN = "# What is checked here stays hidden: it grades the next class, too."


def run(course: Path, lesson: str) -> int:
    """Write LESSON_debrief.ipynb into the course's folder.

    Raises CourseError if the lesson's due date in the gradebook has not come, and as read_class does.
    """
    found = read_class(course, [lesson])
    _require_past(course, lesson)
    path = course / f"{lesson}_debrief.ipynb"
    nbformat.write(debrief(read_master(course, lesson), found), path)
    print(f"debrief: {path}. It holds solutions: give it out when nobody may hand in any more.")
    return 0


def debrief(master: Master, found: Class) -> Any:
    """The notebook: every answer with its solution, then the mistakes of the class, without names."""
    notebook = copy.deepcopy(master.notebook)
    cells = []
    for cell in notebook.cells:
        grade_id = nbgrader(cell).get("grade_id", "")
        cell.metadata.pop("nbgrader", None)
        cell.source = _shown(cell.source)
        cells.append(cell)
        if grade_id in master.answers and (text := _mistakes(master, found, grade_id)):
            cells.append(new_markdown_cell(text, id=f"class-{grade_id}"[:64].replace("_", "-")))
    notebook.cells = cells
    return notebook


def _shown(source: str) -> str:
    kept = without_marker_lines(without_regions(source, HIDDEN, MARK_SCHEME), SOLUTION).rstrip("\n")
    return f"{kept}\n{STAYS_HIDDEN}" if HIDDEN[0] in source else kept


def _mistakes(master: Master, found: Class, exercise: str) -> str:
    own = [
        one for one in found.results if one.grade_id in master.graded and master.exercise_of(one.grade_id) == exercise
    ]
    if not (most := mistakes(own)[:SHOWN]):
        return ""
    tried = len({one.student for one in own})
    lines = [f"- {one.text} ({len(one.students)} of {tried}; section {one.see})" for one in most]
    return "\n".join(["**What the class ran into**", "", *lines])


def _require_past(course: Path, lesson: str) -> None:
    folders = course_directory(course)
    with Gradebook(folders.db_url, folders.course_id) as gradebook:
        due = gradebook.find_assignment(lesson).duedate
    if due is not None and due.replace(tzinfo=UTC) > datetime.now(UTC):
        raise CourseError(f"it is due {due:%Y-%m-%d %H:%M} UTC.", where=lesson, remedy="Run this after the deadline.")
