"""Run a lesson's cells outside Jupyter: the solved lesson as a plain namespace, a graded cell as a check of it."""

import linecache
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torchgrade.check import student
from torchgrade.check.failures import (
    NotAnswered,
    NotComparable,
    StudentRaised,
    WrongDtype,
    WrongShape,
    WrongType,
)
from torchgrade.lessons.master import Cell

Namespace = dict[str, Any]

CRUDE = (NotAnswered, NotComparable, StudentRaised, WrongDtype, WrongShape, WrongType)


@dataclass(frozen=True)
class Failure:
    """Why a graded cell gives no points.

    cell: its grade_id
    kind: the exception's class, or "time" or "crash"
    message: the first line
    crude: it failed by type, shape, dtype or an exception, which any test would catch; not by a value or a method
    """

    cell: str
    kind: str
    message: str
    crude: bool


def new_lesson() -> Namespace:
    """An empty notebook namespace. It is `__main__`, as in a kernel: pickling and dataclasses look there."""
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    return main.__dict__


def run_source(source: str, name: str, namespace: Namespace) -> None:
    """Run `source` under the file name `name`, where checks and tracebacks find its text again."""
    linecache.cache[name] = (len(source), None, [f"{line}\n" for line in source.splitlines()], name)
    exec(compile(source, name, "exec", dont_inherit=True), namespace)


def grade(cell: Cell, grade_id: str, lesson: Namespace) -> Failure | None:
    """Run a graded cell: it starts from nothing and reaches the lesson through `check` alone."""
    try:
        with student.answering(student.LocalStudent(lesson)):
            run_source(cell.source, f"<graded cell {grade_id}>", {"__name__": "__main__"})
    except (Exception, SystemExit) as error:
        crude = isinstance(error, CRUDE) or not isinstance(error, AssertionError)
        return Failure(grade_id, type(error).__name__, first_line(error), crude)
    return None


def first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
