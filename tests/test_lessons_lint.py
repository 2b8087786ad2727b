"""`torchgrade lesson lint`: every lesson is clean, and a lesson spoiled in one place fails one rule, which says why."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401  (once here, and not in every fork)
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_course import answer, graded
from small_lesson import cell_of, hidden
from spoiled_lesson import LESSON, added_test, appended, found, inserted, metadata, replaced, spoiled
from torchgrade.cli import main
from torchgrade.lessons import lint, machine
from torchgrade.lessons.master import lesson_names, read_master
from torchgrade.lessons.values import values_are_right

ROOT = Path(__file__).parents[1]


@pytest.mark.course
@pytest.mark.parametrize("lesson", lesson_names(ROOT))
def test_every_lesson_is_clean(lesson):
    master = read_master(ROOT, lesson)
    assert [finding.text(master) for finding in lint.findings(master)] == []


def test_a_new_lesson_breaks_no_rule_of_a_cell(tmp_path):
    assert found(tmp_path, lambda notebook: None) == []


def untag(notebook: Any) -> None:
    del cell_of(notebook, "double_check").metadata["tags"]


def another_answer(notebook: Any) -> None:
    halve = answer("halve", "def halve(x):\n    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION")
    check_it = graded("halve_check", 1, "# Check 8.2\nfrom torchgrade import check")
    values = graded("halve_values", 1, cell_of(notebook, "double_values").source.replace("double", "halve"))
    test = cell_of(notebook, "double_values")
    test.source = test.source.replace("return double(mine), mine", "return double(halve(double(mine))), mine")
    for cell, name in ((halve, "halve"), (check_it, "halve_check"), (values, "halve_values")):
        cell.id = name
    notebook.cells[9:9] = [halve, check_it, values]


def solution_shown(notebook: Any) -> None:
    cell = cell_of(notebook, "double")
    cell.source = cell.source.replace("return 2 * x", "whole = 2 * x.clone()  # ours\n    return whole.to(x.dtype)")
    shown = new_code_cell("def shown(x):\n    whole = 2*x.clone()\n\n    return whole.to(x.dtype)", id="new-0")
    notebook.cells.insert(2, shown)


OUTSIDE = "### BEGIN SOLUTION\nFACTOR = 2\n### END SOLUTION\n\n\ndef double(x):\n    return FACTOR * x"
PLOT = """import matplotlib.pyplot as plt

