"""A throw-away course with one tiny lesson that needs no torch: the real nbgrader, in seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

LESSON = "01_small"
ROOT_CONFIG = Path(__file__).parents[1] / "nbgrader_config.py"
SECRET = "424242"  # a number that only the hidden tests know

MISTAKES = """
from torchgrade.lessons import accepted, mistake


@mistake("double", "it adds two instead of doubling", see="1.1")
def double(x):
    return x + 2


@mistake("largest", "it returns the last item", see="1.2")
def largest(items):
    return items[-1]


@accepted("double", "a sum")
def double(x):
    return x + x
"""


def answer(grade_id: str, source: str) -> Any:
    return _known(new_code_cell(source), grade_id, solution=True)


def graded(grade_id: str, points: int, source: str) -> Any:
    cell = _known(new_code_cell(source), grade_id, grade=True, locked=True, points=points)
    cell.metadata.tags = ["raises-exception"]
    return cell


def _known(cell: Any, grade_id: str, **flags: Any) -> Any:
    meta = {"grade": False, "solution": False, "locked": False, "schema_version": 3, "grade_id": grade_id}
    cell.metadata.nbgrader = from_dict(meta | flags)
    return cell


def lesson() -> Any:
    """Two exercises of 3 points each and a written question of 2."""
    demo = new_code_cell("import time\n\ntime.sleep(600)\nraise RuntimeError('a demonstration ran')")
    demo.metadata.tags = ["demo"]
    why = _known(
        new_markdown_cell(
            "### BEGIN SOLUTION\nIt adds the number to itself.\n### END SOLUTION\n"
            "### BEGIN MARK SCHEME\n2 points for the rubric word.\n### END MARK SCHEME"
        ),
        "why",
        grade=True,
        solution=True,
        points=2,
    )
    cells = [
        new_markdown_cell("# 1 · Small"),
        demo,
        new_markdown_cell("### Exercise 1.1 · Double"),
        answer("double", "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"),
        graded("double_check", 1, "# Check 1.1\nassert double(2) == 4, 'twice 2 is 4'"),
        graded("double_values", 2, _hidden("assert double(212121) == 424242, 'hidden words'")),
        new_markdown_cell("### Exercise 1.2 · Largest"),
        answer("largest", "def largest(items):\n    ### BEGIN SOLUTION\n    return max(items)\n    ### END SOLUTION"),
        graded("largest_check", 1, "# Check 1.2\nassert largest([1, 3, 2]) == 3"),
        graded("largest_values", 2, _hidden("assert largest([3, 424242, 1]) == 424242, 'hidden words'\n3")),
        new_markdown_cell("Now explain."),
        why,
    ]
    for index, cell in enumerate(cells):
        cell.id = f"cell-{index}"
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": python})


def _hidden(test: str) -> str:
    return f"# After you submit, this also checks: more.\n### BEGIN HIDDEN TESTS\n{test}\n### END HIDDEN TESTS"


def make_course(root: Path, config: Path | None = ROOT_CONFIG) -> Path:
    """The course's folder with `source/` and a configuration; `config=None` is stock nbgrader."""
    folder = root / "source" / LESSON
    folder.mkdir(parents=True)
    write(folder / f"{LESSON}.ipynb", lesson())
    (folder / "mistakes.py").write_text(MISTAKES, encoding="utf8")
    base = f"load_subconfig({str(config)!r})" if config else ""
    text = f"c = get_config()\n{base}\nc.Execute.timeout = 3\nc.RunCells.classic = ['{LESSON}']\n"
    (root / "nbgrader_config.py").write_text(text, encoding="utf8")
    return root


def write(path: Path, notebook: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf8")


def released(course: Path) -> Any:
    """A fresh copy of the notebook that students get."""
    return from_dict(json.loads((course / "release" / LESSON / f"{LESSON}.ipynb").read_text(encoding="utf8")))


def solved(course: Path) -> Any:
    notebook = released(course)
    fill(notebook, "double", "def double(x):\n    return 2 * x")
    fill(notebook, "largest", "def largest(items):\n    return max(items)")
    fill(notebook, "why", "Because adding a number to itself doubles it.")
    return notebook


def index_of(notebook: Any, grade_id: str) -> int:
    return next(
        index
        for index, cell in enumerate(notebook.cells)
        if dict(cell.metadata.get("nbgrader", {})).get("grade_id") == grade_id
    )


def find(notebook: Any, grade_id: str) -> Any:
    return notebook.cells[index_of(notebook, grade_id)]


def fill(notebook: Any, grade_id: str, source: str) -> None:
    find(notebook, grade_id).source = source


def submit(course: Path, student: str, content: Any) -> None:
    """`content`: a notebook, or the text of a file that is none."""
    path = course / "submitted" / student / LESSON / f"{LESSON}.ipynb"
    if isinstance(content, str):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf8")
    else:
        write(path, content)


def submit_changed(course: Path, student: str, change: Callable[[Any], None]) -> None:
    """A solved notebook after `change`."""
    notebook = solved(course)
    change(notebook)
    submit(course, student, notebook)


def nbgrader(course: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run `nbgrader COMMAND...` as a fresh shell would: no activated environment."""
    return subprocess.run(
        [sys.executable, "-m", "nbgrader", *command],
        cwd=course,
        env={**os.environ, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
