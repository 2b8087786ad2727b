"""`torchgrade autograde`: many submissions, many workers, one writer. A run that was killed is gone on with.

This process reads submissions and writes results; in between, each is run by a worker of an Executor. Only a few are
under way at a time, so memory does not grow with their number. What is graded already, and would come out the same, is
left alone.
"""

import contextlib
import functools
import glob
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.converters import NbGraderException
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import OperationalError
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from torchgrade.autograde import worker
from torchgrade.autograde.converter import StepwiseAutograde, Submission
from torchgrade.autograde.progress import Progress
from torchgrade.autograde.work import Result
from torchgrade.errors import CourseError

AHEAD = 2  # submissions under way for each worker: one that runs, one that waits
WATCH_SECONDS = 2.0  # between two looks for what was handed in
CHANCES = 4  # times that a submission is tried whose pool dies; it may only have waited beside the guilty one

Executors = Callable[[], contextlib.AbstractContextManager[Executor]]


@dataclass
class _Batch:
    """What is under way. `futures`: per submission, one for each notebook"""

    converter: StepwiseAutograde
    progress: Progress
    futures: dict[str, tuple[Submission, dict[str, "Future[Result]"]]] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    again: list[Submission] = field(default_factory=list)  # whose worker died


def run(
    course: Path,
    lessons: list[str],
    *,
    student: str,
    executors: Executors,
    workers: int,
    force: bool = False,
    watch: bool = False,
) -> int:
    """Grade what has been handed in. 0 if every submission has a score, 1 if some have not.

    student: a name or a pattern; executors: makes an Executor, anew when its workers have died; watch: go on with what
    is handed in from now on, until Ctrl-C
    """
    coursedir = CourseDirectory(config=_config(course), root=str(course))
    with _usable(coursedir):
        _require_released(coursedir, lessons)
        converter = StepwiseAutograde(coursedir=coursedir, config=coursedir.config)
        converter.prepare()
        batch = _Batch(converter, Progress())
        find = functools.partial(_find, converter, lessons, student)
        try:
            with contextlib.chdir(course), contextlib.suppress(KeyboardInterrupt):
                if not watch and not any(find()):
                    where = coursedir.format_path(coursedir.submitted_directory, student, "|".join(lessons))
                    remedy = "Collect them first: `nbgrader collect`."
                    raise CourseError("no submission here.", where=where, remedy=remedy)
                todo: Iterator[Submission | None] | None = _planned(batch, find, force, watch)
                while todo is not None:
                    todo = _work_through(batch, todo, executors, workers)
        finally:
            converter.finish()
        return batch.progress.summary()


def _find(converter: StepwiseAutograde, lessons: list[str], student: str) -> list[Submission]:
    return [one for lesson in lessons for one in converter.submissions(lesson, student)]


def handed_in(course: Path) -> list[str]:
    """The assignments of the gradebook that somebody has handed in."""
    coursedir = CourseDirectory(config=_config(course), root=str(course))
    pattern = coursedir.submitted_directory
    with contextlib.chdir(course), _usable(coursedir):
        return [name for name in _released(coursedir) if glob.glob(coursedir.format_path(pattern, "*", name))]


def _planned(
    batch: _Batch, find: Callable[[], list[Submission]], force: bool, watch: bool
) -> Iterator[Submission | None]:
    """The submissions that are to be run, read only when there is a worker for them; None if nothing is new."""
    seen: dict[str, object] = {}
    while True:
        found = [one for one in find() if seen.get(one.name) != one.stamp]
        batch.progress.expect(len(found))
        for submission in found:
            seen[submission.name] = submission.stamp
            try:
                batch.converter.plan(submission)
                if not force and batch.converter.is_done(submission):
                    batch.progress.unchanged(submission)
                    continue
            except (CourseError, NbGraderException) as error:
                batch.progress.failed(submission, error)
                continue
            yield submission
        if not watch:
            return
        yield None


