"""Rules for graded cells: what nbgrader needs, and what a student sees before and after submitting."""

import re
from collections.abc import Iterator

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import HIDDEN, Cell, Master, has_hidden, nbgrader, regions, without_regions
from torchgrade.lessons.outline import calls

ANNOUNCES = "# After you submit, this also checks:"
CHECK = re.compile(r"# Check \d+\.\d+\b")


def goes_on(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        if "raises-exception" not in cell.metadata.get("tags", []):
            yield Finding(cell, "Run All stops at this test.", 'Add the tag "raises-exception".')


def is_locked(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        if not nbgrader(cell).get("locked"):
            yield Finding(cell, "students can edit this test.", 'Set "locked" to true.')


def has_points(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        points = nbgrader(cell).get("points")
        if not isinstance(points, int | float) or points <= 0:
            yield Finding(cell, "this test earns no points.", 'Set "points" to 1 or more.')


def hidden_cell_is_announced(master: Master) -> Iterator[Finding]:
    """All of a hidden cell is one region; before grading, a student reads what it will look at."""
    for cell in _hidden(master):
        shown = [line for line in without_regions(cell.source, HIDDEN).split("\n") if line.strip()]
        if len(regions(cell.source, HIDDEN)) > 1:
            yield Finding(cell, "it holds more than one hidden region.", "Put all of its tests into one.")
        if not shown or not shown[0].startswith(ANNOUNCES):
            yield Finding(cell, "students cannot see what it is about.", f'Begin it with "{ANNOUNCES} ...".')
        elif not all(line.startswith("#") for line in shown):
            yield Finding(
                cell, "code stands outside its hidden region.", "Move it into the region, or into the visible cell."
            )


def visible_cell_is_named(master: Master) -> Iterator[Finding]:
    for cell in master.graded.values():
        begins = bool(CHECK.match(cell.source))
        if has_hidden(cell) and begins:
            yield Finding(
                cell,
                "a visible check holds hidden tests.",
                "Give them a graded cell of their own: green means full marks.",
            )
        elif not has_hidden(cell) and not begins:
            yield Finding(
                cell,
                "a visible check does not say which exercise it checks.",
                'Begin it with "# Check N.M (1 point).".',
            )


def tolerance_has_a_reason(master: Master) -> Iterator[Finding]:
    for cell in master.code_cells:
        for call in calls(cell, "check.close"):
            named = {keyword.arg for keyword in call.keywords}
            if "tolerance" in named and "because" not in named:
                yield Finding(
                    cell,
                    f"line {call.lineno}: a tolerance without a reason.",
                    'Add because="...", or leave the tolerance out.',
                )


def _hidden(master: Master) -> list[Cell]:
    return [cell for cell in master.graded.values() if has_hidden(cell) and not CHECK.match(cell.source)]


RULES = (goes_on, is_locked, has_points, hidden_cell_is_announced, visible_cell_is_named, tolerance_has_a_reason)
