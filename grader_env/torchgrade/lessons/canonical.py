"""The one form in which a master is committed: no outputs, stable ids, sorted keys, no metadata but what is needed."""

import json
import os
import re
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import writes
from nbformat.v4.nbbase import random_cell_id

from torchgrade.errors import CourseError
from torchgrade.lessons.master import Cell, nbgrader, parse_notebook, read_notebook, read_text

CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def canonical_text(path: Path) -> str:
    """The canonical form of the notebook at `path`. Raises CourseError if it cannot have one."""
    notebook, own = _read(path)
    for cell, cell_id in zip(notebook.cells, _ids(own, notebook.cells), strict=True):
        cell.id = cell_id
        _clean(path, cell)
    notebook.update(nbformat=4, nbformat_minor=5, metadata=nbformat.from_dict(METADATA))
    return writes(notebook) + "\n"


def write_atomically(path: Path, text: str) -> None:
    """The file is the old one or the new one, never half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf8") as file:
            file.write(text)
        os.chmod(name, path.stat().st_mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _read(path: Path) -> tuple[Any, list[str | None]]:
    """The notebook, and its good ids. nbformat refuses bad ids and replaces missing and double ones by random ones."""
    text = read_text(path)
    try:
        data = json.loads(text)
        cells = data["cells"] if data["nbformat"] == 4 else []
        own = _good_ids([cell.pop("id", None) for cell in cells])
    except (ValueError, KeyError, TypeError, AttributeError):
        return read_notebook(path), []  # it says what is wrong
    if not cells:
        notebook = parse_notebook(path, text)
        return notebook, [None] * len(notebook.cells)
    for cell in cells:
        cell["id"] = random_cell_id()  # until `_ids` chooses
    return parse_notebook(path, json.dumps(data | {"nbformat_minor": 5})), own


def _good_ids(ids: list[Any]) -> list[str | None]:
    """None in place of an id that is no id or not the first of its kind."""
    return [
        cell_id if isinstance(cell_id, str) and CELL_ID.fullmatch(cell_id) and cell_id not in ids[:index] else None
        for index, cell_id in enumerate(ids)
    ]


def _ids(own: list[str | None], cells: list[Cell]) -> list[str]:
    """Each cell's own id if it has a good one, else its grade_id, else the first free `cell-NNN`."""
    taken = set(own)
    ids: list[str] = []
    for cell_id, cell in zip(own, cells, strict=True):
        if cell_id is None:
            grade_id = nbgrader(cell).get("grade_id")
            is_free = isinstance(grade_id, str) and CELL_ID.fullmatch(grade_id) and grade_id not in taken
            cell_id = str(grade_id) if is_free else next(i for n in count(1) if (i := f"cell-{n:03}") not in taken)
            taken.add(cell_id)
        ids.append(cell_id)
    return ids


def _clean(path: Path, cell: Cell) -> None:
    cell.metadata = nbformat.from_dict(_metadata(path, cell))
    source = cell.source.rstrip("\n")
    if cell.cell_type == "code":
        source = "\n".join(line.rstrip() for line in source.split("\n"))
        cell.execution_count, cell.outputs = None, []
    cell.source = source


def _metadata(path: Path, cell: Cell) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    if nbgrader(cell):
        kept["nbgrader"] = _nbgrader(path, nbgrader(cell))
    if cell.metadata.get("tags"):
        kept["tags"] = sorted(set(cell.metadata.tags))
    return kept


def _nbgrader(path: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """nbgrader's schema 3: what its toolbar writes, without what only releases have (checksum, cell_type)."""
    grade, solution, task = (bool(meta.get(flag, False)) for flag in ("grade", "solution", "task"))
    kept = {
        "grade": grade,
        "grade_id": meta.get("grade_id"),
        "locked": bool(meta.get("locked", grade and not solution)),
        "schema_version": 3,
        "solution": solution,
        "task": task,
    }
    if grade or task:
        points = meta.get("points")
        if not isinstance(points, int | float) or isinstance(points, bool) or points < 0:
            raise CourseError(
                f"the graded cell {meta.get('grade_id')!r} has no points.",
                where=path,
                remedy='Set "points" to 0 or more.',
            )
        kept["points"] = int(points) if points == int(points) else points
    return kept
