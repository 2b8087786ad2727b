"""The few phrases that feedback uses for what happened in a test cell."""

from collections.abc import Iterator
from typing import Any

from torchgrade.autograde.judging import verdict_of
from torchgrade.autograde.outcome import errors, stopped
from torchgrade.feedback.stops import Lines, error_name, stopped_by
from torchgrade.judge.verdict import Kind

PASSED = "passed"


def verdict(cell: Any, own: Lines = ()) -> str:
    """One phrase for an executed test cell. Of the student's words, only a line of the notebook may be in it.

    own: the lines that the student wrote (stops.own_lines)
    """
    if (decided := verdict_of(cell)) is not None:
        if decided.kind is not Kind.FAILED:
            return decided.kind.phrase
        if decided.stop is not None:
            return stopped_by(decided.stop, own)
    if (reason := stopped(cell)) is not None:
        return reason.value
    found = errors(cell)
    return phrase(found[-1].ename) if found else PASSED


def phrase(ename: str) -> str:
    """`ename` in plain words. A name that is neither a check's nor a well-known error's is not repeated."""
    kinds = {failure.__name__: failure.kind for failure in _check_failures()}
    return kinds[ename] if ename in kinds else f"stopped by {error_name(ename)}"


def is_check_failure(ename: str) -> bool:
    return any(failure.__name__ == ename for failure in _check_failures())


def _check_failures() -> Iterator[Any]:
    from torchgrade.check.failures import CheckFailed  # here, because it loads torch

    unvisited = [CheckFailed]
    while unvisited:
        failure = unvisited.pop()
        yield failure
        unvisited += failure.__subclasses__()
