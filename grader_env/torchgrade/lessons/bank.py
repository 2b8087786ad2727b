"""The mistake bank: wrong and right ways to write an exercise, as `source/NN_topic/mistakes.py` lists them.

    @mistake("attention", "the scores are not divided by √d", see="7.2")
    def attention(q, k, v, mask=None): ...

    @accepted("attention", "einsum instead of @")
    def attention(q, k, v, mask=None): ...

The file is read, not imported: each marked definition is run later, in place, inside the lesson, where it replaces the
student's answer. Everything unmarked at the top level (imports, helpers) runs right before it.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torchgrade.errors import CourseError

USAGE = 'Write @mistake("exercise", "misconception", see="1.2") or @accepted("exercise", "why").'

Definition = TypeVar("Definition", bound=Callable[..., Any])


def mistake(exercise: str, misconception: str, *, see: str) -> Callable[[Definition], Definition]:
    """Mark a wrong way to write `exercise` (the grade_id of the answer cell, which is the name it defines).

    `misconception` is one sentence a student can act on; `see` is the section that explains it.
    """
    return lambda definition: definition


def accepted(exercise: str, why: str) -> Callable[[Definition], Definition]:
    """Mark a right way to write `exercise` that differs from the master's."""
    return lambda definition: definition


@dataclass(frozen=True)
class Variant:
    """One way to write an exercise: `text` is the misconception, or why it is right; `see` is None if it is right."""

    exercise: str
    text: str
    see: str | None
    source: str
    line: int

    @property
    def is_mistake(self) -> bool:
        return self.see is not None


@dataclass(frozen=True)
class Bank:
    """All variants of a lesson in the order of the file, and the `prelude` they share."""

    path: Path
    variants: tuple[Variant, ...]
    prelude: str

    @property
    def mistakes(self) -> list[Variant]:
        return [variant for variant in self.variants if variant.is_mistake]

    @property
    def accepted(self) -> list[Variant]:
        return [variant for variant in self.variants if not variant.is_mistake]


def read_bank(path: Path) -> Bank:
    """The bank at `path`; CourseError names the file, the line and the remedy."""
    if not path.is_file():
        raise CourseError("there is no mistake bank.", where=path, remedy="Every lesson has a mistakes.py.")
    try:
        text = path.read_text(encoding="utf8")
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CourseError(f"not Python: {error.msg}.", where=f"{path}:{error.lineno}", remedy="Mend it.") from error
    except ValueError as error:  # bytes that are not UTF-8, or NUL
        raise CourseError(f"not Python: {error}.", where=path, remedy="Save it as UTF-8 text.") from error
    variants, prelude = [], []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and any(map(_is_mark, node.decorator_list)):
            variants.append(_variant(path, text, node))
        elif not _is_docstring(node) and getattr(node, "module", "") != "torchgrade.lessons":
            prelude.append(_source(text, node, getattr(node, "decorator_list", [])))
    return Bank(path, tuple(variants), "".join(prelude))


def _variant(path: Path, text: str, node: ast.FunctionDef | ast.ClassDef) -> Variant:
    mark, *others = node.decorator_list
    where = f"{path}:{node.lineno}"
    if not _is_mark(mark) or any(map(_is_mark, others)):
        raise CourseError(f"{node.name} needs exactly one mark, above its other decorators.", where=where, remedy=USAGE)
    assert isinstance(mark, ast.Call)
    try:
        exercise, sentence = (ast.literal_eval(argument) for argument in mark.args)
        named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in mark.keywords}
    except ValueError as error:
        raise CourseError(
            f"the mark of {node.name} must hold the exercise and one sentence as plain strings.",
            where=where,
            remedy=USAGE,
        ) from error
    expected = {"see"} if _name(mark) == "mistake" else set()
    if set(named) != expected or not all(isinstance(value, str) for value in (exercise, sentence, *named.values())):
        raise CourseError(f"the mark of {node.name} has the wrong arguments.", where=where, remedy=USAGE)
    return Variant(exercise, sentence, named.get("see"), _source(text, node, others), node.lineno)


def _source(text: str, node: ast.stmt, decorators: list[ast.expr]) -> str:
    """The lines of `node`, from the first of `decorators` on."""
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "".join(text.splitlines(keepends=True)[first - 1 : node.end_lineno])


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_mark(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and _name(decorator) in ("mistake", "accepted")


def _name(call: ast.expr) -> str:
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
