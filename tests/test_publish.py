"""`torchgrade publish`: students get all they need and no byte more, and nobody else's file is touched."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from small_course import ROOT_CONFIG, write
from small_lesson import LESSON, cell_of, make_course
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.master import read_master, read_notebook
from torchgrade.lessons.secrets import Text, secrets_of
from torchgrade.publish.fresh import generate
from torchgrade.publish.requirements import pinned
from torchgrade.publish.run import run

ROOT = ROOT_CONFIG.parent
SECOND = "08_next"

pytestmark = pytest.mark.xdist_group("publish")  # one worker: the release is made once


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with a released lesson, the real checks and the real lock."""
    course = make_course(tmp_path_factory.mktemp("honest") / "course")
    (course / "source" / LESSON / "data.csv").write_text("1,2\n", encoding="utf8")
    shutil.copytree(ROOT / "grader_env" / "requirements", course / "grader_env" / "requirements")
    package = course / "grader_env" / "torchgrade"
    shutil.copytree(ROOT / "grader_env" / "torchgrade", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, course)
    release(course, LESSON)
    return course


@pytest.fixture
def course(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "course"))


def release(course: Path, lesson: str) -> None:
    """As `make release` does; tests/test_releases.py asks the command itself."""
    shutil.rmtree(course / "release" / lesson, ignore_errors=True)
    generate(course, lesson, course)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Relative path -> content and time of the last change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def with_second_lesson(course: Path) -> None:
    """The same lesson under another name, as an honest release of it."""
    for folder in (course / "source", course / "release"):
        shutil.copytree(folder / LESSON, folder / SECOND)
        (folder / SECOND / f"{LESSON}.ipynb").rename(folder / SECOND / f"{SECOND}.ipynb")


def test_students_get_no_byte_of_any_solution_hidden_test_or_mistake(course, tmp_path):
    assert run(course, tmp_path / "out") == 0
    master = read_master(course, LESSON)
    secrets = secrets_of(master, read_bank(master.bank_path))
    assert {secret.kind for secret in secrets} >= {"solution", "hidden tests", "mark scheme"}
    assert any("mistakes.py" in secret.region for secret in secrets)
    for path in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                text = "\n".join(wheel.read(name).decode() for name in wheel.namelist())
        else:
            text = path.read_text(encoding="utf8")
        lines = [secret for secret in secrets if secret.form != "number"]
        assert [secret for secret in lines if Text(text).holds(secret)] == [], path
        assert "0.2469134" not in text, path


def test_students_get_all_they_need(course, tmp_path):
    assert run(course, tmp_path / "out") == 0
    (wheel,) = (tmp_path / "out").glob("torchgrade-*.whl")
    notebook = f"{LESSON}/{LESSON}.ipynb"
    there = {".published.json", "LICENSE", "README.md", "requirements.txt", wheel.name, notebook, f"{LESSON}/data.csv"}
    assert set(files(tmp_path / "out")) == there
    assert (tmp_path / "out" / notebook).read_bytes() == (course / "release" / notebook).read_bytes()
    requirements = (tmp_path / "out" / "requirements.txt").read_text(encoding="utf8").splitlines()
    assert {"torch==2.13.0", "nbgrader==0.9.6", f"./{wheel.name}"} < set(requirements)
    assert f"| 7 · Tiny | [`{notebook}`]" in (tmp_path / "out" / "README.md").read_text(encoding="utf8")
    # A wheel can be imported as it is: this process has no other torchgrade.
    program = f"import sys; sys.path.insert(0, {str(wheel)!r}); from torchgrade import check; print(check.__file__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.startswith(str(wheel))


def test_the_requirements_leave_out_what_only_developers_need():
    names = {line.split("==")[0] for line in pinned(ROOT / "grader_env" / "requirements")}
    assert {"torch", "jupyterlab", "matplotlib", "numpy", "scikit-learn", "sympy"} < names
    assert not {"mypy", "ruff", "hypothesis", "pytest-xdist"} & names


