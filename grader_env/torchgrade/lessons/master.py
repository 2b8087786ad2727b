"""A master notebook as its author thinks of it: answers, graded cells, what is hidden, what is only a demonstration."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from torchgrade.errors import CourseError

SOLUTION = ("### BEGIN SOLUTION", "### END SOLUTION")
HIDDEN = ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")
MARK_SCHEME = ("### BEGIN MARK SCHEME", "### END MARK SCHEME")
SECRET_REGIONS = {"solution": SOLUTION, "hidden tests": HIDDEN, "mark scheme": MARK_SCHEME}
DEMO = "demo"  # tag of a cell that grading skips

Cell = Any  # nbformat's NotebookNode


def nbgrader(cell: Cell) -> dict[str, Any]:
    """The cell's nbgrader metadata, empty if it has none."""
    return cell.metadata.get("nbgrader", {})


def regions(source: str, markers: tuple[str, str]) -> list[str]:
    """The texts between each pair of markers, in order, without the marker lines."""
    return _region(markers).findall(source)


def outside_regions(source: str) -> str:
    """What a student sees of a cell: the text outside all regions."""
    return without_regions(source, *SECRET_REGIONS.values())


def without_regions(source: str, *markers: tuple[str, str]) -> str:
    """`source` without the lines between each pair of markers; a region without an end reaches to the last line."""
    kept, end = [], None
    for line in source.split("\n"):
        if end is not None:
            end = None if end in line else end
        elif (end := next((last for first, last in markers if first in line), None)) is None:
            kept.append(line)
    return "\n".join(kept)


def without_marker_lines(source: str, *markers: tuple[str, str]) -> str:
    """`source` without the lines that hold a marker; what stands between them stays."""
    words = [word for pair in markers for word in pair]
    return "\n".join(line for line in source.split("\n") if not any(word in line for word in words))


def _region(markers: tuple[str, str]) -> re.Pattern[str]:
    begin, end = (re.escape(marker) for marker in markers)
    return re.compile(rf"^[ \t]*{begin}[^\n]*\n(.*?)^[ \t]*{end}[^\n]*", flags=re.MULTILINE | re.DOTALL)


def read_notebook(path: Path) -> Any:
    """The notebook at `path`, or a CourseError that says what is wrong with the file."""
    return parse_notebook(path, read_text(path))


def read_text(path: Path) -> str:
    if not path.is_file():
        raise CourseError("there is no such notebook.", where=path, remedy="Check the path.")
    try:
        return path.read_text(encoding="utf8")
    except UnicodeDecodeError as error:
        raise _unreadable(path, error) from error


def parse_notebook(path: Path, text: str) -> Any:
    """The notebook in `text`, which came from `path`."""
    problem: dict[str, Exception] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing and double cell ids: `torchgrade lesson fmt` mends them
            notebook = nbformat.reads(text, as_version=4, capture_validation_error=problem)
    except Exception as error:  # nbformat raises its own, json's and plain ones for a malformed file
        raise _unreadable(path, error) from error
    if problem:
        raise _unreadable(path, problem["ValidationError"])
    return notebook


def _unreadable(path: Path, error: Exception) -> CourseError:
    first = str(error).splitlines()[0][:120] if str(error) else ""
    return CourseError(
        f"not a readable notebook ({type(error).__name__}: {first}).",
        where=path,
        remedy="Open and save it in Jupyter, or restore it with git.",
    )


