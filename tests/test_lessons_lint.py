"""`torchgrade lesson lint`: every lesson is clean, and a lesson spoiled in one place fails one rule, which says why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401  (once here, and not in every fork)
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from small_course import ROOT_CONFIG, write
from small_lesson import cell_of
from torchgrade.cli import main
from torchgrade.lessons import lint, machine, new
from torchgrade.lessons.master import lesson_names, read_master, read_notebook
from torchgrade.lessons.values import values_are_right

ROOT = Path(__file__).parents[1]
LESSON = "08_tiny"
Change = Callable[[Any], None]


def spoiled(root: Path, change: Change) -> Path:
    """A course with a new lesson after `change`."""
    (root / "nbgrader_config.py").write_text(f"load_subconfig({str(ROOT_CONFIG)!r})\n", encoding="utf8")
    new.run(root, LESSON)
    path = root / "source" / LESSON / f"{LESSON}.ipynb"
    notebook = read_notebook(path)
    change(notebook)
    write(path, notebook)
    return root


def found(root: Path, change: Change) -> list[str]:
    """What lint says about the cells; a new lesson is too small for the contract, so that is left out."""
    master = read_master(spoiled(root, change), LESSON)
    findings = [finding for finding in lint.findings(master) if finding.cell is not None]
    return [finding.text(master).removeprefix(f"{master.path}: cell ") for finding in findings]


def replaced(name: str, old: str, by: str) -> Change:
    """Replace `old` in the cell with this grade_id or id, which must hold it."""

    def change(notebook: Any) -> None:
        cell = next(cell for cell in notebook.cells if cell.id == name)
        assert old in cell.source
        cell.source = cell.source.replace(old, by)

    return change


def metadata(name: str, **values: Any) -> Change:
    return lambda notebook: cell_of(notebook, name).metadata.nbgrader.update(values)


def appended(name: str, source: str) -> Change:
    return lambda notebook: cell_of(notebook, name).update(source=f"{cell_of(notebook, name).source}\n{source}")


def inserted(at: int, *sources: str) -> Change:
    def change(notebook: Any) -> None:
        notebook.cells[at:at] = [new_code_cell(source, id=f"new-{i}") for i, source in enumerate(sources)]

    return change


@pytest.mark.course
@pytest.mark.parametrize("lesson", lesson_names(ROOT))
def test_every_lesson_is_clean(lesson):
    master = read_master(ROOT, lesson)
    assert [finding.text(master) for finding in lint.findings(master)] == []


def test_a_new_lesson_breaks_no_rule_of_a_cell(tmp_path):
    assert found(tmp_path, lambda notebook: None) == []


def untag(notebook: Any) -> None:
    del cell_of(notebook, "double_check").metadata["tags"]


OUTSIDE = "### BEGIN SOLUTION\nFACTOR = 2\n### END SOLUTION\n\n\ndef double(x):\n    return FACTOR * x"
PLOT = "import matplotlib.pyplot as plt\n\nfig, ax = plt.subplots()\nplots.finish(fig)"
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
    assert f"{path}: the lesson: plots: 0, and the course promises 7." in lines[2]
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
