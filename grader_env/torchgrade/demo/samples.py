"""Sample submissions, made from the master: what six students could have handed in."""

import copy
import re
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode

from torchgrade.autograde.original import MARK_SCHEME
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import Bank
from torchgrade.lessons.master import SOLUTION, Master, is_demo, nbgrader, without_marker_lines, without_regions


@dataclass(frozen=True)
class Sample:
    student: str
    about: str
    notebook: NotebookNode


def samples(lesson: Master, bank: Bank, release: NotebookNode) -> list[Sample]:
    """Six submissions of `lesson`; `release` is the notebook that students got. The same ones every time."""
    if len(lesson.graded) < 2 or not lesson.answers:
        raise CourseError(
            "the demo needs a lesson with an answer and two test cells.",
            where=lesson.path,
            remedy="Choose another lesson.",
        )
    solved = _solved(lesson, release)
    notebooks = [
        ("all solved", solved),
        ("half of it wrong", _with_mistakes(solved, lesson, bank)),
        ("untouched", release),
        ("a syntax error", _with_syntax_error(solved, lesson)),
        ("an endless loop", _with_endless_loop(solved, lesson)),
        ("tests deleted, copied", _with_damaged_tests(solved, lesson)),
    ]
    return [Sample(f"student-{number:02}", about, notebook) for number, (about, notebook) in enumerate(notebooks, 1)]


def _solved(lesson: Master, release: NotebookNode) -> NotebookNode:
    notebook = copy.deepcopy(release)
    for grade_id, cell in (lesson.answers | lesson.written).items():
        _cell(notebook, grade_id).source = without_marker_lines(
            without_regions(cell.source, MARK_SCHEME), SOLUTION
        ).strip("\n")
    return notebook


def _with_mistakes(solved: NotebookNode, lesson: Master, bank: Bank) -> NotebookNode:
    """The first mistake of the bank for every second exercise."""
    notebook = copy.deepcopy(solved)
    first = {mistake.exercise: mistake for mistake in reversed(bank.mistakes)}
    chosen = [first[exercise] for exercise in lesson.answers if exercise in first][::2]
    if not chosen:
        raise CourseError(
            "no mistake belongs to an answer of the lesson.", where=bank.path, remedy="Name its exercises in the bank."
        )
    for mistake in chosen:
        _cell(notebook, mistake.exercise).source = f"{bank.prelude}\n\n\n{mistake.source}".strip()
    return notebook


def _with_syntax_error(solved: NotebookNode, lesson: Master) -> NotebookNode:
    notebook = copy.deepcopy(solved)
    answer = _cell(notebook, list(lesson.answers)[len(lesson.answers) // 2])
    answer.source = answer.source.replace("(", "((", 1)
    return notebook


def _with_endless_loop(solved: NotebookNode, lesson: Master) -> NotebookNode:
    """In the answer that the fewest cells use: each of them takes the whole time limit."""
    notebook = copy.deepcopy(solved)
    executed = [cell.source for cell in lesson.code_cells if not is_demo(cell)]
    uses = {name: sum(bool(re.search(rf"\b{name}\b", source)) for source in executed) for name in lesson.answers}
    name = min(uses, key=lambda name: uses[name])
    _cell(notebook, name).source = f"def {name}(*args, **kwargs):\n    while True:\n        pass"
    return notebook


def _with_damaged_tests(solved: NotebookNode, lesson: Master) -> NotebookNode:
    notebook = copy.deepcopy(solved)
    first, *_, last = lesson.graded
    notebook.cells.remove(_cell(notebook, first))
    place = notebook.cells.index(_cell(notebook, last))
    again = copy.deepcopy(notebook.cells[place])
    again.id = f"{again.id[:50]}-again"  # Jupyter gives a copied cell a new id, and the old metadata
    notebook.cells.insert(place, again)
    return notebook


def _cell(notebook: NotebookNode, grade_id: str) -> Any:
    return next(cell for cell in notebook.cells if nbgrader(cell).get("grade_id") == grade_id)
