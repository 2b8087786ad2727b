"""Speed and peak memory: right, wrong and odd candidates get the verdict they deserve, in a notebook and judged.

The ratios here are far from their thresholds; how often a close one is right is counted by `make bench-speed`.
"""

import contextlib
import importlib
import math
import os
import socket

import pytest
import torch
from torchgrade import plots
from torchgrade.check.failures import CellError, NotAnswered, StudentRaised, TooSlow, Undecided, WrongMethod, WrongShape
from torchgrade.check.timing import memory, picture, race
from torchgrade.check.timing.record import Finding, Record
from torchgrade.check.timing.sign_test import LOOKS, MOST, Outcome, look
from torchgrade.judge import agent, processes
from torchgrade.judge.question import seconds_from_now
from torchgrade.judge.remote import Died, RemoteStudent, TimeOut
from torchgrade.lessons.solved import run_graded, run_source

NOTEBOOK = """
import os
import threading
import time

import torch

def right(x):
    return x.cumsum(-1)

def slow(x):
    for _ in range(8):
        out = x.cumsum(-1)
    return out

def stub(x):
    raise NotImplementedError()

def raises(x):
    return x.no_such_method()

def wrong_shape(x):
    return x.cumsum(-1)[:, :1]

def keeps_the_last_input(x, kept=[]):
    kept.append(x)
    return kept[-1].cumsum(-1)

def hangs(x):
    while True:
        pass

def ends(x):
    os._exit(0)

def square(x):
    return (x[:, None] * x[None]).sum(1)

def row_by_row(x):
    return torch.stack([row * x.sum(0) for row in x])
"""
CELL = """
import torch
from torchgrade import check

def often(fn, x, times=20):
    for _ in range(times):
        out = fn(x)
    return out

def four_times(x):
    return often(lambda x: x.cumsum(-1), x, 80)

def inputs():
    return (torch.randn(16, 1024),)

check.speed(
    lambda x: often({candidate}, x), {baseline}, inputs, at_least=2, because="It sums again and again."
)
"""
MEMORY = """
import torch
from torchgrade import check

found = check.peak_memory(
    lambda x: {candidate}(x), lambda rows: (torch.randn(rows, 16),), (600, 1200), because="No table of all pairs."
)
assert found[0] <= found[1]
"""


