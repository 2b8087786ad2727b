"""Where a student's own code stopped in a hidden check, in words that the student's process cannot make up.

That process knows the hidden inputs and says what it likes. So an error is named only if it is one of Python's or
torch's, and a line is quoted from the notebook, and only if the notebook has it under the number given. What is left to
a liar is the choice of one of these names and one of these lines for each check: at most 18 bits.
"""

import builtins
from collections.abc import Sequence
from typing import Any

from nbgrader.utils import is_locked

from torchgrade.judge.verdict import Stop

OF_TORCH = ("AcceleratorError", "OutOfMemoryError", "_LinAlgError")
MAX_LINES = 2000  # of a notebook that may be quoted; the course's own lessons have some hundreds
MAX_LINE = 60  # characters of a line that are shown; more would not fit on the page

Lines = Sequence[Sequence[str]]


def own_lines(notebook: Any) -> Lines:
    """The lines of each code cell that the student could write."""
    found: list[list[str]] = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and not is_locked(cell):
            found.append(cell.source.splitlines()[: MAX_LINES - sum(map(len, found))])
    return found


def stopped_by(stop: Stop, own: Lines) -> str:
    """As "stopped by IndexError in your line 3: `return items[3]`"; without a part that is not to be believed."""
    return f"stopped by {error_name(stop.error)}{_place(stop, own)}"


def error_name(name: str) -> str:
    known = getattr(builtins, name, None)
    is_pythons = isinstance(known, type) and issubclass(known, BaseException)
    return name if is_pythons or name in OF_TORCH else "an error"


def _place(stop: Stop, own: Lines) -> str:
    for lines in own:
        skipped = next((index for index, line in enumerate(lines) if line.strip()), 0)  # a kernel drops empty ones
        number = skipped + stop.number
        if skipped < number <= len(lines) and (text := lines[number - 1].strip()) and text == stop.line:
            return f" in your line {number}: `{text if len(text) <= MAX_LINE else text[: MAX_LINE - 3] + '...'}`"
    return ""
