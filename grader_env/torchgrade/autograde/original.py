"""A lesson as it was handed out: the truth a submission is compared with and repaired from.

What a cell holds and earns comes from the gradebook, where `nbgrader generate_assignment` put it; the order of the
cells, their ids and which of them are demonstrations come from the master.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import compute_checksum

from torchgrade.lessons import master
from torchgrade.lessons.frame import frame, source_folder

# nbgrader itself looks for these words anywhere in a line.
HIDDEN, MARK_SCHEME, SOLUTION = (
    (begin.lstrip("# "), end.lstrip("# ")) for begin, end in (master.HIDDEN, master.MARK_SCHEME, master.SOLUTION)
)


@dataclass(frozen=True)
class OfficialCell:
    """A cell that nbgrader knows by its grade_id. `points` is None unless it is graded."""

    grade_id: str
    cell_type: str
    source: str
    locked: bool
    solution: bool
    task: bool
    points: float | None

    @property
    def released(self) -> str:
        """The source as students got it."""
        return master.without_regions(self.source, HIDDEN, MARK_SCHEME)

    @property
    def is_test(self) -> bool:
        return self.points is not None and not self.solution and not self.task

    @property
    def metadata(self) -> dict[str, Any]:
        """nbgrader's metadata. An answer's checksum is that of its released source: equal means "no answer"."""
        graded = {} if self.points is None else {"points": self.points}
        meta = {
            "schema_version": 3,
            "grade": self.points is not None and not self.task,
            "solution": self.solution,
            "locked": self.locked,
            "task": self.task,
            "grade_id": self.grade_id,
            "cell_type": self.cell_type,
            **graded,
        }
        source = self.source if self.locked else self.released
        cell = NotebookNode(cell_type=self.cell_type, source=source, metadata=NotebookNode(nbgrader=NotebookNode(meta)))
        return {**meta, "checksum": compute_checksum(cell)}


@dataclass(frozen=True)
class Place:
    """A cell of the master: where it stands among the others. `grade_id` is empty for an ordinary cell."""

    cell_id: str
    grade_id: str
    source: str
    demo: bool


@dataclass(frozen=True)
class Original:
    cells: dict[str, OfficialCell]
    places: tuple[Place, ...]

    @cached_property
    def ids(self) -> dict[str, str]:
        """grade_id -> id of the cell in the master"""
        return {place.grade_id: place.cell_id for place in self.places if place.grade_id in self.cells}

    @cached_property
    def order(self) -> list[str]:
        """The grade_ids from top to bottom; those the master no longer has come last."""
        return [*self.ids, *(grade_id for grade_id in self.cells if grade_id not in self.ids)]

    def is_demo(self, cell: Any) -> bool:
        """Whether this cell of a submission, which nbgrader does not know, is one of the demonstrations."""
        return any(place.demo and (place.cell_id == cell.id or place.source == cell.source) for place in self.places)


def read_original(resources: Any, coursedir: CourseDirectory) -> Original:
    """The lesson that the notebook being converted (nbgrader's `resources`) belongs to."""
    assignment, name = resources["nbgrader"]["assignment"], resources["nbgrader"]["notebook"]
    folder = source_folder(coursedir, assignment)
    header, footer = frame(folder)
    cells = [*header, *master.read_notebook(folder / f"{name}.ipynb").cells, *footer]
    places = tuple(
        Place(cell.get("id", ""), master.nbgrader(cell).get("grade_id", ""), cell.source, master.is_demo(cell))
        for cell in cells
    )
    with Gradebook(resources["nbgrader"]["db_url"]) as gradebook:
        return Original(_official_cells(gradebook.find_notebook(name, assignment)), places)


def _official_cells(notebook: Any) -> dict[str, OfficialCell]:
    points = {cell.name: float(cell.max_score) for cell in (*notebook.grade_cells, *notebook.task_cells)}
    solutions = {cell.name for cell in notebook.solution_cells}
    tasks = {cell.name for cell in notebook.task_cells}
    return {
        cell.name: OfficialCell(
            grade_id=cell.name,
            cell_type=cell.cell_type,
            source=cell.source,
            locked=bool(cell.locked),
            solution=cell.name in solutions,
            task=cell.name in tasks,
            points=points.get(cell.name),
        )
        for cell in notebook.source_cells
    }
