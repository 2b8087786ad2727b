"""Run the demo: steps with a progress bar, a table, and an exit code that says whether the loop really worked."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from nbformat import write
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from torchgrade.demo.grading import Grading
from torchgrade.demo.results import Result, read_result
from torchgrade.demo.root import make_root
from torchgrade.demo.samples import Sample, samples
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import Bank, read_bank
from torchgrade.lessons.leaks import feedback_files, feedback_leaks
from torchgrade.lessons.master import lesson_names, read_master, read_notebook
from torchgrade.lessons.secrets import secrets_of
from torchgrade.report import page

STUDENTS = 6
STEPS = 7 + 2 * STUDENTS

Say = Callable[[str], None]


def run(course: Path, target: Path, lesson: str | None = None) -> int:
    """Grade sample submissions of `lesson` (the first one if None) in the new course root `target`.

    Returns 0 if the grades are what they must be, 1 if they are not. Raises CourseError if a step could not be done.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=160, color_system=None)
    with _steps(console) as say:
        handed_in, results, told = _grade(course.resolve(), target.resolve(), lesson, say)
    console.print(_table(handed_in, results))
    if broken := _broken_promise(results) or told:
        console.print(f"demo: {broken}", style="red", highlight=False)
        return 1
    console.print(f"Open {_short(results[1].feedback)}", highlight=False, soft_wrap=True)
    console.print(f"and {_short(target.resolve() / page.PAGE)}, the class report", highlight=False, soft_wrap=True)
    return 0


def _grade(course: Path, target: Path, name: str | None, say: Say) -> tuple[list[Sample], list[Result], str | None]:
    """(what was handed in, what each got, what the feedback tells that it must not)."""
    if name is None and not (names := lesson_names(course)):
        raise CourseError("there is no lesson yet.", where=course / "source", remedy="Add one as source/NN_topic/.")
    lesson = read_master(course, name or names[0])
    bank = read_bank(lesson.bank_path)
    say("generate_assignment")
    make_root(course, target, lesson.name)
    grading = Grading(target, lesson.name)
    grading.generate()
    say("release_assignment")
    grading.release()
    released = target / "release" / lesson.name
    handed_in = samples(lesson, bank, read_notebook(released / f"{lesson.name}.ipynb"))
    for sample in handed_in:
        say(f"submit {sample.student}")
        home = target / "students" / sample.student
        shutil.copytree(released, home / lesson.name)
        write(sample.notebook, home / lesson.name / f"{lesson.name}.ipynb")
        grading.submit(sample.student, home)
    say("collect")
    grading.collect()
    import torchgrade.check  # noqa: F401  torch comes from the disk now, not while a cell's time runs

    for sample in handed_in:
        say(f"autograde {sample.student}")
        grading.autograde(sample.student)
    say("generate_feedback")
    grading.generate_feedback()
    say("export")
    grading.export()
    say("report")
    page.write(target, [])
    say("read the results")
    results = [read_result(grading, lesson, sample.student) for sample in handed_in]
    return handed_in, results, leaked(target, lesson.name, bank)


def _broken_promise(results: list[Result]) -> str | None:
    """What does not hold of the samples (student-01 solved, 02 partly right, 03 untouched, 06 solved), or None."""
    perfect, partial, untouched, *_, repaired = results
    if missing := [result.student for result in results if not result.feedback.is_file()]:
        return f"no feedback for {', '.join(missing)}."
    if perfect.passed < perfect.checks:
        return f"the solved lesson passes only {perfect.passed} of {perfect.checks} checks."
    if not perfect.score > partial.score > untouched.score == 0:
        scores = f"{perfect.score:g}, {partial.score:g} and {untouched.score:g}"
        return f"solved, partly right and untouched got {scores}; they must fall, down to 0."
    if repaired.score != perfect.score:
        return f"damaged test cells changed the score from {perfect.score:g} to {repaired.score:g}."
    return None


def leaked(target: Path, name: str, bank: Bank) -> str | None:
    """The first piece of a hidden test, a solution or the bank in a feedback page of somebody who did not write it."""
    lesson = read_master(target, name)
    secrets = secrets_of(lesson, bank)
    pages = feedback_files(target / "feedback", lesson)
    found = [leak for page in pages for leak in feedback_leaks(page, lesson, secrets)]
    return f"the feedback tells too much. {found[0]} ({len(found)} leaks)" if found else None


def _table(handed_in: list[Sample], results: list[Result]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("student", no_wrap=True)
    table.add_column("handed in")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("verdict")
    for sample, result in zip(handed_in, results, strict=True):
        table.add_row(sample.student, sample.about, f"{result.score:g} / {result.max_score:g}", result.verdict)
    return table


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


@contextmanager
def _steps(console: Console) -> Iterator[Say]:
    """A bar with the name of the step on a terminal, a line per step elsewhere."""
    if not console.is_terminal:
        yield lambda name: console.print(f"demo: {name}", highlight=False)
        return
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task, finished = progress.add_task("", total=STEPS), count()
        yield lambda name: progress.update(task, description=name, completed=next(finished))
