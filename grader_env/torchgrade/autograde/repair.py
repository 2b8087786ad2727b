"""Turn whatever was submitted into the lesson again: every known cell once, in its place, with the student's answers.

Of a submission only four things are believed: the text of its answers, the text of its own cells, the order of the
cells, and which cell claims to be which. Flags, points, types, tags and locked text come from the original.
"""

from pathlib import Path
from typing import Any

from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor

from torchgrade.autograde.handed_in import left_out, official
from torchgrade.autograde.matching import Cell, Match, is_unchanged, match
from torchgrade.autograde.original import OfficialCell, Original, read_original
from torchgrade.autograde.outcome import Stopped
from torchgrade.autograde.unfinished import mark
from torchgrade.lessons.master import DEMO
from torchgrade.lessons.master import nbgrader as claimed

NEW_CELL = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}
NOTE = "> **Note:** "  # begins the cell that explains a repair
LEFT_OUT = "a notebook called `{}` was handed in, too; it was not looked at."
NOTHING_FOUND = "none of the lesson's cells is in this notebook; they were put back empty."


class Repair(NbGraderPreprocessor):
    """Takes the place of nbgrader's ClearOutput, DeduplicateIds and OverwriteCells, which trust the submission."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        coursedir = CourseDirectory(parent=self)
        nb.cells, notes = repair(nb.cells, read_original(resources, coursedir))
        known = official(coursedir, resources["nbgrader"]["assignment"])
        for name in left_out(Path(resources["metadata"]["path"]), known):
            notes.append(LEFT_OUT.format(name))
            nb.cells.insert(0, _note_cell(notes[-1]))
        mark(nb)
        for note in notes:
            self.log.warning("%s: %s", resources["nbgrader"]["student"], note)
        return nb, resources


def repair(cells: list[Cell], original: Original) -> tuple[list[Cell], list[str]]:
    """The repaired cells, and a note on each repair that a reader should know about (also among the cells)."""
    matches = match(cells, original)
    if matches and all(found.kept is None and not found.elsewhere for found in matches):
        empty = [_restored(found.official) for found in matches]
        return [*(_ordinary(cell, original) for cell in cells), _note_cell(NOTHING_FOUND), *empty], [NOTHING_FOUND]
    kept = {found.kept: found for found in matches if found.kept is not None}
    dropped = {index for found in matches for index in found.drop}
    notes: list[str] = []
    repaired: list[Cell] = []
    for index, cell in enumerate(cells):
        if index in kept:
            note = _what_was_repaired(kept[index], cell)
            repaired += _with_note(_restored(kept[index].official, cell), note, notes)
        elif index not in dropped:
            repaired.append(_ordinary(cell, original))
    for found in matches:
        if found.kept is None:
            place = _place_of_missing(repaired, original, found.official)
            repaired[place:place] = _with_note(_put_back(found), _what_is_missing(found), notes)
    return repaired, notes


def _restored(official: OfficialCell, submitted: Cell | None = None) -> Cell:
    """The official cell. If it is the student's to write, with the submitted text in it, or as it was released."""
    cell = NEW_CELL[official.cell_type](official.source if official.locked else official.released)
    cell.metadata = from_dict({"nbgrader": official.metadata})
    if submitted is not None:
        cell.id = submitted.id
        if not official.locked:
            cell.source = submitted.source
            if official.cell_type == "markdown" and "attachments" in submitted:
                cell.attachments = submitted.attachments
    if official.is_test and official.cell_type == "code":
        cell.outputs = [Stopped.NotRun.output]  # stands until the cell has run: no run, no points
    return cell


def _put_back(found: Match) -> Cell:
    """A cell that is missing. An answer given in another cell must not be overwritten by the empty one."""
    cell = _restored(found.official)
    if found.elsewhere:
        cell.source = f"# {found.official.grade_id} is defined in another cell."
    return cell


def _ordinary(cell: Cell, original: Original) -> Cell:
    """A cell that nbgrader does not know, without anything the submission says about it."""
    cell.metadata = from_dict({"tags": [DEMO]} if original.is_demo(cell) else {})
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    return cell


def _place_of_missing(cells: list[Cell], original: Original, official: OfficialCell) -> int:
    """The index right after the nearest cell that stands before `official` in the master and is still there."""
    position = {cell.id: index for index, cell in enumerate(cells)}
    position |= {claimed(cell)["grade_id"]: index for index, cell in enumerate(cells) if claimed(cell)}
    keys = [place.grade_id or place.cell_id for place in original.places]
    if official.grade_id not in keys:
        return len(cells)
    before = keys[: keys.index(official.grade_id)]
    return next((position[key] + 1 for key in reversed(before) if key in position), 0)


def _name(official: OfficialCell) -> str:
    kind = "test" if official.is_test else "answer" if official.solution else "locked"
    return f"the {kind} cell `{official.grade_id}`"


def _what_is_missing(found: Match) -> str:
    if found.elsewhere:
        return f"{_name(found.official)} was missing; its answer is in another cell and counts."
    return f"{_name(found.official)} was missing; it was put back{'' if found.official.locked else ' empty'}."


def _what_was_repaired(found: Match, submitted: Cell) -> str:
    """One sentence; empty if there is nothing a reader must know."""
    official = found.official
    if found.copies > 1:
        kept = "it was restored once" if official.locked else "the copy below is the one that counts"
        return f"{_name(official)} was here {found.copies} times; {kept}."
    text_changed = official.locked and not is_unchanged(submitted, official)
    if text_changed or submitted.cell_type != official.cell_type or not _same_settings(official, claimed(submitted)):
        return f"{_name(official)} had been changed; it was restored{'' if official.locked else ', your text is kept'}."
    return ""


def _same_settings(official: OfficialCell, meta: Any) -> bool:
    keys = ("grade", "solution", "task", "points")
    return isinstance(meta, dict) and all(meta.get(key, False) == official.metadata.get(key, False) for key in keys)


def _with_note(cell: Cell, note: str, notes: list[str]) -> list[Cell]:
    if not note:
        return [cell]
    notes.append(note)
    return [_note_cell(note), cell]


def _note_cell(note: str) -> Cell:
    return new_markdown_cell(NOTE + note)
