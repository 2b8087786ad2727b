"""What was handed in, before anything of it is copied or read: names, links, numbers of files."""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory

from torchgrade.autograde.plain import plain
from torchgrade.autograde.work_folder import MAX_FILES
from torchgrade.lessons.frame import source_folder

MAX_LINKS = 20
MAX_NAMES, MAX_NAME = 3, 80  # in a message


@dataclass(frozen=True)
class HandedIn:
    """A submission's folder and the names of the notebooks in it, without their ending."""

    lesson: str
    student: str
    folder: str
    notebooks: frozenset[str]


def handed_in(converter: Autograde) -> Iterator[HandedIn]:
    """The submissions that nbgrader is about to grade. (One whose folder it cannot make out, it reports itself.)"""
    pattern = re.compile(converter._format_source("(?P<assignment_id>.*)", "(?P<student_id>.*)", escape=True))
    for folder, notebooks in converter.assignments.items():
        if found := pattern.match(folder):
            names = frozenset(Path(notebook).stem for notebook in notebooks)
            yield HandedIn(found["assignment_id"], found["student_id"], folder, names)


def official(coursedir: CourseDirectory, lesson: str) -> set[str]:
    """The names of a lesson's notebooks, without their ending."""
    return {path.stem for path in source_folder(coursedir, lesson).glob("*.ipynb")}


def left_out(folder: Path, known: set[str]) -> list[str]:
    """What to call the notebooks in a submission's folder that are none of the lesson's: nbgrader leaves them out."""
    others = sorted(path.name for path in folder.glob("*.ipynb") if path.stem not in known)
    return [" ".join(plain(name).replace("`", "'").split())[:MAX_NAME] for name in others[:MAX_NAMES]]


def name_misnamed(converter: Autograde) -> None:
    """Say what to do about a submission in which no notebook has the right name. nbgrader then fails it."""
    for one in handed_in(converter):
        known = official(converter.coursedir, one.lesson)
        if known and not known & one.notebooks:
            wanted, there = (", ".join(names) for names in (sorted(known), left_out(Path(one.folder), known)))
            converter.log.error("%s: no notebook is called %s; there is %s. Rename it.", one.folder, wanted, there)


def ignore_links(converter: Autograde) -> None:
    """Have nbgrader not copy what a link points to, which may be any file of this machine, nor files without number."""
    for one in handed_in(converter):
        links, too_many = _links(one.folder)
        if too_many:
            converter.log.warning("%s: too many files or links; only the notebook is taken.", one.folder)
            ignored = [os.path.join(glob.escape(one.folder), "*")]
        else:
            for link in links:
                converter.log.warning("%s is a link, which is not followed.", link)
            ignored = [*map(glob.escape, links)]
        converter.coursedir.ignore = [*converter.coursedir.ignore, *ignored]


def _links(folder: str) -> tuple[list[str], bool]:
    """The links below `folder`, and whether there are more of them, or of files, than anybody needs.

    A notebook that is a link is refused where it is read.
    """
    links: list[str] = []
    files = 0
    try:
        for base, _, names in os.walk(folder):
            files += len(names)
            links += [path for name in names if os.path.islink(path := os.path.join(base, name))]
            if files > MAX_FILES or len(links) > MAX_LINKS:
                return links, True
    except RecursionError:  # a thousand folders, one in the other
        return links, True
    return [link for link in links if not link.endswith(".ipynb")], False
