"""`torchgrade lesson fmt`: bring masters into canonical form, or say which are not."""

import os
from pathlib import Path

from torchgrade.lessons.canonical import canonical_text, write_atomically
from torchgrade.lessons.master import read_master


def run(course: Path, notebooks: list[str], *, check: bool) -> int:
    """Format lessons (by name) and notebooks (by path). With `check` nothing is written; 1 if something would be.

    All are read before the first is written, so an error in one leaves the others as they are.
    """
    texts = {path: canonical_text(path) for path in (_path(course, name) for name in notebooks)}
    changed = [path for path, text in texts.items() if path.read_bytes() != text.encode()]
    for path in changed:
        if not check:
            write_atomically(path, texts[path])
        print(f"{os.path.relpath(path)}: {'not in canonical form' if check else 'formatted'}")
    if check and changed:
        print("Run `torchgrade lesson fmt` to format them.")
    return 1 if check and changed else 0


def _path(course: Path, name: str) -> Path:
    return Path(name) if name.endswith(".ipynb") else read_master(course, name).path