fig, ax = plt.subplots()
ax.set(title='a', xlabel='b', ylabel='c')
plots.finish(fig)"""
CHECKED_PLOT = f"{PLOT}\nassert len(fig.axes) == 1"
BEGIN, END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
SPOILED = {
    "no tag": (untag, "double_check: Run All stops at this test.", "raises-exception"),
    "unlocked": (metadata("double_values", locked=False), "double_values: students can edit", 'Set "locked" to true'),
    "no points": (metadata("double_values", points=0), "double_values: this test earns no points", '"points" to 1'),
    "two regions": (
        appended("double_values", f"{BEGIN}\nx\n{END}"),
        "double_values: it holds more than one hidden region",
        "into one",
    ),
    "silent hidden cell": (
        replaced("double_values", "# After you submit, this also checks: other numbers, x left unchanged.\n", ""),
        "double_values: students cannot see what it is about",
        "# After you submit, this also checks:",
    ),
    "code beside the region": (
        appended("double_values", "print(1)"),
        "double_values: code stands outside its hidden region",
        "Move it into the region",
    ),
    "hidden tests in the visible cell": (
        appended("double_check", f"{BEGIN}\nassert True\n{END}"),
        "double_check: a visible check holds hidden tests",
        "a graded cell of their own",
    ),
    "nameless check": (
        replaced("double_check", "# Check 8.1", "# Test"),
        "double_check: a visible check does not say which exercise",
        "# Check N.M",
    ),
    "no difficulty": (
        replaced("cell-006", "difficulty 1/5", "easy"),
        "cell-006: exercise 8.1 does not say how hard",
        "difficulty 2/5 · importance 5/5 · 15 min",
    ),
    "two hints": (
        replaced("cell-006", "Hint 3: and the code", "The code"),
        "cell-006: exercise 8.1 has the hints 1, 2.",
        "Hint 3",
    ),
    "no region": (
        lambda notebook: cell_of(notebook, "double").update(source="def double(x):\n    return 2 * x"),
        "double: an answer without a solution region",
        "### BEGIN SOLUTION",
    ),
    "solution in the cell": (
        lambda notebook: cell_of(notebook, "double").update(source=OUTSIDE),
        "double: a solution begins outside functions",
        "inside a body",
    ),
    "stub is not Python": (
        replaced(
            "double",
            "    ### BEGIN SOLUTION\n    return 2 * x",
            "    if True:\n    ### BEGIN SOLUTION\n        return 2 * x",
        ),
        "double: the released stub is not Python: expected an indented block",
        "with and without its solution",
    ),
    "a name of the lesson": (
        appended("double_check", "check.close(twice, twice, 'the same')"),
        "double_check: line 7: it reads 'twice'",
        "check.run(lambda: ...)",
    ),
    "an answer outside check.run": (
        replaced("double_check", "check.run(lambda: double(torch.tensor([2])))", "[double(t) for t in (2, 3)]"),
        "double_check: line 5: it reads 'double'",
        "check.run(lambda: ...)",
    ),
    "a name of a test": (
        inserted(9, "x + 1"),
        "new-0: it reads 'x', which only the test double_values defines",
        "in a cell that is no test",
    ),
    "a function that needs a test": (
        inserted(9, "def later():\n    return result_and_argument()"),
        "new-0: it reads 'result_and_argument', which only",
        "in a cell that is no test",
    ),
    "a tolerance": (
        replaced("double_check", 'hint="Twice is not squared."', "tolerance=(0.1, 0)"),
        "double_check: line 5: a tolerance without a reason",
        'because="..."',
    ),
    "a plot": (inserted(2, PLOT), "new-0: nothing checks what this plot claims", "Assert the claim"),
    "a plot without a title": (
        inserted(2, CHECKED_PLOT.replace("title='a', ", "")),
        "new-0: this plot has no title",
        "ax.set(title=...)",
    ),
    "axes without names": (
        inserted(2, CHECKED_PLOT.replace("xlabel='b', ", "")),
        "new-0: the axes of this plot have no names",
        "xlabel",
    ),
    "no hidden cell": (
        lambda notebook: notebook.cells.remove(cell_of(notebook, "double_values")),
        "double: no hidden cell tests this answer",
        "double_values",
    ),
    "code between answer and check": (
        inserted(7, "1 + 1  # -> 2"),
        "double: no visible check stands right after this answer",
        "double_check",
    ),
    "a second visible check": (
        added_test("double_more", "# Check 8.1, more.\nfrom torchgrade import check"),
        "double_more: a second visible check of 'double'",
        "Merge the two",
    ),
    "a visible check of 2 points": (
        metadata("double_check", points=2),
        "double_check: 2 points for a visible check",
        "Give it 1 point",
    ),
    "a hidden cell of 4 points": (
        metadata("double_values", points=4),
        "double_values: 4 points for all or nothing",
        "Split it",
    ),
    "another answer in a test": (
        another_answer,
        "double_values: line 11: it asks 'halve', the answer to another exercise",
        "..._project",
    ),
    "a clock": (
        replaced("double_values", "import torch", "import time\nimport torch\n\nstarted = time.monotonic()"),
        "double_values: line 6: a test reads the clock (monotonic)",
        "Count operations",
    ),
    "a guess without its end": (
        replaced("cell-005", 'check.reveal("twice 21", twice.item())', ""),
        "cell-004: this guess is never revealed",
        "check.reveal",
    ),
    "a question without a mark scheme": (
        replaced("in_your_words", "1 point: what an answer must say.\n1 point: the reason for it.\n", ""),
        "in_your_words: this question has no mark scheme",
        "### BEGIN MARK SCHEME",
    ),
    "what people are said to think": (
        replaced("cell-010", "Say what", "Most students guess\n43. Say what"),
        'cell-010: "Most students guess" is claimed without a source',
        "it is tempting to",
    ),
    "an emoji": (replaced("cell-010", "Say what", "\u2728 Say what"), "cell-010: it holds the emoji", "in words"),
    "the solution in an example": (
        solution_shown,
        "new-0: it shows lines of the solution of 'double' before students write it: 'whole = 2 * x . clone ( ) /",
        "torch's operator",
    ),
    "a wrong value": (
        replaced("cell-005", "# -> 42", "# -> 43"),
        "cell-005: line 3: the comment says 43, the value is 42",
        "Correct the comment",
    ),
    "a cell that stops": (
        inserted(3, "1 / 0"),
        "new-0: the solved lesson stops here with ZeroDivisionError",
        "Mend the cell",
    ),
}


@pytest.mark.parametrize(("change", "what", "remedy"), SPOILED.values(), ids=SPOILED)
def test_each_rule_says_what_is_wrong_and_how_to_mend_it(tmp_path, change, what, remedy):
    (text,) = found(tmp_path, change)
    assert text.startswith(what)
    assert remedy in text


ALLOWED = {
    "names of functions, comprehensions and classes": appended(
        "double_check",
        "class Half:\n    of = 2\n    both = [of, of]\n\n\nsorted((i for i in [1]), key=lambda i: theirs(i))",
    ),
    "a name that a test shadows": inserted(9, "x = torch.zeros(1)\nx + 1"),
    "a name defined later, for a function": inserted(9, "def later():\n    return x", "x = 2\nlater()  # -> 2"),
    "an assert in the next cell": inserted(2, PLOT, "assert len(fig.axes) == 1"),
    "nan, and values in several lines": inserted(
        4, "float('nan')  # -> nan\ntorch.eye(2)  # -> tensor([[1., 0.], [0., 1.]])"
    ),
    "more hints, by symptom": replaced(
        "cell-006", "</details>", "</details>\n<details><summary>I get 4 for 2</summary>Good.</details>"
    ),
    "a claim with its source": replaced(
        "cell-010", "Say what", "[Some study](https://example.org) asked: most students guess 43. Say what"
    ),
    "a drawing without axes": inserted(
        2, CHECKED_PLOT.replace("xlabel='b', ylabel='c'", "").replace("plots.f", "plots.blank(ax)\nplots.f")
    ),
    "a project that combines answers": added_test(
        "double_project", hidden("check.close(check.run(lambda: double(double(1))), 4, 'twice twice')")
    ),
    "a tolerance with its reason": replaced(
        "double_check", 'hint="Twice is not squared."', 'tolerance=(0.1, 0), because="it is rough"'
    ),
    "a helper after the solution's start": replaced(
        "double", "return 2 * x", "return twice_of(x)\n\n\ndef twice_of(x):\n    return 2 * x"
    ),
    "a comment in a block of code": lambda notebook: notebook.cells.insert(
        5, new_markdown_cell("```python\n### Exercise 8.9 · none\n# a comment\n```")
    ),
}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_what_is_right_is_left_alone(tmp_path, change):
    assert found(tmp_path, change) == []


def test_a_small_lesson_breaks_the_contract_and_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(spoiled(tmp_path, lambda notebook: None))
    monkeypatch.setattr(
        machine, "only_cpu_and_one_thread", lambda: None
    )  # this process is the tests', and stays as it is
    capsys.readouterr()
    assert main(["lesson", "lint"]) == 1
    lines = capsys.readouterr().out.splitlines()
    path = tmp_path / "source" / LESSON / f"{LESSON}.ipynb"
    assert any(line.startswith(f"{path}: the lesson: plots: 0, and the course promises 7.") for line in lines)
    assert lines[-1] == f"{LESSON}: {len(lines) - 1} findings"


def test_bad_input_is_no_finding(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(spoiled(tmp_path, lambda notebook: None))
    assert main(["lesson", "lint", "09_none"]) == 2
    (tmp_path / "source" / LESSON / "mistakes.py").unlink()
    assert main(["lesson", "lint"]) == 2
    assert "there is no mistake bank" in capsys.readouterr().err


def test_a_lesson_that_never_ends_is_stopped(tmp_path):
    master = read_master(spoiled(tmp_path, inserted(2, "while True:\n    pass")), LESSON)
    (finding,) = values_are_right(master, seconds=1.0)
    assert "did not end within 1 seconds" in finding.text(master)
