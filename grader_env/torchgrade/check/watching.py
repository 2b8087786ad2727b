"""What can be seen of a run besides its result: operators, sizes, FLOPs, what autograd keeps, what the compiler does.

All of it happens in the process of the code that is watched: best effort, like every look at a method. A fused, C++ or
Triton operator is one operator here, whatever it does inside.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

Seen = dict[str, Any]  # plain JSON

MAX_NAMES = 2000  # of operators or functions; a report has a cap
MAX_REASONS = 5  # of graph breaks
CPU_ATTENTION = (
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward,
)


class Watch:
    """Runs a function once under the watchers `names`; afterwards `seen` holds what each of them saw, by its name."""

    def __init__(self, names: tuple[str, ...]):
        self._watchers = [WATCHERS[name] for name in names]
        self._names = names
        self.seen: Seen = {}

    def run(self, fn: Callable[[], Any]) -> Any:
        with contextlib.ExitStack() as stack:
            reports = [stack.enter_context(watcher()) for watcher in self._watchers]
            value = fn() if "graph_breaks" not in self._names else _explained(fn, self.seen)
        for name, report in zip(self._names, reports, strict=True):
            if report is not None:
                self.seen[name] = report()
        return value


Report = Callable[[], Any]


@contextlib.contextmanager
def _calls() -> Iterator[Report]:
    """Names of torch functions called from Python, `torch.einsum` as "einsum"."""
    names: dict[str, None] = {}

    class Calls(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names[getattr(func, "__name__", None) or resolve_name(func) or repr(func)] = None
            return func(*args, **(kwargs or {}))

    with Calls():
        yield lambda: list(names)[:MAX_NAMES]


@contextlib.contextmanager
def _operators() -> Iterator[Report]:
    """How often each ATen operator ran, by its name without overload: {"bmm": 2}."""
    counts: Counter[str] = Counter()

    class Operators(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counts[_name(func)] += 1
            return func(*args, **(kwargs or {}))

    with Operators():
        yield lambda: dict(counts.most_common(MAX_NAMES))


@contextlib.contextmanager
def _largest() -> Iterator[Report]:
    """The largest tensor that an operator made, views aside: {"elements", "shape", "operator"}."""
    largest: Seen = {"elements": 0, "shape": [], "operator": ""}

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for made in result if isinstance(result, tuple | list) else (result,):
                if not isinstance(made, torch.Tensor) or made._is_view() or func.is_view:
                    continue
                if made.numel() > largest["elements"]:
                    largest.update(elements=made.numel(), shape=list(made.shape), operator=_name(func))
            return result

    with Largest():
        yield lambda: largest


@contextlib.contextmanager
def _flops() -> Iterator[Report]:
    """Floating-point operations of matrix products, convolutions and attention; a multiply-add is two.

    Attention on the CPU, which PyTorch's counter leaves out, counts as on a GPU: 2 products, nothing halved by a mask.
    """

    def forward(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return sdpa_flop_count(query, key, value)

    def backward(gradient: Any, query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **_: Any) -> int:
        return sdpa_backward_flop_count(gradient, query, key, value)

    on_cpu = dict(zip(CPU_ATTENTION, (forward, backward), strict=True))
    with FlopCounterMode(display=False, custom_mapping=on_cpu) as counter:
        yield counter.get_total_flops


@contextlib.contextmanager
def _saved() -> Iterator[Report]:
    """What autograd kept for the backward pass, leaves aside: {"elements", "largest": shape}, each storage once."""
    storages: dict[int, tuple[int, list[int], Any]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            storage = tensor.untyped_storage()
            elements = storage.nbytes() // tensor.element_size()
            storages[storage.data_ptr()] = (elements, list(tensor.shape), storage)  # kept, so that no address is reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield lambda: {
            "elements": sum(elements for elements, _, _ in storages.values()),
            "largest": max(((elements, shape) for elements, shape, _ in storages.values()), default=(0, []))[1],
        }


@contextlib.contextmanager
def _recompiles() -> Iterator[Report]:
    """Compilations of the same code after its first: {"count"}. What was compiled before does not count."""
    from torch._dynamo import reset
    from torch._dynamo.utils import clear_compilation_metrics, get_compilation_metrics

    reset()
    clear_compilation_metrics()

    def report() -> Seen:
        compiled = [(one.co_name, one.co_filename, one.co_firstlineno) for one in get_compilation_metrics()]
        return {"count": len(compiled) - len(set(compiled))}

    yield report


@contextlib.contextmanager
def _graph_breaks() -> Iterator[None]:
    """The function runs through `torch._dynamo.explain` instead; see `_explained`."""
    yield None


def _explained(fn: Callable[[], Any], seen: Seen) -> Any:
    """Run `fn` compiled with backend "eager", and note {"count", "reasons"} of its graph breaks."""
    import torch._dynamo

    torch._dynamo.reset()
    found = torch._dynamo.explain(fn)()
    reasons = [str(reason.reason).splitlines()[0] for reason in found.break_reasons[:MAX_REASONS]]
    seen["graph_breaks"] = {"count": int(found.graph_break_count), "reasons": reasons}
    return fn()


def _name(operator: Any) -> str:
    return str(getattr(operator, "_overloadpacket", operator).__name__)


WATCHERS: dict[str, Callable[[], contextlib.AbstractContextManager[Report | None]]] = {
    "calls": _calls,
    "operators": _operators,
    "largest": _largest,
    "flops": _flops,
    "saved": _saved,
    "recompiles": _recompiles,
    "graph_breaks": _graph_breaks,
}
