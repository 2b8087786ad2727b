"""What can be seen of a run besides its result: operators, sizes, FLOPs, what autograd keeps, what the compiler does.

All of it happens in the process of the code that is watched: best effort, like every look at a method. A fused, C++ or
Triton operator is one operator here, whatever it does inside.
"""

from collections import Counter
from collections.abc import Callable
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


def run(fn: Callable[[], Any], what: str) -> tuple[Any, Seen]:
    """(the result of `fn`, {what: what the watcher of this name saw}); nothing is watched for the empty name."""
    if not what:
        return fn(), {}
    value, seen = WATCHERS[what](fn)
    return value, {what: seen}


def _calls(fn: Callable[[], Any]) -> tuple[Any, list[str]]:
    """Names of torch functions called from Python, `torch.einsum` as "einsum"."""
    names: dict[str, None] = {}

    class Calls(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            names[getattr(func, "__name__", None) or resolve_name(func) or repr(func)] = None
            return func(*args, **(kwargs or {}))

    with Calls():
        value = fn()
    return value, list(names)[:MAX_NAMES]


def _operators(fn: Callable[[], Any]) -> tuple[Any, dict[str, int]]:
    """How often each ATen operator ran, by its name without overload: {"bmm": 2}."""
    counts: Counter[str] = Counter()

    class Operators(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counts[_name(func)] += 1
            return func(*args, **(kwargs or {}))

    with Operators():
        value = fn()
    return value, dict(counts.most_common(MAX_NAMES))


def _largest(fn: Callable[[], Any]) -> tuple[Any, Seen]:
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
        value = fn()
    return value, largest


def _flops(fn: Callable[[], Any]) -> tuple[Any, int]:
    """Floating-point operations of matrix products, convolutions and attention; a multiply-add is two.

    What PyTorch's counter leaves out counts, too: attention on the CPU as on a GPU (2 products, nothing halved by a
    mask), and grouped products.
    """

    def forward(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return sdpa_flop_count(query, key, value)

    def backward(gradient: Any, query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **_: Any) -> int:
        return sdpa_backward_flop_count(gradient, query, key, value)

    def grouped(a: Any, b: Any, *args: Any, out_shape: Any = None, **_: Any) -> int:  # shapes
        both = a[0] if len(a) == len(b) == 3 else 1  # otherwise the groups share one dimension
        return int(2 * both * a[-2] * a[-1] * b[-1])

    missing = {**dict(zip(CPU_ATTENTION, (forward, backward), strict=True)), torch.ops.aten._grouped_mm: grouped}
    with FlopCounterMode(display=False, custom_mapping=missing) as counter:
        result = fn()
    return result, counter.get_total_flops()


def _saved(fn: Callable[[], Any]) -> tuple[Any, Seen]:
    """What autograd kept for the backward pass, leaves aside: {"elements", "largest": shape}, each storage once."""
    storages: dict[int, tuple[int, list[int], Any]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            storage = tensor.untyped_storage()
            elements = storage.nbytes() // tensor.element_size()
            storages[storage.data_ptr()] = (elements, list(tensor.shape), storage)  # kept, so that no address is reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = fn()
    sizes = [(elements, shape) for elements, shape, _ in storages.values()]
    return value, {"elements": sum(elements for elements, _ in sizes), "largest": max(sizes, default=(0, []))[1]}


def _recompiles(fn: Callable[[], Any]) -> tuple[Any, Seen]:
    """Compilations of the same code after its first: {"count"}. What was compiled before does not count."""
    import torch._dynamo
    from torch._dynamo.utils import clear_compilation_metrics, get_compilation_metrics

    torch._dynamo.reset()
    clear_compilation_metrics()
    value = fn()
    compiled = [(one.co_name, one.co_filename, one.co_firstlineno) for one in get_compilation_metrics()]
    return value, {"count": len(compiled) - len(set(compiled))}


def _graph_breaks(fn: Callable[[], Any]) -> tuple[Any, Seen]:
    """Graph breaks of `fn` compiled with backend "eager": {"count", "reasons"}."""
    import torch._dynamo

    torch._dynamo.reset()
    found = torch._dynamo.explain(fn)()
    count, reasons = (
        int(found.graph_break_count),
        [_first_line(one.reason) for one in found.break_reasons[:MAX_REASONS]],
    )
    if not count:  # after a break inside a loop Dynamo leaves the whole function to Python, and counts nothing
        torch._dynamo.reset()
        try:
            torch.compile(fn, backend="eager", fullgraph=True)()
        except torch._dynamo.exc.TorchDynamoException as error:
            count, reasons = 1, [_first_line(error)]
    return fn(), {"count": count, "reasons": reasons}


def _first_line(text: object) -> str:
    return next(iter(str(text).splitlines()), "")


def _name(operator: Any) -> str:
    return str(getattr(operator, "_overloadpacket", operator).__name__)


WATCHERS: dict[str, Callable[[Callable[[], Any]], tuple[Any, Any]]] = {
    "calls": _calls,
    "operators": _operators,
    "largest": _largest,
    "flops": _flops,
    "saved": _saved,
    "recompiles": _recompiles,
    "graph_breaks": _graph_breaks,
}
