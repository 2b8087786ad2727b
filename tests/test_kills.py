"""Any process of a grading run may be killed at any time: after another run the gradebook is as if nothing had been."""

import os
import random
import signal
import subprocess
import sys
import time

import batch_course
import psutil
import pytest
from batch_course import LESSON, rows, torchgrade

pytestmark = [pytest.mark.course, pytest.mark.xdist_group("kills")]

# Runs the command and kills it in the middle of a transaction, at the flush with this number.
KILLED_WHILE_WRITING = """
import os, signal, sys
from sqlalchemy.orm import Session
from torchgrade import cli

flush, left = Session.flush, int(sys.argv.pop(1))

def counted(session, *arguments):
    global left
    flush(session, *arguments)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Session.flush = counted
sys.exit(cli.main(sys.argv[1:]))
"""
FLUSHES = 40  # of the three or four submissions that are being written when the last number is reached, at least


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """(a course that nothing was graded in, the rows that it must come to)"""
    course = batch_course.make(tmp_path_factory.mktemp("reference") / "course", students=4)
    graded = batch_course.copy_of(course, tmp_path_factory.mktemp("graded") / "course")
    done = torchgrade(graded, LESSON)
    assert done.returncode == 0, done.stdout + done.stderr
    return course, rows(graded)


def command_line(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def members(run, kind):
    """The processes of a run: its workers, their judges, their warm parents, and what forked from those."""
    found = []
    try:
        family = psutil.Process(run.pid).children(recursive=True)
    except psutil.Error:
        return found
    for process in family:
        words = command_line(process)
        try:
            above = command_line(process.parent()) if process.parent() else ""
        except psutil.Error:
            continue
        is_fork = "torchgrade.kernels.parent" in above and "inside.py" not in above
        kinds = {
            "worker": "spawn_main" in words,
            "judge": "torchgrade.judge.server" in words and "torchgrade.judge.server" not in above,
            "parent": "torchgrade.kernels.parent" in words and "inside.py" not in words and not is_fork,
            "student": "torchgrade.kernels.parent" in words and is_fork,
        }
        if kinds[kind]:
            found.append(process)
    return found


def kill_one(run, kind, chance):
    """Kill a random process of this kind as soon as there is one. False if the run ends before."""
    deadline = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < deadline:
        if found := members(run, kind):
            time.sleep(chance.uniform(0, 0.5))
            try:
                chance.choice(found).kill()
            except psutil.Error:
                continue
            return True
        time.sleep(0.02)
    return False


def grade_with_kills(course, kinds, chance):
    """Grade until it is finished, killing one process of each of `kinds` on the way. Returns how many were killed."""
    killed = 0
    for kind in kinds:
        if kind == "writer":
            flushes = str(chance.randint(1, FLUSHES))
            command = [sys.executable, "-c", KILLED_WHILE_WRITING, flushes, "autograde", LESSON, "--force"]
            done = subprocess.run(command, cwd=course, capture_output=True, timeout=300)
            assert done.returncode in (0, -signal.SIGKILL), done.stderr
            killed += done.returncode == -signal.SIGKILL
        else:
            run = batch_course.start(course, LESSON, "--force")
            killed += kill_one(run, kind, chance)
            said = run.communicate(timeout=300)[0]
            assert run.returncode == 0, said
    return killed


def same_in_the_end(reference, tmp_path, kinds, seed):
    print(f"seed {seed}")
    course = batch_course.copy_of(reference[0], tmp_path / "course")
    killed = grade_with_kills(course, kinds, random.Random(seed))
    done = torchgrade(course, LESSON)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(course) == reference[1]
    assert not list(course.glob("autograded/*/.*")), "a half-written folder is left"
    return killed


def test_a_killed_writer_worker_and_student_change_no_score(reference, tmp_path):
    seed = int.from_bytes(os.urandom(4), "big")
    assert same_in_the_end(reference, tmp_path, ["writer", "worker", "student"], seed) == 3


@pytest.mark.soak
def test_thirty_kills_change_no_score(reference, tmp_path):
    seed = int.from_bytes(os.urandom(4), "big")
    kinds = random.Random(seed).choices(["writer", "worker", "parent", "judge", "student"], k=30)
    assert same_in_the_end(reference, tmp_path, kinds, seed) >= 25
