"""Every lesson in source/: a fresh release that leaks nothing and runs, a solution that passes, tests that bite."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from small_course import nbgrader
from torchgrade.lessons.master import lesson_names, read_master, read_notebook
from torchgrade.lessons.master import nbgrader as grading

ROOT = Path(__file__).parents[1]
LESSONS = lesson_names(ROOT)
SOLVED_SECONDS = 120  # for a whole solved lesson on one thread
CELL_SECONDS = 60

pytestmark = pytest.mark.course
each_lesson = pytest.mark.parametrize("lesson", LESSONS)
unchanged = pytest.mark.unchanged


def torchgrade(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torchgrade.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)


def run_all(notebook: Any, folder: Path, *, go_on: bool) -> Any:
    """Run all cells in a kernel whose working directory is `folder`."""
    options: dict[str, Any] = {"timeout": CELL_SECONDS, "allow_errors": go_on, "kernel_name": "python3"}
    return NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **options).execute()


def outputs(notebook: Any, kind: str) -> list[tuple[str, Any]]:
    """(cell, output) of this output_type; cells by their ids."""
    return [
        (cell.id, output) for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == kind
    ]


def said_on_stderr(notebook: Any) -> list[tuple[str, str]]:
    return [(cell_id, output.text) for cell_id, output in outputs(notebook, "stream") if output.name == "stderr"]


def test_there_are_lessons():
    assert LESSONS, "source/ holds no lesson, so nothing else in this file ran"


@each_lesson
def test_the_release_is_what_nbgrader_makes_of_the_master(lesson, tmp_path):
    shutil.copytree(ROOT / "source" / lesson, tmp_path / "source" / lesson)
    for frame in (ROOT / "source").glob("*.ipynb"):
        shutil.copy(frame, tmp_path / "source")
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    done = nbgrader(tmp_path, "generate_assignment", lesson)
    assert done.returncode == 0, done.stderr
    fresh, committed = (files(root / "release" / lesson) for root in (tmp_path, ROOT))
    assert sorted(fresh) == sorted(committed), "run `make release`"
    assert [name for name in fresh if fresh[name] != committed[name]] == [], "run `make release`"


def files(folder: Path) -> dict[str, Any]:
    """Relative path -> content; a notebook's JSON, anything else's bytes."""
    return {
        str(path.relative_to(folder)): json.loads(path.read_bytes()) if path.suffix == ".ipynb" else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".ipynb_checkpoints" not in path.parts
    }


@unchanged
@each_lesson
def test_the_release_leaks_nothing(lesson):
    done = torchgrade("lesson", "leaks", lesson)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@unchanged
@each_lesson
def test_the_release_runs_unfilled_and_only_graded_cells_err_with_one_line(lesson, tmp_path):
    folder = Path(shutil.copytree(ROOT / "release" / lesson, tmp_path / lesson))
    released = run_all(read_notebook(folder / f"{lesson}.ipynb"), folder, go_on=True)
    graded = {cell.id for cell in released.cells if grading(cell).get("grade")}
    errors = outputs(released, "error")
    assert errors, "unanswered exercises fail"
    assert [(cell_id, error.ename, error.evalue) for cell_id, error in errors if cell_id not in graded] == []
    assert [
        (cell_id, error.traceback) for cell_id, error in errors if len("\n".join(error.traceback).split("\n")) > 1
    ] == []
    assert said_on_stderr(released) == []


@unchanged
@each_lesson
def test_the_solved_lesson_runs_in_time_without_warnings_and_passes(lesson, tmp_path):
    master = read_master(ROOT, lesson)
    folder = Path(shutil.copytree(master.folder, tmp_path / lesson))
    started = time.monotonic()
    solved = run_all(master.notebook, folder, go_on=False)
    seconds = time.monotonic() - started
    assert outputs(solved, "error") == []
    assert said_on_stderr(solved) == []
    assert seconds < SOLVED_SECONDS


@unchanged
@pytest.mark.parametrize("lesson", sorted(path.stem for path in (ROOT / "tests" / "students").glob("*.ipynb")))
def test_a_student_who_saw_only_the_release_gets_full_marks(lesson, tmp_path):
    master = read_master(ROOT, lesson)
    folder = Path(shutil.copytree(master.folder, tmp_path / lesson))
    student = read_notebook(ROOT / "tests" / "students" / f"{lesson}.ipynb")
    answers = {grading(cell).get("grade_id"): cell.source for cell in student.cells}
    for grade_id, cell in master.answers.items():
        cell.source = answers[grade_id]
    graded = run_all(master.notebook, folder, go_on=True)
    assert [(cell_id, error.evalue) for cell_id, error in outputs(graded, "error")] == []
    assert said_on_stderr(graded) == []


@each_lesson
def test_the_master_is_in_canonical_form(lesson):
    done = torchgrade("lesson", "fmt", "--check", lesson)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
