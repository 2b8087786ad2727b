"""A throw-away course whose one lesson uses `check`, has a mistake bank, and can be spoiled in one place at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_course import ROOT_CONFIG, answer, graded, write

LESSON = "07_tiny"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

MARKS = "from torchgrade.lessons import accepted, mistake\n"
ADDS_TWO = """
@mistake("double", "it adds two, which is doubling for 2 alone", see="7.1")
def double(x):
    return FACTOR + x
"""
FOR_EVER = """
@mistake("double", "the loop never ends", see="7.1")
def double(x):
    while True:
        pass
"""
TRIPLES = """
@mistake("double", "it adds the number twice", see="7.1")
def double(x):
    return sum([x] * 3)
"""
TIMES_THREE = """
@mistake("double", "it multiplies by three", see="7.1")
def double(x):
    return 3 * x
"""
MISSES_THE_FIRST = """
@mistake("total", "the first item is left out", see="7.2")
def total(items):
    return sum(items[1:])
"""
STARTS_AT_FIVE = """
@mistake("total", "the sum starts at the first item, and at five if that is larger", see="7.2")
def total(items):
    return max(items[0], 5) + sum(items[1:])
"""
SURVIVOR = """
@mistake("total", "items is emptied", see="7.2")
def total(items):
    result = sum(items)
    items.clear()
    return result
"""
SUM_OF_TWO = """
@accepted("double", "a sum")
def double(x):
    return x + x
"""
WITH_A_HELPER = """
def each(items):
    yield from items


@accepted("total", "a helper walks over the items")
def total(items):
    return sum(each(items))
"""
GOOD_BANK = MARKS + ADDS_TWO + TRIPLES + STARTS_AT_FIVE + SUM_OF_TWO + WITH_A_HELPER


def hidden(test: str) -> str:
    return (
        "# After you submit, this also checks: other numbers.\n"
        f"### BEGIN HIDDEN TESTS\nfrom torchgrade import check\n\n{test}\n### END HIDDEN TESTS"
    )


def tiny() -> Any:
    """Two exercises; `Machine` takes the answer `double` as it is at its place, and the project asks the machine."""
    demo = new_code_cell("raise RuntimeError('a demonstration ran')")
    demo.metadata.tags = ["demo"]
    why = new_markdown_cell(
        "Why?\n\n### BEGIN SOLUTION\nBecause addition is *repeated counting*, after all.\n### END SOLUTION\n"
        "### BEGIN MARK SCHEME\nTwo points for mentioning **the successor function**.\n### END MARK SCHEME"
    )
    why.metadata.nbgrader = {"grade": True, "solution": True, "locked": False, "points": 2, "grade_id": "why"}
    why.metadata.nbgrader.update(schema_version=3, task=False)
    cells = [
        new_markdown_cell("# 7 · Tiny\n\nWe double numbers."),
        new_code_cell("FACTOR = 2"),
        demo,
        answer("double", "def double(x):\n    ### BEGIN SOLUTION\n    return FACTOR * x\n    ### END SOLUTION"),
        graded("double_check", 1, CHECK.format("7.1", 'check.run(lambda: double(2)), 4, "twice two"')),
        graded("double_values", 2, hidden('check.close(check.run(lambda: double(0.1234567)), 0.2469134, "twice")')),
        new_code_cell("class Machine:\n    step = staticmethod(double)"),
        answer("total", "def total(items):\n    ### BEGIN SOLUTION\n    return sum(items)\n    ### END SOLUTION"),
        graded("total_check", 1, CHECK.format("7.2", 'check.run(lambda: total([5, 0])), 5, "five and nothing"')),
        graded("total_values", 2, hidden('check.close(check.run(lambda: total([1, 2, 39])), 42, "three numbers")')),
        graded("total_project", 2, hidden('check.close(check.run(lambda: Machine.step(21)), 42, "the machine")')),
        why,
    ]
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"
    return new_notebook(cells=cells, metadata=METADATA)


CHECK = "# Check {}\nfrom torchgrade import check\n\ncheck.close({})"


def cell_of(notebook: Any, grade_id: str) -> Any:
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def make_course(root: Path, bank: str = GOOD_BANK, change: Callable[[Any], None] = lambda notebook: None) -> Path:
    """A course with the tiny lesson after `change`, and this bank."""
    folder = root / "source" / LESSON
    notebook = tiny()
    change(notebook)
    write(folder / f"{LESSON}.ipynb", notebook)
    (folder / "mistakes.py").write_text(bank, encoding="utf8")
    (root / "nbgrader_config.py").write_text(
        f"c = get_config()\nload_subconfig({str(ROOT_CONFIG)!r})\n", encoding="utf8"
    )
    return root
