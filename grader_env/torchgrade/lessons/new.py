"""`torchgrade lesson new NN_topic`: the beginning of a lesson, which already runs, passes and explains itself."""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

from torchgrade.errors import CourseError
from torchgrade.lessons import skeleton
from torchgrade.lessons.canonical import canonical_text
from torchgrade.lessons.master import Cell

NAME = re.compile(r"([0-9]{2})_([a-z0-9]+(?:_[a-z0-9]+)*)")


def run(course: Path, name: str) -> int:
    """Write source/NAME/, all of it or nothing. Whatever is there already stays as it is."""
    match = NAME.fullmatch(name)
    if not match:
        raise CourseError(
            f"{name!r} is no name of a lesson.", remedy="Two digits and a topic in small letters, as 08_positions."
        )
    source = course / "source"
    source.mkdir(exist_ok=True)
    same_number = [path.name for path in source.glob(f"{match[1]}_*")]
    if same_number:
        raise CourseError(
            "there is such a lesson already.", where=source / same_number[0], remedy="Choose another number."
        )
    words = {"{nn}": match[1], "{n}": str(int(match[1])), "{name}": name, "{title}": _title(match[2])}
    folder = Path(tempfile.mkdtemp(dir=source, prefix=f".{name}."))
    try:
        notebook = folder / f"{name}.ipynb"
        notebook.write_text(writes(_notebook(words)), encoding="utf8")
        notebook.write_text(canonical_text(notebook), encoding="utf8")
        (folder / "mistakes.py").write_text(_fill(skeleton.BANK, words) + "\n", encoding="utf8")
        folder.chmod(0o777 & ~_umask())  # mkdtemp keeps others out
        os.rename(folder, source / name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    print(f"{os.path.relpath(source / name)}: written. Open {name}.ipynb, and run `torchgrade lesson lint {name}`.")
    return 0


def _notebook(words: dict[str, str]) -> Any:
    def text(source: str) -> Cell:
        return new_markdown_cell(_fill(source, words))

    def code(source: str) -> Cell:
        return new_code_cell(_fill(source, words))

    cells = [
        text(skeleton.TITLE),
        code(skeleton.IMPORTS),
        text(skeleton.SECTION),
        code(skeleton.PREDICT),
        code(skeleton.REVEAL),
        text(skeleton.EXERCISE),
        _known(code(skeleton.ANSWER), "double", solution=True),
        _known(code(skeleton.CHECK), "double_check", grade=True, points=1),
        _known(code(skeleton.HIDDEN), "double_values", grade=True, points=1),
        text(skeleton.AFTERWARDS),
        _known(text(skeleton.WRITTEN), "in_your_words", grade=True, solution=True, points=2),
        text(skeleton.RECAP),
    ]
    for number, cell in enumerate(cells, 1):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id") or f"cell-{number:03}"
    return new_notebook(cells=cells)


def _known(cell: Cell, grade_id: str, *, grade: bool = False, solution: bool = False, points: int = 0) -> Cell:
    """The cell with what nbgrader and Run All need to know; the canonical form adds the rest."""
    cell.metadata.nbgrader = {"grade": grade, "grade_id": grade_id, "solution": solution, "points": points}
    if grade and not solution:
        cell.metadata.tags = ["raises-exception"]
    return cell


def _fill(source: str, words: dict[str, str]) -> str:
    for key, word in words.items():
        source = source.replace(key, word)
    return source.strip("\n")


def _title(topic: str) -> str:
    return topic.replace("_", " ").capitalize()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
