"""Records what a launcher launches, as a GPU would be asked to run it, while Triton's interpreter runs it.

Written for Triton 3.7: what a launch works out from its arguments (types, alignment, constants) has no public name.
"""

from collections.abc import Callable, Mapping
from typing import Any

from triton.backends.compiler import GPUTarget
from triton.compiler import make_backend
from triton.language import constexpr, dtype
from triton.runtime.autotuner import Autotuner
from triton.runtime.errors import InterpreterError
from triton.runtime.interpreter import InterpretedFunction
from triton.runtime.jit import JITFunction, create_function_from_signature

from torchgrade.triton_lab.definitions import Namespace, plain_function
from torchgrade.triton_lab.traffic import Spans, Traffic

MAX_LAUNCHES = 100  # that are described; the bytes of all are counted
PLAIN = (bool, int, float, str, type(None))
_backend = make_backend(GPUTarget("cuda", 90, 32))  # the newest that knows every option


class Recorder:
    """`launches` holds, for each launch, plain data: kernel, grid, loaded, stored, constants, and job.

    job: what `compile` needs: the kernel's global name, types by parameter, constants and attributes by the parameter's
        place, and options such as num_warps; or a text that says why it cannot be compiled
    """

    def __init__(self, traffic: Traffic, namespace: Namespace):
        self.launches: list[dict[str, Any]] = []
        self._traffic, self._namespace = traffic, namespace

    def watch(self) -> None:
        """From now on each launch is recorded; an autotuned kernel runs with the first of its configurations."""
        run = InterpretedFunction.run

        def recorded(kernel: Any, *args: Any, grid: Any, warmup: bool, **named: Any) -> None:
            if not warmup:
                self._launch(run, kernel, args, grid, named)

        InterpretedFunction.run = recorded
        Autotuner.run = _with_first_configuration

    def _launch(self, run: Callable[..., Any], kernel: Any, args: Any, grid: Any, named: dict[str, Any]) -> None:
        bound, job = self._bind(kernel, args, named)
        grid = tuple(int(size) for size in (grid(bound) if callable(grid) else grid))
        self._traffic.allow(_spans([*bound.values()]))
        loaded, stored = self._traffic.loaded, self._traffic.stored
        try:
            run(kernel, *args, grid=grid, warmup=False, **named)
        except InterpreterError as error:
            raise _cause(error) from None
        if len(self.launches) < MAX_LAUNCHES:
            constants = {name: value for name, value in bound.items() if name in _constants(kernel)}
            self.launches.append(
                {
                    "kernel": kernel.__name__,
                    "grid": [*grid, *[1] * (3 - len(grid))],
                    "loaded": self._traffic.loaded - loaded,
                    "stored": self._traffic.stored - stored,
                    "constants": {name: _shown(value) for name, value in constants.items()},
                    "job": job,
                }
            )

    def _bind(self, kernel: Any, args: Any, named: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | str]:
        """(arguments by parameter, job). Raises what a real launch raises for wrong arguments."""
        compiled = JITFunction(kernel.fn, **kernel.kwargs)
        binder = create_function_from_signature(compiled.signature, compiled.params, _backend)
        every = {**named, "debug": False, "instrumentation_mode": ""}
        bound, specialization, options = binder(*args, **every)
        _, signature, constants, attributes = compiled._pack_args(_backend, every, bound, specialization, options)
        name = self._name_of(kernel)
        if name is None:
            return bound, "it is defined inside a function; define it at the left margin of a cell"
        try:
            return bound, {
                "name": name,
                "signature": signature,
                "constants": [[[*path], self._sent(value)] for path, value in constants.items()],
                "attributes": [[[*path], value] for path, value in attributes.items()],
                "options": {key: value for key, value in named.items() if key in options and isinstance(value, PLAIN)},
            }
        except TypeError as error:
            return bound, str(error)

    def _name_of(self, kernel: Any) -> str | None:
        for name, value in self._namespace.items():
            if value is not kernel.fn and plain_function(value) is kernel.fn:
                return name
        return None

    def _sent(self, value: Any) -> Any:
        """A constant as plain data."""
        value = value.value if isinstance(value, constexpr) else value
        if isinstance(value, dtype):
            return {"dtype": value.name}
        if isinstance(value, InterpretedFunction) and (name := self._name_of(value)):
            return {"kernel": name}
        if isinstance(value, PLAIN):
            return value
        raise TypeError(f"a constant of type {type(value).__name__} cannot be compiled here")


def _with_first_configuration(kernel: Any, *args: Any, **named: Any) -> Any:
    first = kernel.configs[0].all_kwargs()
    return kernel.fn.run(*args, **named, **first)


def _constants(kernel: Any) -> set[str]:
    return {param.name for param in JITFunction(kernel.fn).params if param.is_constexpr}


def _shown(value: Any) -> Any:
    value = value.value if isinstance(value, constexpr) else value
    return value if isinstance(value, PLAIN) else str(value)


def _cause(error: BaseException) -> BaseException:
    """What the kernel raised; each kernel that it passed through has wrapped it."""
    while isinstance(error, InterpreterError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _spans(values: list[Any]) -> Spans:
    """The memory of all tensors among these arguments."""
    found: Spans = []
    for value in values:
        if isinstance(value, tuple | list):
            found += _spans([*value])
        elif isinstance(value, Mapping):
            found += _spans([*value.values()])
        elif hasattr(value, "untyped_storage"):
            storage = value.untyped_storage()
            found.append((storage.data_ptr(), storage.data_ptr() + storage.nbytes()))
        elif hasattr(value, "base"):  # a descriptor, or a tensor seen as another type
            found += _spans([value.base])
    return found
