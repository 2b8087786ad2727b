"""Rules for pictures: each states a finding, names its axes, and something checks the claim."""

import ast
import re
from collections.abc import Iterator

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import Cell, Master
from torchgrade.lessons.outline import calls, tree_of

TITLE = re.compile(r"\b(?:sup|set_)?title\b")
DRAWING = re.compile(r"\bplots\.blank\(|\bset_axis_off\(")
X = re.compile(r"\b(?:set_)?x(?:label|ticks)\b|\.bar\(")  # the names of bars name an axis
Y = re.compile(r"\b(?:set_)?y(?:label|ticks)\b|\.barh\(")


def plot_is_checked(master: Master) -> Iterator[Finding]:
    cells = master.code_cells
    for index, cell in enumerate(cells):
        if calls(cell, "plots.finish") and not any(map(_asserts, cells[index : index + 2])):
            yield Finding(
                cell,
                "nothing checks what this plot claims.",
                "Assert the claim of its title here or in the next code cell.",
            )


def plot_can_be_read(master: Master) -> Iterator[Finding]:
    for cell in master.code_cells:
        if not calls(cell, "plots.finish"):
            continue
        if not TITLE.search(cell.source):
            yield Finding(cell, "this plot has no title.", "State what it shows: ax.set(title=...).")
        named = X.search(cell.source) and Y.search(cell.source)
        if not named and not DRAWING.search(cell.source):
            yield Finding(
                cell,
                "the axes of this plot have no names.",
                'Name them with units, ax.set(xlabel="...", ylabel="..."), or call plots.blank(ax) for a drawing.',
            )


def _asserts(cell: Cell) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(tree_of(cell)))


RULES = (plot_is_checked, plot_can_be_read)
