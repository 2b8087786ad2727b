"""Rules for the lesson as a whole: how much of everything it holds, and that no picture claims what nobody checks."""

import ast
from collections.abc import Iterator

from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import Cell, Master
from torchgrade.lessons.outline import calls, tree_of
from torchgrade.lessons.stats import stats

# What the course promises of every lesson: (number in `torchgrade lesson stats`, at least, what to add).
CONTRACT = (
    ("kb", 30, "explain more, or show more"),
    ("examples", 14, "code cells that show something"),
    ("plots", 7, "pictures that answer a question (plots.finish)"),
    ("exercises", 5, "exercises (### Exercise N.M · title)"),
    ("written", 1, "a written question with a model answer and a mark scheme"),
    ("predictions", 3, "guesses before the reveal (check.predict)"),
    ("mistakes", 30, "wrong answers in mistakes.py"),
    ("accepted", 10, "other right answers in mistakes.py"),
)


def holds_enough(master: Master) -> Iterator[Finding]:
    found = stats(master, read_bank(master.bank_path))
    for name, least, what in CONTRACT:
        if found[name] < least:
            yield Finding(None, f"{name}: {found[name]:g}, and the course promises {least}.", f"Add: {what}.")


def plot_is_checked(master: Master) -> Iterator[Finding]:
    cells = master.code_cells
    for index, cell in enumerate(cells):
        if calls(cell, "plots.finish") and not any(map(_asserts, cells[index : index + 2])):
            yield Finding(
                cell,
                "nothing checks what this plot claims.",
                "Assert the claim of its title here or in the next code cell.",
            )


def _asserts(cell: Cell) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(tree_of(cell)))


RULES = (holds_enough, plot_is_checked)
