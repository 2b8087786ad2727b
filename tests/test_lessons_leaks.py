"""`torchgrade lesson leaks`: an honest release is clean, and every way to leak is found and named."""

import base64
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from small_course import fill, nbgrader, write
from small_lesson import LESSON, cell_of, make_course
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.leaks import feedback_leaks, release_leaks, run
from torchgrade.lessons.master import read_master, read_notebook
from torchgrade.lessons.secrets import Secret, secrets_of

pytestmark = pytest.mark.xdist_group("leaks")  # one worker: the release is made once

HIDDEN_LINE = 'check.close(check.run(lambda: double(0.1234567)), 0.2469134, "twice")'
TRACEBACK = [
    "\x1b[31m---------------------------------------------------------------------------\x1b[39m",
    "\x1b[31mWrongValues\x1b[39m                               Traceback (most recent call last)",
    "\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[5]\x1b[39m\x1b[32m, line 5\x1b[39m\n"
    "\x1b[32m      2\x1b[39m \x1b[38;5;66;03m### BEGIN HIDDEN TESTS\x1b[39;00m\n"
    "\x1b[32m----> \x1b[39m\x1b[32m5\x1b[39m check.close(check.run(\x1b[38;5;28;01mlambda\x1b[39;00m: "
    "double(\x1b[32m0.1234567\x1b[39m)), \x1b[32m0.2469134\x1b[39m, \x1b[33m'twice'\x1b[39m)".replace("'", '"'),
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course whose release nbgrader made."""
    course = make_course(tmp_path_factory.mktemp("course"))
    done = nbgrader(course, "generate_assignment", LESSON)
    assert done.returncode == 0, done.stderr
    return course


@pytest.fixture
def course(honest: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(honest, tmp_path / "course"))


def secrets(course: Path) -> list[Secret]:
    master = read_master(course, LESSON)
    return secrets_of(master, read_bank(master.bank_path))


def released(course: Path) -> Path:
    return course / "release" / LESSON / f"{LESSON}.ipynb"


def leaks_of_release(course: Path) -> list[str]:
    folder = course / "release" / LESSON
    return [str(leak) for leak in release_leaks(folder, read_master(course, LESSON), secrets(course))]


def test_an_honest_release_is_clean(course, capsys):
    assert run(course, [LESSON], feedback=None) == 0
    assert capsys.readouterr().out.startswith(f"{LESSON}: no leaks (")


def test_every_secret_of_the_lesson_is_known_by_its_place(course):
    found = {(secret.region, secret.text) for secret in secrets(course)}
    assert {
        ("solution of double", "return FACTOR * x"),
        ("hidden tests of double_values", HIDDEN_LINE),
        ("hidden tests of double_values", "0.2469134"),
        ("solution of why", "Because addition is *repeated counting*, after all."),
        ("mark scheme of why", "Two points for mentioning **the successor function**."),
    } <= found
    assert {(region.split(":")[0], text) for region, text in found} >= {
        ("code of mistakes.py", "return sum([x] * 3)"),
        ("sentence of mistakes.py", "it adds the number twice"),
    }


def test_what_the_lesson_shows_anyway_is_no_secret(course):
    """`from torchgrade import check` stands in hidden tests and in visible ones."""
    assert "from torchgrade import check" not in {secret.text for secret in secrets(course)}
    assert not any(secret.text.startswith("def double") for secret in secrets(course))


def into(grade_id: str, text: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        cell_of(notebook, grade_id).source += f"\n{text}"

    return change


def as_output(notebook: Any) -> None:
    cell_of(notebook, "total_check").outputs = [new_output("stream", name="stdout", text="fine\n")]


def as_count(notebook: Any) -> None:
    cell_of(notebook, "total_check").execution_count = 3


def in_metadata(notebook: Any) -> None:
    cell_of(notebook, "why").metadata.rubric = "Two points for mentioning the successor function."


def in_notebook_metadata(notebook: Any) -> None:
    notebook.metadata.old = {"source": ["def double(x):\n", "    return FACTOR  *  x"]}


def attached(notebook: Any) -> None:
    text = base64.b64encode(f"see\n{HIDDEN_LINE}\n".encode()).decode()
    notebook.cells[0].attachments = {"notes.txt": {"text/plain": text}}


@pytest.mark.parametrize(
    ("change", "where", "region"),
    [
        (into("double", "    return FACTOR*x"), "cell 4 (double)", "solution of double"),
        (into("double_check", f"# {HIDDEN_LINE}"), "cell 5 (double_check)", "hidden tests of double_values"),
        (into("total", "# expect .2469134"), "cell 8 (total)", "hidden tests of double_values: 0.2469134"),
        (into("why", "Because addition is repeated counting, after all."), "cell 12 (why)", "solution of why"),
        (into("total", "    return sum([x]*3)"), "cell 8 (total)", "code of mistakes.py:"),
        (into("total", "# wrong: it adds the number twice"), "cell 8 (total)", "sentence of mistakes.py:"),
        (in_metadata, "cell 12 (why)", "mark scheme of why"),
        (in_notebook_metadata, "metadata", "solution of double"),
        (attached, "cell 1 (cell-0)", "hidden tests of double_values"),
        (as_output, "cell 9 (total_check)", "an output: stream"),
        (as_count, "cell 9 (total_check)", "an execution count: 3"),
    ],
)
def test_a_leak_in_the_notebook_is_found(course, change, where, region, capsys):
    notebook = read_notebook(released(course))
    change(notebook)
    write(released(course), notebook)
    assert run(course, [LESSON], feedback=None) == 1
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{released(course)}: {where}: ")]
    assert any(line.startswith(f"{released(course)}: {where}: {region}") for line in found)


@pytest.mark.parametrize(
    ("name", "text", "region"),
    [
        ("mistakes.py", "", "a file of the author's"),
        ("__pycache__/mistakes.cpython-311.pyc", "", "a file of the author's"),
        (".ipynb_checkpoints/old.txt", "", "a file of the author's"),
        ("helpers.py", "def double(x):\n    return FACTOR * x\n", "solution of double"),
        ("notes.md", "Two points for mentioning the successor function.", "mark scheme of why"),
    ],
)
def test_a_leak_in_another_file_is_found(course, name, text, region):
    path = released(course).parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf8")
    assert any(
        region in leak and path.parts[len(released(course).parent.parts)] in leak for leak in leaks_of_release(course)
    )


def test_numbers_in_a_data_file_are_data(course):
    (released(course).parent / "data.csv").write_text("0.2469134,0.1234567\n", encoding="utf8")
    assert leaks_of_release(course) == []


def page(course: Path, student: str, notebook: Any) -> Path:
    """Feedback as nbconvert writes it."""
    path = course / "feedback" / student / LESSON / f"{LESSON}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf8")
    return path


def leaks_of_page(course: Path, path: Path) -> set[str]:
    return {leak.region for leak in feedback_leaks(path, read_master(course, LESSON), secrets(course))}


def test_the_students_own_answer_is_no_leak_and_anybody_elses_is(course):
    notebook = read_notebook(released(course))
    fill(notebook, "double", "def double(x):\n    return FACTOR * x\n    # return sum([x] * 3)")
    write(course / "submitted" / "student-01" / LESSON / f"{LESSON}.ipynb", notebook)
    assert leaks_of_page(course, page(course, "student-01", notebook)) == set()
    assert {"solution of double"} < leaks_of_page(course, page(course, "student-02", notebook))


def test_a_hidden_test_in_the_feedback_is_found_in_a_cell_and_in_a_traceback(course):
    stopped = new_output("error", ename="WrongValues", evalue="twice: expected", traceback=TRACEBACK)
    for cell in (new_code_cell(f"if True:\n    {HIDDEN_LINE}"), new_code_cell("double", outputs=[stopped])):
        found = leaks_of_page(course, page(course, "student-01", new_notebook(cells=[cell])))
        assert found == {"hidden tests of double_values"}


def test_an_expected_value_in_the_feedback_is_found(course):
    said = new_output("stream", name="stdout", text="twice: expected 0.2469134, got 2.1")
    notebook = new_notebook(cells=[new_code_cell("double", outputs=[said])])
    assert leaks_of_page(course, page(course, "student-01", notebook)) == {"hidden tests of double_values"}


def test_a_rendered_mark_scheme_is_found_and_a_named_misconception_is_none(course):
    path = course / "feedback" / "student-01" / LESSON / "page.html"
    path.parent.mkdir(parents=True)
    path.write_text("<p>Two points for <i>mentioning</i> <b>the successor&nbsp;function</b>.</p>", encoding="utf8")
    assert leaks_of_page(course, path) == {"mark scheme of why"}
    path.write_text("<p>It looks as if it adds the number twice.</p>", encoding="utf8")
    assert leaks_of_page(course, path) == set()


def test_what_a_page_conceals_is_found_too(course):
    path = course / "feedback" / "student-01" / LESSON / "page.html"
    path.parent.mkdir(parents=True)
    for html in (
        "<!-- return FACTOR * x -->",
        '<p title="return FACTOR * x">!</p>',
        "<script>'return FACTOR * x'</script>",
    ):
        path.write_text(html.format("return FACTOR * x"), encoding="utf8")
        assert leaks_of_page(course, path) == {"solution of double"}


def test_what_a_page_embeds_is_found_too(course):
    path = course / "feedback" / "student-01" / LESSON / "page.html"
    path.parent.mkdir(parents=True)
    data = base64.b64encode(b"\x89PNG\r\n\x1a\ntEXt return FACTOR * x\x00").decode()
    path.write_text(f"<img src='data:image/png;base64,{data}'>", encoding="utf8")
    assert leaks_of_page(course, path) == {"solution of double"}
    path.write_text("<img alt='0.2469134 was expected'>", encoding="utf8")
    assert leaks_of_page(course, path) == {"hidden tests of double_values"}


def test_where_the_grader_has_its_files_is_a_leak_unless_the_student_wrote_it(course):
    path = course / "feedback" / "student-01" / LESSON / "page.html"
    path.parent.mkdir(parents=True)
    path.write_text(f"<pre>{sys.prefix}/lib/python3/site-packages/torch/x.py</pre>", encoding="utf8")
    assert leaks_of_page(course, path) == {"a path of the grader"}
    write(course / "submitted" / "student-01" / LESSON / f"{LESSON}.ipynb", {"cells": [sys.prefix]})
    assert leaks_of_page(course, path) == set()


def test_feedback_in_another_folder_is_looked_through(course, tmp_path, capsys):
    other = tmp_path / "demo" / "feedback"
    (other / "student-01" / LESSON).mkdir(parents=True)
    (other / "student-01" / LESSON / "page.html").write_text(f"<pre>{HIDDEN_LINE}</pre>", encoding="utf8")
    assert run(course, [LESSON], feedback=other) == 1
    assert "page.html: hidden tests of double_values: " in capsys.readouterr().out


def test_a_lesson_that_is_not_released_is_an_error(course):
    shutil.rmtree(course / "release")
    with pytest.raises(CourseError, match=r"not released yet\. Run: make release LESSON=07_tiny"):
        run(course, [LESSON], feedback=None)
