"""Move a finished tree into its target, and own there only what an earlier run wrote: `.published.json` lists it."""

import json
import os
from pathlib import Path, PurePosixPath

from torchgrade.errors import CourseError

MANIFEST = ".published.json"


def read_manifest(target: Path) -> list[str]:
    """The files that an earlier run wrote; none in a new folder."""
    path = target / MANIFEST
    if not path.exists() and not path.is_symlink():
        return []
    try:
        files = json.loads(path.read_text(encoding="utf8"))["files"]
        good = isinstance(files, list) and all(isinstance(name, str) and _inside(name) for name in files)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        good = False
    if not good:
        raise CourseError(
            "not a list of published files.", where=path, remedy="Restore it with git, or choose an empty folder."
        )
    return files


def hand_over(tree: Path, target: Path, former: list[str]) -> tuple[int, int]:
    """Move the files of `tree` into `target`, remove those of `former` that are gone: (written, removed).

    Somebody else's file is never overwritten, and an unchanged file is not touched.
    """
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    changed = [name for name in names if not _same(tree / name, target / name)]
    gone = [name for name in former if name not in names]
    for name in (*changed, *gone):
        _require_ours(target, name, former)
    target.mkdir(exist_ok=True)
    # An interrupted run must own what it wrote, or the next one would take it for somebody else's.
    if changed or gone:
        _write_manifest(tree, target, [*names, *gone])
    for name in changed:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(tree / name, target / name)
    removed = sum(_remove(target, name) for name in gone)
    _write_manifest(tree, target, names)
    return len(changed), removed


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and ".git" not in path.parts


def _same(new: Path, old: Path) -> bool:
    return old.is_file() and not old.is_symlink() and old.read_bytes() == new.read_bytes()


def _require_ours(target: Path, name: str, former: list[str]) -> None:
    path = target / name
    if not path.parent.resolve().is_relative_to(target.resolve()):
        raise CourseError("a link leads out of the folder.", where=path.parent, remedy="Remove the link.")
    blocker = next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None)
    if blocker is not None or path.is_dir() or (os.path.lexists(path) and name not in former):
        raise CourseError(
            "this was not written by `torchgrade publish`.", where=blocker or path, remedy="Move it away, or rename it."
        )


def _remove(target: Path, name: str) -> int:
    path = target / name
    if not os.path.lexists(path):
        return 0
    path.unlink()
    for folder in path.parents:
        if folder == target or any(folder.iterdir()):
            break
        folder.rmdir()
    return 1


def _write_manifest(tree: Path, target: Path, names: list[str]) -> None:
    text = json.dumps({"written by": "torchgrade publish", "files": sorted(names)}, indent=1) + "\n"
    new, path = tree / MANIFEST, target / MANIFEST
    new.write_text(text, encoding="utf8")
    if not _same(new, path):
        os.replace(new, path)
