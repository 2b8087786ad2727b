"""nbgrader's exchange where it loses work or believes too much; the hub's configuration names these classes.

Submitting is whole or not at all. Collecting takes from a student's folder what is that student's, and nothing else:
the folder is writable by the student, and the one who collects may read what students must not.
"""

import os
import pwd
import re
import shutil
import stat
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeCollect, ExchangeSubmit
from nbgrader.utils import ignore_patterns

Record = dict[str, Any]


class WholeSubmit(ExchangeSubmit):
    """Copies under a hidden name, which nobody collects, and renames it at the end.

    nbgrader's own leaves half a submission behind when the disk is full, newer than the whole one before it.
    """

    assignment_filename: str

    def copy_files(self) -> None:
        name = self.assignment_filename
        cached = name.rsplit("+", 1)[0] if self.add_random_string else name
        # The exchange first: what a student sees as submitted must have been submitted.
        moves = [
            (os.path.join(folder, f".{final}"), os.path.join(folder, final))
            for folder, final in ((self.inbound_path, name), (self.cache_path, cached))
        ]
        self.assignment_filename = f".{name}"
        try:
            super().copy_files()
            for staged, final in moves:
                os.rename(staged, final)
        except OSError as error:
            for staged, _ in moves:
                shutil.rmtree(staged, ignore_errors=True)
            self.fail(f"Nothing was submitted: {_reason(error)}. Your files are unchanged; mend this and submit again.")
        finally:
            self.assignment_filename = name


class OwnedCollect(ExchangeCollect):
    """Leaves aside what was submitted under another person's name; nbgrader only warns, and collects it."""

    src_records: list[Record]

    def _sort_by_timestamp(self, records: list[Record]) -> list[Record]:
        """Of one student's submissions. A forged one is chosen only if there is no other, and is then left aside."""
        ordered: list[Record] = super()._sort_by_timestamp(records)
        return [record for record in ordered if self._is_own(record)] or ordered

    def copy_files(self) -> None:
        for record in self.src_records:
            if not self._is_own(record):
                self.log.error(
                    "%s is not collected: it claims to be of %s, but belongs to %s.",
                    record["filename"],
                    record["username"],
                    owner_of(self._path(record)),
                )
        self.src_records = [record for record in self.src_records if self._is_own(record)]
        super().copy_files()

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        course = self.coursedir
        ignored = ignore_patterns(course.ignore, course.include, course.max_file_size, self.log)
        size, most = self.get_size(src), 1000 * course.max_dir_size
        if size > most:
            self.log.error("%s is not collected: it holds %d bytes, and %d are allowed.", src, size, most)
            return
        for refused in copy_owned(Path(src), Path(dest), ignored):
            self.log.error("%s: %s is not collected: it is no file of this student.", src, refused)

    def _is_own(self, record: Record) -> bool:
        return not self.check_owner or owner_of(self._path(record)) == record["username"]

    def _path(self, record: Record) -> str:
        return os.path.join(self.inbound_path, record["filename"])


def copy_owned(source: Path, target: Path, ignored: Any) -> list[str]:
    """Copy the plain files of `source` that belong to its owner; returns what was left out, links above all.

    No link is followed, even one that takes a folder's place meanwhile: everything is opened relative to an open
    folder. ignored: as for shutil.copytree
    """
    owner, refused = source.lstat().st_uid, []
    for folder, names, files, descriptor in os.fwalk(source, follow_symlinks=False):
        inside = Path(folder).relative_to(source)
        skipped = ignored(folder, [*names, *files])
        links = [name for name in names if stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode)]
        refused += [str(inside / name) for name in links]
        names[:] = [name for name in names if name not in skipped and name not in links]
        (target / inside).mkdir(parents=True, exist_ok=True)
        for name in files:
            if name not in skipped and not _copy(name, descriptor, owner, target / inside / name):
                refused.append(str(inside / name))
    return refused


def _copy(name: str, folder: int, owner: int, target: Path) -> bool:
    try:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:  # a link, or a file that its owner closed to us
        return False
    with open(source, "rb") as stream:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != owner:
            return False
        with target.open("wb") as copy:
            shutil.copyfileobj(stream, copy)
    return True


def owner_of(path: str) -> str:
    """The name of the unix user, or its number if it has none."""
    number = os.lstat(path).st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _reason(error: OSError) -> str:
    if isinstance(error, shutil.Error):  # of a whole tree: (from, to, "[Errno N] why: 'from' -> 'to'") for each file
        return re.sub(r"^\[Errno \d+\] |: '.*$", "", str(error.args[0][0][2]), flags=re.DOTALL)
    return str(error.strerror or error)
