"""`torchgrade lesson stats`: what each lesson holds, in numbers."""

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from torchgrade.errors import CourseError
from torchgrade.lessons import summary
from torchgrade.lessons.bank import Bank
from torchgrade.lessons.master import Master, has_hidden, nbgrader
from torchgrade.lessons.outline import calls, exercises, minutes
from torchgrade.lessons.seconds import seconds

WIDTH = 210  # columns where the output is not a terminal


def stats(master: Master, bank: Bank) -> dict[str, Any]:
    """The numbers of one lesson. Examples are the code cells that are neither an answer nor a test."""
    code = master.code_cells
    graded = master.graded.values()
    return {
        "kb": round(sum(len(cell.source.encode()) for cell in master.notebook.cells) / 1024, 1),
        "examples": len(code) - len(master.answers) - len(graded),
        "plots": sum(bool(calls(cell, "plots.finish")) for cell in code),
        "exercises": len(exercises(master)),
        "answers": len(master.answers),
        "graded": len(graded),
        "points": sum(nbgrader(cell).get("points", 0) for cell in (*graded, *master.written.values())),
        "hidden": sum(map(has_hidden, graded)),
        "written": len(master.written),
        "predictions": sum(len(calls(cell, "check.predict")) for cell in code),
        "minutes": minutes(master),
        "mistakes": len(bank.mistakes),
        "accepted": len(bank.accepted),
    }


def run(lessons: list[tuple[Master, Bank]], *, as_json: bool, summary_path: Path | None = None) -> int:
    """Print one row per lesson and the sums, or write the counts of all into the summary.

    1 if a solved lesson did not run, so that its seconds are not known; else 0.
    """
    rows = {master.name: stats(master, bank) for master, bank in lessons}
    if summary_path is not None:
        summary.write(summary_path, rows)
        return 0
    for master, _ in lessons:
        rows[master.name] |= _seconds(master)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        show(rows)
    return 1 if any(row["seconds_solved"] is None for row in rows.values()) else 0


def _seconds(master: Master) -> dict[str, float | None]:
    try:
        found = seconds(master)
    except CourseError as error:
        print(f"not measured: {error}", file=sys.stderr)
        return {"seconds_solved": None, "seconds_grading": None}
    return {"seconds_solved": found.solved, "seconds_grading": found.grading}


def show(rows: dict[str, dict[str, Any]]) -> None:
    columns = list(next(iter(rows.values())))
    table = Table("lesson", *(column.replace("_", " ") for column in columns), box=None, header_style="dim")
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for name, row in rows.items():
        table.add_row(name, *("?" if value is None else f"{value:g}" for value in row.values()))
    total = [sum(row[column] or 0 for row in rows.values()) for column in columns]
    table.add_row("total", *(f"{round(value, 1):g}" for value in total), style="bold")
    Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False).print(table)
