"""What cannot be made again, from the volumes into one new folder, and back. In pods of the grader's image:

    python -m torchgrade.hub.cluster.backup VOLUMES BACKUPS --keep 14
    python -m torchgrade.hub.cluster.backup VOLUMES BACKUPS --restore NAME [--only homes/student-01]

The gradebook is copied by SQLite itself, so it is whole while a formgrader writes to it. Restoring needs servers
stopped; what was there is kept beside it. The hub's own database is not in it: all of it but log-ins is made again
from class.toml and roster.csv.
"""

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.hub.backup import checksum
from torchgrade.hub.cluster.layout import EXCHANGE, HOMES

MANIFEST, GRADEBOOK = "manifest.json", "gradebook.db"


def backup(volumes: Path, backups: Path, keep: int, now: str) -> Path:
    """A new folder `now` in `backups`, of which the newest `keep` stay. Raises CourseError if there is no new one."""
    target, part = backups / now, backups / f".{now}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        _pack(volumes / EXCHANGE, part / f"{EXCHANGE}.tar")
        (part / HOMES).mkdir()
        for home in sorted(path for path in (volumes / HOMES).iterdir() if path.is_dir()):
            _pack(home, part / HOMES / f"{home.name}.tar", left_out=f"./course/{GRADEBOOK}")
            if (home / "course" / GRADEBOOK).is_file():
                _copy_database(home / "course" / GRADEBOOK, part / f"{home.name}.sqlite")
        files = sorted(path for path in part.rglob("*") if path.is_file())
        sums = {str(path.relative_to(part)): checksum(path) for path in files}
        (part / MANIFEST).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf8")
        part.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise CourseError(f"{error}; there is no new backup.", where=target, remedy="Mend it.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    for old in sorted(path for path in backups.iterdir() if (path / MANIFEST).is_file())[:-keep]:
        shutil.rmtree(old)
    return target


def restore(volumes: Path, source: Path, only: str, now: str) -> list[Path]:
    """Put folders back, or the one that `only` names (exchange, homes/NAME); returns them. Raises CourseError."""
    sums = json.loads((source / MANIFEST).read_text(encoding="utf8")) if (source / MANIFEST).is_file() else None
    if sums is None:
        raise CourseError("this is no backup.", where=source, remedy=f"See: ls {source.parent}")
    if bad := [name for name in sums if not (source / name).is_file() or checksum(source / name) != sums[name]]:
        raise CourseError(f"{bad[0]} is damaged.", where=source, remedy="Take an older backup.")
    packed = [name for name in sums if name.endswith(".tar") and only in ("", name.removesuffix(".tar"))]
    if not packed:
        raise CourseError(f"it holds no {only}.", where=source, remedy=f"There are: {', '.join(sums)}")
    restored = []
    for name in packed:
        target = volumes / name.removesuffix(".tar")
        target.mkdir(parents=True, exist_ok=True)
        _move_aside(target, now)
        _tar("--extract", "--file", source / name, "--directory", target, "--same-permissions")
        database = source / f"{target.name}.sqlite"
        if database.is_file() and target.parent.name == HOMES:
            copy = shutil.copy(database, target / "course" / GRADEBOOK)
            owner = (target / "course").stat()
            shutil.chown(copy, owner.st_uid, owner.st_gid)
        restored.append(target)
    return restored


def _move_aside(folder: Path, now: str) -> None:
    """Its content, since pods mount the folder itself."""
    kept = folder / f".before-{now}"
    content = [path for path in folder.iterdir() if not path.name.startswith(".before-")]
    if content:
        kept.mkdir(mode=0o700)
        for path in content:
            path.rename(kept / path.name)


def _pack(folder: Path, target: Path, left_out: str = "") -> None:
    options = [f"--exclude={left_out}"] if left_out else []
    # --numeric-owner: these numbers are the pods', whatever names the image has for them
    _tar("--create", "--numeric-owner", "--exclude=./.before-*", *options, "--file", target, "--directory", folder, ".")


def _tar(*arguments: str | Path) -> None:
    done = subprocess.run(["tar", *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    if done.returncode > 1:  # 1: a file changed while it was read, which is no failure while people are at work
        raise OSError(done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"tar: {done.returncode}")


def _copy_database(source: Path, target: Path) -> None:
    original, copy = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(target)
    try:
        with copy:
            original.backup(copy)
    finally:
        original.close()
        copy.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="backup")
    parser.add_argument("volumes", type=Path)
    parser.add_argument("backups", type=Path)
    parser.add_argument("--keep", type=int, default=14)
    parser.add_argument("--restore", metavar="NAME")
    parser.add_argument("--only", default="", metavar="FOLDER")
    options = parser.parse_args(arguments)
    now = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    try:
        if options.restore:
            for folder in restore(options.volumes, options.backups / options.restore, options.only, now):
                print(f"restored: {folder}")
        else:
            print(f"new: {backup(options.volumes, options.backups, max(1, options.keep), now)}")
    except CourseError as error:
        print(f"backup: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
