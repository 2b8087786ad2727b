"""A graded cell as a test file of otter-grader (its exception-based format)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torchgrade.lessons.master import HIDDEN, Master, nbgrader, without_marker_lines

NUMBER = re.compile(r"^# Check (\d+\.\d+)(?:,? (first|second|third|fourth|[a-d])\b[^(]*)? ?\(")
LETTERS = {"first": "a", "second": "b", "third": "c", "fourth": "d"}

TEMPLATE = """\
# Made from the master of {lesson}; edits are lost.
import linecache

from otter.test_files import test_case

OK_FORMAT = False

name = {name!r}
points = {points!r}
SOURCE = {source!r}


@test_case(name={name!r}, points={points!r}, hidden={hidden!r})
def test_cell(env):
    file = f"<{{name}}>"
    linecache.cache[file] = (len(SOURCE), None, SOURCE.splitlines(True), file)
    exec(compile(SOURCE, file, "exec"), env)
"""


@dataclass(frozen=True)
class TestFile:
    """name: of the test, as otter's `check` takes it; hidden: students must not get it"""

    name: str
    text: str
    hidden: bool


def test_files(master: Master, *, by_number: bool) -> Iterator[TestFile]:
    """One per graded cell.

    by_number: name visible checks as students know them ("7.2", or "7.8a" and "7.8b"), not by grade_id
    """
    for grade_id, cell in master.graded.items():
        hidden = HIDDEN[0] in cell.source
        found = NUMBER.match(cell.source) if by_number and not hidden else None
        name = f"{found[1]}{LETTERS.get(found[2], found[2] or '')}" if found else grade_id
        source = without_marker_lines(cell.source, HIDDEN) + "\n"
        points = float(nbgrader(cell)["points"])
        values = {"lesson": master.name, "name": name, "points": points, "source": source, "hidden": hidden}
        yield TestFile(name, TEMPLATE.format(**values), hidden)
