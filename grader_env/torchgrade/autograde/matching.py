"""Find the lesson's cells in a submission: they may be copied, moved, relabeled, merged, or gone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torchgrade.autograde.original import OfficialCell, Original
from torchgrade.lessons.master import nbgrader as claimed

Cell = Any  # nbformat's NotebookNode


@dataclass(frozen=True)
class Match:
    """Where an official cell is in the submission.

    kept: the index of the copy to grade, None if there is no copy
    copies: how many there are
    drop: copies that must not run
    elsewhere: there is no copy, but another cell defines what this answer should define
    """

    official: OfficialCell
    kept: int | None
    copies: int = 0
    drop: tuple[int, ...] = ()
    elsewhere: bool = False


def match(cells: list[Cell], original: Original) -> list[Match]:
    """One Match per official cell, in the order of the lesson. No cell of the submission is kept twice."""
    claims = {index: grade_id for index, cell in enumerate(cells) if (grade_id := _claim(cell)) in original.cells}
    free = {index: cell for index, cell in enumerate(cells) if index not in claims}
    found = []
    for grade_id in original.order:
        official = original.cells[grade_id]
        by_claim = [index for index, claim in claims.items() if claim == grade_id]
        copies = by_claim or next(filter(None, _lookalikes(free, original, official)), [])
        for index in copies:
            free.pop(index, None)
        found.append(_choose(cells, official, copies))
    return found


def _claim(cell: Cell) -> str:
    meta = claimed(cell)
    grade_id = meta.get("grade_id") if isinstance(meta, dict) else None
    return grade_id if isinstance(grade_id, str) else ""


def _lookalikes(free: dict[int, Cell], original: Original, official: OfficialCell) -> Iterator[list[int]]:
    """Cells that claim nothing but could be `official`, by ever weaker evidence: the cell id, then what is in it."""
    yield [index for index, cell in free.items() if cell.id == original.ids.get(official.grade_id)]
    if official.solution:
        yield [index for index, cell in free.items() if _defines(cell, official)]
    else:
        yield [index for index, cell in free.items() if is_unchanged(cell, official)][:1]  # texts repeat in a lesson


def _choose(cells: list[Cell], official: OfficialCell, copies: list[int]) -> Match:
    """An answer: the last copy that is one. A locked cell: the last copy, it comes after the answer."""
    if not copies:
        elsewhere = official.solution and any(_defines(cell, official) for cell in cells)
        return Match(official, None, elsewhere=elsewhere)
    if official.locked:
        return Match(official, copies[-1], len(copies), tuple(copies[:-1]))
    empty = [index for index in copies if is_unchanged(cells[index], official)]
    kept = max(set(copies) - set(empty), default=copies[-1])
    return Match(official, kept, len(copies), tuple(index for index in empty if index != kept))


def is_unchanged(cell: Cell, official: OfficialCell) -> bool:
    return cell.source.strip() == official.released.strip()


def _defines(cell: Cell, official: OfficialCell) -> bool:
    """Whether the code defines the function or class that the answer is named after."""
    definition = rf"^(?:def|class)\s+{re.escape(official.grade_id)}\b"
    return cell.cell_type == "code" and re.search(definition, cell.source, flags=re.MULTILINE) is not None
