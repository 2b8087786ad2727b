"""One submission from its first cell to its last, in a sandboxed kernel, with a snapshot for each cell to be judged.

A kernel that dies or cannot be interrupted is replaced: the cells before the guilty one run again, silently, so that
later exercises, which do not need it, are still graded. Snapshots that were taken stay; only when the whole sandbox was
ended (it outgrew its memory) are they taken again.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from torchgrade.autograde.outcome import Stopped
from torchgrade.kernels.kernel import Ended, Kernel, Message, OutputLimit
from torchgrade.kernels.warm import Parent
from torchgrade.sandbox import Limits

MAX_KERNELS = 3  # for one submission; each start costs seconds
MAX_OUTPUT = 16 << 20  # bytes of a notebook


@dataclass(eq=False)
class Step:
    """A code cell that grading looks at.

    judged: it is not run, but a snapshot is taken at its place
    stopped: afterwards, why it did not run to its end
    connection: afterwards, where the snapshot waits for the judge, if there is one
    """

    source: str
    judged: bool
    on_output: Callable[[Message], None] = lambda message: None
    stopped: Stopped | None = None
    connection: socket.socket | None = None


class NotebookRun:
    """Runs the steps. Snapshots live until the end of the `with` block.

    cell_seconds, notebook_seconds: wall clock for one cell and for all of them, replayed ones included
    parent: of warm kernels

    Nothing that a submission does raises here; CourseError if no kernel starts.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        cell_seconds: float,
        notebook_seconds: float,
        files: Mapping[str, bytes],
        limits: Limits,
        parent: Parent | None = None,
    ):
        self._steps, self._cell_seconds, self._files, self._limits = steps, cell_seconds, files, limits
        self._parent = parent
        self._deadline = time.monotonic() + notebook_seconds
        self._output_left = MAX_OUTPUT
        self._resources = contextlib.ExitStack()
        self._pairs: dict[Step, tuple[socket.socket, socket.socket]] = {}
        self._kernel: Kernel | None = None

    def run(self) -> None:
        guilty: list[Step] = []
        for number, step in enumerate(self._steps):
            if self._kernel is None and len(guilty) < MAX_KERNELS:
                self._start_kernel()
                self._replay(self._steps[:number], guilty)
            self._take(step)
            if self._kernel is not None and not self._kernel.alive:
                guilty.append(step)
                self._give_up_kernel(self._steps[: number + 1])
        if self._kernel is not None:
            self._kernel.stop()  # from now on nothing of the student's runs but the snapshots

    def __enter__(self) -> "NotebookRun":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._resources.close()

    def _start_kernel(self) -> None:
        for step in self._steps:
            if step.judged and step.connection is None and step not in self._pairs:
                self._pairs[step] = ours, theirs = socket.socketpair()
                self._resources.callback(ours.close)
                self._resources.callback(theirs.close)
        ends = [theirs for _, theirs in self._pairs.values()]
        started = time.monotonic()
        self._kernel = Kernel(connections=ends, files=self._files, limits=self._limits, parent=self._parent)
        self._deadline += time.monotonic() - started  # the machine's time, not the student's
        self._resources.callback(self._kernel.close)

    def _give_up_kernel(self, so_far: Sequence[Step]) -> None:
        assert self._kernel is not None
        if self._kernel.lost_its_snapshots:
            for step in so_far:
                step.connection = None
        self._kernel = None

    def _replay(self, steps: Sequence[Step], guilty: Sequence[Step]) -> None:
        """Bring a new kernel into the state in which the innocent ones of `steps` leave it."""
        for step in steps:
            if self._kernel is None or not self._kernel.alive or self._seconds() <= 0:
                return
            if step.judged:
                if step.connection is None and step.stopped is None:
                    step.connection = self._snapshot(step)
            elif step not in guilty:
                self._run(step, lambda message: None)

    def _take(self, step: Step) -> None:
        if self._seconds() <= 0:
            step.stopped = Stopped.NoTimeLeft
        elif self._kernel is None:
            step.stopped = Stopped.KernelGone
        elif not step.judged:
            step.stopped = self._run(step, step.on_output)
        else:
            step.connection = self._snapshot(step)
            step.stopped = None if step.connection else Stopped.KernelStuck

    def _run(self, step: Step, on_output: Callable[[Message], None]) -> Stopped | None:
        assert self._kernel is not None
        allowed = min(OutputLimit.bytes, self._output_left)
        limit = OutputLimit(bytes=allowed)
        ended = self._kernel.run(step.source, seconds=self._seconds(), limit=limit, on_output=on_output)
        self._output_left -= allowed - max(0, limit.bytes)
        match ended:
            case Ended.DONE:
                return None
            case Ended.FAILED:
                return Stopped.ErrorNotShown  # unless an output shows it
            case Ended.OUTPUT:
                return Stopped.TooMuchOutput
            case Ended.TIME | Ended.STUCK:
                return Stopped.CellTimeout
            case Ended.DIED:
                return Stopped.OutOfMemory if self._kernel.ran_out_of_memory else Stopped.KernelDied

    def _snapshot(self, step: Step) -> socket.socket | None:
        assert self._kernel is not None
        ours, theirs = self._pairs.pop(step)
        taken = self._kernel.snapshot(theirs)
        theirs.close()  # the snapshot alone holds the other end: the judge sees when it is gone
        return ours if taken else None

    def _seconds(self) -> float:
        return min(self._cell_seconds, self._deadline - time.monotonic())
