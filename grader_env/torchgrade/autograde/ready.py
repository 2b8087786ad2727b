"""Before the first submission of a batch: can results be written, and did an earlier run end in the middle?"""

import os
import sqlite3
from pathlib import Path
from typing import Any

from nbgrader.converters import Autograde, NbGraderException
from nbgrader.coursedir import CourseDirectory
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url

from torchgrade.autograde.handed_in import ignore_links, name_misnamed
from torchgrade.autograde.unfinished import drop_unfinished
from torchgrade.errors import CourseError

WAIT = 5.0  # seconds for the gradebook to be free, as long as nbgrader itself waits
AGAIN = "then run the same command again: it goes on where it stopped."
# what sqlite says -> (what it means, what to do)
TROUBLES = {
    "locked": ("the gradebook is locked by another program.", f"Close it (a formgrader, a database browser), {AGAIN}"),
    "disk": ("the gradebook's disk is full or failing.", f"Free some space, {AGAIN}"),
    "readonly": ("the gradebook may not be written.", f"Grade as the user who owns the course, or mend it, {AGAIN}"),
    "unable to open": ("the gradebook cannot be opened.", f"Is its folder there and yours to write? If so, {AGAIN}"),
}


def make_ready(converter: Autograde) -> None:
    """Raises NbGraderException, which nbgrader's command answers with exit code 1, after one line that says why."""
    if not event.contains(Engine, "handle_error", _explain):
        event.listen(Engine, "handle_error", _explain)
    try:
        _require_writable(Path(converter.coursedir.format_path(converter._output_directory, ".", ".")))
        _require_gradebook(converter.coursedir.db_url)
    except CourseError as error:
        converter.log.error(str(error))
        raise NbGraderException(str(error)) from None
    ignore_links(converter)
    _tolerate_odd_timestamps(converter.coursedir)
    name_misnamed(converter)
    drop_unfinished(converter)


def _tolerate_odd_timestamps(coursedir: CourseDirectory) -> None:
    """nbgrader does not grade a submission with a timestamp.txt that holds no time."""
    read = coursedir.get_existing_timestamp

    def tolerant(folder: str) -> Any:
        try:
            return read(folder)
        except (AttributeError, OSError, OverflowError, ValueError):  # nbgrader's own way to say so is broken
            coursedir.log.warning("%s/timestamp.txt holds no time; it is ignored.", folder)
            return None

    coursedir.get_existing_timestamp = tolerant  # type: ignore[method-assign]


def _require_writable(folder: Path) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise CourseError("this folder may not be written.", where=there, remedy="Grade as the user who owns it.")


def _require_gradebook(url: str) -> None:
    """That sqlite's gradebook is ours to write, now. Another database says for itself what it lacks."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database or not os.path.exists(address.database):
        return
    try:
        database = sqlite3.connect(address.database, timeout=WAIT, isolation_level=None)
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        finally:
            database.close()
    except sqlite3.OperationalError as error:
        raise _in_plain_words(error, address.database) or error from None


def _explain(context: Any) -> CourseError | None:
    """For sqlalchemy: the exception to raise instead; nbgrader blames the version of the gradebook for any."""
    error = context.original_exception
    return _in_plain_words(error, context.engine.url.database) if isinstance(error, sqlite3.OperationalError) else None


def _in_plain_words(error: sqlite3.OperationalError, path: str | None) -> CourseError | None:
    for words, (what, remedy) in TROUBLES.items():
        if words in str(error):
            return CourseError(what, where=path, remedy=remedy)
    return None
