"""The rule for `expression  # -> value`: run the solved lesson and see whether each value is what the comment says.

Masters hold no outputs, so such a comment is all that a reader sees. Graded cells and demonstrations are not run.
"""

import ast
import contextlib
import io
import linecache
import os
import re
import shutil
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.forked import Child, Send
from torchgrade.lessons.master import Cell, Master
from torchgrade.lessons.solved import Namespace, first_line, new_lesson

ARROW = re.compile(r"#\s*->\s*(.+)")
SECONDS = 600.0  # for all cells of a lesson
IGNORED = ("*.ipynb", "mistakes.py", "__pycache__", ".ipynb_checkpoints")


def values_are_right(master: Master, seconds: float = SECONDS) -> Iterator[Finding]:
    cells = [*master.needed_by_grading]
    last = max((index for index, cell in enumerate(cells) if promised(cell)), default=-1)
    if last < 0:
        return
    with tempfile.TemporaryDirectory(prefix="torchgrade-", ignore_cleanup_errors=True) as folder:
        # Cells may read the lesson's files, and write some.
        shutil.copytree(master.folder, folder, ignore=shutil.ignore_patterns(*IGNORED), dirs_exist_ok=True)
        child = Child(lambda send: _run(cells[: last + 1], Path(folder), send), seconds)
        try:
            while child.lives():
                pass
        finally:
            child.kill()
    for index, what, remedy in child.received:
        yield Finding(cells[index], what, remedy)
    if child.timed_out or child.crashed:
        what = f"the lesson did not end within {seconds:g} seconds." if child.timed_out else "its process died."
        yield Finding(None, what, "Find the cell with Run All in Jupyter; its values are not verified.")


def promised(cell: Cell) -> dict[int, str]:
    """Line -> what a comment `# -> ...` there says."""
    if "# ->" not in cell.source:
        return {}
    found = {}
    with contextlib.suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(io.StringIO(cell.source).readline):
            arrow = ARROW.match(token.string) if token.type == tokenize.COMMENT else None
            if arrow:
                found[token.start[0]] = arrow.group(1)
    return found


def _run(cells: list[Cell], folder: Path, send: Send) -> None:
    """In a child: run the cells; send (cell's index, what, remedy) for each value that is another one."""
    import torch

    torch.set_num_threads(1)
    os.chdir(folder)
    lesson = new_lesson()
    for index, cell in enumerate(cells):
        try:
            for what in _differences(cell, f"<cell {index}>", lesson):
                send((index, what, "Correct the comment, or the code."))
        except (Exception, SystemExit) as error:
            what = f"the solved lesson stops here with {type(error).__name__}: {first_line(error)}."
            send((index, what, 'Mend the cell, or give it the tag "demo".'))
            return


def _differences(cell: Cell, name: str, lesson: Namespace) -> Iterator[str]:
    says = promised(cell)
    linecache.cache[name] = (len(cell.source), None, cell.source.splitlines(keepends=True), name)  # for tracebacks
    for statement in ast.parse(cell.source, name).body:
        text = says.get(statement.end_lineno or 0)
        if text is None or not isinstance(statement, ast.Expr):
            module = ast.Module(body=[statement], type_ignores=[])
            exec(compile(module, name, "exec", dont_inherit=True), lesson)
            continue
        value = eval(compile(ast.Expression(statement.value), name, "eval", dont_inherit=True), lesson)
        if _in_one_line(value) != " ".join(text.split()):
            yield f"line {statement.end_lineno}: the comment says {text.strip()}, the value is {_in_one_line(value)}."


def _in_one_line(value: Any) -> str:
    return " ".join(repr(value).split())
