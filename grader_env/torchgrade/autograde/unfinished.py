"""A grader may be killed at any moment: what it left half done is graded again, and counts for nothing until then.

nbgrader skips a submission whose folder in `autograded/` is there. It makes that folder first, writes the repaired
notebook, runs it, saves the grades and writes the notebook again. So the repaired notebook says that it is not the
last; and one that is missing, or cut off, is not the last either.
"""

import json
from pathlib import Path
from typing import Any

from nbgrader.converters import Autograde
from nbgrader.utils import rmtree

from torchgrade.autograde.handed_in import handed_in, official

MARK = "torchgrade_unfinished"  # in the notebook's metadata, of which reading a submission keeps nothing


def mark(notebook: Any) -> None:
    """Say that this notebook has been repaired and not yet graded."""
    notebook.metadata[MARK] = True


def unmark(notebook: Any) -> None:
    """The grades are saved; only the notebook is still to be written."""
    notebook.metadata.pop(MARK, None)


def is_marked(notebook: Any) -> bool:
    return MARK in notebook["metadata"]


def drop_unfinished(converter: Autograde) -> None:
    """Remove what an earlier run left half done of the submissions that are to be graded."""
    for one in handed_in(converter):
        graded = Path(converter._format_dest(one.lesson, one.student))
        wanted = one.notebooks & official(converter.coursedir, one.lesson)
        undone = [path for name in wanted if not _is_finished(path := graded / f"{name}.ipynb")]
        if not undone or not graded.is_dir():
            continue
        converter.log.warning("%s was left half done by an earlier run; it is graded again.", one.folder)
        if converter.coursedir.notebook_id == "*":
            rmtree(str(graded))
        else:
            for path in undone:
                path.unlink(missing_ok=True)


def _is_finished(path: Path) -> bool:
    try:
        return not is_marked(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):  # not there, cut off, or nothing like a notebook
        return False
