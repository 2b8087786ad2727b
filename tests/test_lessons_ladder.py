"""The models of the ladder: causal, measured alike, and written as rows."""

import json

import pytest
import torch
from torchgrade.errors import CourseError
from torchgrade.lessons import ladder
from torchgrade.lessons.rungs import CONTEXT, RUNGS, climb, corpus, heldout_bits


@pytest.fixture(scope="module")
def text():
    return corpus()


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_no_model_looks_ahead(rung, text):
    model = rung.build(text[0], text[2]).eval()
    ids = text[1][:CONTEXT][None]
    changed = ids.clone()
    changed[0, 40] = (changed[0, 40] + 1) % text[2]
    with torch.no_grad():
        torch.testing.assert_close(model(changed)[0, :40], model(ids)[0, :40])
        assert model(ids).shape == (1, CONTEXT, text[2])


def test_a_uniform_guess_costs_the_logarithm_of_the_alphabet(text):
    model = RUNGS[0].build(text[0], text[2])
    assert heldout_bits(model, text[1]) == pytest.approx(torch.tensor(text[2]).log2().item())


def test_training_lowers_the_bits(text):
    rung = next(rung for rung in RUNGS if rung.learning_rate)
    assert climb(rung, 6.0).bits < 4.5


def test_rows_are_written_one_by_one_in_the_order_of_the_lessons(tmp_path, monkeypatch):
    monkeypatch.setattr(ladder, "PATH", tmp_path / "reference.json")
    for name in ("bigram, counted", "uniform"):
        assert ladder.run([name], 1.0) == 0
    rows = json.loads((tmp_path / "reference.json").read_text(encoding="utf8"))["rows"]
    assert [row["name"] for row in rows] == ["uniform", "bigram, counted"] and rows[1]["parameters"] == 103**2


def test_an_unknown_rung_is_one_line():
    with pytest.raises(CourseError, match="no rung 'gpt'"):
        ladder.run(["gpt"], 1.0)
