"""Notebooks that go by another name than the lesson's: nbgrader leaves them out, and here it is said."""

from pathlib import Path

from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory

from torchgrade.autograde.plain import plain
from torchgrade.lessons.frame import source_folder

MAX_NAMES, MAX_NAME = 3, 80  # in a message


def official(coursedir: CourseDirectory, lesson: str) -> set[str]:
    """The names of a lesson's notebooks, without their ending."""
    return {path.stem for path in source_folder(coursedir, lesson).glob("*.ipynb")}


def left_out(folder: Path, known: set[str]) -> list[str]:
    """What to call the other notebooks in a submission's folder."""
    others = sorted(path.name for path in folder.glob("*.ipynb") if path.stem not in known)
    return [" ".join(plain(name).replace("`", "'").split())[:MAX_NAME] for name in others[:MAX_NAMES]]


def name_misnamed(converter: Autograde) -> None:
    """Say what to do about a submission in which no notebook has the right name. nbgrader then fails it."""
    for folder, notebooks in converter.assignments.items():
        lesson = converter.init_single_notebook_resources(notebooks[0])["nbgrader"]["assignment"]
        known = official(converter.coursedir, lesson)
        if known and not any(Path(notebook).stem in known for notebook in notebooks):
            wanted, there = (", ".join(names) for names in (sorted(known), left_out(Path(folder), known)))
            converter.log.error("%s: no notebook is called %s; there is %s. Rename it.", folder, wanted, there)
