"""A course with submissions of every kind, graded by whatever is asked, and what its gradebook holds afterwards."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from small_course import nbgrader, write
from small_lesson import GOOD_BANK, LESSON, cell_of, make_course
from sqlalchemy import create_engine, text
from torchgrade.lessons.master import read_notebook

RIGHT = {"double": "def double(x):\n    return FACTOR * x", "total": "def total(items):\n    return sum(items)"}
ANSWERS: dict[str, dict[str, str] | None] = {
    "right": {},
    "blank": None,
    "adds-two": {"double": "def double(x):\n    return FACTOR + x"},
    "dies": {"total": "import os\nos._exit(0)"},
    "in-place": {"total": "def total(items):\n    items.append(0)\n    return sum(items)"},
    "unreadable": None,
}
# What a row is about, by names instead of the random ids that each gradebook makes up for itself.
GRADES = """
    SELECT student.id, assignment.name, notebook.name, base_cell.name, grade.auto_score, grade.manual_score,
           grade.extra_credit, grade.needs_manual_grade, comment.auto_comment, comment.manual_comment,
           submitted_notebook.late_submission_penalty, submitted_assignment.timestamp
    FROM submitted_notebook
    JOIN submitted_assignment ON submitted_assignment.id = submitted_notebook.assignment_id
    JOIN student ON student.id = submitted_assignment.student_id
    JOIN assignment ON assignment.id = submitted_assignment.assignment_id
    JOIN notebook ON notebook.id = submitted_notebook.notebook_id
    JOIN base_cell ON base_cell.notebook_id = notebook.id
    LEFT JOIN grade ON grade.cell_id = base_cell.id AND grade.notebook_id = submitted_notebook.id
    LEFT JOIN comment ON comment.cell_id = base_cell.id AND comment.notebook_id = submitted_notebook.id
"""


def make(root: Path, students: int = 0) -> Path:
    """The course with ANSWERS, each by the student of its name, and `students` right ones more."""
    make_course(root, GOOD_BANK)
    config = root / "nbgrader_config.py"
    config.write_text(config.read_text(encoding="utf8") + "c.Execute.timeout = 4\n", encoding="utf8")
    done = nbgrader(root, "generate_assignment", LESSON)
    assert done.returncode == 0, done.stderr
    for name, answers in ANSWERS.items():
        hand_in(root, name, answers)
    unreadable = root / "submitted" / "unreadable" / LESSON
    (unreadable / f"{LESSON}.ipynb").write_text("this is no notebook", encoding="utf8")
    (root / "submitted" / "right" / LESSON / "timestamp.txt").write_text("2026-11-25 10:00:00 UTC", encoding="utf8")
    for number in range(1, students + 1):
        hand_in(root, f"student-{number:02d}", {})
    return root


def hand_in(root: Path, student: str, answers: dict[str, str] | None) -> None:
    notebook = read_notebook(root / "release" / LESSON / f"{LESSON}.ipynb")
    for grade_id, source in ({} if answers is None else RIGHT | answers).items():
        cell_of(notebook, grade_id).source = source
    write(root / "submitted" / student / LESSON / f"{LESSON}.ipynb", notebook)


def copy_of(course: Path, target: Path) -> Path:
    shutil.copytree(course, target)
    return target


def torchgrade(course: Path, *arguments: str, seconds: float = 300.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torchgrade.cli", "autograde", *arguments]
    return subprocess.run(command, cwd=course, capture_output=True, text=True, timeout=seconds)


def start(course: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "torchgrade.cli", "autograde", *arguments]
    return subprocess.Popen(command, cwd=course, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rows(course: Path, db_url: str = "") -> list[tuple[Any, ...]]:
    """Every score and comment in the gradebook."""
    engine = create_engine(db_url or f"sqlite:///{course / 'gradebook.db'}")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(GRADES))]
    engine.dispose()
    # Databases differ in how they sort text, and in what a time looks like.
    return sorted(((*row[:-1], str(row[-1]).removesuffix(".000000")) for row in found), key=repr)


def graded_files(course: Path) -> dict[str, bytes]:
    """What is in autograded/, but for what names a time or a place."""
    folder = course / "autograded"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def pids_with(mark: str) -> list[int]:
    """Processes of this user whose environment holds `mark`, which those in a sandbox do not inherit."""
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in numbers if pid != os.getpid() and mark.encode() in environment_of(pid)]
