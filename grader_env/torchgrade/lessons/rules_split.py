"""Rules for the graded cells of one exercise: one visible check, hidden cells after it, and no other answer in them."""

import ast
from collections.abc import Iterator

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import Cell, Master, has_hidden, nbgrader
from torchgrade.lessons.outline import tree_of
from torchgrade.lessons.rules_graded import CHECK

PROJECT = "_project"  # how the grade_id of the one cell ends that may combine answers
MOST_POINTS = 3  # for a hidden cell: a larger one is split, so that a part of an answer earns a part of the points
CLOCKS = {"time", "perf_counter", "monotonic", "process_time", "thread_time", "timeit", "Timer"}


def one_visible_check_then_hidden_ones(master: Master) -> Iterator[Finding]:
    cells = master.code_cells
    for answer, cell in master.answers.items():
        after = cells[cells.index(cell) + 1 :][:1]
        mine = [test for name, test in master.graded.items() if _owner(master, name) == answer]
        visible = [test for test in mine if not has_hidden(test) or CHECK.match(test.source)]
        if not visible or visible[:1] != after:
            yield Finding(cell, "no visible check stands right after this answer.", f"Add one as {answer}_check.")
        for test in visible[1:]:
            yield Finding(test, f"a second visible check of {answer!r}.", "Merge the two, or hide its tests.")
        if len(visible) == len(mine):
            yield Finding(cell, "no hidden cell tests this answer.", f"Add one, as {answer}_values.")


def points_are_small(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        points = nbgrader(cell).get("points") or 0
        if has_hidden(cell) and points > MOST_POINTS:
            yield Finding(
                cell, f"{points:g} points for all or nothing.", f"Split it: {MOST_POINTS} points a cell at most."
            )
        if not has_hidden(cell) and points > 1:
            yield Finding(cell, f"{points:g} points for a visible check.", "Give it 1 point.")


def no_other_answer(master: Master) -> Iterator[Finding]:
    """One mistake must not cost points twice."""
    for grade_id, cell in master.graded.items():
        if grade_id.endswith(PROJECT):
            continue
        others = master.answers.keys() - {_owner(master, grade_id)}
        for name, line in sorted(_names(cell).items()):
            if name in others:
                yield Finding(
                    cell,
                    f"line {line}: it asks {name!r}, the answer to another exercise.",
                    f"Use torch's operator instead; only a cell ...{PROJECT} may combine answers.",
                )


def no_clock(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        found = [node for node in ast.walk(tree_of(cell)) if isinstance(node, ast.Call)]
        for node in found:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in CLOCKS:
                yield Finding(
                    cell,
                    f"line {node.lineno}: a test reads the clock ({name}).",
                    "Count operations or memory instead: a busy machine fails right answers.",
                )


def _owner(master: Master, grade_id: str) -> str:
    """As `Master.exercise_of`, but "" for a stray cell, which other commands refuse."""
    return max((answer for answer in master.answers if grade_id.startswith(f"{answer}_")), key=len, default="")


def _names(cell: Cell) -> dict[str, int]:
    """Name -> the first line that reads it, functions included; names that the cell itself defines are left out."""
    nodes = [node for node in ast.walk(tree_of(cell)) if isinstance(node, ast.Name)]
    own = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    return {node.id: node.lineno for node in reversed(nodes) if node.id not in own}


RULES = (one_visible_check_then_hidden_ones, points_are_small, no_other_answer, no_clock)
