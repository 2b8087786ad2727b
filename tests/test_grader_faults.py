"""Faults of the machine that grades: killed in the middle, a full disk, a locked gradebook, a folder it may not write.

Each leaves a clear error and nothing half-written that counts; the same command, run again, finishes the work.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from nbformat.v4 import new_notebook
from nbgrader.api import Gradebook, MissingEntry
from small_course import LESSON, fill, make_course, nbgrader, solved, submit, submit_changed
from torchgrade.autograde.unfinished import mark
from torchgrade.errors import CourseError
from torchgrade.feedback.hide import HideTests

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("grader faults")]

SLOW = "import time\n\ntime.sleep(2)\n\n\ndef largest(items):\n    return max(items)"
STUDENTS = {"early": 6, "slow": 6, "wrong": 3}  # in the order in which they are graded
WIDE = "def largest(items):\n    return max(items)\n\n\nfor _ in range(900):\n    print('x' * 500)"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A course that has been handed out, and what its students handed in."""
    root = make_course(tmp_path_factory.mktemp("released"))
    assert nbgrader(root, "generate_assignment", LESSON).returncode == 0
    submit(root, "early", solved(root))
    submit_changed(root, "slow", lambda notebook: fill(notebook, "largest", SLOW))
    submit_changed(root, "wrong", lambda notebook: fill(notebook, "double", "def double(x):\n    return 0"))
    return root


@pytest.fixture
def course(released, tmp_path):
    root = tmp_path / "course"
    shutil.copytree(released, root)
    return root


def autograde(root, *options):
    return nbgrader(root, "autograde", LESSON, *options)


def scores(root):
    """student -> points"""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        return {submission.student_id: submission.score for submission in gradebook.assignment_submissions(LESSON)}


