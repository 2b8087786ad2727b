"""Which version of a lesson a notebook was graded with, and whether it is still the lesson's.

The version is the digest of the lesson's folder in source/ (autograde.work.Lesson.digest), of which a result's key is
made. The time is that of the file in autograded/, which nothing but grading writes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory

from torchgrade.autograde.execute import VERSION
from torchgrade.autograde.work import read_lesson
from torchgrade.feedback.hide import FeedbackPreprocessor

SHOWN = 8  # characters of a version


@dataclass(frozen=True)
class Graded:
    """version: short, empty if the notebook does not say; changed: the lesson is another one by now"""

    version: str
    when: datetime
    changed: bool


def version_now(course: Path, lesson: str) -> str:
    """Of the lesson as it is in source/; empty if it is not there any more."""
    return read_lesson(course, lesson).digest if (course / "source" / lesson).is_dir() else ""


def graded(notebook: Any, path: Path, now: str) -> Graded:
    """path: of the graded notebook, which must be there; now: of version_now"""
    version = str(notebook.metadata.get(VERSION, ""))
    changed = bool(version and now) and now != version
    return Graded(version[:SHOWN], datetime.fromtimestamp(path.stat().st_mtime, UTC), changed)


class SayVersion(FeedbackPreprocessor):
    """resources["graded"] for the template `feedback`."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        names, folders = resources["nbgrader"], CourseDirectory(parent=self)
        folder = folders.format_path(folders.autograded_directory, names["student"], names["assignment"])
        path = Path(folder, f"{names['notebook']}.ipynb")
        resources["graded"] = graded(nb, path, version_now(Path(folders.root), names["assignment"]))
        return nb, resources
