"""`torchgrade lesson leaks`: prove that what students get holds nothing of what they must not see.

A release may hold no telling piece (see `secrets`) of a solution, a hidden test, a mark scheme or the mistake bank,
neither in a cell's source nor in outputs, metadata, attachments or other files; it has no outputs and no execution
counts, and no file of the author's lies in it.

Feedback shows students their own work, and a right answer may well equal the author's, a wrong one the bank's. So
what stands in a student's submission (`submitted/` next to `feedback/`) is the student's; every other telling piece is
a leak, wherever it stands, pictures and other embedded files included: a traceback repeats lines of a test. So is where
the grader has its files. Two kinds of pieces are not looked for there: sentences of the bank, which feedback may quote
to name a misconception, and whole numbers: sizes and counts come out of any cell.
Without a submission nothing is the student's.
"""

import base64
import binascii
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchgrade
from torchgrade.errors import CourseError
from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.master import Cell, Master, nbgrader, read_master, read_notebook
from torchgrade.lessons.page_text import PageText, page_text
from torchgrade.lessons.secrets import Secret, Text, secrets_of

AUTHORS_FILES = ("mistakes.py", "__pycache__", "*.pyc", ".ipynb_checkpoints", "gradebook.db")


@dataclass(frozen=True)
class Leak:
    """Where it was found, what it is a part of, and the piece itself."""

    where: str
    region: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.region}: {self.text}"


def run(course: Path, lessons: list[str], *, feedback: Path | None) -> int:
    """Look through release/, feedback/ if there is any, and the folder `feedback`. 1 if something leaks, else 0."""
    folders = [folder for folder in (course / "feedback",) if folder.is_dir()]
    if feedback is not None:
        if not feedback.is_dir():
            raise CourseError("there is no such folder.", where=feedback, remedy="Check --feedback.")
        folders.append(feedback)
    masters = [read_master(course, name) for name in lessons]
    found = 0
    for master in masters:
        secrets = secrets_of(master, read_bank(master.bank_path))
        leaks = [*release_leaks(course / "release" / master.name, master, secrets)]
        pages = [page for folder in folders for page in feedback_files(folder, master)]
        for page in pages:
            leaks += feedback_leaks(page, master, secrets)
        for leak in leaks:
            print(leak)
        found += len(leaks)
        pieces = f"{len(secrets)} telling pieces, release and {len(pages)} feedback files"
        print(f"{master.name}: {f'{len(leaks)} leaks' if leaks else 'no leaks'} ({pieces})")
    return 1 if found else 0


def release_leaks(folder: Path, master: Master, secrets: list[Secret]) -> Iterator[Leak]:
    if not (folder / f"{master.name}.ipynb").is_file():
        raise CourseError("not released yet.", where=folder, remedy=f"Run: make release LESSON={master.name}")
    for pattern in AUTHORS_FILES:
        for path in folder.rglob(pattern):
            yield Leak(str(path), "a file of the author's", path.name)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix == ".ipynb":
            yield from _notebook_leaks(path, secrets)
        else:
            lines = [secret for secret in secrets if secret.form != "number"]  # data is full of numbers
            yield from _search(str(path), path.read_text(encoding="utf8", errors="ignore"), lines)


def _notebook_leaks(path: Path, secrets: list[Secret]) -> Iterator[Leak]:
    notebook = read_notebook(path)
    yield from _search(f"{path}: metadata", "\n".join(_strings(notebook.metadata)), secrets)
    for number, cell in enumerate(notebook.cells, 1):
        where = f"{path}: cell {number} ({nbgrader(cell).get('grade_id') or cell.get('id', cell.cell_type)})"
        if cell.get("outputs"):
            yield Leak(where, "an output", ", ".join(output.output_type for output in cell.outputs))
        if cell.get("execution_count") is not None:
            yield Leak(where, "an execution count", str(cell.execution_count))
        yield from _search(where, "\n".join((*_strings(cell), *_attached(cell))), secrets)


def feedback_files(folder: Path, master: Master) -> list[Path]:
    """All files of `folder/STUDENT/LESSON/`."""
    return sorted(path for path in folder.glob(f"*/{master.name}/**/*") if path.is_file())


def feedback_leaks(page: Path, master: Master, secrets: list[Secret]) -> Iterator[Leak]:
    text = page.read_text(encoding="utf8", errors="ignore")
    found = page_text(text) if page.suffix == ".html" else PageText(text)
    handed_in = _submission(page, master)
    own, lines = Text(handed_in), Text(found.all)
    decimals = Text(f"{found.shown}\n{found.concealed}")  # styles, scripts and pictures are full of numbers
    for secret in secrets:
        if secret.kind == "sentence" or (secret.form == "number" and "." not in secret.text) or own.holds(secret):
            continue
        if (decimals if secret.form == "number" else lines).holds(secret):
            yield Leak(str(page), secret.region, secret.text)
    for place in _places(master):
        if place in found.all and place not in handed_in:
            yield Leak(str(page), "a path of the grader", place)


def _places(master: Master) -> set[str]:
    """Where this course, its Python and its packages are; nothing so short that it stands in any text."""
    package = Path(torchgrade.__file__).resolve().parent
    found = {str(master.folder.parent.parent.resolve()), str(package), sys.prefix}
    return {place for place in found if place.count("/") > 1}


def _submission(page: Path, master: Master) -> str:
    """Everything the student of a feedback page handed in, as text: FEEDBACK/STUDENT/LESSON/page.html."""
    for folder in page.parents:
        if folder.name == master.name:
            student, root = folder.parent, folder.parent.parent.parent
            submitted = root / "submitted" / student.name / master.name / f"{master.name}.ipynb"
            if not submitted.is_file():
                return ""
            text = submitted.read_text(encoding="utf8", errors="ignore")
            try:
                return "\n".join(_strings(json.loads(text)))
            except (ValueError, RecursionError):  # a student may hand in anything
                return text
    return ""


def _search(where: str, text: str, secrets: list[Secret]) -> Iterator[Leak]:
    haystack = Text(text)
    for secret in secrets:
        if haystack.holds(secret):
            yield Leak(where, secret.region, secret.text)


def _strings(value: Any) -> Iterator[str]:
    """All texts in a JSON value; a list of lines counts as one text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        yield "".join(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _attached(cell: Cell) -> Iterator[str]:
    """The contents of a cell's attachments, which the notebook holds in base64."""
    for text in _strings(cell.get("attachments", {})):
        try:
            yield base64.b64decode(text).decode("utf8", errors="ignore")
        except (binascii.Error, ValueError):
            continue
