"""Stock nbgrader commands with this course's configuration: one batch, one bad submission of each kind in it."""

import copy
import csv

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_course import (
    LESSON,
    SECRET,
    fill,
    find,
    index_of,
    make_course,
    nbgrader,
    released,
    solved,
    submit,
    submit_changed,
)

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("autograde batch")]  # one batch, not one per worker


def stderr(notebook):
    fill(notebook, "double", "import sys\n\ndef double(x):\n    print('careful', file=sys.stderr)\n    return 2 * x")


def copied_test(notebook):
    index = index_of(notebook, "double_check")
    notebook.cells.insert(index, copy.deepcopy(notebook.cells[index]))


def copied_answer(notebook):
    index = index_of(notebook, "double")
    notebook.cells.insert(index + 1, copy.deepcopy(notebook.cells[index]))
    notebook.cells[index + 1].source = "def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"


def flipped_flags(notebook):
    for grade_id in ("double", "double_check", "double_values"):
        meta = find(notebook, grade_id).metadata.nbgrader
        meta.update(grade=not meta.grade, solution=not meta.solution, points=99, schema_version=1)


def deleted_tests(notebook):
    for grade_id in ("double_check", "double_values"):
        del notebook.cells[index_of(notebook, grade_id)]


def easier_test(notebook):
    fill(notebook, "double", "def double(x):\n    return 0")
    fill(notebook, "double_check", "pass")
    find(notebook, "double_check").metadata.tags = ["demo", "skip-execution"]


def syntax_error(notebook):
    fill(notebook, "double", "def double(x)\n    return 2 * x")


def endless_loop(notebook):
    fill(notebook, "double", "def double(x):\n    while True:\n        pass")


def deaf_loop(notebook):
    fill(
        notebook,
        "largest",
        "while True:\n    try:\n        while True:\n            pass\n    except KeyboardInterrupt:\n        pass",
    )


def dead_kernel(notebook):
    fill(notebook, "largest", "import os\n\nos._exit(1)")


def script(notebook):
    notebook.cells.append(new_markdown_cell("<script>alert(1)</script> and <img src=x onerror=alert(2)>"))
    notebook.cells.append(
        new_code_cell(
            "from IPython.display import HTML, Javascript, display\ndisplay(HTML('<b onclick=alert(3)>b</b>'))"
        )
    )
    notebook.cells.append(new_code_cell("display(HTML('<script>alert(4)</script>'), Javascript('alert(5)'))"))


def message_in_a_name(notebook):
    fill(notebook, "double", "def double(x):\n    raise type(f'the_input_was_{x}', (Exception,), {})(x)")


def error_in_a_library(notebook):
    notebook.cells.append(new_code_cell("import json\n\njson.loads('{')"))


def ten_megabytes(notebook):
    notebook.cells.append(new_code_cell("for _ in range(100):\n    print('ten megabytes ' * 7_000)"))
    notebook.cells.append(new_code_cell("'short' + ' and ten megabytes' * 600_000"))


def no_cells(notebook):
    notebook.cells = []


