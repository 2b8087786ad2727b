"""What is too slow for every run: many more random values, and every lesson's tests on other random numbers.

Deselected unless asked for: `make soak`. Found once, a failure here becomes an ordinary test with its value or seed.
"""

import json
import re

import pytest
from check_values import round_trip, same, values
from hypothesis import given, settings
from hypothesis import strategies as st
from small_course import ROOT_CONFIG
from test_check_codec_hostile import readable_or_refused, trees
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.master import lesson_names, read_master
from torchgrade.lessons.report import Report
from torchgrade.lessons.trials import try_variants

ROOT = ROOT_CONFIG.parent
SEED = re.compile(r"\b(manual_seed\(|seed=)(\d+)")
MANY = settings(deadline=None, max_examples=20_000, database=None)  # other ones every time
PATIENCE = 600.0  # seconds for one variant: a right answer must not fail because all lessons run at once

pytestmark = pytest.mark.soak


@MANY
@given(values)
def test_everything_that_can_cross_comes_back_the_same(value):
    assert same(round_trip(value), value)


@MANY
@given(st.binary(max_size=200), st.binary(max_size=60))
def test_any_bytes_are_readable_or_refused(header, body):
    readable_or_refused(header, body)


@MANY
@given(trees, st.binary(max_size=60))
def test_any_tree_is_readable_or_refused(tree, body):
    readable_or_refused(json.dumps(tree).encode(), body)


@pytest.mark.parametrize("shift", [1000, 2000])
@pytest.mark.parametrize("lesson", lesson_names(ROOT))
def test_a_lessons_tests_do_not_live_on_a_lucky_seed(lesson, shift):
    """With other random numbers in every graded cell they still catch each mistake and accept each right answer."""
    master = read_master(ROOT, lesson)
    for cell in master.graded.values():
        cell.source = SEED.sub(lambda found: f"{found[1]}{int(found[2]) + shift}", cell.source)
    trials = try_variants(master, read_bank(master.bank_path), seconds=PATIENCE)
    report = Report(master, tuple(trials))
    assert [trial.variant.text for trial in report.survivors] == []
    assert [(trial.variant.text, trial.failures[0].message) for trial in report.rejected] == []
