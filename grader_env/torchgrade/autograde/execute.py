"""nbgrader's Execute, replaced: cells run in a sandboxed kernel, and a judge outside decides about the graded ones."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import from_dict
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade, is_solution
from traitlets import Integer, List, Unicode
from traitlets.log import get_logger

from torchgrade.autograde import worker
from torchgrade.autograde.work import CodeCell, Lesson, Result, Work, environment, read_lesson
from torchgrade.autograde.work_folder import files_in
from torchgrade.lessons.master import is_demo, nbgrader
from torchgrade.sandbox import Limits, require_tier

KEY = "torchgrade_result"  # of the notebook's metadata: by which a later run knows that nothing has changed
VERSION = "torchgrade_lesson"  # of the notebook's metadata: the digest of the lesson that graded it
GIVEN = "torchgrade_given"  # of the resources: the result that a batch has had made elsewhere

# nbclient reports on its own what the notes say better: whose cell, and which.
SILENT = logging.getLogger(__name__)
SILENT.disabled = True


class RunCells(Execute):
    """Runs a submission, whatever it does, and writes a verdict into each of its graded cells.

    `timeout` (seconds for one cell) is nbgrader's option. Demonstrations are skipped: `Repair` leaves the tag only on
    cells that the master tags.
    """

    notebook_timeout = Integer(600, help="Seconds for all cells of a notebook together.").tag(config=True)
    memory = Integer(4 << 30, help="Bytes of memory for all processes of a submission together.").tag(config=True)
    processes = Integer(64, help="Processes and threads of a submission.").tag(config=True)
    minimum_tier = Unicode("T2", help="Refuse to grade where `torchgrade doctor` reports less.").tag(config=True)
    classic = List(
        Unicode(),
        help="Assignments whose tests name the student's functions directly, as nbgrader's own examples do. Their "
        "graded cells run in the student's kernel, in the sandbox, where a student's code can forge their result.",
    ).tag(config=True)

    def preprocess(self, nb: Any, resources: Any = None, km: Any = None) -> tuple[Any, Any]:
        self.log = SILENT
        student = resources["nbgrader"]["student"]
        version = self._lesson(resources).digest
        result: Result | None = resources.get(GIVEN)
        if result is None:
            files, refused = files_in(Path(resources["metadata"]["path"]))
            if refused:
                get_logger().warning("%s: not taken along: %s.", student, ", ".join(refused[:5]))
            require_tier(self.minimum_tier)
            result = worker.run(self.work(nb, resources, files))
        for note in result.notes:
            get_logger().warning("%s, %s", student, note)
        for index, outputs in result.outputs.items():
            nb.cells[index].outputs = [from_dict(output) for output in outputs]
        nb.metadata[KEY], nb.metadata[VERSION] = result.key, version
        return nb, resources

    def work(self, nb: Any, resources: Any, files: Mapping[str, bytes]) -> Work:
        """What a worker needs to run this repaired notebook. files: what it may read"""
        name = resources["nbgrader"]["assignment"]
        judged = name not in self.classic
        if not judged:
            _warn_once(name)
        cells = tuple(
            CodeCell(index, cell.source, nbgrader(cell).get("grade_id", ""), judged and _is_test(cell))
            for index, cell in enumerate(nb.cells)
            if cell.cell_type == "code" and cell.source.strip() and not is_demo(cell)
        )
        return Work(
            cells=cells,
            files=files,
            lesson=self._lesson(resources) if judged else None,
            points={nbgrader(cell)["grade_id"]: float(nbgrader(cell)["points"]) for cell in nb.cells if is_grade(cell)},
            cell_seconds=int(self.timeout or self.notebook_timeout),
            notebook_seconds=self.notebook_timeout,
            limits=Limits(memory=self.memory, processes=self.processes),
            environment=environment(),
        )

    def _lesson(self, resources: Any) -> Lesson:
        return read_lesson(Path(CourseDirectory(parent=self).root), resources["nbgrader"]["assignment"])


@functools.cache
def _warn_once(lesson: str) -> None:
    get_logger().warning("%s: CLASSIC MODE: its tests run in the students' kernels; points can be forged.", lesson)


def _is_test(cell: Any) -> bool:
    return is_grade(cell) and not is_solution(cell)
