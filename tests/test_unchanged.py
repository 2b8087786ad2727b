"""Tests of lessons are skipped only where nothing changed that they could notice."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import unchanged

LESSON = "01_small"
FILES = (
    "grader_env/torchgrade/cli.py",
    "grader_env/torchgrade/check/close.py",
    "grader_env/torchgrade/report/page.py",
    "grader_env/requirements/lock.txt",
    "nbgrader_config.py",
    f"source/{LESSON}/{LESSON}.ipynb",
    f"source/{LESSON}/mistakes.py",
    "source/02_other/02_other.ipynb",
    "source/header.ipynb",
    f"release/{LESSON}/{LESSON}.ipynb",
    f"tests/students/{LESSON}.ipynb",
    "tests/conftest.py",
    "tests/helper.py",
    "tests/test_other.py",
)
UNNOTICED = {"grader_env/torchgrade/report/page.py", "source/02_other/02_other.ipynb", "tests/test_other.py"}


@pytest.fixture
def course(tmp_path):
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    (tmp_path / "tests" / "test_lesson.py").write_text("import os\nfrom helper import x\n")
    return tmp_path


def key(course):
    unchanged._of_code.cache_clear()
    unchanged._of_lesson.cache_clear()
    return unchanged.key(course, course / "tests" / "test_lesson.py", "test_lesson.py::test_it", LESSON)


@pytest.mark.parametrize("name", FILES)
def test_a_change_counts_where_the_test_could_notice_it(course, name):
    before = key(course)
    assert key(course) == before
    (course / name).write_text("2\n")
    assert (key(course) == before) == (name in UNNOTICED)


def test_a_new_file_counts_and_what_python_leaves_behind_does_not(course):
    before = key(course)
    cache = course / "grader_env" / "torchgrade" / "__pycache__"
    cache.mkdir()
    (cache / "cli.pyc").write_text("")
    assert key(course) == before
    (course / "source" / LESSON / "picture.svg").write_text("")
    assert key(course) != before


def test_nothing_but_the_command_line_and_lateness_uses_what_is_left_out():
    package = Path(__file__).parents[1] / unchanged.PACKAGE
    uses = re.compile(rf"torchgrade[./]({'|'.join(unchanged.APART)})\b")
    users = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in unchanged.APART and uses.search(path.read_text(encoding="utf8"))
    }
    assert users == {"cli.py", "late.py"}


def test_what_passed_is_skipped_and_what_failed_runs_again(course):
    test = course / "tests" / "test_lesson.py"
    test.write_text(
        "import pytest\n"
        "from pathlib import Path\n"
        "@pytest.mark.unchanged\n"
        f"@pytest.mark.parametrize('lesson', ['{LESSON}'])\n"
        "def test_it(lesson):\n"
        "    assert Path('good').exists()\n"
    )
    (course / "pytest.ini").touch()  # here is the root

    def run(*options):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "unchanged", "-p", "no:cacheprovider", *options, test]
        places = {"PYTHONPATH": str(Path(unchanged.__file__).parent), "XDG_CACHE_HOME": str(course / "cache")}
        done = subprocess.run(command, cwd=course, env={**os.environ, **places}, capture_output=True, text=True)
        return done.stdout.splitlines()[-1].split(" in ")[0]

    assert [run(), run()] == ["1 failed", "1 failed"]
    (course / "good").touch()
    assert [run(), run(), run("--fresh")] == ["1 passed", "1 skipped", "1 passed"]
    with test.open("a") as more:
        more.write("\n# changed\n")
    assert run() == "1 passed"
