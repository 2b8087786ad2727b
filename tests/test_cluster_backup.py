"""Work in the pods of the grader's image, on folders of this machine: folders, backup and restoring, the roster."""

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_class import described
from small_course import make_course
from torchgrade.errors import CourseError
from torchgrade.hub.cluster import backup, folders, sync_roster
from torchgrade.hub.cluster.grader_home import GraderPlace
from torchgrade.hub.course_folder import make_course_folder

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """With a submission, two homes and a gradebook."""
    root = tmp_path / "volumes"
    submission = root / "exchange" / "pytorch" / "inbound" / "student-01" / "student-01+01_small+now+x"
    submission.mkdir(parents=True)
    (submission / "01_small.ipynb").write_text("handed in")
    for name in ("student-01", "grader-pytorch"):
        (root / "homes" / name).mkdir(parents=True)
        (root / "homes" / name / "kept.txt").write_text(f"of {name}")
    (root / "homes" / "student-01" / "way-out").symlink_to("/etc/passwd")
    (root / "homes" / "grader-pytorch" / "course").mkdir()
    with sqlite3.connect(gradebook(root)) as database:
        database.execute("CREATE TABLE grade (points)")
        database.execute("INSERT INTO grade VALUES (3)")
    return root


def gradebook(volumes: Path) -> Path:
    return volumes / "homes" / "grader-pytorch" / "course" / "gradebook.db"


def points(volumes: Path) -> list[tuple[int]]:
    return sqlite3.connect(gradebook(volumes)).execute("SELECT points FROM grade").fetchall()


def content(volumes: Path) -> dict[str, str]:
    """What is in the volumes, but for what restoring has put aside, and the database."""
    found = {}
    for path in volumes.rglob("*"):
        place = path.relative_to(volumes)
        if not any(part.startswith(".before-") for part in place.parts) and path.suffix != ".db":
            if path.is_symlink():
                found[str(place)] = f"link to {os.readlink(path)}"
            elif path.is_file():
                found[str(place)] = path.read_text()
    return found


def test_what_was_backed_up_comes_back_and_what_was_there_is_kept(volumes: Path, tmp_path: Path):
    before = content(volumes)
    assert len(before) == 4
    made = backup.backup(volumes, tmp_path / "backups", keep=3, now="2026-11-25")
    (volumes / "homes" / "student-01" / "kept.txt").write_text("lost")
    (volumes / "homes" / "student-01" / "new.txt").write_text("new")
    with sqlite3.connect(gradebook(volumes)) as database:
        database.execute("DELETE FROM grade")
    assert backup.main([str(volumes), str(made.parent), "--restore", made.name]) == 0
    assert content(volumes) == before
    assert points(volumes) == [(3,)]
    (aside,) = (volumes / "homes" / "student-01").glob(".before-*")
    assert (aside / "new.txt").read_text() == "new" and (aside / "kept.txt").read_text() == "lost"


def test_one_home_comes_back_alone(volumes: Path, tmp_path: Path):
    made = backup.backup(volumes, tmp_path / "backups", keep=3, now="2026-11-25")
    for name in ("student-01", "grader-pytorch"):
        (volumes / "homes" / name / "kept.txt").write_text("newer")
    restored = backup.restore(volumes, made, only="homes/student-01", now="later")
    assert restored == [volumes / "homes" / "student-01"]
    assert content(volumes)["homes/student-01/kept.txt"] == "of student-01"
    assert content(volumes)["homes/grader-pytorch/kept.txt"] == "newer"


def test_a_gradebook_is_whole_while_it_is_written(volumes: Path, tmp_path: Path):
    writer = sqlite3.connect(gradebook(volumes))
    writer.execute("INSERT INTO grade VALUES (4)")  # not committed
    made = backup.backup(volumes, tmp_path / "backups", keep=3, now="2026-11-25")
    copy = sqlite3.connect(made / "grader-pytorch.sqlite")
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert copy.execute("SELECT points FROM grade").fetchall() == [(3,)]
    writer.close()


def test_only_the_newest_are_kept(volumes: Path, tmp_path: Path):
    for day in ("01", "02", "03"):
        backup.backup(volumes, tmp_path / "backups", keep=2, now=f"2026-11-{day}")
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == ["2026-11-02", "2026-11-03"]


def test_a_damaged_backup_is_refused_before_anything_is_touched(volumes: Path, tmp_path: Path, capsys):
    made = backup.backup(volumes, tmp_path / "backups", keep=3, now="2026-11-25")
    with (made / "exchange.tar").open("ab") as tar:
        tar.write(b"x")
    assert backup.main([str(volumes), str(made.parent), "--restore", made.name]) == 2
    assert "exchange.tar is damaged. Take an older backup." in capsys.readouterr().err
    assert not list(volumes.rglob(".before-*"))


def test_a_backup_that_fails_leaves_the_last_one_and_no_half(volumes: Path, tmp_path: Path):
    made = backup.backup(volumes, tmp_path / "backups", keep=1, now="2026-11-25")
    gradebook(volumes).write_text("this is no database, but longer than the head of one " * 4)
    with pytest.raises(CourseError, match="there is no new backup"):
        backup.backup(volumes, tmp_path / "backups", keep=1, now="2026-11-26")
    assert list((tmp_path / "backups").iterdir()) == [made]


def test_folders_are_made_once_and_only_on_volumes(tmp_path: Path):
    wanted = [tmp_path / "exchange" / "pytorch" / "inbound" / "student-01", tmp_path / "homes" / "student-01"]
    for volume in ("exchange", "homes"):
        (tmp_path / volume).mkdir()
    assert wanted[1] in folders.make(tmp_path, wanted, owner=None)
    assert folders.make(tmp_path, wanted, owner=None) == []
    for bad in (tmp_path / "exchange", tmp_path / "homes" / ".." / ".." / "x", tmp_path.parent / "x" / "y"):
        with pytest.raises(ValueError):
            folders.make(tmp_path, [bad], owner=None)


@ROOT_ONLY
def test_folders_belong_to_the_user_of_all_pods(tmp_path: Path):
    (tmp_path / "homes").mkdir()
    command = [sys.executable, "-m", "torchgrade.hub.cluster.folders", str(tmp_path), str(tmp_path / "homes" / "ta")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"new: {tmp_path}/homes/ta\n"
    status = (tmp_path / "homes" / "ta").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (1000, 100, 0o755)


def test_the_roster_waits_for_the_hub(tmp_path: Path, monkeypatch, capsys):
    described(tmp_path)
    monkeypatch.setenv("HUB_TOKEN", "x")
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        assert sync_roster.main(tmp_path / "hub_config", "127.0.0.1", taken.getsockname()[1]) == 2
    assert capsys.readouterr().err.startswith("sync_roster: ")


def test_the_grader_gets_its_masters_once_and_the_exchange_of_the_cluster(tmp_path: Path):
    installation = make_course(tmp_path / "opt")
    place = GraderPlace(installation, tmp_path / "home", Path("/etc/torchgrade"))
    for _ in range(2):
        make_course_folder(place)
        (master,) = (place.course / "source").glob("*/*.ipynb")
        text = master.read_text()
        master.write_text(text if text.endswith(" ") else text + " ")
    assert master.read_text().endswith(" "), "what was changed stays"
    config = (place.course / "nbgrader_config.py").read_text()
    assert "load_subconfig('/etc/torchgrade/grader/nbgrader_config.py')" in config
