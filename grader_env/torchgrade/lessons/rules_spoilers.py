"""The rule against giving an answer away: no example or picture before an exercise holds its solution's lines."""

import io
import tokenize
from collections.abc import Iterator

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import SOLUTION, Master, nbgrader, regions
from torchgrade.lessons.outline import FIND_THE_BUG, exercises

TRIVIAL = 12  # characters; shorter lines, as `return x`, are in every program
IN_A_ROW = 2  # lines shared one after the other; a single one may be chance
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def solution_is_not_shown_before(master: Master) -> Iterator[Finding]:
    buggy = {exercise.number for exercise in exercises(master) if FIND_THE_BUG.search(exercise.section)}
    number_of = _numbers(master)
    for exercise, answer in master.answers.items():
        if number_of.get(exercise) in buggy:
            continue  # there the wrong program stands above, and shares all lines but the wrong ones
        solution = [_lines(text) for text in regions(answer.source, SOLUTION)]
        for cell in master.code_cells[: master.code_cells.index(answer)]:
            if nbgrader(cell):
                continue
            shared = next((row for lines in solution if (row := _shared(lines, _lines(cell.source)))), None)
            if shared:
                yield Finding(
                    cell,
                    f"it shows lines of the solution of {exercise!r} before students write it: {shared!r}.",
                    "Show the idea with torch's operator, or after the exercise.",
                )


def _numbers(master: Master) -> dict[str, str]:
    """grade_id -> number of the exercise whose text stands last before it."""
    starts = {exercise.cell.id: exercise.number for exercise in exercises(master)}
    number, found = "", {}
    for cell in master.notebook.cells:
        number = starts.get(cell.id, number)
        if grade_id := nbgrader(cell).get("grade_id"):
            found[grade_id] = number
    return found


def _shared(solution: list[str], shown: list[str]) -> str | None:
    """The first lines in a row that are in both, as one text; None if there are none."""
    rows = {tuple(shown[at : at + IN_A_ROW]) for at in range(len(shown) - IN_A_ROW + 1)}
    for at in range(len(solution) - IN_A_ROW + 1):
        if (row := tuple(solution[at : at + IN_A_ROW])) in rows:
            return " / ".join(row)
    return None


def _lines(source: str) -> list[str]:
    """The code's lines that say something, without comments and spaces between words."""
    words: dict[int, list[str]] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type not in NO_CODE:
                words.setdefault(token.start[0], []).append(token.string)
    except (tokenize.TokenError, SyntaxError):
        pass  # a region may begin in the middle; what was read until here counts
    lines = (" ".join(line) for _, line in sorted(words.items()))
    return [line for line in lines if len(line) >= TRIVIAL]


RULES = (solution_is_not_shown_before,)
