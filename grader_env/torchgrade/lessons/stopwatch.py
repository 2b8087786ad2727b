"""The process that runs a solved lesson and prints, as JSON, the CPU seconds or the cell that stopped.

python -m torchgrade.lessons.stopwatch source/01_topic solved|grading
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
import torch._dynamo  # every optimizer's first step would import it

from torchgrade.lessons.machine import cpu_seconds
from torchgrade.lessons.master import Cell, is_demo, nbgrader, read_master
from torchgrade.lessons.solved import first_line, grade, new_lesson, run_source


def measure(folder: Path, what: str) -> dict[str, Any]:
    """Run the cells of the lesson in `folder` in a copy of it: {"seconds": ...} or {"cell": id, "stopped": why}."""
    master = read_master(folder.parents[1], folder.name)
    torch.set_num_threads(1)
    plt.show = _draw
    with tempfile.TemporaryDirectory(prefix="torchgrade-", ignore_cleanup_errors=True) as copy:
        ignored = shutil.ignore_patterns("*.ipynb", "mistakes.py", "__pycache__", ".ipynb_checkpoints")
        shutil.copytree(folder, copy, ignore=ignored, dirs_exist_ok=True)
        os.chdir(copy)
        lesson, started = new_lesson(), cpu_seconds()
        for cell in master.code_cells:
            if what == "grading" and is_demo(cell):
                continue
            if (stopped := _run(cell, nbgrader(cell).get("grade_id", "") in master.graded, lesson)) is not None:
                return {"cell": cell.id, "stopped": stopped}
        return {"seconds": round(cpu_seconds() - started, 2)}


def _run(cell: Cell, is_graded: bool, lesson: dict[str, Any]) -> str | None:
    if is_graded:
        failure = grade(cell, cell.id, lesson)
        return f"{failure.kind}: {failure.message}" if failure else None
    try:
        run_source(cell.source, f"<cell {cell.id}>", lesson)
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {first_line(error)}"
    return None


def _draw(*_: Any, **__: Any) -> None:
    """What a notebook does for plt.show(): agg alone would draw nothing, and the pictures would seem free."""
    for number in plt.get_fignums():
        plt.figure(number).savefig(io.BytesIO(), format="png")


def main() -> None:
    said = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # programs that cells start, too
        os.dup2(nowhere.fileno(), 2)
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            result = measure(Path(sys.argv[1]).resolve(), sys.argv[2])
    os.write(said, json.dumps(result).encode())


if __name__ == "__main__":
    main()
