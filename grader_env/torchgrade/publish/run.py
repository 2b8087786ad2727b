"""`torchgrade publish DIR`: build the students' tree beside DIR, prove it clean, then move it in file by file."""

import tempfile
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.publish.fresh import require_fresh, titles
from torchgrade.publish.handover import hand_over, read_manifest
from torchgrade.publish.proof import leaks_of_tree
from torchgrade.publish.tree import build


def run(course: Path, target: Path) -> int:
    """0 if `target` is up to date now, 1 if something leaks; then nothing was written."""
    target = _good_target(course, target)
    former = read_manifest(target)
    lessons = _released(course)
    require_fresh(course, lessons)
    made = None if target.parent.is_dir() else _first_missing(target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: a rename within one file system cannot leave half a file.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            staged = Path(folder)
            build(course, lessons, titles(course, lessons), staged)
            leaks = leaks_of_tree(course, lessons, staged)
            for leak in leaks:
                print(str(leak).replace(f"{staged}/", ""))
            if leaks:
                print(f"{len(leaks)} leaks; nothing was written.")
                return 1
            written, removed = hand_over(staged, target, former)
    except OSError as error:
        raise CourseError(f"{error.strerror or error}.", where=error.filename or target, remedy="Mend it.") from error
    finally:
        if made is not None and not target.exists():
            _remove_empty(made, target.parent)
    print(f"{target}: {len(lessons)} lessons, no leaks; {written} files written, {removed} removed")
    return 0


def _good_target(course: Path, target: Path) -> Path:
    where, target, course = target, target.resolve(), course.resolve()
    if target == course or target in course.parents:
        raise CourseError("the course itself lies in there.", where=where, remedy="Choose a folder outside the course.")
    if target.is_relative_to(course) and not target.is_relative_to(course / "build"):
        raise CourseError(
            "this lies inside the course, which stays private.",
            where=where,
            remedy="Choose a folder outside it, or one in build/ to have a look.",
        )
    if ".git" in target.parts:
        raise CourseError("this belongs to git.", where=where, remedy="Choose the folder that holds .git.")
    blocker = next((path for path in (target, *target.parents) if path.exists() and not path.is_dir()), None)
    if blocker is not None:
        raise CourseError("this is a file.", where=blocker, remedy="Choose a folder.")
    return target


def _released(course: Path) -> list[str]:
    lessons = sorted(folder.name for folder in (course / "release").glob("[0-9][0-9]_*") if folder.is_dir())
    if not lessons:
        raise CourseError("there are no releases.", where=course / "release", remedy="Run: make release")
    return lessons


def _first_missing(folder: Path) -> Path:
    return next(path for path in reversed((folder, *folder.parents)) if not path.exists())


def _remove_empty(first: Path, last: Path) -> None:
    """Take back the folders from `last` up to `first`, which were made for nothing."""
    for folder in (last, *last.parents):
        if folder.is_dir():
            folder.rmdir()
        if folder == first:
            return
