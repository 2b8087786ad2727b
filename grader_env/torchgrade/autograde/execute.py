"""nbgrader's Execute, replaced: cells run in a sandboxed kernel, and a judge outside decides about the graded ones."""

import contextlib
import functools
import logging
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionComplete
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade, is_solution
from traitlets import Integer, List, Unicode
from traitlets.log import get_logger

from torchgrade.autograde.judging import judge_cells, start_judge
from torchgrade.autograde.notebook_run import NotebookRun, Step
from torchgrade.autograde.outcome import Stopped, errors
from torchgrade.autograde.work_folder import files_in
from torchgrade.kernels.kernel import Message
from torchgrade.kernels.warm import shared
from torchgrade.lessons.master import is_demo, nbgrader
from torchgrade.sandbox import Limits, require_tier

# nbclient reports on its own what `_tell` says better: whose cell, and which.
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
        self.nb, self.resources = nb, resources
        self.reset_execution_trackers()
        self.clear_before_next_output = self.record_timing = False
        require_tier(self.minimum_tier)
        facts = resources["nbgrader"]
        self._student, lesson = facts["student"], facts["assignment"]
        self._parent = shared.get()  # comes up while the judge does
        judged, course = lesson not in self.classic, Path(CourseDirectory(parent=self).root)
        if judged:
            start_judge(course, lesson)
        else:
            _warn_once(lesson)
        steps = {
            index: Step(cell.source, judged and _is_test(cell), on_output=self._collector(index))
            for index, cell in enumerate(nb.cells)
            if cell.cell_type == "code" and cell.source.strip() and not is_demo(cell)
        }
        with self._run(list(steps.values()), Path(resources["metadata"]["path"])) as run:
            for index, step in steps.items():
                if not step.judged:
                    nb.cells[index].outputs = []
            run.run()
            for index, step in steps.items():
                self._finish(nb.cells[index], step)
            if judged:
                asked = [(nb.cells[index], step.connection) for index, step in steps.items() if step.connection]
                judge_cells(course, lesson, asked, cell_seconds=self._cell_seconds, seconds=self.notebook_timeout)
        return nb, resources

    @property
    def _cell_seconds(self) -> int:
        return int(self.timeout or self.notebook_timeout)

    def _run(self, steps: list[Step], folder: Path) -> NotebookRun:
        files, refused = files_in(folder)
        if refused:
            get_logger().warning("%s: not taken along: %s.", self._student, ", ".join(refused[:5]))
        return NotebookRun(
            steps,
            cell_seconds=self._cell_seconds,
            notebook_seconds=self.notebook_timeout,
            files=files,
            limits=Limits(memory=self.memory, processes=self.processes),
            parent=self._parent,
        )

    def _collector(self, index: int) -> Any:
        """Put a message of the kernel among the outputs of cell `index`; from one without sense an error remains."""

        def collect(message: Message) -> None:
            message["msg_type"] = message["header"].get("msg_type", "")
            with contextlib.suppress(CellExecutionComplete):
                try:
                    self.process_message(message, self.nb.cells[index], index)
                except (AttributeError, KeyError, TypeError, ValueError):  # the student's process may send anything
                    self.nb.cells[index].outputs.append(Stopped.BadOutput.output)

        return collect

    def _finish(self, cell: Any, step: Step) -> None:
        if step.stopped is None:
            return
        if not step.judged:
            noise = [error for error in errors(cell) if error.ename == "KeyboardInterrupt"]  # by which it was stopped
            cell.outputs = [output for output in cell.outputs if output not in noise]
        cell.outputs = [*cell.outputs, step.stopped.output] if not step.judged else [step.stopped.output]
        if step.stopped is not Stopped.KernelGone:
            name = nbgrader(cell).get("grade_id") or "without a name"
            get_logger().warning("%s, cell %s: %s.", self._student, name, step.stopped.value)


@functools.cache
def _warn_once(lesson: str) -> None:
    get_logger().warning("%s: CLASSIC MODE: its tests run in the students' kernels; points can be forged.", lesson)


def _is_test(cell: Any) -> bool:
    return is_grade(cell) and not is_solution(cell)
