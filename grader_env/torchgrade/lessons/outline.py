"""How a lesson is built: its exercises, the minutes it announces, and the calls its cells make."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from torchgrade.lessons.master import Cell, Master, nbgrader

EXERCISE = re.compile(r"### Exercise (\d+\.\d+)\b.*")
HEADING = re.compile(r"#{1,3} ")
FIND_THE_BUG = re.compile(r"\b(?:find the|a) bug\b", re.IGNORECASE)
FENCE = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True)
class Exercise:
    """An exercise's number, its section's heading and its own, the cell that stands in, and its text line by line."""

    number: str
    section: str
    cell: Cell
    lines: list[str]


def exercises(master: Master) -> list[Exercise]:
    """All exercises in order. The text of one goes on over cells of prose until a heading, an answer or a test."""
    found: list[Exercise] = []
    current: Exercise | None = None
    section = ""
    for cell in master.notebook.cells:
        if cell.cell_type != "markdown":
            current = None if nbgrader(cell) else current
            continue
        for line, is_code in _lines(cell.source):
            if not is_code and HEADING.match(line):
                header = EXERCISE.match(line)
                section = line if not line.startswith("###") else section
                current = Exercise(header.group(1), f"{section}\n{line}", cell, []) if header else None
                found += [current] if current else []
            if current:
                current.lines.append(line)
    return found


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """(line, whether it belongs to a block of code, where `#` opens a comment and not a heading)."""
    inside = False
    for line in text.split("\n"):
        is_fence = bool(FENCE.match(line))
        yield line, inside or is_fence
        inside ^= is_fence


def minutes(master: Master) -> int:
    """The sum of the columns headed `minutes` of the first table that has such columns."""
    columns: list[int] = []
    total = 0
    for cell in master.notebook.cells:
        for line in cell.source.split("\n") if cell.cell_type == "markdown" else ():
            entries = [entry.strip() for entry in line.strip().split("|")] if line.lstrip().startswith("|") else []
            if not columns:
                columns = [index for index, entry in enumerate(entries) if entry == "minutes"]
            elif not entries:
                return total
            else:
                total += sum(
                    int(entries[index]) for index in columns if entries[index : index + 1] and entries[index].isdigit()
                )
    return total


def tree_of(cell: Cell) -> ast.Module:
    """The cell's code as a tree; an empty one for what is not Python, as a line of shell."""
    try:
        return ast.parse(cell.source)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def calls(cell: Cell, name: str) -> list[ast.Call]:
    """The calls that read `name(...)`, dots included: calls(cell, "plots.finish")."""
    if cell.cell_type != "code" or name not in cell.source:
        return []
    return [node for node in ast.walk(tree_of(cell)) if isinstance(node, ast.Call) and ast.unparse(node.func) == name]
