"""A deadline: a whole class fetches and submits at once while staff collect. Then backup, Ctrl-C, restore, restart."""

import hashlib
import json
import multiprocessing
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from hub_course import make_hub_course
from hub_students import answer_in, answer_of, fetch_and_submit, write_answer
from running_hub import SECONDS, Person, RunningHub, running_hub
from small_course import LESSON
from torchgrade.hub.place import Place

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("hub storm")]
COLLECT = f"/services/pytorch/formgrader/api/assignment/{LESSON}/collect"
PROCESSES = 4  # students at a time; a machine of two cores does no more


@dataclass
class Storm:
    hub: RunningHub
    students: int
    servers: int
    versions: dict[str, int]  # of the answer that each student hands in
    troubles: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def submitted(self) -> Path:
        return self.hub.folder / "course" / "submitted"


def rage(hub: RunningHub, students: int, servers: int) -> Storm:
    """The first `servers` students go through servers of their own, the others through the same code without one."""
    names = [f"student-{number:02d}" for number in range(1, students + 1)]
    storm = Storm(hub, students, servers, {name: 1 + index % 2 for index, name in enumerate(names)})
    at_work = [hub.log_in(name) for name in names[:servers]]
    with ThreadPoolExecutor() as starting:
        list(starting.map(Person.start_server, at_work))
    over = threading.Event()
    collecting = threading.Thread(target=collect_until, args=(storm, hub.log_in("ta"), over))
    begun = time.monotonic()
    collecting.start()
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        rest = [pool.submit(fetch_and_submit, hub.folder, name, storm.versions[name]) for name in names[servers:]]
        for person in at_work:
            through_server(storm, person)
        storm.troubles += [trouble for work in rest if (trouble := work.result())]
    storm.seconds = time.monotonic() - begun
    over.set()
    collecting.join()
    return storm


def through_server(storm: Storm, person: Person) -> None:
    person.assignments("fetch", LESSON)
    for version in range(1, storm.versions[person.name] + 1):
        write_answer(storm.hub.folder / "homes" / person.name, answer_of(person.name, version))
        if not (answer := person.assignments("submit", LESSON))["success"]:
            storm.troubles.append(str(answer["value"]))


def collect_until(storm: Storm, staff: Person, over: threading.Event) -> None:
    staff.get("/services/pytorch/formgrader/manage_assignments")
    while not over.is_set():
        storm.collections.append(staff.call("POST", COLLECT).text)
        over.wait(1)
    storm.collections.append(staff.call("POST", COLLECT).text)


def require_nothing_lost_nothing_mixed_up(storm: Storm) -> None:
    assert storm.troubles == []
    assert all(json.loads(text)["success"] for text in storm.collections)
    assert sorted(path.name for path in storm.submitted.iterdir()) == sorted(storm.versions)
    inbound = storm.hub.folder / "exchange" / "pytorch" / "inbound"
    assert len(list(inbound.iterdir())) == sum(storm.versions.values())
    for name, versions in storm.versions.items():
        assert answer_in(storm.submitted / name / LESSON) == answer_of(name, versions)
        assert (storm.submitted / name / LESSON / "timestamp.txt").read_text(encoding="utf8")


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    course = tmp_path_factory.mktemp("storm") / "course"
    port = make_hub_course(course, students=20, servers=2)
    with running_hub(course, port) as hub:
        yield rage(hub, students=20, servers=2)


def test_twenty_students_at_once_lose_nothing(storm: Storm, record_property):
    require_nothing_lost_nothing_mixed_up(storm)
    record_property("table of the deadline of twenty", figures(storm))


def test_one_more_server_than_there_may_be_is_refused_in_plain_words(storm: Storm):
    person = storm.hub.log_in("student-20")
    answer = person.call("POST", "/hub/api/users/student-20/server")
    assert (answer.status_code, answer.json()["message"]) == (
        429,
        "Active user limit exceeded. Try again in a few minutes.",
    )


def test_who_did_not_submit_is_not_in_the_way(storm: Storm):
    assert not (storm.submitted / "instructor").exists()
    assert "Collecting submission: student-01" in "".join(storm.collections)


@pytest.fixture(scope="module")
def backup(storm: Storm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("safe") / "monday"
    done = storm.hub.torchgrade("hub", "backup", str(target))
    assert done.returncode == 0, done.stderr
    return target


def test_a_backup_is_for_its_owner_only_and_nothing_is_overwritten(storm: Storm, backup: Path):
    assert backup.stat().st_mode & 0o777 == 0o700
    again = storm.hub.torchgrade("hub", "backup", str(backup))
    assert (again.returncode, again.stdout) == (2, "") and "this exists already" in again.stderr
    inside = storm.hub.torchgrade("hub", "backup", str(storm.hub.folder / "copy"))
    assert inside.returncode == 2 and "a backup of the hub inside the hub is none" in inside.stderr
    assert not list(backup.parent.glob(".*"))


def test_a_backup_that_cannot_be_written_leaves_nothing(storm: Storm, tmp_path: Path):
    (tmp_path / "file").touch()
    done = storm.hub.torchgrade("hub", "backup", str(tmp_path / "file" / "monday"))
    assert done.returncode == 2 and "nothing was written" in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_restored_under_a_running_hub(storm: Storm, backup: Path):
    done = storm.hub.torchgrade("hub", "restore", str(backup))
    assert done.returncode == 2 and "a hub is running" in done.stderr
    assert storm.hub.log_in("ta")


def test_ctrl_c_ends_every_process(storm: Storm):
    """From here on the hub is down."""
    below = storm.hub.descendants
    assert len(below) >= 4 + storm.servers  # hub, proxy, formgrader, culler, and students' servers
    storm.hub.end()
    assert storm.hub.process.returncode == 0
    assert not psutil.wait_procs(below, timeout=10)[1]
    assert storm.hub.said[-1] == "hub: ending\n"


def test_a_damaged_backup_is_refused_before_anything_is_touched(storm: Storm, backup: Path, tmp_path: Path):
    before = everything(storm.hub)
    damaged = tmp_path / "damaged"
    shutil.copytree(backup, damaged)
    with (damaged / "exchange.tar").open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"X")
    for folder, said in ((damaged, "exchange.tar: this file is damaged"), (tmp_path, "this is no whole backup")):
        done = storm.hub.torchgrade("hub", "restore", str(folder))
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    (damaged / "manifest.json").write_text("[]")
    assert "this is no manifest" in storm.hub.torchgrade("hub", "restore", str(damaged)).stderr
    assert everything(storm.hub) == before


