"""What lateness costs: the same in the gradebook, on the feedback page and in grades.csv, by class.toml."""

import csv
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from small_course import LESSON, make_course, nbgrader, solved, submit
from torchgrade.cli import main
from torchgrade.errors import CourseError
from torchgrade.late import DAY, DaysLate

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("late")]  # one worker: the class is graded once

DUE = datetime(2026, 3, 2, 12)
TABLE = "[late]\ngrace_days = 1\npercent_a_day = 20\n"
# How many days after DUE each hands in, and what is taken off their 6 points (2 more are for words, which nobody read).
CLASS = {
    "early": (-0.5, 0.0),
    "in-grace": (1.0, 0.0),
    "a-day": (1.1, 1.2),  # the second day has begun
    "two-days": (3.0, 2.4),
    "forgot": (40.0, 6.0),  # all of it, and no more
}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_course(tmp_path_factory.mktemp("late"))
    (root / "class.toml").write_text(TABLE)
    config = root / "nbgrader_config.py"
    config.write_text(f"{config.read_text()}c.DaysLate.class_file = {str(root / 'class.toml')!r}\n")
    assert nbgrader(root, "generate_assignment", LESSON).returncode == 0
    with gradebook_of(root) as gradebook:
        gradebook.update_or_create_assignment(LESSON, duedate=DUE)
    for name, (days, _) in CLASS.items():
        submit(root, name, solved(root))
        stamp = root / "submitted" / name / LESSON / "timestamp.txt"
        stamp.write_text(f"{DUE + timedelta(days=days)} UTC")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["autograde", LESSON]) == 0
    for command in (["generate_feedback", LESSON], ["export"]):
        done = nbgrader(root, *command)
        assert done.returncode == 0, done.stderr
    return root


def gradebook_of(root: Path) -> Gradebook:
    return Gradebook(f"sqlite:///{root}/gradebook.db", "pytorch")


def row_of(root: Path, name: str) -> tuple[float, float, float]:
    """What grades.csv says: points, what is taken off, what is left."""
    with (root / "grades.csv").open(encoding="utf8") as table:
        (row,) = [row for row in csv.DictReader(table) if row["student_id"] == name]
    return float(row["raw_score"]), float(row["late_submission_penalty"]), float(row["score"])


def page_of(root: Path, name: str) -> str:
    """The line of the feedback page that says the score, without its tags."""
    page = (root / "feedback" / name / LESSON / f"{LESSON}.html").read_text(encoding="utf8")
    (line,) = re.findall(r'<p class="score">(.*?)</p>', page, flags=re.DOTALL)
    return " ".join(re.sub("<.*?>", "", line).split())


@pytest.mark.parametrize("name", CLASS)
def test_gradebook_table_and_page_agree(course: Path, name: str):
    penalty = CLASS[name][1]
    with gradebook_of(course) as gradebook:
        assert gradebook.find_submission(LESSON, name).late_submission_penalty == pytest.approx(penalty)
    assert row_of(course, name) == pytest.approx((6, penalty, 6 - penalty))
    taken_off = f", {penalty:g} taken off for being late" if penalty else ""
    assert page_of(course, name) == f"{6 - penalty:g} of 8 points{taken_off}"


def test_points_that_a_person_gives_later_count_as_late_too(course: Path):
    with gradebook_of(course) as gradebook:
        grade = gradebook.find_grade("why", LESSON, LESSON, "a-day")
        grade.manual_score, grade.needs_manual_grade = 2, False
        gradebook.db.commit()
    assert nbgrader(course, "generate_feedback", "--force", LESSON, "--student", "a-day").returncode == 0
    assert nbgrader(course, "export").returncode == 0
    assert row_of(course, "a-day") == pytest.approx((8, 1.6, 6.4))
    assert page_of(course, "a-day") == "6.4 of 8 points, 1.6 taken off for being late"


def test_nbgraders_own_command_takes_off_the_same(course: Path):
    done = nbgrader(course, "autograde", "--force", LESSON, "--student", "two-days")
    assert done.returncode == 0, done.stderr
    with gradebook_of(course) as gradebook:
        assert gradebook.find_submission(LESSON, "two-days").late_submission_penalty == pytest.approx(2.4)


@pytest.mark.parametrize("text", ["", "course = 'pytorch'\n", None])
def test_without_the_table_nothing_is_taken_off(tmp_path: Path, text: str | None):
    path = tmp_path / "class.toml"
    if text is not None:
        path.write_text(text)
    assert DaysLate(class_file=str(path)).late_submission_penalty("x", 6.0, 9 * DAY) is None


def test_a_table_that_cannot_be_one_is_named(tmp_path: Path):
    path = tmp_path / "class.toml"
    path.write_text("[late]\ngrace_days = 1\npercent_a_day = 'all'\n")
    with pytest.raises(CourseError, match=r"class\.toml:3: 'percent_a_day' of \[late\] is 'all'\. Give it a number\."):
        DaysLate(class_file=str(path)).late_submission_penalty("x", 6.0, DAY)
