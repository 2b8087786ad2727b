"""Every lesson begins and ends with the same cells: `header.ipynb` and `footer.ipynb` beside the lessons in `source/`.

nbgrader's IncludeHeaderFooter takes their paths relative to wherever it is started; this one finds them by the course.
"""

from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor

from torchgrade.lessons.master import read_notebook


class IncludeFrame(NbGraderPreprocessor):
    """Puts the cells of the header before, and those of the footer after a lesson's own, where there are such files."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        header, footer = frame(source_folder(CourseDirectory(parent=self), resources["nbgrader"]["assignment"]))
        nb.cells = [*header, *nb.cells, *footer]
        return nb, resources


def source_folder(coursedir: CourseDirectory, assignment: str) -> Path:
    """`source/NN_topic` of a course, wherever its configuration puts it."""
    return Path(coursedir.format_path(coursedir.source_directory, ".", assignment))


def frame(lesson: Path) -> tuple[list[Any], list[Any]]:
    """The cells of the header and of the footer that belong to the lesson in the folder `lesson`."""
    header, footer = (lesson.parent / name for name in ("header.ipynb", "footer.ipynb"))
    return _cells(header), _cells(footer)


def _cells(path: Path) -> list[Any]:
    cells: list[Any] = read_notebook(path).cells if path.is_file() else []
    return cells
