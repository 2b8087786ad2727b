"""Run a submission. A loop, a crash or a dead kernel costs what it must, and the rest is graded."""

import contextlib
import logging
import math
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade
from traitlets import Integer, default
from traitlets.log import get_logger

from torchgrade.autograde.outcome import Stopped, errors
from torchgrade.lessons.master import DEMO, nbgrader

# With more threads the same small training takes many times longer on a busy machine.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# nbclient reports a stopped cell without saying whose and which; `_tell` says both.
SILENT = logging.getLogger(__name__)
SILENT.disabled = True


class RunCells(Execute):
    """nbgrader's Execute (and its options), which survives what a submission does to its kernel.

    Demonstrations are skipped: `Repair` leaves the tag only on cells that the master tags.
    """

    notebook_timeout = Integer(600, help="Seconds for all cells of a notebook together.").tag(config=True)

    @default("skip_cells_with_tag")
    def _skip_demonstrations(self) -> str:
        return DEMO

    @default("shutdown_kernel")
    def _shutdown_at_once(self) -> str:
        return "immediate"

    @default("iopub_timeout")
    def _wait_for_outputs(self) -> int:
        return 10

    def preprocess(self, nb: Any, resources: Any = None, km: Any = None) -> tuple[Any, Any]:
        self.log = SILENT
        self._student = resources["nbgrader"]["student"]
        self._over: Stopped | None = None  # why no cell runs any more
        self._deadline = time.monotonic() + self.notebook_timeout
        self.timeout_func = self._seconds_for
        self.error_on_timeout = Stopped.CellTimeout.reply
        return super().preprocess(nb, resources, km)

    @contextlib.contextmanager
    def setup_kernel(self, **kwargs: Any) -> Iterator[None]:
        """The kernel's own prints (not its cells') would reach the grader's terminal."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with super().setup_kernel(env={**os.environ, **ONE_THREAD}, **quiet, **kwargs):
            yield

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        if self._over is None and time.monotonic() > self._deadline:
            self._give_up(Stopped.NoTimeLeft, Stopped.NoTimeLeft, cell)
        if self._over is not None:
            if cell.cell_type == "code" and is_grade(cell):
                cell.outputs = [self._over.output]
            return cell, resources
        try:
            return super().preprocess_cell(cell, resources, index)
        except DeadKernelError:
            cell.outputs.append(Stopped.KernelDied.output)
            self._give_up(Stopped.KernelDied, Stopped.KernelGone, cell)
        except CellTimeoutError:  # the kernel does not answer to an interrupt either
            cell.outputs.append(Stopped.CellTimeout.output)
            self._give_up(Stopped.CellTimeout, Stopped.KernelStuck, cell)
        return cell, resources

    def on_cell_executed(self, **kwargs: Any) -> None:
        super().on_cell_executed(**kwargs)
        cell = kwargs["cell"]
        if Stopped.CellTimeout.is_in(cell):  # and not the KeyboardInterrupt that stopped it
            noise = [error for error in errors(cell) if error.ename != Stopped.CellTimeout.name]
            cell.outputs = [output for output in cell.outputs if output not in noise]
            self._tell(Stopped.CellTimeout.value, cell)

    def _seconds_for(self, source: Any) -> int:
        left = max(1, math.ceil(self._deadline - time.monotonic()))
        return min(self.timeout, left) if self.timeout else left

    def _give_up(self, reason: Stopped, reason_from_now_on: Stopped, cell: Any) -> None:
        self._over = reason_from_now_on
        self._tell(f"{reason.value}; the graded cells after it are not run", cell)

    def _tell(self, what: str, cell: Any) -> None:
        name = nbgrader(cell).get("grade_id") or "without a name"
        get_logger().warning("%s, cell %s: %s.", self._student, name, what)
