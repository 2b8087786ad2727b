"""A release is published only if it is what nbgrader makes of the master now."""

import logging
import tempfile
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets.config import PyFileConfigLoader

from torchgrade.errors import CourseError
from torchgrade.lessons.master import read_master


def require_fresh(course: Path, lessons: list[str]) -> None:
    """Generate the lessons again, without the gradebook, and compare every file."""
    with tempfile.TemporaryDirectory() as folder:
        for lesson in lessons:
            read_master(course, lesson)  # a release without a master, or with a bad one, is an error of its own
            generate(course, lesson, Path(folder))
            fresh = _files(Path(folder) / "release" / lesson)
            there = _files(course / "release" / lesson)
            differing = sorted(name for name in fresh.keys() | there.keys() if fresh.get(name) != there.get(name))
            if differing:
                raise CourseError(
                    f"not what the master makes now ({', '.join(differing)}).",
                    where=course / "release" / lesson,
                    remedy=f"Run: make release LESSON={lesson}; remove what is not from source/{lesson}.",
                )


def titles(course: Path, lessons: list[str]) -> dict[str, str]:
    """lesson -> its first heading, else its name"""
    found = {}
    for lesson in lessons:
        lines = (line for cell in read_master(course, lesson).notebook.cells for line in cell.source.split("\n"))
        heading = next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), "")
        found[lesson] = heading or lesson
    return found


def generate(course: Path, lesson: str, root: Path) -> None:
    """Write `root/release/lesson` as `nbgrader generate_assignment` would; the gradebook stays as it is."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.source_directory = str(course / "source")
    config.CourseDirectory.release_directory = "release"
    config.CourseDirectory.assignment_id = lesson
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False
    quiet = logging.Logger("generate_assignment", logging.CRITICAL)  # the one line below says it
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config, log=quiet)
    try:
        converter.start()
    except NbGraderException as error:
        raise CourseError(
            "nbgrader cannot release it.", where=course / "source" / lesson, remedy=f"Run: make release LESSON={lesson}"
        ) from error


def _files(folder: Path) -> dict[str, bytes | None]:
    """Relative path -> content; None for what is no plain file, which therefore never equals a fresh one."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
