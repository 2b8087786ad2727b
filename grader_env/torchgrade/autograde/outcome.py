"""Why a cell did not run to its end, when the reason is not an error of its own code.

Each reason is written into the notebook as an error output whose `ename` is ours, so that nbgrader's formgrader shows
it, the score counts it, and the feedback finds it again.
"""

from enum import Enum
from typing import Any

from nbformat.v4 import new_output


class Stopped(Enum):
    """ename -> one plain phrase, which completes "this cell: ..."."""

    CellTimeout = "did not finish in time and was stopped"
    KernelDied = "the kernel died in this cell"
    KernelGone = "not run, because the kernel died in an earlier cell"
    KernelStuck = "not run, because an earlier cell could not be stopped"
    OutOfMemory = "used too much memory and was stopped"
    TooMuchOutput = "printed too much and was stopped"
    NoTimeLeft = "not run, because the whole notebook took too long"
    BadOutput = "gave an output that could not be read"
    ErrorNotShown = "stopped with an error that it did not show"
    NotRun = "not run while grading"

    @property
    def message(self) -> str:
        return self.value[0].upper() + self.value[1:] + "."

    @property
    def reply(self) -> dict[str, Any]:
        return {"ename": self.name, "evalue": self.message, "traceback": [self.message]}

    @property
    def output(self) -> Any:
        return new_output("error", **self.reply)

    def is_in(self, cell: Any) -> bool:
        return any(error.ename == self.name for error in errors(cell))


def errors(cell: Any) -> list[Any]:
    return errors_in(cell.get("outputs", []))


def errors_in(outputs: list[Any]) -> list[Any]:
    return [output for output in outputs if output.output_type == "error"]


def stopped(cell: Any) -> Stopped | None:
    """Why this executed cell did not run to its end, or None if it did."""
    return next((reason for reason in Stopped if reason.is_in(cell)), None)
