"""How a check says no: one short message a student can act on, and a `kind` that a grader can count.

Every class here shows itself in a notebook as its message alone, without a traceback through library code (IPython
calls `_render_traceback_`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which load torch
    from torchgrade.check.timing.growth import Growth
    from torchgrade.check.where import Where


class Plain(Exception):
    """An exception that a notebook shows as its message."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class CheckFailed(Plain, AssertionError):
    """The student's code did not do what the check asks. `shows`: what a grader can draw of it, if it is anything."""

    kind = "a check failed"
    shows: "Where | Growth | None" = None


class NotAnswered(CheckFailed):
    kind = "not answered yet"


class StudentRaised(CheckFailed):
    kind = "the code stopped with an error"


class DidNotRaise(CheckFailed):
    kind = "an error was expected and none came"


class WrongType(CheckFailed):
    kind = "the result has the wrong type"


class WrongShape(CheckFailed):
    kind = "the result has the wrong shape"


class WrongDtype(CheckFailed):
    kind = "the result has the wrong dtype"


class NotFinite(CheckFailed):
    kind = "the result holds NaN or infinity"


class WrongValues(CheckFailed):
    kind = "a value is wrong"


class WrongMethod(CheckFailed):
    kind = "the result is right or wrong, but the method is not the one asked for"


class TooSlow(CheckFailed):
    kind = "the result is right, but not fast enough"


class NotComparable(CheckFailed):
    kind = "the result could not be compared"


class Undecided(Plain):
    """The measurement gives no answer: no points are lost, and a person looks. `record` is for them.

    Raised under a grader only; in a notebook the check passes with a note.
    """


class CellError(Plain):
    """The test cell itself is wrong: the author's fault, never the student's."""
