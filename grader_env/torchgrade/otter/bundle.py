"""`torchgrade otter`: what a lesson needs on a laptop or Colab, and what Gradescope needs to grade it."""

import os
import shutil
from collections import Counter
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from torchgrade.errors import CourseError
from torchgrade.lessons.master import Master, read_master, read_notebook
from torchgrade.otter.test_files import TestFile, test_files
from torchgrade.publish.requirements import pinned
from torchgrade.publish.wheel import build_wheel

OTTER = "otter-grader"
SETUP = """\
# Run me first. On Colab, upload the wheel and the folder `tests` beside this notebook (the folder symbol on the left).
%pip install --quiet "{otter}" ./{wheel}
import otter

grader = otter.Notebook(tests_dir="tests")  # grader.check("{check}") runs one check, grader.check_all() all of them"""


def run(course: Path, lessons: list[str]) -> int:
    """Write build/otter/LESSON/ for each lesson. Raises CourseError if a lesson is not released."""
    for lesson in lessons:
        folder = course / "build" / "otter" / lesson
        write(course, lesson, folder)
        print(f"otter: {folder}: student/ to hand out, autograder.zip for Gradescope or `otter run`.")
    print("Results of otter can be forged by the code it runs; grades that count come from `torchgrade autograde`.")
    return 0


def write(course: Path, lesson: str, folder: Path) -> None:
    """student/: notebook, visible tests, wheel; autograder.zip: all tests, which only staff may have."""
    master = read_master(course, lesson)
    release = course / "release" / lesson / f"{lesson}.ipynb"
    if not release.is_file():
        raise CourseError("not released yet.", where=lesson, remedy=f"Run: make release LESSON={lesson}")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "student").mkdir(parents=True)
    wheel = build_wheel(course, [lesson], folder / "student")
    visible = [test for test in test_files(master, by_number=True) if not test.hidden]
    _write_tests(visible, folder / "student" / "tests", master)
    otter = _pin(course)
    notebook = read_notebook(release)
    first = SETUP.format(otter=otter, wheel=wheel, check=visible[0].name if visible else "")
    notebook.cells.insert(0, new_code_cell(first, id="otter-setup"))
    nbformat.write(notebook, folder / "student" / f"{lesson}.ipynb")
    _write_zip(course, master, folder, folder / "student" / wheel)


def _write_tests(tests: list[TestFile], folder: Path, master: Master) -> None:
    twice = [name for name, count in Counter(test.name for test in tests).items() if count > 1]
    if twice:
        raise CourseError(f"two checks are called {twice[0]}.", where=master.path, remedy="Number them differently.")
    folder.mkdir(parents=True)
    for test in tests:
        (folder / f"{test.name}.py").write_text(test.text, encoding="utf8")


def _write_zip(course: Path, master: Master, folder: Path, wheel: Path) -> None:
    from otter.generate import main as generate

    work = folder / "autograder"
    _write_tests(list(test_files(master, by_number=False)), work / "tests", master)
    shutil.copyfile(wheel, work / wheel.name)
    where = f"torchgrade @ file:///autograder/source/files/{wheel.name}"  # where Gradescope unpacks the zip
    pins = pinned(course / "grader_env" / "requirements")
    (work / "requirements.txt").write_text("\n".join([*pins, where]) + "\n", encoding="utf8")
    before = Path.cwd()
    os.chdir(work)  # otter takes paths of files from here
    try:
        generate(output_path="../autograder.zip", requirements="requirements.txt", files=[wheel.name], no_config=True)
    finally:
        os.chdir(before)
    shutil.rmtree(work)


def _pin(course: Path) -> str:
    lock = (course / "grader_env" / "requirements" / "lock.txt").read_text(encoding="utf8")
    return next(line for line in lock.splitlines() if line.startswith(f"{OTTER}=="))
