"""Candidate and baseline in this process: what a student sees while working. A grader does not believe this clock."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from torchgrade.check import capture, codec
from torchgrade.check.failures import CellError
from torchgrade.check.timing import memory
from torchgrade.check.timing.called import Called
from torchgrade.check.timing.race import Inputs, Side, Sides, Task

Explain = Callable[[BaseException], Exception]


class LocalSide(Side):
    """A packed function among `names`, in this process. It gets copies, and its results are copied too."""

    def __init__(self, payload: bytes, names: dict[str, Any], fixed: Inputs, explain: Explain):
        self._called, self._explain = Called(payload, names), explain
        self._called.hold(_copies(fixed))

    def call(self, inputs: list[Inputs]) -> tuple[float, list[Any]]:
        given = [_copies(one) for one in inputs]
        started = time.thread_time()  # a process's own clock moves in ticks once it has a limit
        try:
            results = self._called.call(given)
            seconds = time.thread_time() - started
            return seconds, codec.decode(*codec.encode(results))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._explain(error) from None


def sides(task: Task, names: dict[str, Any], explain: Explain) -> Sides:
    """explain: what to raise for an error of the student's code"""
    fixed = task.fixed()
    memory.keep_freed()
    return Sides(
        candidate=LocalSide(capture.pack_call(task.candidate), names, fixed, explain),
        baseline=LocalSide(capture.pack_call(task.baseline), {}, fixed, of_baseline),
        second=None,  # one process: whatever disturbs it disturbs both sides
        together=_one_thread,
    )


def peak(payload: bytes, names: dict[str, Any], inputs: Inputs, explain: Explain) -> tuple[int, Any]:
    """(bytes above the start while the function runs on `inputs`, its result). Raises memory.NoAccount."""
    side = LocalSide(payload, names, inputs, explain)
    with memory.exact():
        before = memory.reset()
        _, (result,) = side.call([()])
        return memory.highest() - before, result


def of_baseline(error: BaseException) -> CellError:
    return CellError(f"check.speed: the baseline stops with {type(error).__name__}: {error}")


@contextlib.contextmanager
def _one_thread() -> Iterator[bool]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield True
    finally:
        torch.set_num_threads(threads)


def _copies(values: Inputs) -> Inputs:
    return tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in values)
