"""From snapshots to verdicts: ask the lesson's judge, and write what it says into the graded cells.

A graded cell's outputs are written here and nowhere else. The verdict travels with them as a JSON output of its own
type, so that the score, the formgrader and the feedback read the same record.
"""

import atexit
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat.v4 import new_output

from torchgrade.judge.process import Judge
from torchgrade.judge.session import Question
from torchgrade.judge.verdict import Kind, Verdict
from torchgrade.lessons.master import Master, nbgrader, read_master

MIME = "application/vnd.torchgrade.verdict+json"


@dataclass
class _Judges:
    """The judge of the lesson that is being graded: its start costs seconds, so it stays for the whole batch."""

    judge: Judge | None = None
    of: tuple[Any, ...] = ()

    def get(self, master: Master) -> Judge:
        version = (master.path, *(path.stat().st_mtime_ns for path in (master.path, master.bank_path) if path.exists()))
        if self.judge is None or self.of != version or not self.judge.alive:
            self.close()
            self.judge, self.of = Judge(master), version
        return self.judge

    def close(self) -> None:
        if self.judge is not None:
            self.judge.close()
            self.judge = None


_judges = _Judges()
atexit.register(_judges.close)


def start_judge(course: Path, lesson: str) -> None:
    """Have the judge ready. Raises CourseError if the master is not there or its solution does not run."""
    _judges.get(read_master(course, lesson))


def judge_cells(
    course: Path, lesson: str, asked: Sequence[tuple[Any, socket.socket]], *, cell_seconds: float, seconds: float
) -> None:
    """Judge each (cell, connection to its snapshot) and write the verdict into the cell's outputs."""
    judge = _judges.get(read_master(course, lesson))
    questions = [Question(nbgrader(cell)["grade_id"], cell.source, connection) for cell, connection in asked]
    verdicts = judge.judge(questions, cell_seconds=cell_seconds, seconds=seconds)
    for (cell, _), verdict in zip(asked, verdicts, strict=True):
        cell.outputs = outputs_of(verdict)


def outputs_of(verdict: Verdict) -> list[Any]:
    """For nbgrader, an error output means no points. What a person has to settle is none."""
    record = new_output("display_data", data={MIME: verdict.to_dict(), "text/plain": verdict.for_staff})
    if verdict.kind is Kind.PASSED or verdict.needs_person:
        return [record]
    lines = verdict.message.splitlines()
    return [new_output("error", ename=verdict.failure, evalue=verdict.message, traceback=lines), record]


def verdict_of(cell: Any) -> Verdict | None:
    """The judge's verdict in an executed graded cell, if there is one."""
    for output in cell.get("outputs", []):
        if output.output_type == "display_data" and MIME in output.data:
            return Verdict.from_dict(output.data[MIME])
    return None
