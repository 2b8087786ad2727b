"""`torchgrade lesson mistakes`: do a lesson's tests catch every wrong answer of its bank, and no right one?"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from torchgrade.lessons.bank import Bank
from torchgrade.lessons.master import Master
from torchgrade.lessons.report import Report
from torchgrade.lessons.trials import Trial, try_variants

WIDTH = 140  # columns where the output is not a terminal


def _warm_up() -> None:
    """Import once, before the first fork, what every lesson would import."""
    import matplotlib.pyplot  # noqa: F401
    import torch._dynamo  # noqa: F401  (every optimizer's first step would)


def run(lessons: list[tuple[Master, Bank]], *, as_json: bool, seconds: float) -> int:
    """0 if every mistake loses points, every accepted variant keeps them and no hidden cell is idle; else 1.

    Mistakes that no cell separates are listed and are no failure: they lose points, but feedback cannot name them.
    """
    _warm_up()
    reports = []
    for master, bank in lessons:
        with _progress(master.name, len(bank.variants)) as step:
            report = Report(master, tuple(try_variants(master, bank, seconds=seconds, done=step)))
        reports.append(report)
        if not as_json:
            show(report)
    if as_json:
        print(json.dumps({report.master.name: report.to_dict() for report in reports}, indent=1, ensure_ascii=False))
    return 0 if all(report.is_clean for report in reports) else 1


def show(report: Report) -> None:
    """One line per variant, then what is wrong, then the summary."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    table = Table("", "exercise", "variant", "first killer", "kind", box=None, header_style="dim")
    for column in table.columns:
        column.no_wrap = column.header != "variant"
    for entry in report.to_dict()["variants"]:
        good = entry["killed"] == entry["is_mistake"]
        verdict = (
            ("killed" if entry["killed"] else "SURVIVED") if entry["is_mistake"] else ("ok" if good else "REJECTED")
        )
        killer = entry["first_killer"] or ("(elsewhere)" if entry["killed"] else "")
        table.add_row(verdict, entry["exercise"], entry["text"], killer, entry["kind"], style=None if good else "bold")
    console.print(table)
    bank = report.master.bank_path
    for trial in report.survivors:
        print(f"{bank}:{trial.variant.line}: survived: no graded cell catches that {trial.variant.text}")
    for trial in report.rejected:
        failure = trial.failures[0]
        print(f"{bank}:{trial.variant.line}: rejected by {failure.cell}: {failure.kind}: {failure.message}")
    for one, other in report.unseparated:
        where = f"{bank}:{one.variant.line}: not separated from line {other.variant.line}"
        print(f"{where}: no graded cell tells that {one.variant.text} from that {other.variant.text}")
    for cell in report.idle_cells:
        print(f"{report.master.path}: {cell}: idle: every mistake it catches is caught by a visible cell")
    print(f"{report.crude:.0%} of the mistakes die by type, shape or exception alone")
    print(report.summary)


@contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[Trial], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=total)
        yield lambda trial: progress.advance(task)
