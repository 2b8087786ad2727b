"""The committed rows of the ladder (`torchgrade lesson ladder` makes them)."""

import json
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).with_name("reference.json")


@dataclass(frozen=True)
class Row:
    """One model on the ladder.

    lesson: "07"; bits: per held-out character; seconds: of one CPU thread for training; memory: bytes of its parameters
    """

    lesson: str
    name: str
    parameters: int
    bits: float
    seconds: float
    characters_per_second: float
    memory: int


def reference_rows() -> list[Row]:
    """All committed rows, in the order of the lessons."""
    return [Row(**row) for row in json.loads(PATH.read_text(encoding="utf8"))["rows"]]
