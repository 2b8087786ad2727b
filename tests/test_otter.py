"""otter-grader comes to the same result per graded cell as the judge, and students get visible checks alone."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from nbformat import write
from otter.test_files.exception_test import ExceptionTestFile
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.forked import Child
from torchgrade.lessons.master import is_demo, lesson_names, nbgrader, read_master, read_notebook
from torchgrade.lessons.solved import Failure, new_lesson, run_source
from torchgrade.lessons.trials import try_variants
from torchgrade.otter import bundle
from torchgrade.otter.test_files import test_files as files_of

ROOT = Path(__file__).parents[1]
FIRST = "01_pytorch_fundamentals"

pytestmark = pytest.mark.course


def by_otter(cells, lesson, folder):
    """grade_id -> whether otter's runner passes it after `cells` without demonstrations, in a process of its own."""

    def work(send):
        os.chdir(folder)
        namespace = new_lesson()
        for number, cell in enumerate(cells):
            if cell.cell_type == "code" and not is_demo(cell) and nbgrader(cell).get("grade_id") not in lesson.graded:
                try:
                    run_source(cell.source, f"<cell {number}>", namespace)
                except Exception as error:
                    if nbgrader(cell).get("solution"):
                        raise AssertionError(f"an answer stops: {error}") from error
        for path in sorted(Path(folder).glob("*.py")):
            test = ExceptionTestFile.from_file(str(path))
            test.run(namespace)
            send((test.name, all(result.passed for result in test.test_case_results)))

    child = Child(work, 600)
    while child.lives():
        pass
    assert not child.crashed
    return dict(child.received)


@pytest.fixture(params=lesson_names(ROOT))
def lesson(request):
    return request.param


@pytest.fixture
def tested(lesson, tmp_path):
    """The lesson, and a folder with otter's test of each of its graded cells."""
    master = read_master(ROOT, lesson)
    for test in files_of(master, by_number=False):
        (tmp_path / f"{test.name}.py").write_text(test.text, encoding="utf8")
    return master, tmp_path


@pytest.mark.unchanged
def test_what_is_solved_passes_and_what_is_blank_fails(tested):
    master, folder = tested
    assert by_otter(master.notebook.cells, master, folder) == dict.fromkeys(master.graded, True)
    released = read_notebook(ROOT / "release" / master.name / f"{master.name}.ipynb").cells
    assert by_otter(released, master, folder) == dict.fromkeys(master.graded, False)


def loses_the_same(master, folder, bank):
    def by_otter_alone(cell, grade_id, namespace):
        test = ExceptionTestFile.from_file(str(folder / f"{grade_id}.py"))
        test.run(namespace)
        passed = all(result.passed for result in test.test_case_results)
        return None if passed else Failure(grade_id, "otter", "", crude=False)

    def lost(trials):
        return {f"{bank.path}:{t.variant.line}: {t.variant.text}": {one.cell for one in t.failures} for t in trials}

    assert lost(try_variants(master, bank, grade=by_otter_alone)) == lost(try_variants(master, bank))


def mistake_of_each_exercise(bank):
    return replace(bank, variants=tuple({one.exercise: one for one in reversed(bank.mistakes)}.values()))


@pytest.mark.unchanged
@pytest.mark.parametrize("lesson", [FIRST], indirect=True)
def test_a_mistake_of_each_exercise_loses_the_same_cells_as_in_the_lesson(tested):
    master, folder = tested
    loses_the_same(master, folder, mistake_of_each_exercise(read_bank(master.bank_path)))


@pytest.mark.soak
def test_mistakes_of_all_lessons_lose_the_same_cells(tested):
    master, folder = tested
    loses_the_same(master, folder, mistake_of_each_exercise(read_bank(master.bank_path)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("otter") / FIRST
    bundle.write(ROOT, FIRST, folder)
    return folder


def test_otter_run_grades_the_zip_as_the_judge_does(made, tmp_path):
    """Half of it wrong: one answer is a mistake of the bank, one is not filled in."""
    notebook = read_notebook(ROOT / "tests" / "students" / f"{FIRST}.ipynb")
    master, bank = read_master(ROOT, FIRST), read_bank(ROOT / "source" / FIRST / "mistakes.py")
    mistake = next(one for one in bank.mistakes if one.exercise == "windows")
    for cell in notebook.cells:
        if is_demo(cell):
            cell.source = ""
        if nbgrader(cell).get("grade_id") == "windows":
            cell.source = f"{bank.prelude}\n{mistake.source}"
        if nbgrader(cell).get("grade_id") == "r_squared":
            cell.source = "def r_squared(*args):\n    raise NotImplementedError()"
    write(notebook, tmp_path / "work.ipynb")
    command = [sys.executable, "-m", "otter", "run", "-a", str(made / "autograder.zip"), "-o", str(tmp_path)]
    done = subprocess.run([*command, str(tmp_path / "work.ipynb")], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tests = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))["tests"]
    scores = {one["name"]: one["score"] for one in tests if one["name"] in master.graded}
    points = {grade_id: nbgrader(cell)["points"] for grade_id, cell in master.graded.items()}
    (trial,) = try_variants(master, replace(bank, variants=(mistake,)))
    lost = {failure.cell for failure in trial.failures} | {name for name in points if name.startswith("r_squared")}
    assert scores == {name: 0 if name in lost else value for name, value in points.items()}


def test_students_get_visible_checks_alone(made):
    tests = sorted(path.stem for path in (made / "student" / "tests").glob("*.py"))
    assert tests == ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8a", "1.8b", "1.8c"]
    given = "".join(path.read_text(encoding="utf8") for path in (made / "student" / "tests").glob("*.py"))
    assert "hidden=True" not in given and "BEGIN" not in given
    notebook = read_notebook(made / "student" / f"{FIRST}.ipynb")
    assert "%pip install" in notebook.cells[0].source
    released = read_notebook(ROOT / "release" / FIRST / f"{FIRST}.ipynb")
    assert notebook.cells[1:] == released.cells


def test_the_zip_holds_all_tests_and_what_they_need(made):
    names = zipfile.ZipFile(made / "autograder.zip").namelist()
    assert {f"tests/{grade_id}.py" for grade_id in read_master(ROOT, FIRST).graded} <= set(names)
    assert any(name.startswith("files/torchgrade-") for name in names)


@pytest.mark.soak
def test_a_notebook_for_colab_runs_its_visible_checks_in_a_fresh_environment(made, tmp_path):
    """Only what the first cell names is installed, and torch, which Colab has."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet"]
    first = read_notebook(made / "student" / f"{FIRST}.ipynb").cells[0].source
    install = next(line for line in first.splitlines() if line.startswith("%pip")).replace('"', "").split()[3:]
    subprocess.run(
        [*pip, "torch==2.13.0", "matplotlib", "scikit-learn", "ipykernel", *install], cwd=made / "student", check=True
    )
    solved = read_notebook(ROOT / "tests" / "students" / f"{FIRST}.ipynb").cells
    answers = [cell.source for cell in solved if nbgrader(cell).get("solution") and cell.cell_type == "code"]
    imports = next(cell.source for cell in solved if "import torch" in cell.source)
    code = "\n".join([imports, *answers, "import otter", 'grader = otter.Notebook(tests_dir="tests")'])
    code += '\nfor name in ("1.1", "1.2", "1.8c"):\n    print(name, grader.check(name))'
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-c", code], cwd=made / "student", capture_output=True, text=True
    )
    assert done.stdout.count("All test cases passed!") == 3, done.stdout + done.stderr
