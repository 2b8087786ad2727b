"""Put every variant of a mistake bank into the solved lesson, in place, and run the graded cells after it.

A lesson runs once, in a process of its own. Right after an answer's cell that process forks one child per variant of
it; the child replaces the answer and runs the rest of the notebook. A graded cell sees the names as they are at its
place. The cells of the variant's exercise, and all cells of the solved lesson, run in forks of their own, so one cannot
change what the next one sees, and a loop or a crash costs that cell alone. The cells of other exercises test the
author's answers, which pass in one process, as in a notebook: a fork for each would take most of the time. Those of
them that time, measure memory or run Triton take seconds each, and run for the solved lesson alone.
"""

import ast
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from torchgrade.check.capture import bound_names
from torchgrade.check.failures import Undecided
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import Bank, Variant
from torchgrade.lessons.forked import Child, Crew, Send
from torchgrade.lessons.machine import cpu_seconds
from torchgrade.lessons.master import Cell, Master, is_demo, nbgrader
from torchgrade.lessons.solved import Failure, Namespace, first_line, grade, new_lesson, run_source

SLOW = ("check.speed(", "check.peak_memory(", "check.triton(")
SECONDS = 60.0  # of computing, for one variant
PATIENCE = 10  # times as long may it last: a right answer must not be rejected because the machine is busy
WHOLE_LESSON = 3600.0  # seconds for all variants of a lesson: only a hanging machine needs more
MEASURINGS = 3  # of a cell without a clear result: a busy machine is no reason to reject an answer
GRACE = 5.0  # seconds that a variant has left to report that a graded cell of it ran out of time


Grade = Callable[[Cell, str, Namespace], Failure | None]  # (graded cell, grade_id, the lesson's names)


@dataclass(frozen=True)
class Trial:
    """A variant and the graded cells that fail with it."""

    variant: Variant
    failures: tuple[Failure, ...]


def try_variants(
    master: Master,
    bank: Bank,
    *,
    seconds: float = SECONDS,
    done: Callable[[Trial], None] = lambda trial: None,
    grade: Grade = grade,
) -> list[Trial]:
    """One trial per variant, in the order of the bank. `done` gets each as soon as it has ended.

    seconds: how long a variant and the cells after it may compute
    grade: runs a graded cell, for a grader other than `check` in one process

    Raises CourseError if the solved lesson does not run or pass, or a variant fits no answer or cannot be defined.
    """
    _require_answers(master, bank)
    trials: dict[Variant, Trial] = {}
    problem: CourseError | None = None
    with tempfile.TemporaryDirectory(prefix="torchgrade-", ignore_cleanup_errors=True) as folder:
        lesson = Child(lambda send: _Lesson(master, bank, seconds, grade, Path(folder), send).run(), WHOLE_LESSON)
        try:
            for message in _as_they_come(lesson):
                if isinstance(message, CourseError):
                    problem = message
                else:
                    trials[message.variant] = message
                    done(message)
        finally:
            lesson.kill()
    missing = [variant for variant in bank.variants if variant not in trials]
    if missing and problem is None:
        problem = CourseError(
            f"the run ended before {len(missing)} variants were tried.",
            where=master.path,
            remedy="Was the machine out of memory? Run it again.",
        )
    if problem is not None:
        raise problem
    return [trials[variant] for variant in bank.variants]


def _as_they_come(child: Child) -> Iterator[Trial | CourseError]:
    seen, lives = 0, True
    while lives:
        lives = child.lives()
        yield from child.received[seen:]
        seen = len(child.received)


def _require_answers(master: Master, bank: Bank) -> None:
    for grade_id in master.graded:
        master.exercise_of(grade_id)  # raises if there is none
    for variant in bank.variants:
        where = f"{bank.path}:{variant.line}"
        if variant.exercise not in master.answers:
            answers = ", ".join(master.answers) or "none"
            raise CourseError(f"no exercise {variant.exercise!r}.", where=where, remedy=f"Answers here: {answers}.")
        answer = _bound_names(master.answers[variant.exercise].source, f"{master.path}: cell {variant.exercise}")
        if not _bound_names(variant.source, where) & answer:
            raise CourseError(
                f"this defines no name that the answer {variant.exercise!r} defines.",
                where=where,
                remedy=f"Define one of: {', '.join(sorted(answer))}.",
            )


def _bound_names(source: str, where: str) -> set[str]:
    try:
        return bound_names(ast.parse(source))
    except SyntaxError as error:
        raise CourseError(f"line {error.lineno}: not Python: {error.msg}.", where=where, remedy="Mend it.") from error


@dataclass(frozen=True)
class _Step:
    """A code cell that grading runs; `number` counts all cells of the notebook from 1."""

    number: int
    cell: Cell
    grade_id: str
    is_graded: bool

    @property
    def name(self) -> str:
        return f"<cell {self.number}>"


def _steps(master: Master) -> list[_Step]:
    graded = master.graded
    return [
        _Step(number, cell, grade_id := nbgrader(cell).get("grade_id", ""), grade_id in graded)
        for number, cell in enumerate(master.notebook.cells, 1)
        if cell.cell_type == "code" and not is_demo(cell)
    ]


