"""`run` and `raises`: the two ways a test cell talks to the student's code."""

import re
import sys
from types import FrameType, FunctionType
from typing import Any

import torch

from torchgrade.check import capture, codec, student
from torchgrade.check.failures import (
    CellError,
    DidNotRaise,
    NotAnswered,
    NotComparable,
    StudentRaised,
    WrongShape,
    WrongType,
)
from torchgrade.check.words import as_hint, described, one_line


def run(fn: FunctionType, *, shape: tuple[int, ...] | None = None, seed: int = 0) -> Any:
    """Run `fn` on the student's side and return a copy of its result.

    fn: a function without arguments. Names that the cell defines travel as copies, every other name is the student's.
    shape: the shape the result must have; give it when the cell indexes the result before comparing it.
    seed: for the random numbers the student's code draws; the test's own seed does not travel.

    Returns tensors (detached, on the CPU), numbers, strings, None, and lists, tuples and dicts of them.
    Raises NotAnswered for an unfilled stub, StudentRaised if the code stops with an error, NotComparable if the result
    is of any other type, WrongType or WrongShape against `shape`; CellError if the test cell itself is wrong.
    """
    value = value_of(ask(fn, seed=seed), exercise_of(fn))
    if shape is not None:
        _require_shape(value, tuple(shape))
    return value


def raises(error: type[BaseException], fn: FunctionType, what: str, *, hint: str | None = None, seed: int = 0) -> None:
    """The student's code must stop with `error` (or a subclass) when `fn` runs; `what` says in which case."""
    raised = ask(fn, seed=seed).raised
    if raised is None:
        raise DidNotRaise(f"{what}: expected {error.__name__}, but the code returned without an error.{as_hint(hint)}")
    if raised.is_unfilled_stub:
        raise explained(raised, exercise_of(fn))
    if error.__name__ not in raised.kinds:
        raise StudentRaised(f"{what}: expected {error.__name__}. {explained(raised)}{as_hint(hint)}")


def ask(fn: FunctionType, *, seed: int = 0, watch: str = "") -> student.Reply:
    """Send `fn` to the current student, which is by default the notebook around it."""
    payload = capture.pack(fn)
    require_own(fn, sys._getframe(1))
    return student_of(fn).answer(student.Probe(payload, seed, watch))


def student_of(fn: FunctionType) -> student.Student:
    """Who is asked: by default the notebook around `fn`."""
    return student.current() or student.LocalStudent(fn.__globals__, cell=capture.names_of_cell(fn))


def require_own(fn: FunctionType, caller: FrameType) -> None:
    """Refuse `check.run(answer)`: where a grader keeps the student apart, its cell has no such name."""
    while caller.f_back and caller.f_globals.get("__name__", "").startswith(__package__):
        caller = caller.f_back
    if fn.__globals__ is caller.f_globals and fn.__code__.co_filename != caller.f_code.co_filename:
        raise CellError(f"{fn.__name__} is the student's: name it only inside a function that check.run takes.")


def value_of(reply: student.Reply, exercise: str = "") -> Any:
    """The value a reply carries; raises what it says otherwise, as `run` does."""
    if reply.raised is not None:
        raise explained(reply.raised, exercise)
    if reply.unsendable is not None:
        raise not_sendable(reply.unsendable)
    try:
        return codec.decode(reply.header, reply.body)
    except codec.Unreadable as error:
        raise NotComparable(f"The result could not be read ({error}).") from None


def not_sendable(what: str) -> NotComparable:
    return NotComparable(f"The result holds {what}; return tensors, numbers, text, lists or dicts.")


def explained(raised: student.Raised, exercise: str = "") -> NotAnswered | StudentRaised:
    """The failure that tells a student what their code raised and where."""
    if raised.is_unfilled_stub:
        return NotAnswered(f"{exercise or raised.lines[-1].function}: not answered yet")
    message = one_line(raised.message)
    if raised.kinds[0] == "NameError" and not raised.lines:
        return StudentRaised(f"{message}. Run the cell that defines it; did that cell stop with an error?")
    text = f"Your code stopped with {raised.kinds[0]}" + f": {message}" * bool(message)
    if raised.lines:
        line = raised.lines[-1]
        text += f"\n  in {line.function}, line {line.number} of its cell: {one_line(line.text, 100)}"
    return StudentRaised(text)


def exercise_of(fn: FunctionType) -> str:
    """'Exercise 7.2' if the cell has a comment that says "Check 7.2"."""
    found = re.search(r"^#.*?\b(?:Check|Exercise) (\d+\.\d+)", capture.source_of_cell(fn), flags=re.MULTILINE)
    return f"Exercise {found.group(1)}" if found else ""


def _require_shape(value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, torch.Tensor):
        raise WrongType(f"Expected a tensor of shape {shape}, got {described(value)}.")
    if tuple(value.shape) != shape:
        raise WrongShape(f"Expected shape {shape}, got {tuple(value.shape)}.")