@contextlib.contextmanager
def judged(seconds=60.0, notebook=NOTEBOOK):
    """A student in a process of its own, as a judge asks it."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            torch.set_num_threads(1)
            run_source(notebook, "<notebook>", space := {"__name__": "__main__"})
            agent.serve(theirs, space)
        finally:
            os._exit(0)
    theirs.close()
    try:
        with ours:
            yield RemoteStudent(ours, deadline=seconds_from_now(seconds))
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def ask(source, who):
    run_graded(source, "speed", who)


def ask_until_clear(source, who):
    """What a busy machine leaves to a person is asked again: these tests are of the clear verdicts."""
    for _ in range(2):
        with contextlib.suppress(Undecided):
            return ask(source, who)
    return ask(source, who)


def in_a_notebook(source):
    run_source(NOTEBOOK, "<notebook>", space := {"__name__": "__main__"})
    run_source(source, "<cell>", space)


def chances(p):
    """(PASS, FAIL) of the sign test if a pair is won with probability p, exactly."""
    open_at, passed, failed = {0: 1.0}, 0.0, 0.0
    for pairs in range(1, MOST + 1):
        after = {}
        for wins, weight in open_at.items():
            after[wins + 1] = after.get(wins + 1, 0) + weight * p
            after[wins] = after.get(wins, 0) + weight * (1 - p)
        passed += sum(weight for wins, weight in after.items() if look(wins, pairs) is Outcome.PASS)
        failed += sum(weight for wins, weight in after.items() if look(wins, pairs) is Outcome.FAIL)
        open_at = {wins: weight for wins, weight in after.items() if look(wins, pairs) is Outcome.OPEN}
    return passed, failed


def test_the_sign_test_errs_as_seldom_as_it_says():
    assert all(needed > pairs / 2 for pairs, needed in LOOKS.items())
    passed, failed = chances(0.5)
    assert passed == pytest.approx(failed) == pytest.approx(0.0014, abs=0.0002)
    assert chances(0.9)[0] > 0.999
    assert chances(0.1)[1] > 0.999


@pytest.mark.parametrize("candidate", ["right", "keeps_the_last_input"])
def test_a_fast_candidate_passes(candidate):
    with judged(seconds=180.0) as who:
        ask_until_clear(CELL.format(candidate=candidate, baseline="four_times"), who)
        record = who.records[-1]
    assert record.finding is Finding.PASS
    assert 2 < record.ratio < 20
    assert record.interval[0] <= record.ratio <= record.interval[1]
    assert record.pinned
    assert "2 times is needed: met" in record.sentence


def test_a_slow_candidate_is_told_how_far_it_is_and_why():
    with (
        judged(seconds=180.0) as who,
        pytest.raises(TooSlow, match=r"2 times is needed: not met .*pairs\)\.\nIt sums again and again\."),
    ):
        ask_until_clear(CELL.format(candidate="slow", baseline="four_times"), who)


@pytest.mark.parametrize(
    ("candidate", "error"),
    {"stub": NotAnswered, "raises": StudentRaised, "wrong_shape": WrongShape, "hangs": TimeOut, "ends": Died}.items(),
)
def test_a_candidate_that_cannot_be_timed_gets_a_verdict(candidate, error, monkeypatch):
    monkeypatch.setattr("torchgrade.judge.remote.RACE_SECONDS", 3.0)
    with judged(seconds=3.0) as who, pytest.raises(error):
        ask(CELL.format(candidate=candidate, baseline="four_times"), who)


def test_what_a_process_freed_before_makes_it_no_slower_or_faster():
    """The same work on both sides, in blocks of 8 MB; the student's process maps each, as one that is young does."""
    past = "import ctypes\nctypes.CDLL(None).mallopt(-3, 128 << 10)"
    cell = CELL.format(candidate="in_blocks", baseline="in_blocks_too").replace("at_least=2", "at_least=0.6")
    work = "(x):\n    return [x.repeat(128, 1).add_(1).sum() for _ in range(4)][0]\n"
    cell = cell.replace("def inputs", f"def in_blocks_too{work}\ndef inputs").replace(
        "often(in_blocks, x)", "in_blocks(x)"
    )
    with judged(notebook=f"import torch\n{past}\ndef in_blocks{work}") as who:
        ask(cell, who)
    assert 0.6 < who.records[-1].ratio < 1.6


def test_a_baseline_that_stops_is_the_cells_fault():
    for baseline in ("lambda x: x.nothing()", "lambda x: right(x)"):  # the second is the student's
        with judged() as who, pytest.raises(CellError, match="baseline"):
            ask(CELL.format(candidate="right", baseline=baseline), who)


def test_in_a_notebook_the_same_cell_says_the_same(capsys):
    in_a_notebook(CELL.format(candidate="right", baseline="four_times"))
    assert "2 times is needed: met" in capsys.readouterr().out
    with pytest.raises(TooSlow, match="not met"):
        in_a_notebook(CELL.format(candidate="slow", baseline="four_times"))
    with pytest.raises(NotAnswered):
        in_a_notebook(CELL.format(candidate="stub", baseline="four_times"))
    with pytest.raises(CellError, match="baseline stops"):
        in_a_notebook(CELL.format(candidate="right", baseline="lambda x: right(x)"))


def test_a_machine_that_pins_nobody_is_named(monkeypatch):
    def forbidden(pid, to):
        raise PermissionError

    monkeypatch.setattr(processes, "pin", forbidden)
    with judged() as who:
        ask(CELL.format(candidate="right", baseline="four_times"), who)
        assert not who.records[-1].pinned
    assert "not pinned: this machine does not allow it" in who.records[-1].for_staff


def test_a_machine_with_one_core_will_do():
    cores = processes.cores()
    processes.pin(0, cores[:1])
    try:
        with judged() as who:
            ask(CELL.format(candidate="right", baseline="four_times"), who)
            assert who.records[-1].pinned
    finally:
        processes.pin(0, cores)


