"""The judge of the lesson being graded, and what its verdicts look like in a notebook.

A verdict travels with a graded cell's outputs as a JSON output of its own type, so that the score, the formgrader and
the feedback read the same record.
"""

import atexit
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbformat.v4 import new_output

from torchgrade.autograde.work import Lesson, read_lesson
from torchgrade.judge.process import Judge
from torchgrade.judge.verdict import Kind, Verdict
from torchgrade.lessons.master import read_master

MIME = "application/vnd.torchgrade.verdict+json"


class _Judges:
    """The judge of the lesson that is being graded: its start costs seconds, so it stays for the whole batch."""

    def __init__(self) -> None:
        self._judge: Judge | None = None
        self._of = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        atexit.register(self.close)

    def get(self, lesson: Lesson) -> Judge:
        """Raises CourseError if the master cannot be read or its solution does not run."""
        if self._judge is None or self._of != lesson.digest or not self._judge.alive:
            self.close()
            self._judge, self._of = Judge(read_master(self._course(lesson), lesson.name)), lesson.digest
        return self._judge

    def close(self) -> None:
        if self._judge is not None:
            self._judge.close()
            self._judge = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _course(self, lesson: Lesson) -> Path:
        """A course with this very version of the lesson: the one it came from, or one made for the purpose."""
        course = Path(lesson.course)
        if (course / "source" / lesson.name).is_dir() and read_lesson(course, lesson.name).digest == lesson.digest:
            return course
        self._folder = tempfile.TemporaryDirectory(prefix="tg-lesson-")
        for name, content in lesson.files.items():
            path = Path(self._folder.name, "source", lesson.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return Path(self._folder.name)


judges = _Judges()


def outputs_of(verdict: Verdict) -> list[Any]:
    """For nbgrader, an error output means no points. What a person has to settle is none."""
    kept = replace(verdict, picture="")
    found = [new_output("display_data", data={MIME: kept.to_dict(), "text/plain": verdict.for_staff})]
    if verdict.picture:
        in_words = {"image/png": {"alt": verdict.in_words}}
        found.append(new_output("display_data", data={"image/png": verdict.picture}, metadata=in_words))
    if verdict.kind is Kind.PASSED or verdict.needs_person:
        return found
    lines = verdict.message.splitlines()
    return [new_output("error", ename=verdict.failure, evalue=verdict.message, traceback=lines), *found]


def verdict_of(cell: Any) -> Verdict | None:
    """The judge's verdict in an executed graded cell, if there is one."""
    return verdict_in(cell.get("outputs", []))


def pictures(cell: Any) -> list[Any]:
    """What the judge drew of an executed graded cell."""
    return [one for one in cell.get("outputs", []) if "image/png" in one.get("data", {})]


def verdict_in(outputs: list[Any]) -> Verdict | None:
    for output in outputs:
        if output["output_type"] == "display_data" and MIME in output["data"]:
            return Verdict.from_dict(output["data"][MIME])
    return None
