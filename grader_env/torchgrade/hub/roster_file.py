"""Read roster.csv: a line for each person. Every problem is named with its line."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from torchgrade.errors import CourseError
from torchgrade.hub.description import Person, Role

COLUMNS = ["id", "role", "first_name", "last_name", "email"]
# What JupyterHub, unix (useradd), nbgrader's file names (no +) and Kubernetes all take.
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
ROLES = ", ".join(Role)


def read_roster(path: Path) -> tuple[Person, ...]:
    """Raises CourseError, which names the line, for whatever cannot be a roster."""
    lines = _lines(path)
    _, header = next(lines, (1, []))
    if header != COLUMNS:
        raise CourseError(
            f"the first line is {','.join(header) or 'empty'!r}.",
            where=f"{path}:1",
            remedy=f"Write: {','.join(COLUMNS)}",
        )
    people: dict[str, Person] = {}
    first_seen: dict[str, int] = {}
    for number, fields in lines:
        where = f"{path}:{number}"
        if len(fields) != len(COLUMNS):
            raise CourseError(
                f"{len(fields)} fields in place of {len(COLUMNS)}.",
                where=where,
                remedy="Separate them by commas; put quotes around a field that holds one.",
            )
        person = _person(where, *fields)
        if person.name in people:
            raise CourseError(
                f"{person.name} is there already, in line {first_seen[person.name]}.",
                where=where,
                remedy="Give each person one line and one role.",
            )
        people[person.name], first_seen[person.name] = person, number
    if not any(person.role is Role.INSTRUCTOR for person in people.values()):
        raise CourseError("there is no instructor.", where=path, remedy="Add a line with the role instructor.")
    return tuple(people.values())


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin a file with a mark
    except FileNotFoundError:
        raise CourseError("there is no roster.", where=path, remedy="Restore it with git, or write one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"not a readable text: {error}.", where=path, remedy="Save it as CSV in UTF-8.") from None
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise CourseError(
            f"not CSV: {error}.", where=f"{path}:{reader.line_num}", remedy="Close the quotes of this line."
        ) from None


def _person(where: str, name: str, role: str, first_name: str, last_name: str, email: str) -> Person:
    if not NAME.fullmatch(name):
        raise CourseError(
            f"{name!r} cannot be an id.",
            where=where,
            remedy="Use a to z, 0 to 9 and -, with a letter first and at most 31 characters.",
        )
    if name.startswith("grader-"):
        raise CourseError(f"{name!r} is kept for the account that grades.", where=where, remedy="Choose another id.")
    if role not in list(Role):
        raise CourseError(f"there is no role {role!r}.", where=where, remedy=f"Use one of {ROLES}.")
    for field in (first_name, last_name, email):
        if not field.isprintable():
            raise CourseError(f"{field!r} holds characters that cannot be shown.", where=where, remedy="Remove them.")
    if email and not re.fullmatch(r"[^@\s,;]+@[^@\s,;]+", email):
        raise CourseError(f"{email!r} is no e-mail address.", where=where, remedy="Correct it, or leave it empty.")
    return Person(name, Role(role), first_name, last_name, email)