CHANGES = {
    stderr: 6,
    copied_test: 6,
    copied_answer: 6,
    flipped_flags: 6,
    deleted_tests: 6,
    easier_test: 3,
    syntax_error: 3,
    endless_loop: 3,
    deaf_loop: 3,
    dead_kernel: 3,
    script: 6,
    message_in_a_name: 3,
    error_in_a_library: 6,
    ten_megabytes: 6,
    no_cells: 0,
}
UNCHANGED = {"perfect": 6, "untouched": 0, "not_json": 0, "no_bytes": 0}
SCORES = UNCHANGED | {change.__name__: score for change, score in CHANGES.items()}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course whose submissions are all graded, its feedback made and its grades exported."""
    root = make_course(tmp_path_factory.mktemp("course"))
    done = {"generate_assignment": nbgrader(root, "generate_assignment", LESSON)}
    submit(root, "perfect", solved(root))
    submit(root, "untouched", released(root))
    submit(root, "not_json", '{"cells": [')
    submit(root, "no_bytes", "")
    for change in CHANGES:
        submit_changed(root, change.__name__, change)
    for command in ("autograde", "generate_feedback"):
        done[command] = nbgrader(root, command, LESSON)
    done["export"] = nbgrader(root, "export")
    return root, done


@pytest.fixture(params=sorted(SCORES))
def student(request):
    return request.param


def page(root, student):
    return (root / "feedback" / student / LESSON / f"{LESSON}.html").read_text(encoding="utf8")


def test_every_command_ends_well_and_says_only_what_a_person_needs(course):
    for command, result in course[1].items():
        assert result.returncode == 0, f"{command}: {result.stderr}"
        for noise in ("Traceback", "Warning:", "ERROR", "not recognized"):
            assert noise not in result.stdout + result.stderr, command


def test_score(course, student):
    with (course[0] / "grades.csv").open(encoding="utf8") as grades:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(grades)}
    assert scores[student] == SCORES[student]


def test_feedback_shows_nothing_of_a_hidden_test_or_a_rubric(course, student):
    html = page(course[0], student)
    for secret in (
        SECRET,
        "212121",
        "hidden words",
        "HIDDEN TESTS",
        "MARK SCHEME",
        "rubric word",
        "It adds the number",
    ):
        assert secret not in html, secret


def test_feedback_shows_no_frame_outside_the_notebook(course, student):
    html = page(course[0], student)
    for trace in ("site-packages", "/lib/python", str(course[0])):
        assert trace not in html, trace


def test_a_page_is_small_enough_for_a_phone(course, student):
    assert len(page(course[0], student)) < 500_000


def test_the_release_leaks_nothing(course):
    files = [path for path in (course[0] / "release").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [f"{LESSON}.ipynb"]
    text = files[0].read_text(encoding="utf8")
    assert SECRET not in text and "max(items)" not in text and "rubric word" not in text


@pytest.mark.parametrize(
    ("student", "sentence"),
    [
        ("perfect", "Hidden checks: passed."),
        ("untouched", "Hidden checks: stopped by NotImplementedError."),
        ("message_in_a_name", "Hidden checks: stopped by an error."),
        ("endless_loop", "Hidden checks: did not finish in time and was stopped."),
        ("endless_loop", "Did not finish in time and was stopped."),
        ("deaf_loop", "Hidden checks: stopped by NameError."),  # a new kernel went on after it
        ("dead_kernel", "The kernel died in this cell."),
        ("dead_kernel", "Hidden checks: stopped by NameError."),
        ("not_json", "your file could not be read: it is not JSON, or cut off."),
        ("no_bytes", "your file could not be read: it is empty."),
        ("no_cells", "none of the lesson's cells is in this notebook; they were put back empty."),
        ("ten_megabytes", "Printed too much and was stopped."),
        ("copied_test", "the test cell <code>double_check</code> was here 2 times; it was restored once."),
        ("deleted_tests", "the test cell <code>double_values</code> was missing; it was put back."),
        ("easier_test", "the test cell <code>double_check</code> had been changed; it was restored."),
    ],
)
def test_feedback_says_what_happened(course, student, sentence):
    assert sentence in page(course[0], student)


def test_no_script_of_a_student_reaches_a_browser(course):
    html = BeautifulSoup(page(course[0], "script"), "html.parser")
    assert not [script for script in html.find_all("script") if "alert" in script.text]
    assert not [tag for tag in html.find_all(True) for name in tag.attrs if name.startswith("on")]
    assert html.find("b", string="b")  # and what is harmless stays


def test_a_second_run_changes_nothing(course):
    root, _ = course
    before = (root / "grades.csv").read_text(encoding="utf8")
    assert nbgrader(root, "autograde", LESSON, "--student=copied_test", "--force").returncode == 0
    assert nbgrader(root, "export").returncode == 0
    assert (root / "grades.csv").read_text(encoding="utf8") == before


def test_a_test_that_was_not_run_waits_for_a_person(course):
    root, _ = course
    submit(root, "later", solved(root))
    assert nbgrader(root, "autograde", LESSON, "--student=later", "--no-execute").returncode == 0
    assert nbgrader(root, "export").returncode == 0
    rows = list(csv.DictReader((root / "grades.csv").open(encoding="utf8")))
    assert [row["score"] for row in rows if row["student_id"] == "later"] == ["0.0"]


def test_validate_works_on_a_students_notebook(course):
    root, _ = course
    result = nbgrader(root, "validate", f"submitted/perfect/{LESSON}/{LESSON}.ipynb")
    assert result.returncode == 0, result.stderr
    assert "VALIDATION FAILED" not in result.stdout
