"""`torchgrade lesson calibrate`: thresholds need room on both sides, and a naive attempt to show it."""

import pytest
from small_course import graded
from small_lesson import GOOD_BANK, make_course
from torchgrade.cli import main

SPEED = """
# After you submit, this also checks: speed.
### BEGIN HIDDEN TESTS
import torch
from torchgrade import check

def often(fn, x, times):
    for _ in range(times):
        out = fn(x)
    return out

check.speed(
    lambda x: often(double, x, 100),
    lambda x: often(lambda x: 2 * x, x, 800),
    lambda: (torch.randn(64, 64),),
    at_least={at_least},
    because="Once is enough.",
)
### END HIDDEN TESTS
"""
NAIVE = """
@mistake("double", "it adds the number many times", see="7.1")
def double(x):
    for _ in range(16):
        out = 2 * x
    return out
"""


def calibrate(folder, monkeypatch, at_least, bank):
    def add(notebook):
        place = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells].index("double_values")
        notebook.cells.insert(place + 1, graded("double_speed", 1, SPEED.format(at_least=at_least).strip()))
        notebook.cells[place + 1].id = "speed"

    monkeypatch.chdir(make_course(folder, bank, add))
    return main(["lesson", "calibrate"])


@pytest.mark.parametrize(
    ("at_least", "bank", "status", "words"),
    [
        (3, GOOD_BANK + NAIVE, 0, "every threshold has room"),
        (3, GOOD_BANK, 1, "double_speed: no mistake is right but too slow; add the naive attempt"),
        (6, GOOD_BANK + NAIVE, 1, "double_speed: the solution: only 1."),
        (0.55, GOOD_BANK + NAIVE, 1, "double_speed: it adds the number many times: misses it by 1."),
        (0.3, GOOD_BANK + NAIVE, 1, "times what is asked for; beyond 20 is suspicious"),
    ],
    ids=["fair", "no naive attempt", "too hard", "too easy", "so easy that the solution is suspicious"],
)
def test_thresholds_without_room_are_refused(at_least, bank, status, words, tmp_path, monkeypatch, capsys):
    assert calibrate(tmp_path, monkeypatch, at_least, bank) == status
    printed = capsys.readouterr().out
    assert words in printed
    assert "the solution" in printed


def test_a_lesson_without_speed_checks_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(make_course(tmp_path))
    assert main(["lesson", "calibrate"]) == 2
    assert "no graded cell calls check.speed" in capsys.readouterr().err
