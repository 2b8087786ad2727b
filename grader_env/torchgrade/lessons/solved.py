"""Run a lesson's cells outside Jupyter: the solved lesson as a plain namespace, a graded cell as a check of it."""

import linecache
import random
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from torchgrade.check import student
from torchgrade.check.failures import (
    NotAnswered,
    NotComparable,
    StudentRaised,
    WrongDtype,
    WrongShape,
    WrongType,
)
from torchgrade.check.timing.race import Inputs, Sides, Task
from torchgrade.check.timing.record import Record
from torchgrade.lessons.alike import Answers
from torchgrade.lessons.master import Cell

Namespace = dict[str, Any]

SEED = 20  # of a graded cell's own random numbers

CRUDE = (NotAnswered, NotComparable, StudentRaised, WrongDtype, WrongShape, WrongType)


@dataclass(frozen=True)
class Failure:
    """Why a graded cell gives no points.

    cell: its grade_id
    kind: the exception's class, or "time" or "crash"
    message: the first line
    crude: it failed by type, shape, dtype or an exception, which any test would catch; not by a value or a method
    answers: what the judge would look for among the mistakes; None where it does not look
    """

    cell: str
    kind: str
    message: str
    crude: bool
    answers: Answers | None = None


def new_lesson() -> Namespace:
    """An empty notebook namespace. It is `__main__`, as in a kernel: pickling and dataclasses look there."""
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    return main.__dict__


def run_source(source: str, name: str, namespace: Namespace) -> None:
    """Run `source` under the file name `name`, where checks and tracebacks find its text again."""
    linecache.cache[name] = (len(source), None, [f"{line}\n" for line in source.splitlines()], name)
    exec(compile(source, name, "exec", dont_inherit=True), namespace)


class _Listener:
    """A student who is heard."""

    def __init__(self, lesson: Namespace):
        self._student = student.LocalStudent(lesson)
        self.heard: list[tuple[str, student.Reply]] = []

    def answer(self, probe: student.Probe) -> student.Reply:
        return self._hear("probe", self._student.answer(probe))

    def names_used(self, definition: str) -> student.Reply:
        return self._hear("names", self._student.names_used(definition))

    def sides(self, task: Task) -> AbstractContextManager[Sides]:
        return self._student.sides(task)

    def peak_memory(self, payload: bytes, inputs: Inputs) -> tuple[int, Any]:
        return self._student.peak_memory(payload, inputs)

    def note(self, record: Record) -> None:
        """The verdict is enough."""

    def _hear(self, kind: str, reply: student.Reply) -> student.Reply:
        self.heard.append((kind, reply))
        return reply


def grade(cell: Cell, grade_id: str, lesson: Namespace) -> Failure | None:
    """Run a graded cell on the code in `lesson`."""
    who = _Listener(lesson)
    try:
        run_graded(cell.source, grade_id, who)
    except (Exception, SystemExit) as error:
        crude = isinstance(error, CRUDE) or not isinstance(error, AssertionError)
        answers = None if isinstance(error, NotAnswered) else Answers(tuple(who.heard), str(error))
        return Failure(grade_id, type(error).__name__, first_line(error), crude, answers)
    return None


def run_graded(source: str, grade_id: str, who: student.Student) -> None:
    """Run a graded cell: it starts from nothing and reaches the lesson through `check`, that is `who`, alone.

    It draws the same random numbers every time: a submission gets one result, and two students are asked the same.
    """
    torch.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)
    with student.answering(who):
        run_source(source, f"<graded cell {grade_id}>", {"__name__": "__main__"})


def first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
