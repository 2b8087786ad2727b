"""The files that a submission's notebook may read: the lesson's own and the student's, as plain bytes."""

import os
import stat
from pathlib import Path

MAX_FILES = 500
MAX_BYTES = 64 << 20  # all files together
LEFT_OUT = {".ipynb_checkpoints", "__pycache__"}


def files_in(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """({relative name: content}, names left out) of the regular files in `folder`, but for notebooks.

    Links are not followed, and what exceeds the caps is left out: a submission may hold anything.
    """
    found: dict[str, bytes] = {}
    refused: list[str] = []
    left = MAX_BYTES
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and not Path(base, name).is_symlink())
        for name in sorted(names):
            path = Path(base, name)
            content = _content(path, left) if len(found) < MAX_FILES else None
            if path.suffix == ".ipynb":
                continue
            if content is None:
                refused.append(str(path.relative_to(folder)))
            else:
                found[str(path.relative_to(folder))] = content
                left -= len(content)
    return found, refused


def _content(path: Path, cap: int) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = file.read(cap + 1)
    return content if len(content) <= cap else None
