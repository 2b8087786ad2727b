"""The exchange of the hub: half a submission is none, and nobody gets what is not theirs by handing it in."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_course import LESSON, make_course
from torchgrade.demo.grading import Grading
from torchgrade.errors import CourseError

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("hub exchange")]  # one worker: one lesson is generated
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="files of several unix users are made by root only")
CONFIG = """
c.CourseDirectory.course_id = "pytorch"
c.Exchange.root = {root!r} + "/exchange"
c.Exchange.cache = {root!r} + "/cache"
c.ExchangeFactory.submit = "torchgrade.hub.exchange.WholeSubmit"
c.ExchangeFactory.collect = "torchgrade.hub.exchange.OwnedCollect"
c.ExchangeCollect.check_owner = {check_owner}
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course whose lesson is in its gradebook."""
    root = make_course(tmp_path_factory.mktemp("generated"))
    Grading(root, LESSON).generate()
    return root


@pytest.fixture
def course(generated: Path, tmp_path: Path) -> Path:
    return exchange_course(generated, tmp_path / "course", check_owner=False)


def exchange_course(generated: Path, root: Path, *, check_owner: bool) -> Path:
    """A copy whose lesson is released to an exchange of its own."""
    shutil.copytree(generated, root)
    (root / "exchange").mkdir()
    with (root / "nbgrader_config.py").open("a", encoding="utf8") as config:
        config.write(CONFIG.format(root=str(root), check_owner=check_owner))
    Grading(root, LESSON).release()
    return root


def fetch(course: Path, student: str) -> Path:
    home = course / "homes" / student
    shutil.copytree(course / "exchange" / "pytorch" / "outbound" / LESSON, home / LESSON)
    return home


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Stands in for a full disk: the system refuses to write more, in the middle of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def inbound(course: Path) -> list[Path]:
    """All, hidden ones too."""
    return sorted((course / "exchange" / "pytorch" / "inbound").iterdir())


def hand_in(course: Path, name: str) -> Path:
    """A submission made by hand, as a student can who does not use nbgrader."""
    folder = course / "exchange" / "pytorch" / "inbound" / f"{name}+{LESSON}+2026-11-25 10:00:00.000000 UTC+x"
    folder.mkdir()
    (folder / f"{LESSON}.ipynb").write_text("{}")
    (folder / "timestamp.txt").write_text("2026-11-25 10:00:00.000000 UTC")
    return folder


def collect(course: Path) -> str:
    """What nbgrader says about it."""
    (course / "nbgrader.log").unlink()
    Grading(course, LESSON).collect()
    return (course / "nbgrader.log").read_text(encoding="utf8")


def test_a_disk_that_fills_up_leaves_no_half_submission_and_the_next_try_works(course):
    home, grading = fetch(course, "ada"), Grading(course, LESSON)
    grading.submit("ada", home)
    before = inbound(course)
    (home / LESSON / "large.bin").write_bytes(bytes(60_000))
    with (
        files_no_larger_than(50_000),
        pytest.raises(CourseError, match=r"Nothing was submitted: File too large\. Your"),
    ):
        grading.submit("ada", home)
    assert inbound(course) == before
    assert len(list((course / "cache" / "pytorch").iterdir())) == 1  # what the student sees as submitted
    grading.submit("ada", home)
    collect(course)
    assert (course / "submitted" / "ada" / LESSON / "large.bin").stat().st_size == 60_000


def test_a_submission_that_is_still_being_copied_is_not_collected(course):
    folder = hand_in(course, "ada")
    folder.rename(folder.with_name(f".{folder.name}"))
    assert "No submissions" in collect(course)


def test_links_and_pipes_are_left_behind(course):
    folder = hand_in(course, "ada")
    secret = course / "source" / LESSON
    (folder / "hidden.ipynb").symlink_to(secret / f"{LESSON}.ipynb")
    (folder / "lesson").symlink_to(secret)
    os.mkfifo(folder / "pipe")  # nobody writes into it: to read it would take for ever
    (folder / "data").mkdir()
    (folder / "data" / "own.csv").write_text("1,2")
    said = collect(course)
    collected = course / "submitted" / "ada" / LESSON
    found = {str(path.relative_to(collected)) for path in collected.rglob("*") if path.is_file()}
    assert found == {f"{LESSON}.ipynb", "timestamp.txt", "data/own.csv"}
    for name in ("hidden.ipynb", "lesson", "pipe"):
        assert f"{name} is not collected" in said


@ROOT_ONLY
def test_another_name_on_a_submission_is_noticed_by_its_owner(generated, tmp_path):
    course = exchange_course(generated, tmp_path / "course", check_owner=True)
    honest, forged = hand_in(course, "daemon"), hand_in(course, "bin")
    later = hand_in(course, "x").rename(honest.with_name(honest.name.replace("10:00", "11:00")))
    for folder in (honest, forged):
        own(folder, 1)  # daemon, who also hands in as bin
    own(later, 2)  # bin, who hands in as daemon, and later: the last one counts
    said = collect(course)
    assert "it claims to be of bin, but belongs to daemon" in said
    assert not (course / "submitted" / "bin").exists()
    assert "10:00" in (course / "submitted" / "daemon" / LESSON / "timestamp.txt").read_text()
    assert (course / "submitted" / "daemon" / LESSON / f"{LESSON}.ipynb").is_file()


@ROOT_ONLY
def test_a_second_name_for_somebody_elses_file_does_not_get_it_collected(generated, tmp_path):
    course = exchange_course(generated, tmp_path / "course", check_owner=True)
    folder = hand_in(course, "daemon")
    own(folder, 1)
    os.link(course / "source" / LESSON / f"{LESSON}.ipynb", folder / "master.ipynb")
    assert "master.ipynb is not collected" in collect(course)
    assert not (course / "submitted" / "daemon" / LESSON / "master.ipynb").exists()


def own(folder: Path, number: int) -> None:
    for path in (folder, *folder.iterdir()):
        os.chown(path, number, number)
