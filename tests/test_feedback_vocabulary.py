"""Of a hidden test the feedback repeats one phrase of a closed list."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from torchgrade.autograde.outcome import Stopped
from torchgrade.check.failures import CheckFailed, NotAnswered, WrongValues
from torchgrade.feedback.hide import HideTests, ShortErrors
from torchgrade.feedback.vocabulary import verdict

HIDDEN = "# After you submit: more.\n### BEGIN HIDDEN TESTS\nassert f(7) == 'secret'\n### END HIDDEN TESTS"


def hidden_in(cell):
    notebook, _ = HideTests().preprocess(new_notebook(cells=[cell]), {})
    return notebook.cells[0]


def ran(*enames):
    outputs = [new_output("error", ename=ename, evalue="secret", traceback=["secret"]) for ename in enames]
    return new_code_cell(HIDDEN, outputs=[new_output("stream", text="secret"), *outputs])


@pytest.mark.parametrize(
    ("enames", "phrase"),
    [
        ((), "passed"),
        (("WrongValues",), WrongValues.kind),
        (("NotAnswered",), NotAnswered.kind),
        (("CheckFailed",), CheckFailed.kind),
        (("ZeroDivisionError",), "stopped by ZeroDivisionError"),
        (("secret",), "stopped by an error"),
        (("print",), "stopped by an error"),
        (("<b>secret</b>",), "stopped by an error"),
        (("KeyboardInterrupt", "CellTimeout"), Stopped.CellTimeout.value),
    ],
)
def test_a_hidden_cell_shows_its_comment_and_one_phrase(enames, phrase):
    cell = hidden_in(ran(*enames))
    assert cell.source == "# After you submit: more."
    assert [output.text for output in cell.outputs] == [f"Hidden checks: {phrase}."]


def test_a_hidden_region_without_an_end_is_hidden_to_the_last_line():
    cell = hidden_in(new_code_cell("# shown\n# BEGIN HIDDEN TESTS\nsecret"))
    assert cell.source == "# shown"


def test_every_check_failure_has_its_own_phrase():
    kinds = [verdict(ran(failure.__name__)) for failure in CheckFailed.__subclasses__()]
    assert len(kinds) > 5 and len(set(kinds)) == len(kinds)


def test_a_failed_check_in_a_visible_cell_shows_its_message_only():
    error = new_output("error", ename="WrongValues", evalue="row 2 is wrong", traceback=["File /opt/x.py", "row 2"])
    cell, _ = ShortErrors().preprocess_cell(new_code_cell("check()", outputs=[error]), {}, 0)
    assert cell.outputs[0].traceback == ["row 2 is wrong"]


def test_another_error_keeps_only_its_frames_in_the_notebook():
    frames = [
        "-----",
        "Cell \x1b[0mIn[3]\n----> 1 f()",
        "\x1b[36mFile \x1b[39m/opt/lib/x.py:3\n  3 g()",
        "ValueError: no",
    ]
    error = new_output("error", ename="ValueError", evalue="no", traceback=frames)
    cell, _ = ShortErrors().preprocess_cell(new_code_cell("f()", outputs=[error]), {}, 0)
    assert cell.outputs[0].traceback == [frames[0], frames[1], frames[3]]
