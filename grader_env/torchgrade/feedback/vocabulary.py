"""The few phrases that feedback uses for what happened in a test cell, chosen by the error's class name alone."""

import builtins
from collections.abc import Iterator
from typing import Any

from torchgrade.autograde.judging import verdict_of
from torchgrade.autograde.outcome import errors, stopped
from torchgrade.judge.verdict import Kind

PASSED = "passed"


def verdict(cell: Any) -> str:
    """One phrase for an executed test cell. No text of the cell, its error or the student is in it."""
    if (decided := verdict_of(cell)) is not None and decided.kind is not Kind.FAILED:
        return decided.kind.phrase
    if (reason := stopped(cell)) is not None:
        return reason.value
    found = errors(cell)
    return phrase(found[-1].ename) if found else PASSED


def phrase(ename: str) -> str:
    """`ename` in plain words. A name that is neither a check's nor Python's own is the student's text: not repeated."""
    kinds = {failure.__name__: failure.kind for failure in _check_failures()}
    if ename in kinds:
        return kinds[ename]
    error = getattr(builtins, ename, None)
    if isinstance(error, type) and issubclass(error, BaseException):
        return f"stopped by an error ({ename})"
    return "stopped by an error"


def is_check_failure(ename: str) -> bool:
    return any(failure.__name__ == ename for failure in _check_failures())


def _check_failures() -> Iterator[Any]:
    from torchgrade.check.failures import CheckFailed  # here, because it loads torch

    unvisited = [CheckFailed]
    while unvisited:
        failure = unvisited.pop()
        yield failure
        unvisited += failure.__subclasses__()
