"""A new lesson in a throw-away course, spoiled in one place, and what lint says about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell
from small_course import ROOT_CONFIG, graded, write
from small_lesson import cell_of
from torchgrade.lessons import lint, new
from torchgrade.lessons.master import read_master, read_notebook

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


def added_test(grade_id: str, source: str) -> Change:
    """One more graded cell at the end of the exercise."""

    def change(notebook: Any) -> None:
        cell = graded(grade_id, 1, source)
        cell.id = grade_id
        notebook.cells.insert(9, cell)

    return change
