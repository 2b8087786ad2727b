"""nbgrader's own odd notebooks, which ship in its wheel, as submissions of the assignments they belong to."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbgrader
from exploit_corpus import STOCK_CONFIG
from nbgrader.api import Gradebook
from small_course import ROOT_CONFIG
from small_course import nbgrader as command

FOLDER = Path(nbgrader.__file__).parent / "tests"
LESSON = "odd"
LIMITS = "c.Execute.timeout = 4\nc.Execute.interrupt_on_timeout = True\n"
ALONE = (
    *("apps/infinite-loop", "apps/infinite-loop-with-output", "apps/open_relative_file", "apps/side-effects"),
    *("apps/test-hidden-tests", "apps/timeout", "apps/validating-environment-variable", "apps/validation-zero-points"),
    *("preprocessors/header", "preprocessors/infinite-recursion", "preprocessors/long-output"),
    *("preprocessors/manually-graded-code-cell", "preprocessors/test", "preprocessors/test_taskcell"),
    "preprocessors/warning-pattern",
)


def _each(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


# master -> what is handed in for it
SUBMISSIONS = {
    "apps/submitted-unchanged": (
        *_each("apps", "submitted-unchanged", "submitted-changed", "submitted-grade-cell-changed"),
        *_each("apps", "submitted-locked-cell-changed", "submitted-cheat-attempt"),
        *_each("apps", "submitted-cheat-attempt-alternative"),
        *_each("preprocessors", "submitted-unchanged", "submitted-changed", "submitted-grade-cell-changed"),
        *_each("preprocessors", "submitted-locked-cell-changed", "submitted-answer-cell-type-changed"),
        *_each("preprocessors", "submitted-grade-cell-type-changed", "cell-type-changed", "no-cell-type"),
        *_each("preprocessors", "bad-markdown-cell-1", "bad-markdown-cell-2", "blank-grade-id", "blank-points"),
        *_each("preprocessors", "duplicate-grade-ids"),
    ),
    "apps/test": (
        *_each("apps", "test", "test-with-output", "test-v0", "test-v0-invalid", "test-v1", "test-v2", "too-new"),
        *_each("apps", "test-no-metadata", "test-no-metadata-autotest"),
    ),
    "apps/autotest-simple": _each("apps", "autotest-simple-changed", "autotest-simple-unchanged"),
    "apps/autotest-hashed": _each("apps", "autotest-hashed-changed", "autotest-hashed-unchanged"),
    "apps/autotest-multi": _each("apps", "autotest-multi-changed", "autotest-multi-unchanged"),
    "apps/autotest-hidden": _each(
        "apps", "autotest-hidden-unchanged", "autotest-hidden-changed-right", "autotest-hidden-changed-wrong"
    ),
} | {name: (name,) for name in ALONE}
MASTER = {name: master for master, submitted in SUBMISSIONS.items() for name in submitted}


def shipped() -> set[str]:
    """The names of all notebooks in the two folders."""
    return {
        f"{folder}/{path.stem}"
        for folder in ("apps", "preprocessors")
        for path in (FOLDER / folder / "files").glob("*.ipynb")
    }


def file(name: str) -> Path:
    folder, stem = name.split("/")
    return FOLDER / folder / "files" / f"{stem}.ipynb"


def plain(name: str) -> str:
    """As the name of a notebook, or of a student."""
    return name.replace("/", "-")


def course(root: Path, *, stock: bool) -> Path:
    """A course whose one assignment holds all masters."""
    source = root / "source" / LESSON
    source.mkdir(parents=True)
    for master in SUBMISSIONS:
        shutil.copy(file(master), source / f"{plain(master)}.ipynb")
    shutil.copy(FOLDER / "apps" / "files" / "data.txt", source)
    shutil.copy(FOLDER / "apps" / "files" / "autotests.yml", root)
    ours = f"c = get_config()\nload_subconfig({str(ROOT_CONFIG)!r})\nc.RunCells.classic = ['{LESSON}']\n"
    (root / "nbgrader_config.py").write_text((STOCK_CONFIG if stock else ours) + LIMITS, encoding="utf8")
    done = command(root, "generate_assignment", LESSON)
    assert done.returncode == 0, done.stderr
    return root


def submit(root: Path, names: Iterable[str]) -> None:
    for name in names:
        path = root / "submitted" / plain(name) / LESSON / f"{plain(MASTER[name])}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file(name), path)


@dataclass(frozen=True)
class Result:
    """What became of a submission. `points` is None if it was not graded."""

    points: float | None
    of: float = 0
    waits: bool = False
    unanswered: int = 0
    errors: tuple[str, ...] = ()
    lines: int = 0
    files: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        if self.points is None:
            return "not graded"
        words = [f"{self.points:g} of {self.of:g}"]
        words += ["a person must look"] if self.waits else []
        words += [f"{self.unanswered} unanswered"] if self.unanswered else []
        words += self.errors
        words += [f"{self.lines} lines printed"] if self.lines > 100 else []
        return ", ".join([*words, *(f"left {name}" for name in self.files)])


def result(root: Path, name: str) -> Result:
    folder = root / "autograded" / plain(name) / LESSON
    path = folder / f"{plain(MASTER[name])}.ipynb"
    if not path.is_file():
        return Result(None)
    outputs = [output for cell in _cells(path) for output in cell.get("outputs", [])]
    errors = dict.fromkeys(output["ename"] for output in outputs if output["output_type"] == "error")
    texts = ["".join(output["text"]) for output in outputs if output["output_type"] == "stream"]
    left = {entry.name for entry in folder.iterdir()} - {path.name, "data.txt"}
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        notebook = gradebook.find_submission_notebook(plain(MASTER[name]), LESSON, plain(name))
        return Result(
            points=notebook.score,
            of=notebook.max_score,
            waits=notebook.needs_manual_grade,
            unanswered=sum(comment.auto_comment == "No response." for comment in notebook.comments),
            errors=tuple(errors),
            lines=sum(text.count("\n") for text in texts),
            files=tuple(sorted(left)),
        )


def _cells(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf8"))["cells"]