def _work_through(
    batch: _Batch, todo: Iterator[Submission | None], executors: Executors, workers: int
) -> Iterator[Submission | None] | None:
    """Run and write all of `todo`. What is left if the workers died on the way, else None."""
    with executors() as executor:
        try:
            for submission in todo:
                if submission is not None:
                    _submit(batch, submission, executor)
                elif not batch.futures:
                    time.sleep(WATCH_SECONDS)
                while batch.futures and (submission is None or len(batch.futures) >= AHEAD * workers):
                    _collect(batch)
            while batch.futures:
                _collect(batch)
        except BrokenProcessPool:
            _after_a_death(batch)
    again, batch.again = batch.again, []
    return _chain(again, todo) if again else None


def _submit(batch: _Batch, submission: Submission, executor: Executor) -> None:
    batch.futures[submission.name] = submission, {}
    try:
        for path, work in submission.works.items():
            batch.futures[submission.name][1][path] = executor.submit(worker.run, work)
    except OSError as error:  # a pool that breaks at this moment has closed the pipes that a new worker was to inherit
        raise BrokenProcessPool from error


def _collect(batch: _Batch) -> None:
    """Wait until one submission has all its results, and write it."""
    pending = [future for _, futures in batch.futures.values() for future in futures.values()]
    wait([future for future in pending if not future.done()], return_when=FIRST_COMPLETED)
    for name, (submission, futures) in list(batch.futures.items()):
        if not all(future.done() for future in futures.values()):
            continue
        for future in futures.values():
            if isinstance(future.exception(), BrokenProcessPool):
                raise BrokenProcessPool
        del batch.futures[name]
        _write(batch, submission, futures)


def _write(batch: _Batch, submission: Submission, futures: dict[str, "Future[Result]"]) -> None:
    try:
        results = {path: future.result() for path, future in futures.items()}
        batch.converter.save(submission, results)
    except (CourseError, NbGraderException, OSError) as error:
        batch.progress.failed(submission, error)
    except OperationalError:
        raise  # none of the others could be written, either
    except Exception as error:  # of a worker on another machine, say: this submission has no result, the others have
        batch.progress.failed(submission, error)
    else:
        batch.progress.graded(submission, results)


def _after_a_death(batch: _Batch) -> None:
    """A worker was killed, and its pool with it: what was under way is tried again, but not for ever."""
    for submission, futures in batch.futures.values():
        whole = futures.keys() == submission.works.keys()
        if whole and all(future.done() and not future.exception() for future in futures.values()):
            _write(batch, submission, futures)
            continue
        deaths = batch.deaths[submission.name] = batch.deaths.get(submission.name, 0) + 1
        if deaths < CHANCES:
            batch.again.append(submission)
        else:
            batch.progress.failed(submission, RuntimeError(f"the workers that ran it died {deaths} times"))
    batch.futures.clear()


def _chain(first: list[Submission], rest: Iterator[Submission | None]) -> Iterator[Submission | None]:
    yield from first
    yield from rest


def _config(course: Path) -> Config:
    return PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()


def _released(coursedir: CourseDirectory) -> list[str]:
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        return sorted(assignment.name for assignment in gradebook.assignments)


@contextlib.contextmanager
def _usable(coursedir: CourseDirectory) -> Iterator[None]:
    """What goes wrong with the gradebook itself, in one line."""
    try:
        yield
    except OperationalError as error:
        raise CourseError(
            f"the gradebook cannot be used ({error.orig}).",
            where=coursedir.db_url,
            remedy="Is another program writing to it? Run the command again; what was written stays.",
        ) from error


def _require_released(coursedir: CourseDirectory, lessons: list[str]) -> None:
    known = _released(coursedir)
    for lesson in lessons:
        if lesson not in known:
            raise CourseError(
                "the gradebook does not know this assignment.",
                where=lesson,
                remedy=f"Run `nbgrader generate_assignment {lesson}`; students need what it makes.",
            )
