"""`torchgrade review`: what the machine left to people, with the model answer and the rubric at hand."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torchgrade.feedback.hide import Outcome
from torchgrade.lessons.master import MARK_SCHEME, SOLUTION, Master, read_master, regions
from torchgrade.report.results import Result, read_class

AGAIN = """nbgrader generate_assignment --force {lesson}
torchgrade autograde {lesson} --force
nbgrader generate_feedback --force {lesson}
"""


def run(course: Path, lessons: list[str]) -> int:
    """Print what waits, by lesson and exercise, and who was graded with an older version of a lesson.

    Raises CourseError as read_class does.
    """
    results = read_class(course, lessons).results
    _say_outdated(results)
    waiting = [one for one in results if one.outcome is Outcome.WAITS]
    if not waiting:
        print("Nothing waits for a person.")
        return 0
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for one in waiting:
        groups[one.lesson, one.grade_id].append(one)
    for (lesson, grade_id), alike in sorted(groups.items()):
        print(f"{lesson} · {alike[0].exercise} · {grade_id} ({alike[0].points:g} points)")
        for title, text in _at_hand(read_master(course, lesson), grade_id):
            print(textwrap.indent(f"{title}:\n{textwrap.indent(text, '  ')}", "  "))
        for why, students in _by_reason(alike).items():
            print(f"  {why}: {', '.join(students)}")
        print()
    print(f"{len(waiting)} results wait. Open them in the formgrader under Manual grading; points given there stay.")
    return 0


def _say_outdated(results: Iterable[Result]) -> None:
    who: dict[str, dict[str, None]] = defaultdict(dict)
    for one in results:
        if one.outdated:
            who[one.lesson][one.student] = None
    for lesson, students in who.items():
        print(f"{lesson} was changed after these were graded: {', '.join(students)}. To grade them again:")
        print(textwrap.indent(AGAIN.format(lesson=lesson), "  "))


def _at_hand(master: Master, grade_id: str) -> list[tuple[str, str]]:
    """("Model answer", ...) and ("Points", ...) of a question in words; nothing for a cell that the machine judges."""
    cell: Any = master.written.get(grade_id)
    if cell is None:
        return []
    found = ("Model answer", regions(cell.source, SOLUTION)), ("Points", regions(cell.source, MARK_SCHEME))
    return [(title, "\n".join(texts).strip()) for title, texts in found if texts]


def _by_reason(results: list[Result]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for one in results:
        found[one.why].append(one.student)
    return found