@dataclass(frozen=True)
class Master:
    """One lesson: its folder in `source/` and its notebook."""

    name: str
    folder: Path
    notebook: Any

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.ipynb"

    @property
    def bank_path(self) -> Path:
        return self.folder / "mistakes.py"

    @property
    def code_cells(self) -> list[Cell]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def answers(self) -> dict[str, Cell]:
        """grade_id -> code cell that students fill in. The grade_id is the name of what it defines."""
        return {
            nbgrader(cell)["grade_id"]: cell
            for cell in self.code_cells
            if nbgrader(cell).get("solution") and not nbgrader(cell).get("grade")
        }

    @property
    def graded(self) -> dict[str, Cell]:
        """grade_id -> locked test cell that earns points."""
        return {
            nbgrader(cell)["grade_id"]: cell
            for cell in self.code_cells
            if nbgrader(cell).get("grade") and not nbgrader(cell).get("solution")
        }

    @property
    def written(self) -> dict[str, Cell]:
        """grade_id -> question that a person grades."""
        return {
            nbgrader(cell)["grade_id"]: cell
            for cell in self.notebook.cells
            if nbgrader(cell).get("grade") and nbgrader(cell).get("solution")
        }

    @property
    def needed_by_grading(self) -> Iterator[Cell]:
        """The code cells that grading runs besides the graded ones, in order."""
        for cell in self.code_cells:
            if not is_demo(cell) and nbgrader(cell).get("grade_id") not in self.graded:
                yield cell

    def exercise_of(self, grade_id: str) -> str:
        """The answer that a graded cell belongs to: `attention_values` tests `attention`."""
        owners = [answer for answer in self.answers if grade_id.startswith(f"{answer}_")]
        if not owners:
            raise CourseError(
                f"the graded cell {grade_id!r} belongs to no exercise.",
                where=self.path,
                remedy=f"Name it ANSWER_{grade_id}; answers here: {', '.join(self.answers) or 'none'}.",
            )
        return max(owners, key=len)


def is_demo(cell: Cell) -> bool:
    return DEMO in cell.metadata.get("tags", [])


def has_hidden(cell: Cell) -> bool:
    return bool(regions(cell.source, HIDDEN))


def course_root() -> Path:
    """The folder that holds `nbgrader_config.py`: the working directory or one above it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "nbgrader_config.py").is_file():
            return folder
    raise CourseError(
        "no nbgrader_config.py here or above.", where=here, remedy="Run the command inside the course's folder."
    )


def lesson_names(course: Path) -> list[str]:
    return sorted(folder.name for folder in (course / "source").glob("[0-9][0-9]_*") if folder.is_dir())


def read_master(course: Path, name: str) -> Master:
    """The lesson `name`; a trailing slash or a path into `source/` is forgiven."""
    name = os.path.basename(os.path.normpath(name)).removesuffix(".ipynb")
    folder = course / "source" / name
    if not folder.is_dir():
        known = ", ".join(lesson_names(course)) or "none yet"
        raise CourseError(f"there is no lesson {name!r}.", where=course / "source", remedy=f"Lessons here: {known}.")
    path = folder / f"{name}.ipynb"
    notebook = read_notebook(path)
    _require_grade_ids(path, notebook.cells)
    _require_closed_regions(path, notebook.cells)
    return Master(name, folder, notebook)


def _require_grade_ids(path: Path, cells: list[Cell]) -> None:
    """nbgrader itself would lose a cell without a grade_id, and one of two with the same."""
    known = [nbgrader(cell).get("grade_id") for cell in cells if nbgrader(cell)]
    if not all(isinstance(grade_id, str) and grade_id for grade_id in known):
        number = 1 + next(i for i, cell in enumerate(cells) if nbgrader(cell) and not nbgrader(cell).get("grade_id"))
        raise CourseError(
            "an nbgrader cell has no grade_id.", where=f"{path}: cell {number}", remedy="Give it one in its metadata."
        )
    twice = [grade_id for grade_id, count in Counter(known).items() if count > 1]
    if twice:
        raise CourseError(f"two cells have the grade_id {twice[0]!r}.", where=path, remedy="Rename one of them.")


def _require_closed_regions(path: Path, cells: list[Cell]) -> None:
    """nbgrader looks for these words anywhere in a line; what we take for a region must be what it removes."""
    for number, cell in enumerate(cells, 1):
        for markers in SECRET_REGIONS.values():
            count = len(regions(cell.source, markers))
            begins, ends = (cell.source.count(marker.lstrip("# ")) for marker in markers)
            if not begins == ends == count:
                raise CourseError(
                    f"{begins} times {markers[0]!r}, {ends} times {markers[1]!r}.",
                    where=f"{path}: cell {number}",
                    remedy="Each region has both markers, each alone on its line.",
                )
