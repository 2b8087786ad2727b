"""What is handed in beside the notebook, or in its place, stops nobody's grading and reaches no file of the machine."""

import subprocess

import pytest
from small_course import LESSON, make_course, nbgrader, solved, submit
from torchgrade.autograde.work_folder import MAX_FILES

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("handed in")]


def link_to_an_endless_file(folder):
    (folder / "zeros.bin").symlink_to("/dev/zero")


def link_to_a_folder(folder):
    (folder / "etc").symlink_to("/etc")


def more_files_than_anybody_needs(folder):
    for number in range(MAX_FILES + 1):
        (folder / f"{number}.txt").write_text("x")


def another_name(folder):
    (folder / f"{LESSON}.ipynb").rename(folder / f"{LESSON} (1).ipynb")


def folders_without_end(folder):
    for _ in range(1100):
        folder = folder / "d"
        folder.mkdir()


CASES = (link_to_an_endless_file, link_to_a_folder, more_files_than_anybody_needs, another_name, folders_without_end)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    root = make_course(tmp_path_factory.mktemp("course"))
    assert nbgrader(root, "generate_assignment", LESSON).returncode == 0
    for case in CASES:
        submit(root, case.__name__, solved(root))
        case(root / "submitted" / case.__name__ / LESSON)
    submit(root, "z_honest", solved(root))
    yield root, nbgrader(root, "autograde", LESSON).stderr
    subprocess.run(["rm", "-rf", root / "submitted"], check=True)  # pytest's own way to tidy up recurs


def files(course, student):
    return sorted(path.name for path in (course[0] / "autograded" / student).rglob("*") if path.is_file())


@pytest.mark.parametrize("case", [*(case.__name__ for case in CASES[:3]), "z_honest"])
def test_the_notebook_is_graded_and_nothing_else_is_taken(course, case):
    assert files(course, case) == [f"{LESSON}.ipynb"], course[1]


@pytest.mark.parametrize(
    ("student", "sentence"),
    [
        ("link_to_an_endless_file", "zeros.bin is a link, which is not followed."),
        ("more_files_than_anybody_needs", "too many files or links; only the notebook is taken."),
        ("another_name", f"no notebook is called {LESSON}; there is {LESSON} (1).ipynb. Rename it."),
    ],
)
def test_it_is_said(course, student, sentence):
    assert any(student in line and sentence in line for line in course[1].splitlines())