def test_a_backup_brings_everything_back_and_keeps_what_was_there(storm: Storm, backup: Path):
    """The first that runs after the hub ended: what it compares with has changed since the backup only by that end."""
    before = everything(storm.hub)
    (storm.hub.folder / "course" / "gradebook.db").write_bytes(b"")
    shutil.rmtree(storm.hub.folder / "exchange")
    shutil.rmtree(storm.submitted)
    (storm.hub.folder / "homes" / "student-01" / LESSON / f"{LESSON}.ipynb").write_text("ruined")
    with socket.create_server(("127.0.0.1", int(storm.hub.address.rsplit(":")[-1]) + 2)):  # a stranger's, not our hub
        done = storm.hub.torchgrade("hub", "restore", str(backup))
    assert done.returncode == 0, done.stderr
    assert everything(storm.hub) == before
    (aside,) = storm.hub.folder.parent.glob("hub.before-*")
    assert (aside / "homes" / "student-01" / LESSON / f"{LESSON}.ipynb").read_text() == "ruined"


@pytest.fixture(scope="module")
def again(storm: Storm) -> Iterator[RunningHub]:
    with running_hub(storm.hub.course, int(storm.hub.address.rsplit(":")[-1])) as hub:
        yield hub


def test_a_hub_starts_again_from_a_backup_that_was_made_while_servers_ran(storm: Storm, again: RunningHub):
    """The database then speaks of servers that are gone."""
    staff = again.log_in("instructor")
    staff.get("/services/pytorch/formgrader/manage_assignments")
    found = staff.call("GET", f"/services/pytorch/formgrader/api/submissions/{LESSON}").json()
    assert sorted(entry["student"] for entry in found) == sorted(storm.versions)
    student = again.log_in("student-01")
    student.start_server()
    statuses = [entry["status"] for entry in student.assignments()["value"]]
    assert statuses == ["fetched", "submitted"]


def test_a_hub_that_dies_is_reported_and_takes_everything_along(again: RunningHub):
    """From here on this one is down, too."""
    below = again.descendants
    (hub,) = [process for process in below if process.cmdline()[1].endswith("/jupyterhub")]
    assert len(again.servers) >= 2
    hub.kill()
    assert again.process.wait(SECONDS) == 2
    assert not psutil.wait_procs(below, timeout=10)[1]
    again._reader.join(SECONDS)
    assert "JupyterHub ended with -9" in again.said[-1]
    assert "torchgrade: " in again.said[-1] and "Read its log." in again.said[-1]


@pytest.mark.soak
def test_a_hundred_students_at_once_lose_nothing(tmp_path: Path, record_property):
    port = make_hub_course(tmp_path, students=100, servers=8)
    with running_hub(tmp_path, port) as hub:
        storm = rage(hub, students=100, servers=8)
        record_property("table of the deadline of a hundred", figures(storm))
        require_nothing_lost_nothing_mixed_up(storm)


def figures(storm: Storm) -> str:
    submissions = sum(storm.versions.values())
    return (
        f"{storm.students} students, {storm.servers} of them through servers: {submissions} submissions in "
        f"{storm.seconds:.1f} s ({submissions / storm.seconds:.1f} a second), 0 lost, 0 mixed up; "
        f"{len(storm.collections)} collections meanwhile"
    )


def everything(hub: RunningHub) -> dict[str, object]:
    """What a backup must bring back: files by content and mode, and the rows of both databases."""
    found: dict[str, object] = {}
    for part in ("exchange", "homes", "course"):
        for path in sorted((hub.folder / part).rglob("*")):
            if path.is_file() and path.suffix != ".db" and ".log" not in path.name:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(hub.folder))] = (content, path.stat().st_mode)
    place = Place(hub.course, hub.folder)
    for name in ("cookie-secret", "passwords", "sync-token"):
        found[name] = (place.private / name).read_bytes()
    questions = {
        place.database: ("SELECT name FROM users", "SELECT name FROM groups", "SELECT * FROM user_group_map"),
        place.course / "gradebook.db": ("SELECT * FROM student", "SELECT name FROM assignment"),
    }
    for database, selects in questions.items():
        with sqlite3.connect(database) as connection:
            for select in selects:
                found[select] = sorted(connection.execute(select).fetchall())
    return found
