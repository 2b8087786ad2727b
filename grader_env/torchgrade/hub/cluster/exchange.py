"""nbgrader's exchange where everybody has a folder of their own (layout.py): plug-ins for its ExchangeFactory.

`Mounted...` run in people's servers. Their pod mounts their own folders in the places where nbgrader looks, so
nothing is left to do but to do without what nbgrader asks of a shared folder: that all may write at its root.

`Folder...` run at the grader, who sees all folders. Whose a submission is, is said by the folder that it lies in; what
its own name claims, or says otherwise, its author has chosen.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import (
    Exchange,
    ExchangeFetchAssignment,
    ExchangeFetchFeedback,
    ExchangeList,
    ExchangeReleaseAssignment,
    ExchangeReleaseFeedback,
)

from torchgrade.hub.exchange import OwnedCollect, Record, WholeSubmit

ALL = "*"
NO_TIME = datetime(1970, 1, 1)


class MountedExchange(Exchange):
    def ensure_root(self) -> None:
        if not os.path.isdir(self.root):
            self.fail(f"There is no exchange at {self.root}. Tell your instructor.")


class MountedFetchAssignment(MountedExchange, ExchangeFetchAssignment):
    pass


class MountedFetchFeedback(MountedExchange, ExchangeFetchFeedback):
    pass


class MountedSubmit(MountedExchange, WholeSubmit):
    pass


class MountedList(MountedExchange, ExchangeList):
    pass


@contextmanager
def one_folder_deeper(coursedir: Any) -> Iterator[None]:
    """nbgrader looks for inbound/STUDENT+...; within the block, for inbound/STUDENT/*+... instead."""
    student = coursedir.student_id
    coursedir.student_id = f"{student or ALL}/{ALL}"
    try:
        yield
    finally:
        coursedir.student_id = student


class FolderReleaseAssignment(MountedExchange, ExchangeReleaseAssignment):
    """Stock, but that the root of a volume is nobody's to open for all."""


class FolderCollect(MountedExchange, OwnedCollect):
    def init_src(self) -> None:
        with one_folder_deeper(self.coursedir):
            super().init_src()

    def _path_to_record(self, path: str) -> Record:
        """One bad name must not keep everybody's work from being collected: it has no time, and so comes last."""
        student, name = Path(path).parts[-2:]
        try:
            time = super()._path_to_record(path)["timestamp"]
        except Exception as error:
            self.log.error("%s: its name says no time (%s).", path, error)
            time = NO_TIME
        return {"username": student, "filename": f"{student}/{name}", "timestamp": time}

    def _is_own(self, record: Record) -> bool:
        """A link here would be followed at the grader, who sees everybody's folders."""
        path = self._path(record)
        return os.path.isdir(path) and not os.path.islink(path)


class FolderReleaseFeedback(MountedExchange, ExchangeReleaseFeedback):
    """Into the folder of each student, which nobody else's pod mounts."""

    dest_path: str
    src_path: str

    def copy_files(self) -> None:
        feedback, wanted = Path(self.dest_path), self.coursedir.student_id or ALL
        for folder in sorted(path for path in feedback.glob(wanted) if path.is_dir()):
            self.dest_path = str(folder)
            self.src_path = self.coursedir.format_path(
                self.coursedir.feedback_directory, folder.name, self.coursedir.assignment_id
            )
            super().copy_files()


class FolderList(MountedExchange, ExchangeList):
    """`--inbound` lists what everybody has handed in."""

    def init_dest(self) -> None:
        if not self.inbound:
            super().init_dest()
            return
        with one_folder_deeper(self.coursedir):
            super().init_dest()

    def parse_assignment(self, assignment: str) -> dict[str, Any]:
        found: dict[str, Any] = super().parse_assignment(assignment)
        if self.inbound:
            found["student_id"] = Path(assignment).parts[-2]
        return found
