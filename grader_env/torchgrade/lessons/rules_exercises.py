"""Rules for exercises: the header, the hints, and an answer cell that is still a program without its solution."""

import ast
import re
from collections.abc import Iterator

from torchgrade.lessons.findings import Finding
from torchgrade.lessons.master import SOLUTION, Master
from torchgrade.lessons.outline import exercises

DIFFICULTY = re.compile(r"difficulty [1-5]/5 · importance [1-5]/5 · \d+ min( · .+)?")
HINT = re.compile(r"<summary>\s*Hint (\d+)\b")
STUB = "raise NotImplementedError()"  # what nbgrader puts in place of a solution


def header_says_how_hard(master: Master) -> Iterator[Finding]:
    for exercise in exercises(master):
        if not DIFFICULTY.fullmatch("".join(exercise.lines[1:2]).strip()):
            yield Finding(
                exercise.cell,
                f"exercise {exercise.number} does not say how hard, how important and how long it is.",
                'Write "difficulty 2/5 · importance 5/5 · 15 min" right under its header.',
            )


def three_hints(master: Master) -> Iterator[Finding]:
    for exercise in exercises(master):
        hints = HINT.findall("\n".join(exercise.lines))
        if hints != ["1", "2", "3"]:
            yield Finding(
                exercise.cell,
                f"exercise {exercise.number} has the hints {', '.join(hints) or 'none'}.",
                'Write <details> with "Hint 1: ...", "Hint 2: ..." and "Hint 3: ..."; title others by their symptom.',
            )


def solution_is_inside_a_function(master: Master) -> Iterator[Finding]:
    """At cell level the released stub would raise as soon as the cell runs."""
    for cell in master.answers.values():
        stub, places = _stub(cell.source)
        if not places:
            yield Finding(
                cell, "an answer without a solution region.", f"Put {SOLUTION[0]!r} and {SOLUTION[1]!r} around it."
            )
        bodies = _bodies(stub)
        if bodies is not None and not all(any(place in body for body in bodies) for place in places):
            yield Finding(
                cell,
                "a solution begins outside functions and methods.",
                "Let it begin inside a body: the released stub raises where it begins.",
            )


def stub_is_a_program(master: Master) -> Iterator[Finding]:
    for cell in master.answers.values():
        for what, source in (("the answer", cell.source), ("the released stub", _stub(cell.source)[0])):
            try:
                compile(source, cell.id, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                reason = getattr(error, "msg", str(error))
                yield Finding(
                    cell, f"{what} is not Python: {reason}.", "The cell must compile with and without its solution."
                )
                break


def _bodies(source: str) -> list[range] | None:
    """The lines of each function's body; None if `source` is not Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1) for node in functions]


def _stub(source: str) -> tuple[str, list[int]]:
    """The released cell, and the numbers of the lines that raise in it."""
    kept: list[str] = []
    places: list[int] = []
    inside = False
    for line in source.split("\n"):
        if SOLUTION[0] in line:
            inside = True
            kept.append(line[: len(line) - len(line.lstrip())] + STUB)
            places.append(len(kept))
        elif SOLUTION[1] in line:
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept), places


RULES = (header_says_how_hard, three_hints, solution_is_inside_a_function, stub_is_a_program)
