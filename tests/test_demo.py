"""`torchgrade demo`: the whole loop on a tiny lesson, and one clear line for everything that can go wrong."""

import csv
import shutil

import pytest
from small_course import LESSON, SECRET, fill, find, lesson, make_course, write
from torchgrade.cli import main
from torchgrade.demo import root as demo_root
from torchgrade.demo import run
from torchgrade.demo.run import leaked
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import read_bank

pytestmark = pytest.mark.xdist_group("demo")
STUDENTS = [f"student-{number:02}" for number in range(1, 7)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The exit code and the course root of a demo that replaced an earlier one."""
    course = make_course(tmp_path_factory.mktemp("course"))
    target = course / "build" / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_root, "SECONDS_PER_CELL", 2)
        demo_root.make_root(course, target, LESSON)
        (target / "of-an-earlier-run").touch()
        return run(course, target), target


@pytest.mark.course
def test_the_demo_proves_what_it_shows(demo):
    code, target = demo
    assert code == 0
    assert not (target / "of-an-earlier-run").exists()
    with (target / "grades.csv").open(encoding="utf8") as grades:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(grades)}
    assert scores == dict(zip(STUDENTS, [6, 4, 0, 3, 3, 6], strict=True))


@pytest.mark.course
def test_submissions_went_through_the_exchange(demo):
    for student in STUDENTS:
        folder = demo[1] / "submitted" / student / LESSON
        assert {path.name for path in folder.iterdir()} >= {f"{LESSON}.ipynb", "timestamp.txt"}


@pytest.mark.course
def test_every_student_has_feedback_without_secrets(demo):
    for student in STUDENTS:
        html = (demo[1] / "feedback" / student / LESSON / f"{LESSON}.html").read_text(encoding="utf8")
        assert SECRET not in html and "212121" not in html and "rubric word" not in html


@pytest.mark.course
def test_a_page_that_tells_a_hidden_test_fails_the_demo(demo, tmp_path):
    """As the promise that every page above holds nothing of the kind."""
    target = shutil.copytree(demo[1], tmp_path / "demo")
    bank = read_bank(target / "source" / LESSON / "mistakes.py")
    assert leaked(target, LESSON, bank) is None
    page = target / "feedback" / STUDENTS[0] / LESSON / f"{LESSON}.html"
    with page.open("a", encoding="utf8") as html:
        html.write(f"""<img alt="assert double(212121) == {SECRET}, 'hidden words'">""")
    assert "hidden tests of double_values: assert double(212121)" in leaked(target, LESSON, bank)


def refused(course, target, *lesson_name):
    """What the demo says instead of running; the command prints it in one line and exits with 2."""
    with pytest.raises(CourseError) as error:
        run(course, target, *lesson_name)
    return str(error.value)


def test_an_unknown_lesson_is_named(tmp_path):
    line = refused(make_course(tmp_path), tmp_path / "demo", "02_nothing")
    assert "02_nothing" in line and LESSON in line
    assert not (tmp_path / "demo").exists()


def test_the_command_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(make_course(tmp_path))
    assert main(["demo", "--lesson", "02_nothing"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("torchgrade: ") and said.count("\n") == 1 and "02_nothing" in said


def test_a_course_without_lessons_is_named(tmp_path):
    assert "no lesson yet" in refused(tmp_path, tmp_path / "demo")


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis").mkdir()
    assert "no earlier demo" in refused(make_course(tmp_path), tmp_path / "thesis")
    assert (tmp_path / "thesis").is_dir()


def test_a_lesson_without_a_mistake_bank_is_named(tmp_path):
    (make_course(tmp_path) / "source" / LESSON / "mistakes.py").unlink()
    assert "no mistake bank" in refused(tmp_path, tmp_path / "demo")


@pytest.mark.course
def test_a_master_that_nbgrader_refuses_is_named(tmp_path):
    notebook = lesson()
    find(notebook, "double").source += "\n### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS"
    write(make_course(tmp_path) / "source" / LESSON / f"{LESSON}.ipynb", notebook)
    line = refused(tmp_path, tmp_path / "demo")
    assert "generate_assignment failed" in line and "nbgrader.log" in line


@pytest.mark.course
def test_tests_that_catch_no_mistake_fail_the_demo(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo_root, "SECONDS_PER_CELL", 2)
    notebook = lesson()
    for grade_id in ("double_values", "largest_values", "double_check", "largest_check"):
        fill(notebook, grade_id, "pass")
    write(make_course(tmp_path) / "source" / LESSON / f"{LESSON}.ipynb", notebook)
    assert run(tmp_path, tmp_path / "demo") == 1
    assert "solved, partly right and untouched got 6, 6 and 6" in capsys.readouterr().out
