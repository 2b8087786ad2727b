"""The feedback on a speed check says how far it is and shows the race; of a student's words it shows none."""

import base64

import pytest
from nbformat.v4 import new_notebook
from small_course import answer, graded
from torchgrade.autograde.judging import outputs_of
from torchgrade.check.failures import TooSlow
from torchgrade.check.timing import picture
from torchgrade.check.timing.record import Finding, Record
from torchgrade.feedback.hide import TOO_SLOW, HideTests
from torchgrade.judge.verdict import Kind, Verdict

HIDDEN = "# After you submit: more.\n### BEGIN HIDDEN TESTS\nassert f(7) == 'secret'\n### END HIDDEN TESTS"
SENTENCE = "1.20 times as fast as the baseline; 2 times is needed: not met (95 % interval 1.10 to 1.30, 4 pairs)"


def shown(kind, message="", failure=""):
    record = Record(Finding.FAIL, (1.1, 1.2, 1.3, 1.2), 2.0, (0.01, 0.01), 0.1, 0.2, 1.0, 1, 0.5, True)
    assert record.sentence == SENTENCE
    drawn = base64.b64encode(picture.png(record)).decode()
    check = graded("f_speed", 1, HIDDEN)
    check.outputs = outputs_of(
        Verdict(
            "f_speed", kind, message, failure, "for staff", speed=record.to_dict(), picture=drawn, in_words=SENTENCE
        )
    )
    notebook, _ = HideTests().preprocess(new_notebook(cells=[answer("f", "def f(x):\n    return x"), check]), {})
    (image,) = [output for output in notebook.cells[-1].outputs if "image/png" in output.get("data", {})]
    assert image.data["image/png"] == drawn
    assert image.metadata["image/png"]["alt"] == SENTENCE
    return [output.text for output in notebook.cells[-1].outputs if output.output_type == "stream"]


def test_a_slow_answer_is_told_how_far_it_is_and_why():
    said = shown(Kind.FAILED, f"{SENTENCE}.\nIt sums again.", TooSlow.__name__)
    assert said == ["Hidden checks: the result is right, but not fast enough.", f"{SENTENCE}.\nIt sums again."]
    assert TooSlow.__name__ == TOO_SLOW


@pytest.mark.parametrize(
    ("kind", "failure"), [(Kind.PASSED, ""), (Kind.INCONCLUSIVE, ""), (Kind.FAILED, "StudentRaised")]
)
def test_any_other_end_shows_what_was_measured_and_no_message(kind, failure):
    said = shown(kind, "Your code stopped with ValueError: smuggled" if failure else "", failure)
    assert said[1:] == [SENTENCE]
    assert "smuggled" not in "".join(said) and "for staff" not in "".join(said)
