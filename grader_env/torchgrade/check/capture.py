"""What travels with a probe: the names its own cell defines, as copies; every other name is the student's.

The rule for authors: a graded cell starts from nothing. Inside `check.run(lambda: ...)` your names are copies and
every other name is the student's. Return everything you want to look at. Do not define a name that other cells define
or read.
"""

import ast
import inspect
import io
import linecache
import pickle
import sys
from types import FunctionType
from typing import Any

import cloudpickle

from torchgrade.check.failures import CellError
from torchgrade.check.words import one_line


def pack(fn: FunctionType) -> bytes:
    """`fn` with copies of what its cell defines. Raises CellError if one of those cannot be copied."""
    if not isinstance(fn, FunctionType) or any(_is_required(one) for one in inspect.signature(fn).parameters.values()):
        raise CellError(
            "check.run takes a function without arguments, for example check.run(lambda: attention(q, k, v))."
        )
    return pack_call(fn)


def pack_call(fn: FunctionType) -> bytes:
    """The same for a function that will be called with arguments."""
    buffer = io.BytesIO()
    try:
        _CellPickler(buffer, fn).dump(fn)
    except CellError:
        raise
    except Exception as error:  # every class says itself how it is copied, and may fail in its own way
        reason = one_line(str(error))
        raise CellError(f"check.run cannot copy what this cell gives to the student's code: {reason}") from error
    return buffer.getvalue()


def unpack(payload: bytes, student: dict[str, Any]) -> FunctionType:
    """The packed function; where it names something its cell did not define, it finds the student's."""
    try:
        fn = pickle.loads(payload)
    except Exception as error:
        reason = one_line(str(error))
        raise CellError(f"what this cell gives to the student's code cannot be rebuilt there: {reason}") from error
    for name, value in student.items():
        fn.__globals__.setdefault(name, value)
    return fn


def names_of_cell(fn: FunctionType) -> set[str]:
    """The names that the cell (or file) that defines `fn` makes its own."""
    return bound_names(ast.parse(source_of_cell(fn)))


def source_of_cell(fn: FunctionType) -> str:
    """The text of the cell (or file) that defines `fn`."""
    source = "".join(linecache.getlines(fn.__code__.co_filename, fn.__globals__))
    if not source:
        raise CellError("check.run needs the source of its cell: run it in a notebook or from a file.")
    return source


def bound_names(tree: ast.Module) -> set[str]:
    """Names that running `tree` binds at its top level; not those local to functions, classes and comprehensions."""
    found = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    queue: list[ast.AST] = [tree]
    while queue:
        node = queue.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
                queue += node.decorator_list
                continue
            case ast.Lambda():
                continue
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                found |= {inner.target.id for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)}
                continue
            case ast.ImportFrom(module=str(module), names=[ast.alias(name="*")]):
                found |= _public_names(module)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(alias.asname or alias.name).split(".")[0] for alias in names}
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.add(name)
            case ast.MatchMapping(rest=str(name)):
                found.add(name)
        queue += ast.iter_child_nodes(node)
    return found


def _public_names(module: str) -> set[str]:
    names = vars(sys.modules[module]) if module in sys.modules else {}
    return set(names.get("__all__", [name for name in names if not name.startswith("_")]))


def _is_required(parameter: inspect.Parameter) -> bool:
    optional = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not optional


class _CellPickler(cloudpickle.Pickler):
    """Copies the cell's functions and classes by value, with only the cell's own names as their globals."""

    def __init__(self, buffer: io.BytesIO, fn: FunctionType):
        super().__init__(buffer)
        self._notebook = fn.__globals__
        own = names_of_cell(fn)
        self._cell = {name: value for name, value in fn.__globals__.items() if name in own}
        self._cell["__name__"] = "__main__"  # by value, also where the cell is run from a file
        self._students = {id(value): name for name, value in fn.__globals__.items() if name not in own}

    def reducer_override(self, obj: Any) -> Any:
        if self._is_of_notebook(obj) and id(obj) in self._students:
            name = self._students[id(obj)]  # in another process, this cell would stop with a NameError
            raise CellError(f"{name} is the student's: name it only inside the function that check.run takes.")
        if isinstance(obj, FunctionType) and obj.__globals__ is self._notebook:
            obj = self._within_the_cell(obj)
        reduced = super().reducer_override(obj)
        return _as_new_class(reduced) if isinstance(obj, type) and isinstance(reduced, tuple) else reduced

    def _is_of_notebook(self, obj: Any) -> bool:
        if isinstance(obj, FunctionType):
            return obj.__globals__ is self._notebook
        return isinstance(obj, type) and obj.__module__ == self._notebook.get("__name__")

    def _within_the_cell(self, fn: FunctionType) -> FunctionType:
        copy = FunctionType(fn.__code__, self._cell, fn.__name__, fn.__defaults__, fn.__closure__)
        copy.__kwdefaults__ = fn.__kwdefaults__
        copy.__dict__.update(fn.__dict__)
        copy.__doc__, copy.__qualname__, copy.__annotations__ = fn.__doc__, fn.__qualname__, fn.__annotations__
        copy.__module__ = "__main__"
        return copy


def _as_new_class(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without cloudpickle's tracking id, by which a class unpickled in its own process is the original, overwritten."""
    if len(reduced) != 6:  # not a class that travels by value
        return reduced
    make, (*arguments, _tracking_id, extra), *state = reduced
    return (make, (*arguments, None, extra), *state)
