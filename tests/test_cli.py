"""The command `torchgrade`: its exit codes, its one line for what is wrong, and its patience with the keyboard."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_course import write
from small_lesson import (
    ADDS_TWO,
    FOR_EVER,
    GOOD_BANK,
    LESSON,
    MARKS,
    SUM_OF_TWO,
    SURVIVOR,
    TIMES_THREE,
    cell_of,
    make_course,
    tiny,
)

TORCHGRADE = [sys.executable, "-m", "torchgrade.cli"]


def torchgrade(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TORCHGRADE, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


def test_mistakes_exits_with_0_only_if_all_is_well(tmp_path):
    make_course(tmp_path)
    done = torchgrade(tmp_path, "lesson", "mistakes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"{LESSON}: killed 3/3, accepted 2/2"


def test_mistakes_names_survivors_rejected_and_idle_cells(tmp_path):
    wrong_but_accepted = ADDS_TWO.replace("mistake", "accepted").replace(', see="7.1"', "")
    make_course(tmp_path, MARKS + ADDS_TWO + SURVIVOR + wrong_but_accepted)
    done = torchgrade(tmp_path, "lesson", "mistakes", LESSON)
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert f"{tmp_path}/source/{LESSON}/mistakes.py:8: survived: no graded cell catches that items is emptied" in said
    assert any("rejected by double_values: WrongValues: twice" in line for line in said)
    assert any(
        line.endswith("total_values: idle: every mistake it catches is caught by a visible cell") for line in said
    )
    assert said[-1] == f"{LESSON}: killed 1/2, accepted 0/1"


def test_mistakes_that_no_cell_separates_are_named_and_no_failure(tmp_path):
    make_course(tmp_path, GOOD_BANK + TIMES_THREE)
    done = torchgrade(tmp_path, "lesson", "mistakes")
    assert done.returncode == 0
    assert (
        f"{tmp_path}/source/{LESSON}/mistakes.py:8: not separated from line 28: "
        "no graded cell tells that it adds the number twice from that it multiplies by three"
    ) in done.stdout.splitlines()


def test_mistakes_as_json_are_nothing_but_json(tmp_path):
    def talk(notebook):
        notebook.cells[1].source = "FACTOR = 2\nprint('loud')"

    make_course(tmp_path, MARKS + FOR_EVER + SUM_OF_TWO, talk)
    done = torchgrade(tmp_path, "lesson", "mistakes", "--json", "--timeout", "3")
    assert (done.returncode, done.stderr) == (1, "")  # no mistake in `total`: its hidden cells are idle
    found = json.loads(done.stdout)[LESSON]
    assert {"killed": 1, "total": 1, "accepted": 1, "accepted_total": 1}.items() <= found.items()
    assert [variant["kind"] for variant in found["variants"]] == ["time", None]


def test_leaks_and_fmt(tmp_path):
    make_course(tmp_path)
    assert torchgrade(tmp_path, "lesson", "fmt", "--check").returncode == 1
    assert torchgrade(tmp_path, "lesson", "fmt").returncode == 0
    assert torchgrade(tmp_path, "lesson", "fmt", "--check", f"source/{LESSON}/{LESSON}.ipynb").returncode == 0
    write(tmp_path / "release" / LESSON / f"{LESSON}.ipynb", tiny())  # the master itself
    done = torchgrade(tmp_path, "lesson", "leaks")
    assert done.returncode == 1
    assert "cell 4 (double): solution of double: return FACTOR * x" in done.stdout


def test_fmt_needs_no_course_for_a_path(tmp_path):
    write(tmp_path / "a.ipynb", tiny())
    done = torchgrade(tmp_path, "lesson", "fmt", "a.ipynb")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.ipynb: formatted\n", "")


def broken_notebook(folder: Path) -> None:
    (folder / "source" / LESSON / f"{LESSON}.ipynb").write_text('{"cells": [', encoding="utf8")


def no_notebook(folder: Path) -> None:
    (folder / "source" / LESSON / f"{LESSON}.ipynb").unlink()


def no_bank(folder: Path) -> None:
    (folder / "source" / LESSON / "mistakes.py").unlink()


def broken_bank(folder: Path) -> None:
    (folder / "source" / LESSON / "mistakes.py").write_text("x = 1\n\ndef (:\n", encoding="utf8")


def mark_without_see(folder: Path) -> None:
    bank = GOOD_BANK + '\n\n@mistake("double", "no section")\ndef double(x):\n    return x\n'
    (folder / "source" / LESSON / "mistakes.py").write_text(bank, encoding="utf8")


def twice_the_same_id(folder: Path) -> None:
    notebook = tiny()
    cell_of(notebook, "total").metadata.nbgrader.grade_id = "double"
    write(folder / "source" / LESSON / f"{LESSON}.ipynb", notebook)


def open_region(folder: Path) -> None:
    notebook = tiny()
    cell = cell_of(notebook, "total")
    cell.source = cell.source.replace("    ### END SOLUTION", "")
    write(folder / "source" / LESSON / f"{LESSON}.ipynb", notebook)


def stray_test(folder: Path) -> None:
    notebook = tiny()
    cell_of(notebook, "total_values").metadata.nbgrader.grade_id = "sums_values"
    write(folder / "source" / LESSON / f"{LESSON}.ipynb", notebook)


def no_lessons(folder: Path) -> None:
    (folder / "source" / LESSON).rename(folder / "source" / "draft")


def no_course(folder: Path) -> None:
    (folder / "nbgrader_config.py").unlink()


NOTEBOOK, BANK = f"source/{LESSON}/{LESSON}.ipynb", f"source/{LESSON}/mistakes.py"


@pytest.mark.parametrize(
    ("spoil", "command", "expected"),
    [
        (None, "mistakes 99_none", f"source: there is no lesson '99_none'. Lessons here: {LESSON}."),
        (None, "leaks 99_none", "there is no lesson '99_none'"),
        (None, "fmt 99_none", "there is no lesson '99_none'"),
        (None, "fmt none.ipynb", "none.ipynb: there is no such notebook. Check the path."),
        (None, "leaks", f"release/{LESSON}: not released yet. Run: make release LESSON={LESSON}"),
        (None, "leaks --feedback nowhere", "nowhere: there is no such folder. Check --feedback."),
        (no_notebook, "mistakes", f"{NOTEBOOK}: there is no such notebook"),
        (broken_notebook, "mistakes", f"{NOTEBOOK}: not a readable notebook"),
        (broken_notebook, "leaks", f"{NOTEBOOK}: not a readable notebook"),
        (broken_notebook, "fmt", f"{NOTEBOOK}: not a readable notebook"),
        (no_bank, "mistakes", f"{BANK}: there is no mistake bank"),
        (broken_bank, "mistakes", f"{BANK}:3: not Python"),
        (mark_without_see, "mistakes", "the mark of double has the wrong arguments. Write @mistake("),
        (twice_the_same_id, "mistakes", f"{NOTEBOOK}: two cells have the grade_id 'double'"),
        (open_region, "leaks", f"{NOTEBOOK}: cell 8: 1 times '### BEGIN SOLUTION', 0 times '### END SOLUTION'"),
        (stray_test, "mistakes", "the graded cell 'sums_values' belongs to no exercise"),
        (no_lessons, "mistakes", "source: there are no lessons"),
        (no_course, "fmt", "no nbgrader_config.py here or above"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy_and_changes_nothing(tmp_path, spoil, command, expected):
    make_course(tmp_path)
    if spoil is not None:
        spoil(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = torchgrade(tmp_path, "lesson", *command.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("torchgrade: ") and done.stderr.count("\n") == 1
    assert expected in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_help_does_not_wait_for_torch(tmp_path):
    code = "import sys\nfrom torchgrade.cli import main\ntry:\n    main(['lesson', 'mistakes', '--help'])\nfinally:\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "    print('torch' in sys.modules)"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.startswith("usage: torchgrade lesson mistakes") and done.stdout.endswith("False\n")


@pytest.mark.parametrize("arguments", [(), ("lesson",), ("lesson", "mistakes", "--timeout", "-1"), ("nonsense",)])
def test_a_wrong_command_line_exits_with_2(tmp_path, arguments):
    done = torchgrade(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: torchgrade") and "Traceback" not in done.stderr


@pytest.fixture
def looping(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`lesson mistakes` with a mistake that never ends, in a process group of its own."""
    make_course(tmp_path, MARKS + FOR_EVER)
    running = subprocess.Popen(
        [*TORCHGRADE, "lesson", "mistakes"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield running
    running.kill()
    running.communicate()


def test_ctrl_c_ends_everything_quietly(looping, tmp_path):
    below = wait_for_depth(psutil.Process(looping.pid), 3)  # lesson, variant, graded cell
    os.killpg(looping.pid, signal.SIGINT)
    out, err = looping.communicate(timeout=60)
    assert (looping.returncode, out, err) == (130, "", "")
    assert not psutil.wait_procs(below, timeout=5)[1]
    assert not list(tmp_path.glob("torchgrade-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the clock of each process ends it")
def test_nothing_outlives_a_killed_run(looping):
    below = wait_for_depth(psutil.Process(looping.pid), 3)
    looping.kill()
    assert not psutil.wait_procs(below, timeout=5)[1]


def wait_for_depth(process: psutil.Process, depth: int) -> list[psutil.Process]:
    """All descendants, once there are generations of them."""
    for _ in range(600):
        generation, below = [process], []
        for _ in range(depth):
            generation = [child for parent in generation for child in parent.children()]
            below += generation
        if generation:
            return below
        time.sleep(0.1)
    raise AssertionError(f"no process {depth} generations below within 60 s")
