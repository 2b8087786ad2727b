"""The numbers in COURSE_SUMMARY.md: counted by a command, between two marks, so that nobody has to believe them."""

from pathlib import Path
from typing import Any

from torchgrade.errors import CourseError
from torchgrade.lessons.canonical import write_atomically

BEGIN = "<!-- counts: written by `torchgrade lesson stats --write-summary`; edits here are lost -->"
END = "<!-- end of counts -->"
# Heading -> what is counted (a name in `torchgrade lesson stats`)
COLUMNS = {
    "KB": "kb",
    "minutes": "minutes",
    "examples": "examples",
    "plots": "plots",
    "guesses": "predictions",
    "exercises": "exercises",
    "graded cells": "graded",
    "of them hidden": "hidden",
    "written questions": "written",
    "points": "points",
    "wrong answers refused": "mistakes",
    "other right answers accepted": "accepted",
}


def with_counts(path: Path, rows: dict[str, dict[str, Any]]) -> str:
    """The text of the file at `path` with the counts of `rows` (lesson -> numbers) between the marks."""
    text = path.read_text(encoding="utf8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CourseError(
            "the marks around the counts are missing.", where=path, remedy=f"Put back the lines {BEGIN} and {END}."
        )
    return f"{before}{BEGIN}\n{_table(rows)}\n{END}{after}"


def write(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    write_atomically(path, with_counts(path, rows))


def _table(rows: dict[str, dict[str, Any]]) -> str:
    columns = [*COLUMNS.values()]
    total = {column: sum(row[column] for row in rows.values()) for column in columns}
    lines = [("lesson", *COLUMNS), ("---", *["---:"] * len(columns))]
    lines += [(name[:2], *(f"{row[column]:.0f}" for column in columns)) for name, row in rows.items()]
    lines += [("**all**", *(f"**{total[column]:.0f}**" for column in columns))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