def test_a_second_run_changes_nothing(course, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    git(out, "init", "--quiet")
    assert run(course, out) == 0
    git(out, "add", "--all")
    git(out, "commit", "--quiet", "--message", "first")
    before = files(out)
    for path in (course / "grader_env").rglob("*.py"):
        path.touch()  # as a fresh clone would
    assert run(course, out) == 0
    assert files(out) == before
    assert git(out, "status", "--porcelain") == ""


def test_a_changed_check_makes_a_wheel_that_pip_takes_for_a_new_one(course, tmp_path):
    assert run(course, tmp_path / "out") == 0
    (old,) = (tmp_path / "out").glob("*.whl")
    with (course / "grader_env" / "torchgrade" / "check" / "words.py").open("a", encoding="utf8") as file:
        file.write("# better\n")
    assert run(course, tmp_path / "out") == 0
    (new,) = (tmp_path / "out").glob("*.whl")
    assert new.name != old.name


def plant_in_a_notebook(course: Path) -> str:
    """The author shows in a second lesson what the first asks for."""
    with_second_lesson(course)
    for folder in ("source", "release"):
        path = course / folder / SECOND / f"{SECOND}.ipynb"
        notebook = read_notebook(path)
        notebook.cells[0].source += "\n\nBecause addition is repeated counting, after all."
        write(path, notebook)
    release(course, SECOND)
    return f"{SECOND}/{SECOND}.ipynb: cell 1 (cell-0): solution of why: "


def plant_in_the_checks(course: Path) -> str:
    with (course / "grader_env" / "torchgrade" / "check" / "words.py").open("a", encoding="utf8") as file:
        file.write("# return FACTOR * x\n")
    return ".whl: torchgrade/check/words.py: solution of double: return FACTOR * x"


def plant_a_file(course: Path) -> str:
    for folder in ("source", "release"):
        (course / folder / LESSON / "notes.pkl").write_bytes(b"\x80")
    return f"{LESSON}/notes.pkl: a file that students do not get"


@pytest.mark.parametrize("plant", [plant_in_a_notebook, plant_in_the_checks, plant_a_file])
def test_a_leak_is_named_and_nothing_is_written(course, tmp_path, plant, capsys):
    out = tmp_path / "site" / "out"
    said = plant(course)
    assert run(course, out) == 1
    assert said in capsys.readouterr().out
    assert not out.parent.exists()


def test_this_course_can_be_published(tmp_path, capsys):
    assert run(ROOT, tmp_path / "out") == 0, capsys.readouterr().out


@pytest.mark.parametrize(("number", "code"), [("0.2469134", 1), ("512.0", 0), ("32_768", 0)])
def test_a_number_of_another_lessons_hidden_test_counts_if_it_is_no_round_one(course, tmp_path, number, code):
    with_second_lesson(course)
    path = course / "source" / LESSON / f"{LESSON}.ipynb"
    notebook = read_notebook(path)
    cell = cell_of(notebook, "total_values")
    cell.source = cell.source.replace("42", number)  # a number that only this lesson's hidden test has
    cell_of(notebook, "double_values").source = cell.source.replace("total", "double")
    write(path, notebook)
    release(course, LESSON)
    other = course / "source" / SECOND / f"{SECOND}.ipynb"
    notebook = read_notebook(other)
    notebook.cells[1].source += f"\nSHOWN = {number}"
    cell_of(notebook, "double_values").source = cell_of(notebook, "total_values").source.replace("total", "double")
    write(other, notebook)
    release(course, SECOND)
    assert run(course, tmp_path / "out") == code


def test_what_somebody_else_wrote_survives(course, tmp_path):
    out = tmp_path / "out"
    assert run(course, out) == 0
    (out / "NEWS.md").write_text("Welcome.\n", encoding="utf8")
    (out / LESSON / "mine.txt").write_text("My notes.\n", encoding="utf8")
    with_second_lesson(course)
    assert run(course, out) == 0
    shutil.rmtree(course / "release" / LESSON)
    assert run(course, out) == 0
    assert (out / "NEWS.md").is_file()
    assert [path.name for path in (out / LESSON).iterdir()] == ["mine.txt"]


def test_somebody_elses_file_is_never_overwritten(course, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("Mine.\n", encoding="utf8")
    with pytest.raises(CourseError, match=r"README\.md: this was not written by `torchgrade publish`"):
        run(course, out)
    assert [path.name for path in out.iterdir()] == ["README.md"]


def test_a_removed_lessons_files_go(course, tmp_path, capsys):
    with_second_lesson(course)
    assert run(course, tmp_path / "out") == 0
    shutil.rmtree(course / "release" / SECOND)
    assert run(course, tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("1 lessons, no leaks; 1 files written, 2 removed")
    assert not (tmp_path / "out" / SECOND).exists()


@pytest.mark.parametrize("name", ["../course/pyproject.toml", ".git/config", "/etc/hostname"])
def test_a_forged_list_of_files_cannot_delete_elsewhere(course, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".published.json").write_text(json.dumps({"files": [name]}), encoding="utf8")
    with pytest.raises(CourseError, match="not a list of published files"):
        run(course, tmp_path / "out")


def test_a_link_does_not_lead_the_writing_elsewhere(course, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / LESSON).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CourseError, match="a link leads out of the folder"):
        run(course, tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_bad_targets_are_refused_and_stay_as_they_are(course, tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf8")
    before = files(tmp_path)
    for target, said in {
        course / "source" / "public": "inside the course",
        course: "the course itself lies in there",
        tmp_path: "the course itself lies in there",
        tmp_path / "file": "this is a file",
        tmp_path / "file" / "below": "this is a file",
        tmp_path / "out" / ".git": "this belongs to git",
    }.items():
        with pytest.raises(CourseError, match=said):
            run(course, target)
    assert files(tmp_path) == before


def test_a_stale_release_is_refused(course, tmp_path):
    path = course / "source" / LESSON / f"{LESSON}.ipynb"
    notebook = read_notebook(path)
    cell_of(notebook, "double_check").source += "\n# new"
    write(path, notebook)
    with pytest.raises(CourseError, match=f"not what the master makes now .* Run: make release LESSON={LESSON}"):
        run(course, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_release_without_a_master_is_refused(course, tmp_path):
    shutil.copytree(course / "release" / LESSON, course / "release" / SECOND)
    with pytest.raises(CourseError, match="there is no lesson '08_next'"):
        run(course, tmp_path / "out")


def test_a_lesson_that_imports_what_students_do_not_get_is_refused(course, tmp_path):
    path = course / "source" / LESSON / f"{LESSON}.ipynb"
    notebook = read_notebook(path)
    notebook.cells[1].source += "\nfrom torchgrade import check, lessons"
    write(path, notebook)
    release(course, LESSON)
    with pytest.raises(CourseError, match="it imports torchgrade's 'lessons', which students do not get"):
        run(course, tmp_path / "out")


def test_without_releases_the_command_says_so_in_one_line(tmp_path):
    course = make_course(tmp_path / "course")
    command = [sys.executable, "-m", "torchgrade.cli", "publish", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"torchgrade: {course}/release: there are no releases. Run: make release\n"
