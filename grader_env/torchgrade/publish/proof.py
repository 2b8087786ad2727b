"""The proof that a tree for students holds nothing else: an allow-list of files, and the leak check over every text.

Pictures and arrays of numbers are allowed but not read. Archives, pickles and programs are not allowed.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from torchgrade.lessons.bank import read_bank
from torchgrade.lessons.leaks import Leak, release_leaks
from torchgrade.lessons.master import Master, lesson_names, read_master
from torchgrade.lessons.secrets import Secret, Text, secrets_of
from torchgrade.publish.wheel import PARTS

AT_THE_TOP = re.compile(r"README\.md|LICENSE|requirements\.txt|torchgrade-[\w.+]+-py3-none-any\.whl")
IN_A_LESSON = {".ipynb", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".md", ".svg", ".png", ".jpg", ".npy"}
TELLING_ELSEWHERE = 14  # characters, besides spaces, of a line of code
TELLING_DIGITS = 6  # of a number, without zeros at its ends: 300.0 and 32_768 stand in many lessons
IN_A_PART = r"/(?:[a-z_]+/)*[a-z_0-9]+[.](?:py|json)"
IN_THE_WHEEL = re.compile(
    rf"torchgrade/(?:{'|'.join(part if part.endswith('.py') else part + IN_A_PART for part in PARTS)})"
    r"|torchgrade-[\w.+]+\.dist-info/(?:METADATA|WHEEL|RECORD|top_level\.txt)"
)


def leaks_of_tree(course: Path, lessons: list[str], tree: Path) -> list[Leak]:
    """Every lesson of the course has its secrets, released or not, and they may stand nowhere in the tree."""
    found = [Leak(where, "a file that students do not get", where) for where in _unknown_files(lessons, tree)]
    masters = [read_master(course, name) for name in lesson_names(course)]
    for master in masters:
        secrets = secrets_of(master, read_bank(master.bank_path))
        for lesson in lessons:
            leaks = list(release_leaks(tree / lesson, _called(master, lesson), secrets))
            found += leaks if lesson == master.name else _telling(leaks, secrets)
        for where, text in _texts(tree):
            haystack = Text(text)
            held = [Leak(where, secret.region, secret.text) for secret in secrets if _held(haystack, secret, where)]
            found += _telling(held, secrets)
    return list(dict.fromkeys(found))


def _telling(leaks: list[Leak], secrets: list[Secret]) -> list[Leak]:
    """Those that tell something outside the lesson itself: of code, at least half the lines of a solution or test.

    Lessons share ordinary lines, such as `losses.append(loss.item())`, short ones and round numbers most of all.
    """
    lines = Counter(secret.region for secret in secrets if secret.form == "code")
    code = {(secret.region, secret.text): len(secret.needle) for secret in secrets if secret.form == "code"}
    numbers = {(secret.region, secret.text) for secret in secrets if secret.form == "number"}
    said = dict.fromkeys((leak.region, leak.text) for leak in leaks)
    held = Counter(region for region, text in said if code.get((region, text), 0) >= TELLING_ELSEWHERE)

    def tells(region: str, text: str) -> bool:
        if (region, text) in numbers:
            return len(re.sub(r"\D", "", text).strip("0")) >= TELLING_DIGITS
        return (region, text) not in code or 2 * held[region] >= lines[region]

    return [one for one in leaks if tells(one.region, one.text)]


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
    # Versions, sizes, hashes and a program's constants are numbers that tell nothing.
    numbers_tell = where != "requirements.txt" and ".whl: " not in where
    return (numbers_tell or secret.form != "number") and text.holds(secret)


def _called(master: Master, lesson: str) -> Master:
    """`master` under another lesson's name: the check of a release looks for the notebook of that name."""
    return Master(lesson, master.folder, master.notebook)
