"""Which names a student's definition uses, directly and through the other definitions of the notebook."""

import ast
import dis
import functools
import linecache
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import torch

LOOPS = {ast.For: "for", ast.comprehension: "for", ast.While: "while"}


def names_used(namespace: dict[str, Any], name: str) -> list[str]:
    """Sorted names in the code of `namespace[name]`, aliases resolved, and "for" or "while" if it loops.

    A helper or a method of the student's is followed, and its own name does not count: whoever writes a function
    called `softmax` has not used torch's.
    """
    if name not in namespace:
        raise NameError(f"name {name!r} is not defined")
    found: set[str] = set()
    attributes: set[str] = set()
    methods: set[str] = set()
    seen: dict[int, Any] = {}  # the values too, so that no id is used twice
    queue = [namespace[name]]
    while queue:
        value = queue.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, FunctionType) and value.__globals__ is namespace:
            queue += _held(value)
            found |= _loops(value.__code__)
            for used, is_global in _names(value.__code__):
                if is_global and used in namespace:
                    queue.append(namespace[used])  # judged by what it is, not by what it is called here
                else:
                    (found if is_global else attributes).add(used)
        elif isinstance(value, type) and value.__module__ == namespace.get("__name__"):
            queue += [*value.__bases__, *vars(value).values()]
            methods |= {member for member, item in vars(value).items() if callable(item)}
        else:
            found |= {str(getattr(value, "__name__", "")), type(value).__name__}
        queue += _wrapped(value)
    return sorted(found | (attributes - methods))


def _held(function: FunctionType) -> list[Any]:
    """What a function has in its closure and as default arguments."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != CellType()]  # an empty one raises
    return [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _wrapped(value: Any) -> list[Any]:
    """What `value` is made of: what it decorates, binds or holds."""
    match value:
        case type():
            return []
        case staticmethod() | classmethod() | MethodType():
            return [value.__func__]
        case property():
            return [value.fget, value.fset]
        case functools.partial():
            return [value.func, *value.args, *value.keywords.values()]
        case torch.nn.Module():
            return [type(module) for module in value.modules()]
    return [type(value), getattr(value, "__wrapped__", None)]


def _names(code: CodeType) -> Iterator[tuple[str, bool]]:
    """The names that `code` reads, each with whether it is a global name (or else an attribute or an import)."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval, True
        elif step.opcode in dis.hasname and not step.opname.startswith(("STORE", "DELETE")):
            yield step.argval, False
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _loops(code: CodeType) -> set[str]:
    source = "".join(linecache.getlines(code.co_filename))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and _starts_at(node, code):
            return {LOOPS[type(inner)] for inner in ast.walk(node) if type(inner) in LOOPS}
    return set()


def _starts_at(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, code: CodeType) -> bool:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return first == code.co_firstlineno and getattr(node, "name", "<lambda>") == code.co_name
