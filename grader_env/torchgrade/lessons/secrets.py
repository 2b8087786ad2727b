"""What students must not see of a lesson, cut into pieces telling enough that finding one proves a leak.

A telling line has at least 12 characters besides spaces and does not occur in what the lesson shows anyway. A telling
number has at least four significant digits and is not shown either. Lines of code are compared without any spaces;
lines of prose by their letters and digits alone, since a page shows Markdown without its marks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torchgrade.lessons.bank import Bank
from torchgrade.lessons.master import SECRET_REGIONS, SOLUTION, Cell, Master, nbgrader, outside_regions, regions

TELLING_CHARACTERS = 12
TELLING_DIGITS = 4
STUBS = "# YOUR CODE HERE\nraise NotImplementedError()\nYOUR ANSWER HERE"  # what nbgrader puts in place of a solution
NUMBER = re.compile(r"(?<![\w.])(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?(?![\w.]*\w)")


class Text:
    """A text to search: its lines in both forms, and its numbers."""

    def __init__(self, text: str):
        lines = text.split("\n")
        self._code = "\n".join(map(without_spaces, lines))
        self._prose = "\n".join(map(letters, lines))
        self._numbers = numbers(text)

    def holds(self, secret: "Secret") -> bool:
        if secret.form == "number":
            return float(secret.needle) in self._numbers
        return secret.needle in (self._code if secret.form == "code" else self._prose)


@dataclass(frozen=True)
class Secret:
    """A piece of a secret region.

    region: the kind and cell it comes from: "hidden tests of attention_values"
    form: "code", "prose" or "number"
    needle: what to look for, in that form
    text: how it is written
    """

    region: str
    form: str
    needle: str
    text: str

    @property
    def kind(self) -> str:
        return self.region.split(" of ")[0]


def secrets_of(master: Master, bank: Bank) -> list[Secret]:
    """The telling lines and numbers of a lesson, each once."""
    shown = Text("\n".join([STUBS, *map(_shown, master.notebook.cells)]))
    found: dict[tuple[str, str], Secret] = {}
    for region, form, text in (*_regions(master), *_bank(bank)):
        for secret in _pieces(region, form, text):
            if not shown.holds(secret):
                found.setdefault((secret.form, secret.needle), secret)
    return list(found.values())


def _shown(cell: Cell) -> str:
    return "" if _is_all_solution(cell) else outside_regions(cell.source)


def _is_all_solution(cell: Cell) -> bool:
    """nbgrader replaces the whole of an answer without a solution region."""
    return bool(nbgrader(cell).get("solution")) and not regions(cell.source, SOLUTION)


def _regions(master: Master) -> Iterator[tuple[str, str, str]]:
    """(region, form, text) of everything secret in the notebook."""
    for number, cell in enumerate(master.notebook.cells, 1):
        name = nbgrader(cell).get("grade_id") or f"cell {number}"
        form = "code" if cell.cell_type == "code" else "prose"
        for kind, markers in SECRET_REGIONS.items():
            for text in regions(cell.source, markers):
                yield f"{kind} of {name}", form, text
        if _is_all_solution(cell):
            yield f"solution of {name}", form, cell.source


def _bank(bank: Bank) -> Iterator[tuple[str, str, str]]:
    yield f"code of {bank.path.name}", "code", bank.prelude
    for variant in bank.variants:
        yield f"code of {bank.path.name}:{variant.line}", "code", variant.source
        yield f"sentence of {bank.path.name}:{variant.line}", "prose", variant.text


def _pieces(region: str, form: str, text: str) -> Iterator[Secret]:
    for line in text.split("\n"):
        needle = without_spaces(line) if form == "code" else letters(line)
        if len(needle) >= TELLING_CHARACTERS:
            yield Secret(region, form, needle, line.strip())
    if region.split(" of ")[0] in SECRET_REGIONS:
        for number in NUMBER.finditer(text):
            if _significant_digits(number.group(1)) >= TELLING_DIGITS:
                yield Secret(region, "number", repr(_value(number.group())), number.group())


def without_spaces(line: str) -> str:
    return "".join(line.split())


def letters(line: str) -> str:
    return "".join(filter(str.isalnum, line))


def numbers(text: str) -> set[float]:
    return {_value(number.group()) for number in NUMBER.finditer(text)}


def _value(literal: str) -> float:
    return float(literal.replace("_", ""))


def _significant_digits(mantissa: str) -> int:
    digits = mantissa.replace("_", "")
    if "." not in digits:
        digits = digits.rstrip("0")
    return len(digits.replace(".", "").lstrip("0"))
