"""`make bench`: how fast are submissions graded, against stock nbgrader and against the lowest time there can be?

The same submissions of every lesson are graded in turns by stock `nbgrader autograde`, by ours with the demonstrations
(which stock always runs), by ours as it is, and as a limit the needed cells of the solved lesson run in a fork of one
warm process. Before that: does the time per submission grow with their number, and what do two workers and Dask bring?
With lessons' names as arguments only those are graded, and nothing is asked about growth.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import batch_course
from small_course import write
from small_lesson import LESSON as SMALL
from torchgrade.lessons.master import is_demo, lesson_names, nbgrader, read_master, read_notebook

ROOT = Path(__file__).parents[1]
CPU_GROUP = Path("/sys/fs/cgroup/cpuacct/torchgrade-bench")
STOCK = "c = get_config()\nc.CourseDirectory.ignore = ['mistakes.py']\nc.ExecutePreprocessor.timeout = 300\n"
OURS = f"c = get_config()\nload_subconfig({str(ROOT / 'nbgrader_config.py')!r})\n"
TURNS = 2
SUBMISSIONS = 48  # at least, of all lessons together: a few would measure the start of a run, not grading
SIZES = (10, 100, 1000)
CLASS = 200  # students who get feedback
LIMIT = """
import json, os, sys, time
import matplotlib, torch, torch._dynamo
matplotlib.use("agg")
import matplotlib.pyplot
from torchgrade import check, plots, progress
from torchgrade.lessons.solved import new_lesson, run_source
torch.set_num_threads(1)
cells = json.load(open(sys.argv[1]))
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
started = time.monotonic()
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        lesson = new_lesson()
        for number, cell in enumerate(cells):
            run_source(cell, f"<cell {number}>", lesson)
        os._exit(0)
    if os.wait()[1]:
        sys.exit("a cell of the solved lesson failed")