def decided(root, student):
    """How many graded cells of a student have a score."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook, contextlib.suppress(MissingEntry):
        notebook = gradebook.find_submission_notebook(LESSON, LESSON, student)
        return sum(grade.auto_score is not None for grade in notebook.grades)
    return 0


def graded(root):
    return sorted(path.parts[-3] for path in (root / "autograded").glob(f"*/{LESSON}/{LESSON}.ipynb"))


def wait_for(condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


def start(root, stderr=subprocess.DEVNULL):
    command = [sys.executable, "-m", "nbgrader", "autograde", LESSON]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=stderr)


MOMENTS = {
    "its folder was made": lambda folder: folder.is_dir(),
    "its cells run": lambda folder: (folder / f"{LESSON}.ipynb").is_file(),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_grader_killed_in_the_middle_leaves_no_process_and_finishes_the_second_time(course, moment):
    folder = course / "autograded" / "slow" / LESSON
    grader = start(course)
    wait_for(lambda: MOMENTS[moment](folder), moment)
    family = psutil.Process(grader.pid).children(recursive=True)
    grader.kill()
    grader.wait()
    assert psutil.wait_procs(family, timeout=10)[1] == []
    first = (course / "autograded" / "early" / LESSON / f"{LESSON}.ipynb").read_bytes()

    done = autograde(course)
    assert done.returncode == 0, done.stderr
    assert scores(course) == STUDENTS
    assert graded(course) == sorted(STUDENTS)
    assert (course / "autograded" / "early" / LESSON / f"{LESSON}.ipynb").read_bytes() == first
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert len(gradebook.assignment_submissions(LESSON)) == len(STUDENTS)


def test_of_a_submission_that_is_not_graded_to_its_end_there_is_no_feedback():
    notebook = new_notebook()
    mark(notebook)
    with pytest.raises(CourseError, match="slow: it is not graded to its end"):
        HideTests().preprocess(notebook, {"nbgrader": {"student": "slow"}})


# What runs with a disk of its own: `$disk` is the folder on it, `$grade` grades; the words go to files.
ON_A_SMALL_DISK = """
set -u
mount -t tmpfs -o size=$size tmpfs $disk || exit 77
{before}
$grade >first.out 2>first.err; echo $? >first.code
ls autograded/*/*/*.ipynb 2>/dev/null | cut -d / -f 2 >first.graded
{mend}
$grade >second.out 2>second.err; echo $? >second.code
ls autograded/*/*/*.ipynb 2>/dev/null | cut -d / -f 2 >second.graded
{after}
"""


def grade_on_a_small_disk(root, disk, size, *, before=":", mend, after=":"):
    """Grade, mend the disk, grade again. Skips where no disk can be made."""
    (root / disk).mkdir(exist_ok=True)
    script = ON_A_SMALL_DISK.format(before=before, mend=mend, after=after)
    grade = f"{sys.executable} -m nbgrader autograde {LESSON}"
    env = {**os.environ, "disk": disk, "size": size, "grade": grade}
    try:
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=root, env=env, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no program `unshare` here")
    if done.returncode and not (root / "first.code").exists():
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    assert done.returncode == 0, done.stderr


def failed(root, student):
    return f"There was an error processing assignment: {root}/submitted/{student}/{LESSON}"


def said(root, name):
    return (root / name).read_text(encoding="utf8").strip()


def test_a_full_disk_names_the_submission_and_the_others_are_graded(course):
    submit_changed(course, "wide", lambda notebook: fill(notebook, "largest", WIDE))
    grade_on_a_small_disk(course, "autograded", "300k", mend="mount -o remount,size=9m autograded")
    assert said(course, "first.code") == "1"
    assert "No space left on device" in said(course, "first.err")
    assert failed(course, "wide") in said(course, "first.err")
    assert said(course, "first.graded").split() == ["early", "slow", "wrong"]
    assert said(course, "second.code") == "0", said(course, "second.err")
    assert said(course, "second.graded").split() == ["early", "slow", "wide", "wrong"]
    assert scores(course) == STUDENTS | {"wide": 6}


def test_a_full_disk_under_the_gradebook_is_told_and_saves_nothing(course):
    with (course / "nbgrader_config.py").open("a", encoding="utf8") as config:
        config.write(f"c.CourseDirectory.db_url = 'sqlite:///{course}/ledger/gradebook.db'\n")
    grade_on_a_small_disk(
        course,
        "ledger",
        "400k",
        before="mv gradebook.db ledger; cat /dev/zero >ledger/filler 2>/dev/null",
        mend="rm ledger/filler",
        after="mv ledger/gradebook.db .",
    )
    assert said(course, "first.code") == "1" and said(course, "first.graded") == ""
    assert "the gradebook's disk is full" in said(course, "first.err")
    for student in STUDENTS:
        assert failed(course, student) in said(course, "first.err")
    assert said(course, "second.code") == "0", said(course, "second.err")
    assert scores(course) == STUDENTS


@contextlib.contextmanager
def locked(root):
    """Nobody else gets into the gradebook."""
    database = sqlite3.connect(root / "gradebook.db", isolation_level=None)
    try:
        wait_for(lambda: _lock(database), "a moment in which the gradebook is free")
        yield
    finally:
        database.close()


def _lock(database):
    with contextlib.suppress(sqlite3.OperationalError):
        database.execute("BEGIN EXCLUSIVE")
        return True
    return False


def test_a_locked_gradebook_is_told_in_one_line_before_anything_is_graded(course):
    with locked(course):
        done = autograde(course)
    assert done.returncode == 1 and graded(course) == []
    assert done.stderr.splitlines()[-1].startswith("[AutogradeApp | ERROR]")
    assert f"{course}/gradebook.db: the gradebook is locked by another program." in done.stderr.splitlines()[-1]


def test_a_gradebook_locked_in_the_middle_saves_all_grades_of_a_submission_or_none(course):
    with start(course, stderr=subprocess.PIPE) as grader:
        wait_for((course / "autograded" / "slow" / LESSON / f"{LESSON}.ipynb").is_file, "cells that run")
        with locked(course):
            errors = grader.communicate()[1].decode()
    assert grader.returncode == 1
    assert "the gradebook is locked by another program" in errors and "nbgrader db upgrade" not in errors
    assert failed(course, "slow") in errors
    assert graded(course) == ["early"] and decided(course, "slow") == 0
    done = autograde(course)
    assert done.returncode == 0, done.stderr
    assert scores(course) == STUDENTS and graded(course) == sorted(STUDENTS)


@pytest.fixture
def read_only_course(released):
    """A course that the ordinary user may read and not write, and how to run a command as that user."""
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:
        root = Path(folder, "course")
        shutil.copytree(released, root)
        if os.geteuid() == 0:
            os.chmod(folder, 0o755)
            root.chmod(0o755)
            yield root, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        else:
            for path in (root, *root.rglob("*")):
                path.chmod(path.stat().st_mode & ~0o222)
            yield root, []
            for path in (root, *root.rglob("*")):
                path.chmod(path.stat().st_mode | 0o200)


def test_a_course_that_may_not_be_written_is_told_in_one_line(read_only_course):
    root, ordinary = read_only_course
    command = [*ordinary, sys.executable, "-m", "nbgrader", "autograde", LESSON]
    done = subprocess.run(command, cwd=root, env={**os.environ, "HOME": "/nowhere"}, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{root}: this folder may not be written." in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
