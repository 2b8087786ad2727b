"""What a process of its own needs of a notebook, and how it builds that again. Imports neither torch nor triton."""

import ast
import importlib
import linecache
import pickle
import sys
from dataclasses import dataclass
from functools import reduce
from types import FunctionType
from typing import Any

Namespace = dict[str, Any]

MAX_DECORATORS = 10  # of one kernel


@dataclass(frozen=True)
class Needed:
    """Some names of a notebook.

    cells: {file name: source} of the cells that define some of them
    statements: (file name, index of a statement at the cell's top level), in the order in which they must run
    references: {name: (module, dotted attribute or "")} of what is imported
    values: {name: pickled} of everything else
    """

    cells: dict[str, str]
    statements: tuple[tuple[str, int], ...]
    references: dict[str, tuple[str, str]]
    values: dict[str, bytes]


@dataclass(frozen=True)
class Question:
    """What a process of its own is to run.

    payload, seed: those of a probe (torchgrade.check.student.Probe)
    path: where the notebook finds modules
    seconds: for the probe, not for starting
    """

    payload: bytes
    seed: int
    needed: Needed
    path: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Kernels:
    """What is to be compiled: each of `jobs` (launches.Recorder) for each target, such as 80 for sm_80.

    seconds: that all of it may compute
    """

    jobs: tuple[dict[str, Any], ...]
    targets: tuple[int, ...]
    needed: Needed
    path: tuple[str, ...]
    seconds: float


def find_modules(path: tuple[str, ...]) -> None:
    """Look where the notebook looks, after the libraries."""
    sys.path += [place for place in path if place not in sys.path]


def define(needed: Needed, namespace: Namespace) -> None:
    """Give `namespace` these names. Line numbers and file names are those of the notebook."""
    for name, (module, attribute) in needed.references.items():
        namespace[name] = reduce(getattr, filter(None, attribute.split(".")), importlib.import_module(module))
    namespace.update({name: pickle.loads(value) for name, value in needed.values.items()})
    for file, source in needed.cells.items():
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    for file, index in needed.statements:
        exec(code_of(needed.cells[file], index, file), namespace)


def code_of(source: str, index: int, file: str) -> Any:
    """The code of one statement of a cell."""
    statement = ast.parse(source).body[index]
    return compile(ast.Module([statement], type_ignores=[]), file, "exec", dont_inherit=True)


def plain_function(value: Any) -> Any:
    """The Python function inside a kernel, however it is decorated (Triton calls it `fn`)."""
    for _ in range(MAX_DECORATORS):
        if isinstance(value, FunctionType) or not hasattr(value, "fn"):
            break
        value = value.fn
    return value
