"""How many CPU seconds a solved lesson takes: all of it, and what grading runs. Measured once per content.

The lesson runs in a process of its own, on one thread, without a GPU. Starting Python and importing torch are not
counted: a student waits for them once, and a grader's processes have them behind them.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.lessons.master import Master

LIMIT = 600.0  # seconds of the wall clock for one run
RUNS = ("solved", "grading")  # all code cells; all but demonstrations
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"}


@dataclass(frozen=True)
class Seconds:
    """CPU seconds of the whole solved lesson, and of what grading needs of it."""

    solved: float
    grading: float


def seconds(master: Master) -> Seconds:
    """The lesson's seconds; those of an earlier run in build/ if lesson and torch are the same.

    Raises CourseError if the solved lesson stops or does not end.
    """
    kept = master.folder.parents[1] / "build" / "lesson-seconds" / f"{master.name}-{_key(master)}.json"
    if kept.is_file():
        return Seconds(**json.loads(kept.read_text(encoding="utf8")))
    measured = Seconds(*(_measure(master, what) for what in RUNS))
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(asdict(measured)), encoding="utf8")
    return measured


def _key(master: Master) -> str:
    """Of the lesson's files and torch's version. The bank has no part in a run."""
    content = hashlib.sha256(version("torch").encode())
    for path in _files(master.folder):
        content.update(b"\0%s\0" % path.relative_to(master.folder).as_posix().encode() + path.read_bytes())
    return content.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        unread = {"__pycache__", ".ipynb_checkpoints", "mistakes.py"} & {*path.relative_to(folder).parts}
        if path.is_file() and not unread:
            yield path


def _measure(master: Master, what: str) -> float:
    command = [sys.executable, "-m", "torchgrade.lessons.stopwatch", str(master.folder), what]
    try:
        done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired as error:
        raise CourseError(
            f"the solved lesson did not end within {LIMIT:g} seconds.",
            where=master.path,
            remedy="Find the cell with Run All in Jupyter.",
        ) from error
    try:
        said = json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CourseError(
            f"the solved lesson's process died ({last}).", where=master.path, remedy="Run All in Jupyter shows where."
        ) from error
    if "stopped" in said:
        raise CourseError(
            f"the solved lesson stops with {said['stopped']}.",
            where=f"{master.path}: cell {said['cell']}",
            remedy="Mend the cell; until then its seconds are not known.",
        )
    return float(said["seconds"])
