"""The proof that a tree for students holds nothing else: an allow-list of files, and the leak check over every text.

Pictures and arrays of numbers are allowed but not read. Archives, pickles and programs are not allowed.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.leaks import Leak, release_leaks
from torchgrade.lessons.master import Master, lesson_names, read_master
from torchgrade.lessons.secrets import Secret, Text, secrets_of
from torchgrade.publish.wheel import PARTS

AT_THE_TOP = re.compile(r"README\.md|LICENSE|requirements\.txt|torchgrade-[\w.+]+-py3-none-any\.whl")
IN_A_LESSON = {".ipynb", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".md", ".svg", ".png", ".jpg", ".npy"}
IN_THE_WHEEL = re.compile(
    rf"torchgrade/(?:{'|'.join(part if part.endswith('.py') else rf'{part}/[a-z_]+[.](?:py|json)' for part in PARTS)})"
    r"|torchgrade-[\w.+]+\.dist-info/(?:METADATA|WHEEL|RECORD|top_level\.txt)"
)


def leaks_of_tree(course: Path, lessons: list[str], tree: Path) -> list[Leak]:
    """Every lesson of the course has its secrets, released or not, and they may stand nowhere in the tree."""
    found = [Leak(where, "a file that students do not get", where) for where in _unknown_files(lessons, tree)]
    masters = [read_master(course, name) for name in lesson_names(course)]
    for master in masters:
        secrets = secrets_of(master, read_bank(master.bank_path))
        for lesson in lessons:
            found += release_leaks(tree / lesson, _called(master, lesson), secrets)
        for where, text in _texts(tree):
            haystack = Text(text)
            found += [Leak(where, secret.region, secret.text) for secret in secrets if _held(haystack, secret, where)]
    return list(dict.fromkeys(found))


def _unknown_files(lessons: list[str], tree: Path) -> Iterator[str]:
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree)
        if path.is_symlink() or not (path.is_dir() or _allowed(name, lessons)):
            yield str(name)
        elif path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                yield from (f"{name}: {inner}" for inner in wheel.namelist() if not IN_THE_WHEEL.fullmatch(inner))


def _allowed(name: Path, lessons: list[str]) -> bool:
    if len(name.parts) == 1:
        return AT_THE_TOP.fullmatch(str(name)) is not None
    hidden = any(part.startswith(".") for part in name.parts)
    return name.parts[0] in lessons and name.suffix in IN_A_LESSON and not hidden


def _texts(tree: Path) -> Iterator[tuple[str, str]]:
    """(where, text) of all that stands outside the lessons' folders, the insides of the wheel included."""
    for path in sorted(path for path in tree.iterdir() if path.is_file()):
        if path.suffix != ".whl":
            yield path.name, path.read_text(encoding="utf8", errors="ignore")
            continue
        with zipfile.ZipFile(path) as wheel:
            for inner in wheel.namelist():
                yield f"{path.name}: {inner}", wheel.read(inner).decode("utf8", errors="ignore")


def _held(text: Text, secret: Secret, where: str) -> bool:
    # Versions, sizes and hashes are numbers that tell nothing.
    listing = where == "requirements.txt" or "dist-info" in where
    return not (listing and secret.form == "number") and text.holds(secret)


def _called(master: Master, lesson: str) -> Master:
    """`master` under another lesson's name: the check of a release looks for the notebook of that name."""
    return Master(lesson, master.folder, master.notebook)
