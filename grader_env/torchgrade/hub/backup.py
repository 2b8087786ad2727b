"""`torchgrade hub backup DIR`: what cannot be made again, in one new folder. The hub may go on meanwhile.

Databases are copied by SQLite itself, so each is whole. Folders are packed by tar, a unix user's home by that user:
whatever a student puts in the way of the copying, nobody but the student can have read it.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.hub.class_file import ROSTER, read_class
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.place import Place, private_folder, write_private
from torchgrade.hub.unix import account

MANIFEST = "manifest.json"
FORMAT = 1
GRADING = ("submitted", "autograded", "feedback", "source", "release", "nbgrader_config.py")


@dataclass(frozen=True)
class Part:
    """A file of the backup, and what it is a copy of.

    names: of a folder, what is packed of it; user: the unix user whose it is, who packs and unpacks it, or None
    """

    file: str
    original: Path
    names: tuple[str, ...] = ()
    user: str | None = None

    @property
    def is_database(self) -> bool:
        return self.file.endswith(".sqlite")


def parts(description: ClassDescription, place: Place, homes: Iterable[str]) -> Iterator[Part]:
    """homes: whose"""
    real = not description.is_demonstration
    yield Part("hub.sqlite", place.database)
    yield Part("gradebook.sqlite", place.course / "gradebook.db", user=description.grader if real else None)
    yield Part("private.tar", place.private, ("cookie-secret", "passwords", "sync-token"))
    yield Part("course.tar", place.course, GRADING, description.grader if real else None)
    # By root in real use: only root can give each submission back to whose it is. tar follows no links.
    yield Part("exchange.tar", place.exchange, (".",))
    for name in homes:
        if home := place.home(description, name):
            yield Part(f"home-{name}.tar", home, (".",), name if real else None)


def homes(description: ClassDescription, place: Place) -> list[str]:
    """Whose home is kept: everybody's of the class, and in a demonstration also theirs who left."""
    names = {description.grader, *(person.name for person in description.people)}
    if place.homes.is_dir():
        names |= {path.name for path in place.homes.iterdir()}
    return sorted(names)


def run(course: Path, target: Path) -> int:
    description = read_class(course / "hub_config")
    place = Place.of(course, description)
    if not place.database.exists():
        raise CourseError("there is no hub yet.", where=place.folder, remedy="Run: make hub")
    target = target.absolute()
    if target.exists():
        raise CourseError("this exists already.", where=target, remedy="Name a folder that does not.")
    if target.is_relative_to(place.folder):
        raise CourseError("a backup of the hub inside the hub is none.", where=target, remedy="Choose another disk.")
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        private_folder(part)
        sums = {}
        for piece in parts(description, place, homes(description, place)):
            if piece.original.exists():
                _copy(piece, part / piece.file)
                sums[piece.file] = checksum(part / piece.file)
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        about = {"format": FORMAT, "course": description.course, "made": made, "sha256": sums}
        write_private(part / MANIFEST, json.dumps(about, indent=2) + "\n")
        shutil.copy(place.hub_config / ROSTER, part)  # to look up who was in the class; restoring leaves it alone
        part.rename(target)
    except OSError as error:
        raise CourseError(
            f"{error.strerror or error}; nothing was written.", where=error.filename or target, remedy="Mend it."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{target}: {len(sums)} files, {size / 1e6:.1f} MB. Put it in place with: torchgrade hub restore {target}")
    return 0


def checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tar(arguments: list[str], user: str | None, **streams: object) -> None:
    """Run tar as `user`. Raises OSError with what it says."""
    as_user = {} if user is None else {"user": account(user).pw_uid, "group": account(user).pw_gid, "extra_groups": []}
    done = subprocess.run(["tar", *arguments], stderr=subprocess.PIPE, cwd="/", **as_user, **streams)  # type: ignore[call-overload]
    said = done.stderr.decode(errors="replace").strip().splitlines()
    # 1: a file changed while it was read, which is no failure of ours while people are at work
    if done.returncode > 1:
        raise OSError(said[0] if said else f"tar ended with {done.returncode}")


def _copy(piece: Part, target: Path) -> None:
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        if not piece.is_database:
            names = [name for name in piece.names if (piece.original / name).exists()]
            tar(["--create", "--directory", str(piece.original), "--", *names], piece.user, stdout=stream)
            return
    try:
        source, copy = sqlite3.connect(f"file:{piece.original}?mode=ro", uri=True), sqlite3.connect(target)
        with source, copy:
            source.backup(copy)
        source.close()
        copy.close()
    except sqlite3.Error as error:
        raise CourseError(f"not a whole database: {error}.", where=piece.original, remedy="Mend it first.") from None
