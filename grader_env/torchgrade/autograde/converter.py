"""nbgrader's autograder in three steps: read and repair a submission, have it run (anywhere), write what came out.

`nbgrader autograde` does the same with the same parts, one submission after the other. Here a submission is written at
once or not at all: files into a folder beside their place, scores in one transaction, then the folder takes its place.
"""

import glob
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbconvert.exporters.exporter import Exporter, ResourcesDict
from nbconvert.writers import FilesWriter
from nbgrader import utils
from nbgrader.api import MissingEntry
from nbgrader.converters import Autograde

from torchgrade.autograde.execute import GIVEN, KEY, RunCells
from torchgrade.autograde.handed_in import ignore_links
from torchgrade.autograde.transaction import OneGradebook
from torchgrade.autograde.work import Result, Work, read_lesson
from torchgrade.autograde.work_folder import files_in
from torchgrade.errors import CourseError
from torchgrade.lessons.master import read_notebook
from torchgrade.sandbox import require_tier

STAGING = ".{}.part"  # beside the folder of an assignment, which it becomes


@dataclass
class Submission:
    """A submitted assignment. `plan` fills in `works`, one for each notebook that the gradebook knows."""

    student: str
    lesson: str
    notebooks: tuple[str, ...]
    works: dict[str, Work] = field(default_factory=dict)
    repaired: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # by notebook: (cells and all, resources)

    @property
    def name(self) -> str:
        return f"{self.student}, {self.lesson}"

    @property
    def stamp(self) -> tuple[tuple[str, int], ...]:
        """Changes when a notebook is handed in again."""
        return tuple((path, os.stat(path).st_mtime_ns) for path in self.notebooks if os.path.exists(path))


