"""What a sample submission got, in plain words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.utils import compute_checksum

from torchgrade.autograde.judging import verdict_of
from torchgrade.autograde.outcome import Stopped, errors
from torchgrade.autograde.repair import NOTE
from torchgrade.demo.grading import Grading
from torchgrade.judge.verdict import Kind
from torchgrade.lessons.master import Master, nbgrader, read_notebook
from torchgrade.report.results import exercise_titles


@dataclass(frozen=True)
class Result:
    student: str
    score: float
    max_score: float
    passed: int
    checks: int
    verdict: str
    feedback: Path


def read_result(grading: Grading, lesson: Master, student: str) -> Result:
    with grading.gradebook as gradebook:
        submission = gradebook.find_submission(lesson.name, student)
        score, max_score, waits = submission.score, submission.max_score, submission.needs_manual_grade
    notebook = read_notebook(grading.root / "autograded" / student / lesson.name / f"{lesson.name}.ipynb")
    cells = {nbgrader(cell)["grade_id"]: cell for cell in notebook.cells if nbgrader(cell)}
    failed = [grade_id for grade_id in lesson.graded if errors(cells[grade_id])]
    remarks = [_verdict(lesson, cells, failed)]
    if repairs := sum(cell.source.startswith(NOTE) for cell in notebook.cells):
        remarks.append(f"{repairs} cell{'s' * (repairs > 1)} repaired")
    if waits:
        remarks.append("written answer waits for a person")
    return Result(
        student,
        score,
        max_score,
        passed=len(lesson.graded) - len(failed),
        checks=len(lesson.graded),
        verdict="; ".join(remarks),
        feedback=grading.root / "feedback" / student / lesson.name / f"{lesson.name}.html",
    )


def _verdict(lesson: Master, cells: dict[str, Any], failed: list[str]) -> str:
    if not failed:
        return "all checks passed"
    if all(_is_unanswered(cells[grade_id]) for grade_id in lesson.answers):
        return "nothing answered yet"
    exercises = exercise_titles(lesson)
    passed = f"{len(lesson.graded) - len(failed)} of {len(lesson.graded)} checks passed"
    late = next((grade_id for grade_id, cell in cells.items() if _was_late(cell)), None)
    if late is not None:
        return f"{passed}, a cell did not finish in time ({exercises[late]})"
    return f"{passed}, first to fix: {exercises[failed[0]]}"


def _was_late(cell: Any) -> bool:
    decided = verdict_of(cell)
    return Stopped.CellTimeout.is_in(cell) or (decided is not None and decided.kind is Kind.TIME)


def _is_unanswered(cell: Any) -> bool:
    return bool(nbgrader(cell)["checksum"] == compute_checksum(cell))
