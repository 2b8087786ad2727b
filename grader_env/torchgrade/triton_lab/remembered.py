"""Answers that were already given: in this process, and what was compiled also in a small folder of the user's own."""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import pickle
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchgrade.triton_lab.definitions import Needed

MAX_REMEMBERED = 16  # answers in this process; each may hold tensors
MAX_FILES = 500  # of some hundred bytes

_answers: dict[str, Any] = {}


def key_of(needed: Needed, *more: Any) -> str:
    """A hash of what an answer depends on: sources, values, versions, and `more` plain data; not of file names."""
    statements = [(needed.cells[file], index) for file, index in needed.statements]
    content = (statements, needed.references, needed.values, more, _versions())
    return hashlib.sha256(pickle.dumps(content)).hexdigest()


def once(key: str, work: Callable[[], Any]) -> Any:
    """The result of `work`, which is not run again for the same key; an exception is not remembered."""
    if key not in _answers:
        answer = work()
        while len(_answers) >= MAX_REMEMBERED:
            del _answers[next(iter(_answers))]
        _answers[key] = answer
    return _answers[key]


def once_for_user(key: str, work: Callable[[], Any]) -> Any:
    """As `once`, for results that are JSON and the same in every process."""
    folder = _folder()
    if folder is None:
        return work()
    file = folder / f"{key}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text(encoding="utf8"))
    answer = work()
    with contextlib.suppress(OSError):  # a full disk costs the memory of it, no more
        for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-MAX_FILES]:
            old.unlink()
        fresh = folder / f"{key}.{os.getpid()}"
        fresh.write_text(json.dumps(answer), encoding="utf8")
        fresh.replace(file)
    return answer


def _folder() -> Path | None:
    """The folder, if it is this user's alone: others can write beside it."""
    folder = Path(tempfile.gettempdir()) / f"torchgrade-triton-{os.geteuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return folder
    return None


@functools.cache
def _versions() -> tuple[str, str]:
    """Of Triton and of this package, whose files say what an answer is."""
    own = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return importlib.metadata.version("triton"), hashlib.sha256(own).hexdigest()
