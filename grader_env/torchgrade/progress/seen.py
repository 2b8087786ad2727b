"""Which visible checks passed in this notebook: a hook after each cell looks for the check's first line."""

import re
from dataclasses import dataclass, field
from typing import Any

CHECK = re.compile(r"^# Check (\d+)\.(\d+)\b", flags=re.MULTILINE)


@dataclass
class Seen:
    """(lesson, exercise) -> how its check ended the last time it ran: "passed", "failed" or "not answered"."""

    checks: dict[tuple[int, int], str] = field(default_factory=dict)
    watching: bool = False

    def after_cell(self, result: Any) -> None:
        """IPython's event post_run_cell; `result` is its ExecutionResult."""
        source = getattr(getattr(result, "info", None), "raw_cell", None) or ""
        error = getattr(result, "error_before_exec", None) or getattr(result, "error_in_exec", None)
        ended = "passed" if error is None else "not answered" if type(error).__name__ == "NotAnswered" else "failed"
        for lesson, exercise in CHECK.findall(source):
            self.checks[int(lesson), int(exercise)] = ended


SEEN = Seen()


def watch() -> None:
    """Notice from now on which visible checks pass. Does nothing outside IPython, and nothing a second time."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()  # type: ignore[no-untyped-call]
    if shell is not None and not SEEN.watching:
        shell.events.register("post_run_cell", SEEN.after_cell)
        SEEN.watching = True