print(time.monotonic() - started, file=sys.stderr)
"""


@dataclass
class Cost:
    """Of all submissions so far. cpu is 0 where no control group can count it."""

    wall: float = 0.0
    cpu: float = 0.0
    submissions: int = 0

    def add(self, wall: float, cpu: float, submissions: int) -> None:
        self.wall, self.cpu, self.submissions = self.wall + wall, self.cpu + cpu, self.submissions + submissions

    @property
    def each(self) -> float:
        return self.wall / self.submissions

    def __str__(self) -> str:
        cpu = f"{self.cpu / self.submissions:7.2f} CPU-s" if self.cpu else ""
        return f"{self.each:7.2f} s {cpu} each"


@contextmanager
def counted(cost: Cost, submissions: int) -> Iterator[list[str]]:
    """Adds the wall and CPU seconds of the block; a command in it must be started with the yielded prefix."""
    doors: list[str] = []
    if os.access(CPU_GROUP.parent, os.W_OK):
        CPU_GROUP.mkdir(exist_ok=True)
        doors = ["/bin/sh", "-c", f'echo $$ > {CPU_GROUP}/cgroup.procs; exec "$@"', "sh"]
    before, started = _cpu_seconds(), time.monotonic()
    yield doors
    cost.add(time.monotonic() - started, _cpu_seconds() - before, submissions)


def _cpu_seconds() -> float:
    usage = CPU_GROUP / "cpuacct.usage"
    return int(usage.read_text()) / 1e9 if usage.exists() else 0.0


def run(command: list[str], course: Path, doors: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run([*doors, *command], cwd=course, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def per_turn(lessons: list[str]) -> int:
    """Submissions of each lesson in one turn."""
    return -(-SUBMISSIONS // (TURNS * len(lessons)))


def course(root: Path, lessons: list[str], config: str, change: Callable[[Any], None]) -> Path:
    """A course with these lessons, their masters changed, and submissions of each for every turn."""
    root.mkdir(parents=True)
    (root / "nbgrader_config.py").write_text(config, encoding="utf8")
    shutil.copytree(ROOT / "source", root / "source", ignore=shutil.ignore_patterns("__pycache__"))
    for lesson in lesson_names(root):
        if lesson not in lessons:
            shutil.rmtree(root / "source" / lesson)
            continue
        path = root / "source" / lesson / f"{lesson}.ipynb"
        notebook = read_notebook(path)
        change(notebook)
        write(path, notebook)
        run([sys.executable, "-m", "nbgrader", "generate_assignment", lesson], root, [])
        for turn, number in itertools.product(range(TURNS), range(per_turn(lessons))):
            write(
                root / "submitted" / f"turn{turn}-student-{number:02d}" / lesson / f"{lesson}.ipynb",
                submission(root, lesson, number),
            )
    return root


def submission(root: Path, lesson: str, number: int) -> Any:
    """The course's own release with a student's answers; every second submission leaves out every third of them."""
    solved = read_notebook(ROOT / "tests" / "students" / f"{lesson}.ipynb")
    answers = {nbgrader(cell)["grade_id"]: cell.source for cell in solved.cells if nbgrader(cell).get("solution")}
    notebook = read_notebook(root / "release" / lesson / f"{lesson}.ipynb")
    to_answer = [cell for cell in notebook.cells if nbgrader(cell).get("grade_id") in answers]
    for place, cell in enumerate(to_answer):
        if number % 2 == 0 or place % 3:
            cell.source = answers[nbgrader(cell)["grade_id"]]
    return notebook


def as_it_is(notebook: Any) -> None:
    """Ours grades the masters as they are."""


def with_demonstrations(notebook: Any) -> None:
    for cell in notebook.cells:
        if is_demo(cell):
            cell.metadata.tags = [tag for tag in cell.metadata.tags if tag != "demo"]


def for_stock(notebook: Any) -> None:
    """Stock nbgrader takes no rubric in a written question."""
    notebook.cells = [c for c in notebook.cells if c.cell_type == "code" or "MARK SCHEME" not in c.source]


def needed_cells(lesson: str) -> list[str]:
    cells = read_master(ROOT, lesson).notebook.cells
    return [cell.source for cell in cells if cell.cell_type == "code" and not is_demo(cell)]


def against_stock(folder: Path, lessons: list[str]) -> str:
    stock = course(folder / "stock", lessons, STOCK, for_stock)
    full = course(folder / "full", lessons, OURS, with_demonstrations)
    ours = course(folder / "ours", lessons, OURS, as_it_is)
    costs = {name: Cost() for name in ("stock", "ours, demonstrations too", "ours", "limit")}
    grade = [sys.executable, "-m", "torchgrade.cli", "autograde"]
    for turn in range(TURNS):
        who = f"turn{turn}-*"
        count = per_turn(lessons) * len(lessons)
        with counted(costs["stock"], count) as doors:
            for lesson in lessons:
                run([sys.executable, "-m", "nbgrader", "autograde", lesson, f"--student={who}"], stock, doors)
        with counted(costs["ours, demonstrations too"], count) as doors:
            run([*grade, "--student", who], full, doors)
        with counted(costs["ours"], count) as doors:
            run([*grade, "--student", who], ours, doors)
        for lesson in lessons:
            cells = folder / "cells.json"
            cells.write_text(json.dumps(needed_cells(lesson)), encoding="utf8")
            where = ours / "source" / lesson
            with counted(Cost(), 0) as doors:
                before, limit = _cpu_seconds(), [sys.executable, "-c", LIMIT, str(cells), str(per_turn(lessons))]
                wall = float(run(limit, where, doors).stderr.split()[-1])
                costs["limit"].add(wall, _cpu_seconds() - before, per_turn(lessons))
    for name, cost in costs.items():
        print(f"  {name:<26}{cost}", flush=True)
    ratio = {name: costs["stock"].each / cost.each for name, cost in costs.items()}
    limit = costs["ours"].each / costs["limit"].each
    first, second = ratio["ours, demonstrations too"], ratio["ours"]
    return f"ratio {first:.1f} x stock (demo cells on both), {second:.1f} x (skipped), {limit:.2f} x the limit"


def growth(folder: Path) -> None:
    """Small submissions: seconds for each, and the peak memory of the process that reads and writes."""
    for size in SIZES:
        root = batch_course.make(folder / f"small-{size}", students=size)
        started = time.monotonic()
        command = [sys.executable, "-m", "torchgrade.cli", "autograde", SMALL, "--student", "student-*"]
        process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit("bench: grading small submissions failed")
        seconds = (time.monotonic() - started) / size
        print(f"  {size:5d} submissions: {seconds:.3f} s each, {usage.ru_maxrss >> 10} MiB", flush=True)


def workers(folder: Path) -> None:
    from distributed import LocalCluster

    root = batch_course.make(folder / "workers", students=40)
    command = [sys.executable, "-m", "torchgrade.cli", "autograde", SMALL, "--student", "student-*", "--force"]
    for how in (["--jobs", "1"], ["--jobs", "2"], ["--jobs", "1"], ["--jobs", "2"]):
        print(f"  {' '.join(how)}: {_seconds(command + how, root):.1f} s", flush=True)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        seconds = _seconds([*command, "--scheduler", cluster.scheduler_address], root)
        print(f"  Dask, 2 workers: {seconds:.1f} s", flush=True)


def pages(folder: Path) -> None:
    """What a class of 200 reads afterwards."""
    root = batch_course.make(folder / "pages", students=CLASS)
    run([sys.executable, "-m", "torchgrade.cli", "autograde", SMALL, "--student", "student-*"], root, [])
    seconds = _seconds([sys.executable, "-m", "nbgrader", "generate_feedback", SMALL], root)
    print(f"  {CLASS} feedback pages: {seconds:.1f} s", flush=True)
    seconds = _seconds([sys.executable, "-m", "torchgrade.cli", "report"], root)
    print(f"  class report: {seconds:.1f} s", flush=True)


def _seconds(command: list[str], root: Path) -> float:
    started = time.monotonic()
    run(command, root, [])
    return time.monotonic() - started


def main() -> None:
    lessons = sys.argv[1:] or lesson_names(ROOT)
    with tempfile.TemporaryDirectory(prefix="tg-bench-") as name:
        folder = Path(name)
        if not sys.argv[1:]:
            print("growth with the number of submissions:", flush=True)
            growth(folder)
            print("workers, 40 small submissions:", flush=True)
            workers(folder)
            print("feedback:", flush=True)
            pages(folder)
        total = per_turn(lessons) * TURNS * len(lessons)
        print(f"{total} submissions of {len(lessons)} lessons, in {TURNS} turns:", flush=True)
        last = against_stock(folder, lessons)
    if CPU_GROUP.exists():
        CPU_GROUP.rmdir()
    print(last)


if __name__ == "__main__":
    main()
