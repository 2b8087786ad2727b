"""What a submission or its process says, made fit for a file: whole characters, and not nested without end."""

from typing import Any

MAX_DEPTH = 50  # of lists and dicts; copying, checking and writing a notebook recur, and Python recurs 1000 deep


class TooDeep(ValueError):
    """The value is nested more deeply than any output or metadata needs to be."""


def plain(value: Any, depth: int = 0) -> Any:
    """A copy of parsed JSON in which half of a surrogate pair, which no file can hold, is a question mark."""
    if depth > MAX_DEPTH:
        raise TooDeep(f"nested more than {MAX_DEPTH} deep")
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [plain(item, depth + 1) for item in value]
        case dict():
            return {plain(key): plain(item, depth + 1) for key, item in value.items()}
    return value