class StepwiseAutograde(Autograde):
    """Each step raises CourseError or NbGraderException about one submission; others are not touched by it."""

    _staging = False

    def prepare(self) -> None:
        """What nbgrader's `start` sets up before it converts."""
        self.writer = FilesWriter(parent=self, config=self.config)
        self.exporter = self.exporter_class(parent=self, config=self.config)
        self._runner = RunCells(parent=self)
        require_tier(self._runner.minimum_tier)
        self._gradebook = OneGradebook(self.coursedir.db_url, self.coursedir.course_id)

    def finish(self) -> None:
        self._gradebook.close()

    def submissions(self, lesson: str, student: str) -> Iterator[Submission]:
        """What has been handed in for `lesson` (a name) by `student` (a name or a pattern), in order of names."""
        self._sanitizing = True
        excluded = set(filter(None, self.coursedir.student_id_exclude.split(",")))
        pattern = re.compile(self._format_source(re.escape(lesson), "(?P<student>.*)", escape=True))
        for folder in sorted(glob.glob(self._format_source(lesson, student))):
            match = pattern.match(folder)
            if match and match["student"] not in excluded and not match["student"].startswith("."):
                yield Submission(match["student"], lesson, tuple(sorted(glob.glob(os.path.join(folder, "*.ipynb")))))

    def plan(self, submission: Submission) -> None:
        """Read and repair. Raises CourseError if there is nothing to grade or it has vanished."""
        if not submission.notebooks:
            raise CourseError(
                "there is no notebook in it; nothing was graded.",
                where=self._format_source(submission.lesson, submission.student),
                remedy="Ask the student to submit again.",
            )
        files = self._files(submission)
        self._sanitizing = True
        for path in submission.notebooks:
            resources = self.init_single_notebook_resources(path)
            resources["metadata"] = ResourcesDict(name=resources["unique_key"], path=os.path.dirname(path))
            if not self._is_known(resources["nbgrader"]["notebook"], submission.lesson):
                continue
            self._init_preprocessors()
            try:
                with open(path, encoding="utf8") as stream:
                    submitted = self.exporter.read(stream)
            except OSError as error:
                raise CourseError(
                    f"it cannot be read any more ({error.strerror}).", where=path, remedy="Collect it again."
                ) from None
            nb, resources = Exporter.from_notebook_node(self.exporter, submitted, resources)
            submission.repaired[path] = nb, resources
            submission.works[path] = self._runner.work(nb, resources, files)
        if not submission.works:
            names = ", ".join(os.path.basename(path) for path in submission.notebooks)
            raise CourseError(
                f"the gradebook knows no notebook of this name: {names}.",
                where=self._format_source(submission.lesson, submission.student),
                remedy=f"Run `nbgrader generate_assignment {submission.lesson}`, or have it submitted under its name.",
            )

    def is_done(self, submission: Submission) -> bool:
        """Whether the scores in the gradebook are those of this very work."""
        for path, work in submission.works.items():
            graded = Path(self._format_dest(submission.lesson, submission.student), os.path.basename(path))
            try:
                if read_notebook(graded).metadata.get(KEY) != work.key:
                    return False
            except CourseError:
                return False
        with self._gradebook.submission() as gradebook:
            try:
                grades = gradebook.find_submission(submission.lesson, submission.student).notebooks
            except MissingEntry:
                return False
            return all(g.auto_score is not None or g.needs_manual_grade for book in grades for g in book.grades)

    def save(self, submission: Submission, results: Mapping[str, Result]) -> None:
        """Write files and scores: both, or neither. results: by notebook"""
        self._require_same_lesson(submission)
        final = self._format_dest(submission.lesson, submission.student)
        self.notebooks = [*submission.works]
        ignored = self.coursedir.ignore
        self.assignments = {self._format_source(submission.lesson, submission.student): [*submission.notebooks]}
        ignore_links(self)
        self._staging = True
        staged = self._format_dest(submission.lesson, submission.student)
        try:
            shutil.rmtree(staged, ignore_errors=True)
            os.makedirs(staged)
            with self._gradebook.submission():
                self.init_assignment(submission.lesson, submission.student)
                for path in self.notebooks:
                    self._score(path, submission, results[path])
                self.set_permissions(submission.lesson, submission.student)
            if os.path.exists(final):
                utils.rmtree(final)
            os.rename(staged, final)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        finally:
            self.coursedir.ignore = ignored
            self._staging = False
            self._sanitizing = True

    def _score(self, path: str, submission: Submission, result: Result) -> None:
        nb, resources = submission.repaired[path]
        self._sanitizing = False
        self._init_preprocessors()
        with utils.setenv(NBGRADER_EXECUTION="autograde"):
            resources[GIVEN] = result
            output, resources = self.exporter.from_notebook_node(nb, resources)
            del resources[GIVEN]
            self.write_single_notebook(output, resources)
        self._sanitizing = True

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        self._sanitizing = True
        super().init_assignment(assignment_id, student_id)

    def _format_dest(self, assignment_id: str, student_id: str, escape: bool = False) -> str:
        place: str = super()._format_dest(assignment_id, student_id, escape=escape)
        if not self._staging or escape:
            return place
        folder, name = os.path.split(os.path.normpath(place))
        return os.path.join(folder, STAGING.format(name))

    def _files(self, submission: Submission) -> dict[str, bytes]:
        """What the notebooks may read: the student's files, and in the place of equal names the lesson's."""
        folder = self._format_source(submission.lesson, submission.student)
        files, refused = files_in(Path(folder))
        if refused:
            self.log.warning("%s: not taken along: %s.", submission.name, ", ".join(refused[:5]))
        source = Path(self.coursedir.format_path(self.coursedir.source_directory, ".", submission.lesson))
        kept = set(self.exclude_overwriting.get(submission.lesson, []))
        for found in utils.find_all_files(str(source), [*self.coursedir.ignore, "*.ipynb"]):
            name = os.path.relpath(found, source)
            if name not in kept:
                files[name] = Path(found).read_bytes()
        return files

    def _is_known(self, notebook: str, lesson: str) -> bool:
        with self._gradebook.submission() as gradebook:
            try:
                gradebook.find_notebook(notebook, lesson)
            except MissingEntry:
                self.log.warning("Skipping unknown notebook: %s", notebook)
                return False
        return True

    def _require_same_lesson(self, submission: Submission) -> None:
        for work in submission.works.values():
            lesson = work.lesson
            if lesson and read_lesson(Path(lesson.course), lesson.name).digest != lesson.digest:
                raise CourseError(
                    "the lesson was changed while this submission was being graded; nothing was written.",
                    where=submission.name,
                    remedy="Run the command again.",
                )
