"""Where in a tensor values are wrong, if that is a pattern that tells something: the last row, above the diagonal.

It is said twice. With numbers, and with every place, for a check that a student can run anyway. And in general, with a
drawing that is the same for tensors of all sizes, for a hidden check: a student's code, which has seen the hidden
inputs, can choose which of its values are wrong, and must not draw a message with them. Of a hidden check it can choose
one of some twenty patterns, which are less than five bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch.nn.functional import adaptive_max_pool2d

LEAST = 3  # rows and columns; fewer are no picture
MOST = 32  # of the picture
GENERAL = 8  # rows and columns of the drawing for hidden checks
COVERED = 0.9  # of a pattern's places must be wrong: some values are right by chance
RUNS = 3  # of rows that can be named in a sentence


@dataclass(frozen=True)
class Where:
    """words: with the numbers of rows and columns; cells: row by row, "1" where something is wrong

    in_general, drawing: the same for a check that is hidden
    """

    words: str
    cells: tuple[str, ...]
    in_general: str
    drawing: tuple[str, ...]


@dataclass(frozen=True)
class _Pattern:
    """place: bool, (rows, columns)"""

    words: str
    in_general: str
    place: torch.Tensor
    drawing: torch.Tensor


def where(wrong: torch.Tensor) -> Where | None:
    """wrong: bool, (..., rows, columns), of which the last two are looked at: wrong is what is wrong anywhere before.

    None if there is no pattern in it.
    """
    if wrong.ndim < 2 or min(wrong.shape[-2:]) < LEAST:
        return None
    flat = wrong.reshape(-1, *wrong.shape[-2:]).any(0)
    count = int(flat.sum())
    found = [
        pattern
        for pattern in _patterns(flat)
        if not (flat & ~pattern.place).any() and count >= COVERED * int(pattern.place.sum())
    ]
    if not count or bool(flat.all()) or not found:
        return None
    best = min(found, key=lambda pattern: int(pattern.place.sum()))
    shape = [min(MOST, size) for size in flat.shape]
    return Where(
        f"wrong: {best.words}",
        _rows(adaptive_max_pool2d(flat[None].float(), shape)[0] > 0),
        f"wrong: {best.in_general} (a sketch: not its true size)",
        _rows(best.drawing),
    )


def _rows(cells: torch.Tensor) -> tuple[str, ...]:
    return tuple("".join("01"[cell] for cell in row) for row in cells.int().tolist())


def _patterns(wrong: torch.Tensor) -> Iterator[_Pattern]:
    ones, drawn = torch.ones_like(wrong), torch.ones(GENERAL, GENERAL, dtype=torch.bool)
    for words, upper, diagonal in (
        ("only above the diagonal", True, 1),
        ("only on and above the diagonal", True, 0),
        ("only below the diagonal", False, -1),
        ("only on and below the diagonal", False, 0),
    ):
        place, drawing = ((one.triu if upper else one.tril)(diagonal) for one in (ones, drawn))
        yield _Pattern(words, words, place, drawing)
    yield _Pattern("only on the diagonal", "only on the diagonal", *(one.triu() & one.tril() for one in (ones, drawn)))
    yield _Pattern("only at the border", "only at the border", _border(ones), _border(drawn))
    yield from _stripes(wrong, "row")
    for one in _stripes(wrong.T, "column"):
        yield _Pattern(one.words, one.in_general, one.place.T, one.drawing.T)


def _border(ones: torch.Tensor) -> torch.Tensor:
    border = ones.clone()
    border[1:-1, 1:-1] = False
    return border


def _stripes(wrong: torch.Tensor, noun: str) -> Iterator[_Pattern]:
    """Whole rows. Which of them are in between, and how many, is not said in general."""
    lines = wrong.any(1)
    runs = [(hit, len(list(run))) for hit, run in groupby(lines.tolist())]
    if sum(hit for hit, _ in runs) > RUNS:
        return
    spans, start = {True: [], False: []}, 0  # type: dict[bool, list[str]], int
    for hit, length in runs:
        end = start + length - 1
        spans[hit].append(f"{noun} {start}" if length == 1 else f"{noun}s {start} to {end}")
        start += length
    words = f"{', '.join(spans[True])}; right: {', '.join(spans[False])}"
    one = int(lines.sum()) == 1
    drawing = torch.zeros(GENERAL, dtype=torch.bool)
    size = 1 if one else 3
    if lines[0] and len(runs) == 2:
        drawing[:size], place = True, "the first"
    elif lines[-1] and len(runs) == 2:
        drawing[-size:], place = True, "the last"
    else:
        drawing[size : 2 * size], place = True, "another than the first or last" if one else "some of the"
    if one and place.startswith("another"):
        in_general = f"one {noun} in between"
    else:
        in_general = f"only {place} {noun}{'' if one else 's'}"
    yield _Pattern(words, in_general, lines[:, None].expand_as(wrong), drawing[:, None].expand(GENERAL, GENERAL))
