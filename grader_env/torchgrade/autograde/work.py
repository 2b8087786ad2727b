"""What a worker needs to run one submitted notebook, and what it gives back: by value, so that it may be anywhere."""

import functools
import hashlib
import json
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import torchgrade
from torchgrade.sandbox import Limits

LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Lesson:
    """The folder of a lesson in source/: what its judge needs.

    course: where it was read; a worker that sees the same files there uses them
    files: {relative name: content}
    """

    course: str
    name: str
    files: Mapping[str, bytes]

    @cached_property
    def digest(self) -> str:
        return _digest(sorted(self.files.items()))


@dataclass(frozen=True)
class CodeCell:
    """A code cell to run, or, if it is `judged`, to ask the judge about. `index` is its place in the notebook."""

    index: int
    source: str
    grade_id: str
    judged: bool


@dataclass(frozen=True)
class Work:
    """One submitted notebook, repaired.

    cells: what grading runs, from top to bottom
    files: what the notebook may read, {relative name: content}
    lesson: None in classic mode, where nothing is judged
    points: {grade_id: points}, which the score depends on
    cell_seconds, notebook_seconds: wall clock for one cell and for all of them
    environment: environment() where the work was made
    """

    cells: tuple[CodeCell, ...]
    files: Mapping[str, bytes]
    lesson: Lesson | None
    points: Mapping[str, float]
    cell_seconds: int
    notebook_seconds: int
    limits: Limits
    environment: str

    @cached_property
    def key(self) -> str:
        """The same key, the same result: it covers the submission, the tests and the environment, not the student."""
        lesson = self.lesson.digest if self.lesson else None
        settings = (self.cell_seconds, self.notebook_seconds, self.limits, sorted(self.points.items()))
        return _digest((self.cells, sorted(self.files.items()), lesson, settings, self.environment))


@dataclass(frozen=True)
class Result:
    """outputs: {index: the outputs of the cell, as nbformat has them}; notes: what the log should say of it"""

    key: str
    outputs: Mapping[int, list[dict[str, Any]]]
    notes: tuple[str, ...] = ()


def read_lesson(course: Path, name: str) -> Lesson:
    """The lesson as it is now."""
    folder = course / "source" / name
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not LEFT_OUT & set(path.parts))
    return Lesson(str(course), name, {str(path.relative_to(folder)): path.read_bytes() for path in paths})


@functools.cache
def environment() -> str:
    """A digest of what a result depends on beside the submission and the lesson: Python, packages, torchgrade."""
    package = Path(torchgrade.__file__).parent
    code = sorted((str(path.relative_to(package)), path.read_bytes()) for path in package.rglob("*.py"))
    installed = [sysconfig.get_path(kind) for kind in ("purelib", "platlib")]  # not what a program adds to sys.path
    packages = sorted({f"{one.name}=={one.version}" for one in metadata.distributions(path=installed)})
    return _digest((sys.version, packages, code))


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode(errors="surrogatepass")).hexdigest()


def as_plain(outputs: list[Any]) -> list[dict[str, Any]]:
    """nbformat's outputs as plain dicts, which can be sent anywhere."""
    plain: list[dict[str, Any]] = json.loads(json.dumps(outputs))
    return plain