class _Lesson:
    """The process that runs the solved lesson and forks the variants."""

    def __init__(self, master: Master, bank: Bank, seconds: float, grade: Grade, folder: Path, send: Send):
        self._master, self._bank, self._seconds, self._grade = master, bank, seconds, grade
        self._folder, self._send = folder, send
        self._variant_of: dict[Child, Variant | None] = {}  # None: the lesson as its author solved it

    def run(self) -> None:
        torch.set_num_threads(1)
        os.chdir(self._copy_of(self._master.folder))
        try:
            with Crew(os.cpu_count() or 1, self._report) as crew:
                self._run_cells(crew)
                crew.finish()
        except CourseError as error:
            self._send(error)

    def _run_cells(self, crew: Crew) -> None:
        lesson, steps = new_lesson(), _steps(self._master)
        self._start(crew, None, lesson, steps)
        for index, step in enumerate(steps):
            if step.is_graded:
                continue
            try:
                run_source(step.cell.source, step.name, lesson)
            except (Exception, SystemExit) as error:
                raise self._broken(step, error) from error
            for variant in self._bank.variants:
                if variant.exercise == step.grade_id:
                    self._start(crew, variant, lesson, steps[index + 1 :])

    def _start(self, crew: Crew, variant: Variant | None, lesson: Namespace, rest: list[_Step]) -> None:
        folder = self._copy_of(Path.cwd())  # now: this process goes on, and its cells may write files

        def work(send: Send) -> None:
            os.chdir(folder)
            self._attempt(variant, lesson, rest, send)

        child = crew.start(work, PATIENCE * self._seconds + GRACE, cpu_seconds=self._seconds + GRACE)
        self._variant_of[child] = variant

    def _copy_of(self, folder: Path) -> Path:
        """The files that a lesson's cells may read, in a place where they may write."""
        copy = Path(tempfile.mkdtemp(dir=self._folder))
        ignored = shutil.ignore_patterns("*.ipynb", "mistakes.py", "__pycache__", ".ipynb_checkpoints")
        return Path(shutil.copytree(folder, copy, ignore=ignored, dirs_exist_ok=True))

    def _attempt(self, variant: Variant | None, lesson: Namespace, rest: list[_Step], send: Send) -> None:
        """In a child: the variant, then the rest of the notebook, which goes on after an error as a grader's would."""
        deadline = time.monotonic() + PATIENCE * self._seconds
        if variant is not None:
            try:
                run_source(self._bank.prelude, f"<prelude of {self._bank.path.name}>", lesson)
                run_source(variant.source, f"<variant in line {variant.line}>", lesson)
            except (Exception, SystemExit) as error:
                send(f"{type(error).__name__}: {first_line(error)}")
                return
        for step in rest:
            if not step.is_graded:
                with contextlib.suppress(Exception, SystemExit):
                    run_source(step.cell.source, step.name, lesson)
                continue
            is_own = variant is None or self._master.exercise_of(step.grade_id) == variant.exercise
            if not is_own and any(call in step.cell.source for call in SLOW):
                continue
            failure = (
                self._measured_in_a_fork(step, lesson, deadline)
                if is_own
                else self._grade(step.cell, step.grade_id, lesson)
            )
            if failure is not None:
                send(failure)
                if failure.kind == "time":
                    return

    def _measured_in_a_fork(self, step: _Step, lesson: Namespace, deadline: float) -> Failure | None:
        """What a person would have to decide is asked again. deadline: by the clock (time.monotonic)"""
        for _ in range(MEASURINGS):
            failure = self._grade_in_a_fork(step, lesson, deadline)
            if failure is None or failure.kind != Undecided.__name__:
                break
        return failure

    def _grade_in_a_fork(self, step: _Step, lesson: Namespace, deadline: float) -> Failure | None:
        left, cpu_left = deadline - time.monotonic(), self._seconds - cpu_seconds()
        child = Child(
            lambda send: send(self._grade(step.cell, step.grade_id, lesson)),
            max(0.1, left),
            cpu_seconds=max(0.1, cpu_left),
        )
        while child.lives():
            pass
        if child.timed_out:
            return Failure(step.grade_id, "time", "it did not end in time", True)
        return child.received[0] if child.received else Failure(step.grade_id, "crash", "its process died", True)

    def _report(self, child: Child) -> None:
        """A child has ended: what it sent is the trial, unless it is the author's error, which ends the whole run."""
        variant = self._variant_of[child]
        failures = [item for item in child.received if isinstance(item, Failure)]
        if child.timed_out or child.crashed:
            kind = "time" if child.timed_out else "crash"
            failures.append(Failure("", kind, "outside the graded cells of its exercise", True))
        if variant is None:
            if failures:
                raise self._not_solved(failures[0])
            return
        if any(isinstance(item, str) for item in child.received):
            raise CourseError(
                f"this definition stopped with {child.received[0]}.",
                where=f"{self._bank.path}:{variant.line}",
                remedy="It must run right after the answer's cell.",
            )
        self._send(Trial(variant, tuple(failures)))

    def _not_solved(self, failure: Failure) -> CourseError:
        remedy = "Mend the test or the solution."
        if failure.kind == "NameError":
            remedy = "A graded cell starts from nothing: it reaches the lesson's names inside check.run only."
        return CourseError(
            f"the solved lesson fails: {failure.kind}: {failure.message}.",
            where=f"{self._master.path}: cell {failure.cell}",
            remedy=remedy,
        )

    def _broken(self, step: _Step, error: BaseException) -> CourseError:
        return CourseError(
            f"the solved lesson stops with {type(error).__name__}: {first_line(error)}.",
            where=f"{self._master.path}: cell {step.number}",
            remedy="The cells without the tag 'demo' must run from top to bottom.",
        )
