"""nbgrader's course root of the hub: masters copied from source/, and in a demonstration everything released."""

import shutil
from collections.abc import Callable
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.hub.description import ClassDescription
from torchgrade.hub.place import Place, private_folder
from torchgrade.lessons.master import lesson_names

MARK = "# The course of a hub, made from"
CONFIG = """\
{mark} {installation}; its own settings go to the end.
c = get_config()
load_subconfig({course_config!r})
load_subconfig({hub_config!r})
"""


def make_course_folder(place: Place) -> None:
    """Copy the masters that are not there yet; one that is there may have been changed, and stays."""
    config = place.course / "nbgrader_config.py"
    if place.course.exists() and not _is_ours(config):
        raise CourseError("this is no course of a hub.", where=place.course, remedy="Move it away.")
    private_folder(place.course)
    source = place.installation / "source"
    if not lesson_names(place.installation):
        raise CourseError("there are no lessons.", where=source, remedy="Add source/NN_topic/NN_topic.ipynb.")
    if not config.exists():
        config.write_text(
            CONFIG.format(
                mark=MARK,
                installation=place.installation,
                course_config=str(place.installation / "nbgrader_config.py"),
                hub_config=str(place.jupyter / "grader" / "nbgrader_config.py"),
            ),
            encoding="utf8",
        )
    for lesson in lesson_names(place.installation):
        _copy_missing(source / lesson, place.course / "source" / lesson)
    for frame in source.glob("*.ipynb"):
        shutil.copy(frame, place.course / "source")


def make_exchange(place: Place) -> None:
    """Writable by all, as nbgrader wants it; sticky, so that nobody renames the course's folder in it."""
    place.exchange.mkdir(parents=True, exist_ok=True)
    place.exchange.chmod(0o1777)


def release_all(description: ClassDescription, place: Place, say: Callable[[str], None]) -> None:
    """Put every lesson that is not there yet into the gradebook and onto the exchange."""
    from torchgrade.demo.grading import Grading  # loads nbgrader

    make_exchange(place)
    for lesson in lesson_names(place.course):
        if not (place.exchange / description.course / "outbound" / lesson).is_dir():
            say(f"releasing {lesson}")
            grading = Grading(place.course, lesson)
            grading.generate()
            grading.release()


def _is_ours(config: Path) -> bool:
    return config.is_file() and config.read_text(encoding="utf8").startswith(MARK)


def _copy_missing(source: Path, target: Path) -> None:
    if not target.exists():
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
        part.rename(target)
