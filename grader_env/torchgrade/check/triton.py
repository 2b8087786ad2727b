"""`triton`: run, count and compile a student's Triton kernels, on a machine with a GPU or without."""

import importlib.util
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import cloudpickle

from torchgrade.check import capture, student
from torchgrade.check.failures import CellError, NotComparable, Undecided, WrongMethod
from torchgrade.check.probe import exercise_of, require_own, student_of, value_of
from torchgrade.triton_lab.report import Report, Unreadable, read


def triton(fn: FunctionType, *, targets: tuple[int, ...] = (80, 90, 100), seed: int = 0) -> Report:
    """Run `fn`, which calls the student's launcher of Triton kernels on CPU tensors, and report on it.

    report = check.triton(lambda: flash_forward(q, k, v))
    check.close(report.result, expected, "matches the reference")

    fn, seed: as for check.run
    targets: compute capabilities to compile for, 80 for sm_80 (seconds of work); () compiles nothing

    The kernels run in Triton's interpreter, in a process of their own; their machine code is what a GPU of each target
    would get for the launches seen there (report.Compiled). Raises what check.run raises, WrongMethod if no kernel was
    launched, Undecided where there is no Triton. The result is as safe as any probe's. The rest is best effort: it is
    found on the student's side, where whoever wants around it gets around it.
    """
    targets = tuple(targets)
    if not all(type(target) is int and target >= 75 for target in targets):
        raise CellError(f"check.triton takes targets such as (80, 90, 100), got {targets}.")
    if importlib.util.find_spec("triton") is None:
        raise Undecided("Triton is not installed here; it needs Linux. Your kernel is checked where it is graded.")
    payload = capture.pack(fn)
    require_own(fn, sys._getframe(0))
    reply = student_of(fn).answer(student.Probe(_question(payload, targets, seed), seed))
    try:
        report = read(value_of(reply, exercise_of(fn)), targets)
    except Unreadable as error:
        raise NotComparable(f"The report on the kernels could not be read ({error}).") from None
    if not report.launches:
        raise WrongMethod("No Triton kernel was launched: call one as kernel[grid](...).")
    return report


def _question(payload: bytes, targets: tuple[int, ...], seed: int) -> bytes:
    """A probe that has torchgrade, on the student's side, look at the packed one."""

    def asked() -> Any:
        from torchgrade.triton_lab.answer import answer

        return answer(payload, seed, targets, globals())

    return _by_value(asked)


def _by_value(fn: Callable[[], Any]) -> bytes:
    """`fn` packed with a namespace of its own, which the student's side fills with the notebook's names."""
    own = FunctionType(fn.__code__, {"__name__": "__main__"}, fn.__name__, None, fn.__closure__)
    own.__module__ = "__main__"
    return bytes(cloudpickle.dumps(own))