def test_findings():
    def finding(outcome=Outcome.PASS, margin=1.5, even=1.0, pinned=True, why=""):
        return race._finding(outcome, margin, even, pinned, why)

    assert finding() is Finding.PASS
    assert finding(why="it computed in two threads") is Finding.SUSPICIOUS
    assert finding(even=1.06) is Finding.UNFIT
    assert finding(Outcome.FAIL, 0.7, 0.94) is Finding.UNFIT
    assert finding(Outcome.FAIL, 0.9) is Finding.FAIL
    assert finding(Outcome.FAIL, 0.9, pinned=False) is Finding.INCONCLUSIVE
    assert finding(Outcome.FAIL, 0.7, pinned=False) is Finding.FAIL
    assert finding(Outcome.OPEN) is Finding.INCONCLUSIVE
    assert finding(even=None) is Finding.PASS


def test_what_stays_open_is_a_persons_to_decide_and_close_enough_is_enough(monkeypatch, capsys):
    def open_at(ratio, finding):
        record = Record(finding, (ratio,) * 5, 2.0, (0.01, 0.01), 0.1, 0.2, 1.0, 1, 0.5, True)
        module = importlib.import_module("torchgrade.check.speed")  # in its package the function has this name
        monkeypatch.setattr(module, "_measured", lambda *_: record)
        monkeypatch.setattr(module, "PAUSE", (0, 0))
        return CELL.format(candidate="right", baseline="four_times")

    with judged() as who:
        ask(open_at(1.95, Finding.INCONCLUSIVE), who)
        with pytest.raises(Undecided, match="too close to call"):
            ask(open_at(1.9, Finding.INCONCLUSIVE), who)
        with pytest.raises(Undecided, match="unsteady"):
            ask(open_at(1.9, Finding.UNFIT), who)
        with pytest.raises(Undecided, match="a person will look at it"):
            ask(open_at(9.0, Finding.SUSPICIOUS), who)
    in_a_notebook(open_at(1.9, Finding.INCONCLUSIVE))
    assert "a person decides if it stays unclear there" in capsys.readouterr().out


def test_memory_that_grows_with_the_square_is_refused():
    with judged() as who:
        ask(MEMORY.format(candidate="row_by_row"), who)
    with judged() as who, pytest.raises(WrongMethod, match=r"from 600 to 1200; .*: No table of all pairs\.") as error:
        ask(MEMORY.format(candidate="square"), who)
    assert error.value.shows.ratio > error.value.shows.at_most == 2.6  # for the picture


def test_memory_in_a_notebook():
    in_a_notebook(MEMORY.format(candidate="row_by_row"))
    with pytest.raises(WrongMethod, match=r"Memory grows [34]\.\d-fold"):
        in_a_notebook(MEMORY.format(candidate="square"))
    with pytest.raises(NotAnswered):
        in_a_notebook(MEMORY.format(candidate="stub"))


def test_memory_that_nobody_accounts_for_costs_no_points(monkeypatch, capsys):
    def none(pid="self"):
        raise memory.NoAccount("forbidden")

    monkeypatch.setattr(memory, "reset", none)
    with judged() as who, pytest.raises(Undecided, match="cannot be read: forbidden"):
        ask(MEMORY.format(candidate="square"), who)
    in_a_notebook(MEMORY.format(candidate="square"))
    assert "your submission will be checked there" in capsys.readouterr().out


def test_the_picture_shows_every_pair_and_the_threshold():
    record = Record(Finding.FAIL, (1.1, 1.2, 1.3, 1.2), 2.0, (0.01, 0.01), 0.1, 0.2, 1.0, 1, 0.5, True)
    figure = picture.draw(record)
    (axes,) = figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["one pair"] == [1.1, 1.2, 1.3, 1.2]
    assert lines["asked for: 2"] == [2.0, 2.0]
    assert axes.get_ylim()[1] > 2
    assert "too slow" in axes.get_title()
    plots.plt.close(figure)
    assert picture.png(record).startswith(b"\x89PNG")
    assert math.isclose(record.ratio, 1.2)
