"""`torchgrade hub prepare`, for real use, as root: unix users, folders, and who may enter them. Run it as often as you
like: it makes what is missing and removes nothing."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.hub.class_file import read_class
from torchgrade.hub.course_folder import make_course_folder, make_exchange
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.place import Place, private_folder
from torchgrade.hub.role_folders import write_role_folders
from torchgrade.hub.unix import account, acting_as

PRIVATE = ("source", "tests", "hub_config", ".git")  # of the installation: solutions, their history, and the roster
PROBE = "import os, sys; print(*(path for path in sys.argv[1:] if os.access(path, os.R_OK)), sep='\\n')"
AGAIN = "Run as root: torchgrade hub prepare"


def run(course: Path) -> int:
    description = read_class(course / "hub_config")
    if description.is_demonstration:
        raise CourseError(
            "a demonstration needs no preparation.",
            where=course / "hub_config/class.toml",
            remedy='For real use set isolation = "users", then run this again.',
        )
    if os.geteuid() != 0:
        raise CourseError("only root can make unix users.", remedy="Run it with sudo.")
    prepare(description, Place.of(course, description))
    return 0


def prepare(description: ClassDescription, place: Place) -> None:
    for name in [description.grader, *(person.name for person in description.people)]:
        _make_account(name)
    for private in PRIVATE:
        if (place.installation / private).exists():
            (place.installation / private).chmod(0o700)
    place.folder.mkdir(parents=True, exist_ok=True)
    place.folder.chmod(0o755)
    private_folder(place.private)
    write_role_folders(description, place)
    make_exchange(place)
    make_course_folder(place)
    _give(place.course, description.grader)
    require_prepared(description, place)
    print(f"{place.folder} is ready. Next: torchgrade hub passwords, then torchgrade hub serve")


def require_prepared(description: ClassDescription, place: Place) -> None:
    """Raises CourseError if a user is missing, or a student can read what they must not."""
    for name in [description.grader, *(person.name for person in description.people)]:
        account(name)
    if not place.course.is_dir():
        raise CourseError("this folder is missing.", where=place.course, remedy=AGAIN)
    for student in description.students[:1]:
        secrets = [place.private, place.course, *(place.installation / name for name in PRIVATE)]
        others = [Path(account(name).pw_dir) for name in description.students[1:]]
        if readable := _readable_by(student, [*secrets, *others]):
            raise CourseError(f"{student} can read this.", where=readable[0], remedy=f"chmod 700 it. {AGAIN}")


def _make_account(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        done = subprocess.run(
            ["useradd", "--create-home", "--shell", "/bin/bash", "--", name], capture_output=True, text=True
        )
        if done.returncode:
            raise CourseError(
                f"useradd could not make {name}: {done.stderr.strip()}.", remedy="Mend this, then run it again."
            ) from None
        print(f"new unix user: {name}")
    Path(account(name).pw_dir).chmod(0o700)


def _give(folder: Path, name: str) -> None:
    user = account(name)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    with acting_as(name):
        if not os.access(folder, os.W_OK, effective_ids=True):
            raise CourseError(f"{name} cannot write here.", where=folder, remedy="Let others pass through its parents.")


def _readable_by(name: str, paths: list[Path]) -> list[str]:
    """Asked of a process of that user. Raises CourseError if they cannot even start our Python."""
    user = account(name)
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *map(str, paths)],
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
        )
        said, failed = done.stdout.split("\n"), done.returncode != 0
    except PermissionError:
        said, failed = [], True
    if failed:
        raise CourseError(
            f"{name} cannot start it.",
            where=sys.executable,
            remedy="Put the course where everybody may pass, /srv for instance, and its Python too.",
        )
    return [path for path in said if path]
