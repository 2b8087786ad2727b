"""A hidden check that the student's own error stops shows the error and the line, and nothing that was made up."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_course import answer, graded
from torchgrade.autograde.judging import outputs_of
from torchgrade.feedback.hide import HideTests
from torchgrade.feedback.stops import MAX_LINES
from torchgrade.judge.verdict import Kind, Stop, Verdict

HIDDEN = "# After you submit: more.\n### BEGIN HIDDEN TESTS\nassert f(7) == 'secret'\n### END HIDDEN TESTS"
ANSWER = "\n\ndef f(x):\n    return x[3]\n\n    return 'both'"
OWN = "import math\n%matplotlib inline\nreturn x[3]\n    return 'both'"


def shown(stop, test=HIDDEN, own=OWN):
    """What the feedback says of the check `f_values` if the student's process says `stop`."""
    message = "Your code stopped with ValueError: smuggled"
    check = graded("f_values", 1, test)
    check.outputs = outputs_of(Verdict("f_values", Kind.FAILED, message, "StudentRaised", stop=stop))
    cells = [new_markdown_cell("a text"), answer("f", ANSWER), new_code_cell(own), check]
    notebook, _ = HideTests().preprocess(new_notebook(cells=cells), {})
    return [output.get("text", output.get("evalue")) for output in notebook.cells[-1].outputs]


@pytest.mark.parametrize(
    ("stop", "sentence"),
    [
        (Stop("IndexError", "return x[3]", 2), "stopped by IndexError in your line 4: `return x[3]`"),
        (Stop("IndexError", "return x[3]", 3), "stopped by IndexError in your line 3: `return x[3]`"),  # of OWN
        (Stop("OutOfMemoryError", "import math", 1), "stopped by OutOfMemoryError in your line 1: `import math`"),
        (Stop("NameError"), "stopped by NameError"),
    ],
)
def test_an_error_and_its_line_are_shown(stop, sentence):
    assert shown(stop) == [f"Hidden checks: {sentence}."]


@pytest.mark.parametrize("error", ["Smuggled", "print", "__doc__", "ValueError ", "builtins.ValueError", "<b>", ""])
def test_an_error_that_is_not_well_known_has_no_name(error):
    assert shown(Stop(error)) == ["Hidden checks: stopped by an error."]
    assert shown(Stop(error, "import math", 1)) == ["Hidden checks: stopped by an error in your line 1: `import math`."]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("smuggled", 1),
        ("import math  # smuggled", 1),
        ("import  math", 1),
        ("math", 1),
        ("import math\n%matplotlib inline", 1),
        ("", 0),
        ("", 3),  # an empty line of the answer
        ("import math", 0),
        ("import math", 2),
        ("import math", 1234567),
        ("import math", 10**1000),
        ("import math", -3),
        ("return 'both'", -1),
        ("return 'both'", 6),  # counted with the empty lines
        ("a text", 1),
        ("assert f(7) == 'secret'", 3),  # a lucky guess must not be confirmed
        ("# After you submit: more.", 1),
    ],
)
def test_a_line_that_the_student_did_not_write_there_is_not_shown(line, number):
    assert shown(Stop("ValueError", line, number)) == ["Hidden checks: stopped by ValueError."]


def test_the_choice_of_lines_is_bounded():
    many = "\n".join(f"x = {number}" for number in range(2 * MAX_LINES))
    assert "line 99:" in shown(Stop("ValueError", "x = 98", 99), own=many)[0]
    assert shown(Stop("ValueError", f"x = {MAX_LINES}", MAX_LINES + 1), own=many) == shown(Stop("ValueError"))


def test_a_long_line_is_cut():
    long = f"return {'x' * 200}"
    assert shown(Stop("ValueError", long, 1), own=long) == [
        f"Hidden checks: stopped by ValueError in your line 1: `{long[:57]}...`."
    ]


def test_a_visible_check_says_all_it_said():
    visible = "# Check 1\nassert f(7)"
    assert shown(Stop("ValueError", "import math", 1), visible) == ["Your code stopped with ValueError: smuggled"]
