"""Which statements of a notebook's cells, and which values, a function needs: directly and through each other.

Only statements that define a needed name run again elsewhere, so a demonstration in the same cell does not.
"""

import ast
import dis
import inspect
import linecache
import os
import pickle
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torchgrade.check.capture import bound_names
from torchgrade.triton_lab.definitions import Namespace, Needed, code_of, plain_function


def names_read(fn: FunctionType) -> set[str]:
    """The global names that an unpacked probe reads of the student: those its own cell does not define."""
    functions = [fn, *fn.__globals__.values()]
    codes = [one.__code__ for one in functions if isinstance(one, FunctionType) and one.__globals__ is fn.__globals__]
    return {name for code in codes for name in _globals_of(code)} - set(fn.__globals__)


def needed_for(roots: Iterable[str], names: Namespace) -> Needed:
    """What defines the names `roots` of the notebook's `names`. Names that are nowhere are left out."""
    found = _Collector(names)
    for name in sorted(roots):
        found.take(name)
    return Needed(found.cells, tuple(found.statements), found.references, found.values)


class _Collector:
    def __init__(self, names: Namespace):
        self._names = names
        self._taken: set[str] = set()
        self._visited: set[tuple[str, int]] = set()
        self.cells: dict[str, str] = {}
        self.statements: list[tuple[str, int]] = []
        self.references: dict[str, tuple[str, str]] = {}
        self.values: dict[str, bytes] = {}

    def take(self, name: str) -> None:
        if name in self._taken or name not in self._names:
            return
        self._taken.add(name)
        value = self._names[name]
        if reference := _reference(value):
            self.references[name] = reference
        elif place := _definition(name, value):
            self._add(*place)
        elif (pickled := _pickled(value)) is not None:
            self.values[name] = pickled
        elif place := _latest_binding(name):
            self._add(*place)

    def _add(self, file: str, index: int) -> None:
        """A statement, after those it needs. Functions may need each other: they look names up when they are called."""
        if (file, index) in self._visited:
            return
        self._visited.add((file, index))
        self.cells[file] = _source(file)
        for name in _globals_of(code_of(self.cells[file], index, file)):
            self.take(name)
        self.statements.append((file, index))


def _reference(value: Any) -> tuple[str, str] | None:
    """(module, attribute) by which another process imports the same object."""
    if isinstance(value, ModuleType):
        return value.__name__, ""
    try:
        module, attribute = value.__module__, getattr(value, "__qualname__", None) or value.__name__
        found = sys.modules[module]
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception:  # most values have no such names, and a class of the student's may do anything when asked
        return None
    return (module, attribute) if found is value and module != "__main__" else None


def _definition(name: str, value: Any) -> tuple[str, int] | None:
    """The statement that defines a function, class or kernel under this name."""
    if isinstance(value, type):
        functions = [one for one in vars(value).values() if isinstance(one, FunctionType)]
    else:
        base = plain_function(value)
        functions = [inspect.unwrap(base)] if isinstance(base, FunctionType) else []
    for function in functions:
        code = function.__code__
        for index, node in enumerate(_statements(code.co_filename)):
            if _first_line(node) <= code.co_firstlineno <= (node.end_lineno or 0) and _binds(node, name):
                return code.co_filename, index
    return _latest_binding(name) if functions or isinstance(value, type) else None


def _latest_binding(name: str) -> tuple[str, int] | None:
    """The last statement of any cell that gives something this name."""
    for file in reversed([*linecache.cache]):
        if not os.path.exists(file):
            for index, node in reversed([*enumerate(_statements(file))]):
                if _binds(node, name):
                    return file, index
    return None


def _binds(node: ast.stmt, name: str) -> bool:
    return name in bound_names(ast.Module([node], type_ignores=[]))


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _statements(file: str) -> list[ast.stmt]:
    try:
        return ast.parse(_source(file)).body
    except SyntaxError:
        return []


def _source(file: str) -> str:
    return "".join(linecache.getlines(file))


def _globals_of(code: CodeType) -> Iterator[str]:
    """The global names that running `code`, and what it defines, reads."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)


def _pickled(value: Any) -> bytes | None:
    """None for what cannot be pickled, or only together with what the notebook defines."""
    try:
        pickled = pickle.dumps(value)
    except Exception:  # every class says itself how it is copied
        return None
    return None if b"__main__" in pickled else pickled
