"""`torchgrade hub restore DIR`: everything is as it was when the backup was made. What was there is kept beside it."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from torchgrade.errors import CourseError
from torchgrade.hub.backup import FORMAT, MANIFEST, Part, checksum, parts, tar
from torchgrade.hub.class_file import read_class
from torchgrade.hub.place import Place, private_folder
from torchgrade.hub.running import no_other_hub
from torchgrade.hub.unix import account


def run(course: Path, source: Path) -> int:
    """Whatever can be wrong is looked for before anything is touched."""
    source = source.absolute()
    manifest = _checked_manifest(source)
    description = read_class(course / "hub_config")
    place = Place.of(course, description)
    if manifest["course"] != description.course:
        raise CourseError(
            f"this is of {manifest['course']}, and the class is {description.course}.",
            where=source,
            remedy="Choose another backup, or correct class.toml.",
        )
    if place.folder.exists():
        with no_other_hub(place):
            pass
    names = [file[len("home-") : -len(".tar")] for file in manifest["sha256"] if file.startswith("home-")]
    if not description.is_demonstration:
        for name in names:
            account(name)
    aside = f"before-{time.strftime('%Y%m%d-%H%M%S')}"
    _set_aside(place.folder, aside)
    private_folder(place.private)
    private_folder(place.course)
    for piece in parts(description, place, names):
        if piece.file in manifest["sha256"]:
            _put(piece, source / piece.file, aside)
    if not description.is_demonstration:
        place.folder.chmod(0o755)
        owner = account(description.grader)
        os.chown(place.course, owner.pw_uid, owner.pw_gid)
        print("Run as root: torchgrade hub prepare")
    print(f"{place.folder}: as it was at {manifest['made']}. When the hub runs again: torchgrade hub sync")
    return 0


def _checked_manifest(source: Path) -> dict[str, Any]:
    path = source / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
        if manifest["format"] != FORMAT:
            raise CourseError(
                f"format {manifest['format']} is not known.", where=path, remedy="Use the version that made it."
            )
        for file, expected in manifest["sha256"].items():
            if checksum(source / file) != expected:
                raise CourseError("this file is damaged.", where=source / file, remedy="Use another backup.")
    except OSError as error:
        raise CourseError(
            f"this is no whole backup ({error.strerror}).", where=error.filename, remedy="Use another one."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CourseError("this is no manifest.", where=path, remedy="Use another backup.") from None
    return manifest


def _put(piece: Part, file: Path, aside: str) -> None:
    target = piece.original
    if piece.is_database:
        shutil.copyfile(file, target)
        target.chmod(0o600)
        if piece.user:
            os.chown(target, account(piece.user).pw_uid, account(piece.user).pw_gid)
        return
    if piece.names == (".",):
        _set_aside(target, aside)
    target.mkdir(parents=True, exist_ok=True)
    if piece.user:
        os.chown(target, account(piece.user).pw_uid, account(piece.user).pw_gid)
    with file.open("rb") as stream:
        tar(["--extract", "--preserve-permissions", "--directory", str(target)], piece.user, stdin=stream)


def _set_aside(folder: Path, suffix: str) -> None:
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.{suffix}"))
        print(f"what was there: {folder}.{suffix}")
