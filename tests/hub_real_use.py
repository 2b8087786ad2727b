"""Run by test_hub_real_use.py in a namespace of its own: real unix users, a hub run by root, attempts to cheat."""

import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hub_course import CLASS_TOML, ROSTER_CSV, class_folder, free_ports
from hub_students import answer_in, answer_of, write_answer
from running_hub import SECONDS, TORCHGRADE, RunningHub, running_hub
from small_course import LESSON, make_course

COURSE, HUB = Path("/srv/course"), Path("/srv/hub")
FORMGRADER = "/services/pytorch/formgrader"
INBOUND = HUB / "exchange" / "pytorch" / "inbound"


def torchgrade(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TORCHGRADE, *arguments], cwd=COURSE, capture_output=True, text=True, timeout=SECONDS)


def as_user(name: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python as the unix user `name`."""
    user = pwd.getpwnam(name)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        cwd=user.pw_dir,
        env={"HOME": user.pw_dir},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def port() -> int:
    """A prepared course of which everybody has a password."""
    make_course(COURSE)
    number = free_ports()
    toml = CLASS_TOML.replace('"none"', '"users"').replace("build/hub", str(HUB)).replace(":8000", f":{number}")
    class_folder(COURSE, toml, ROSTER_CSV)
    (COURSE / "tests").mkdir()
    return number


@pytest.fixture(scope="module")
def hub(port: int) -> Iterator[RunningHub]:
    assert torchgrade("hub", "prepare").returncode == 0
    done = torchgrade("hub", "passwords")
    with running_hub(COURSE, port) as running:
        running.folder = HUB
        running.passwords = dict(re.findall(r"^(\S+) +(\S+)$", done.stdout, flags=re.MULTILINE))
        yield running


def test_without_preparation_serving_says_what_to_do(port: int):
    done = torchgrade("hub", "serve")
    assert (done.returncode, done.stderr) == (
        2,
        "torchgrade: there is no unix user grader-pytorch. Run as root: torchgrade hub prepare\n",
    )


def test_preparing_twice_is_the_same_as_once(hub: RunningHub):
    again = torchgrade("hub", "prepare")
    assert again.returncode == 0 and "new unix user" not in again.stdout


def test_the_whole_round_with_a_unix_user_for_everybody(hub: RunningHub):
    staff = hub.log_in("instructor")
    staff.get(f"{FORMGRADER}/manage_assignments")
    for step in ("assign", "release"):
        answer = staff.call("POST", f"{FORMGRADER}/api/assignment/{LESSON}/{step}")
        assert answer.json()["success"], answer.text
    for name in ("student-01", "student-02"):
        student = hub.log_in(name)
        student.start_server()
        student.assignments("fetch", LESSON)
        home = Path(pwd.getpwnam(name).pw_dir)
        write_answer(home, answer_of(name, 1))
        assert student.assignments("submit", LESSON)["success"]
    answer = staff.call("POST", f"{FORMGRADER}/api/assignment/{LESSON}/collect")
    assert answer.json()["success"], answer.text
    for name in ("student-01", "student-02"):
        folder = HUB / "course" / "submitted" / name / LESSON
        assert answer_in(folder) == answer_of(name, 1)
        assert folder.owner() == "grader-pytorch"
    answer = staff.call("POST", f"{FORMGRADER}/api/submission/{LESSON}/student-01/autograde")
    assert answer.json()["success"], answer.text


def test_each_server_runs_as_its_person(hub: RunningHub):
    owners = {process.environ()["JUPYTERHUB_USER"]: process.username() for process in hub.servers}
    assert owners == {name: name for name in ("student-01", "student-02", "grader-pytorch")}


def test_a_student_reads_nothing_that_is_not_theirs(hub: RunningHub):
    (submission,) = INBOUND.glob("student-02+*")
    secrets = [
        HUB / "course" / "gradebook.db",
        HUB / "course" / "source" / LESSON / f"{LESSON}.ipynb",  # with the hidden tests
        HUB / "course" / "submitted",
        HUB / "private" / "passwords",
        HUB / "private" / "sync-token",
        COURSE / "source" / LESSON / f"{LESSON}.ipynb",
        COURSE / "hub_config" / "roster.csv",
        Path(pwd.getpwnam("student-02").pw_dir),
        INBOUND,
    ]
    tried = "import os, sys\nfor path in sys.argv[1:]:\n    print(os.access(path, os.R_OK))"
    done = as_user("student-01", tried, *map(str, secrets))
    assert done.stdout.split() == ["False"] * len(secrets)
    assert all(path.exists() for path in secrets) and submission.exists()
    listing = as_user("student-01", f"import os; print(os.listdir({str(INBOUND)!r}))")
    assert "PermissionError" in listing.stderr
    renaming = as_user("student-01", f"import os; os.rename({str(INBOUND.parent)!r}, {str(INBOUND.parent)!r} + 'x')")
    assert "PermissionError" in renaming.stderr


def test_other_servers_memory_and_tokens_are_closed_too(hub: RunningHub):
    (other,) = [process for process in hub.servers if process.username() == "student-02"]
    done = as_user("student-01", f"print(open('/proc/{other.pid}/environ').read())")
    assert "PermissionError" in done.stderr and done.stdout == ""


def test_nobody_submits_as_somebody_else(hub: RunningHub):
    forge = (
        "import os, sys, shutil\n"
        f"folder = os.path.join({str(INBOUND)!r}, 'student-02+{LESSON}+2099-01-01 00:00:00.000000 UTC+x')\n"
        f"shutil.copytree('{LESSON}', folder)\n"
        "open(os.path.join(folder, 'timestamp.txt'), 'w').write('2099-01-01 00:00:00.000000 UTC')\n"
    )
    assert as_user("student-01", forge).returncode == 0  # the exchange lets everybody write
    staff = hub.log_in("ta")
    staff.get(f"{FORMGRADER}/manage_assignments")
    answer = staff.call("POST", f"{FORMGRADER}/api/assignment/{LESSON}/collect").json()
    assert answer["success"]
    assert answer_in(HUB / "course" / "submitted" / "student-02" / LESSON) == answer_of("student-02", 1)


def test_servers_live_through_a_restart_and_a_crash_of_the_hub(hub: RunningHub, port: int):
    """From here on the hub is down."""
    students = [process for process in hub.servers if process.username().startswith("student-")]
    others = not_of(students, hub)
    hub.end()
    assert hub.process.returncode == 0
    assert not psutil.wait_procs(others, timeout=10)[1]
    assert len(students) == 2 and all(process.is_running() for process in students)
    with running_hub(COURSE, port) as again:
        again.passwords = hub.passwords
        assert again.log_in("student-01").get("/user/student-01/lab").status_code == 200
        assert [process.username() for process in again.servers] == ["grader-pytorch"]  # nobody got a second one
        others = not_of(students, again)
        next(process for process in others if process.cmdline()[1].endswith("/jupyterhub")).kill()
        assert again.process.wait(SECONDS) == 2
        assert not psutil.wait_procs(others, timeout=10)[1]
    assert all(process.is_running() for process in students)
    for process in students:
        process.send_signal(signal.SIGKILL)


def not_of(students: list[psutil.Process], hub: RunningHub) -> list[psutil.Process]:
    """All else that the hub runs; students' kernels belong to their servers."""
    names = {process.username() for process in students}
    return [process for process in hub.descendants if process.username() not in names]


def test_a_backup_gives_everything_back_to_its_owners(hub: RunningHub):
    assert torchgrade("hub", "backup", "/srv/monday").returncode == 0
    work = Path(pwd.getpwnam("student-01").pw_dir) / LESSON / f"{LESSON}.ipynb"
    before, content = owners(), work.read_bytes()
    work.write_text("ruined")
    done = torchgrade("hub", "restore", "/srv/monday")
    assert done.returncode == 0, done.stderr
    assert torchgrade("hub", "prepare").returncode == 0
    assert work.read_bytes() == content
    assert owners() == before


def owners() -> dict[str, tuple[str, int]]:
    places = [HUB / "exchange", HUB / "course", Path(pwd.getpwnam("student-01").pw_dir)]
    paths = [path for place in places for path in (place, *place.rglob("*")) if ".log" not in path.name]
    return {str(path): (path.owner(), path.stat().st_mode) for path in paths if path.suffix != ".db"} | {
        "gradebook": ((HUB / "course" / "gradebook.db").owner(), 0)
    }


def test_a_file_that_others_can_read_stops_the_hub_from_starting(hub: RunningHub):
    (COURSE / "source").chmod(0o755)
    done = torchgrade("hub", "serve")
    assert done.returncode == 2
    assert done.stderr == (
        "torchgrade: /srv/course/source: student-01 can read this. chmod 700 it. Run as root: torchgrade hub prepare\n"
    )


def test_without_root_there_is_no_real_use(hub: RunningHub):
    done = as_user(
        "student-01", "import os; os.chdir('/srv/course')\nfrom torchgrade.cli import main; main(['hub', 'serve'])"
    )
    assert "roster" in done.stderr or "class.toml" in done.stderr  # cannot even read the class
