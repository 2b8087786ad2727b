"""Checks of the idea behind an answer, free of noise: how much it makes, computes, keeps and compiles.

    check.largest_intermediate(lambda: tiled_attention(q, k, v), at_most=8 * 64 * 64, because="...")

`because` says why it matters, in one sentence that a student can act on. What is looked at happens on the student's
side, in Python: best effort, and blind inside a fused operator. See torchgrade.check.watching.
"""

import math
from collections.abc import Collection
from types import FunctionType
from typing import Any

import torch

from torchgrade.check import probe
from torchgrade.check.failures import NotComparable, WrongMethod, WrongValues
from torchgrade.check.words import times


def largest_intermediate(fn: FunctionType, *, at_most: int, because: str) -> None:
    """No operator that runs in `fn` may make a tensor of more than `at_most` elements (views aside)."""
    seen = _watch(fn, "largest")
    if seen["elements"] > at_most:
        raise WrongMethod(
            f"`{seen['operator']}` makes a tensor of shape {tuple(seen['shape'])}, {seen['elements']:,} elements;"
            f" at most {at_most:,} are needed: {because}"
        )


def operators(
    fn: FunctionType, *, allowed: Collection[str] | None = None, forbidden: Collection[str] = (), because: str
) -> dict[str, int]:
    """The ATen operators that run in `fn`, such as "bmm": none of `forbidden`, and only `allowed` if that is given.

    Returns how often each of them ran.
    """
    counts: dict[str, int] = _watch(fn, "operators")
    found = sorted(name for name in counts if name in forbidden or (allowed is not None and name not in allowed))
    if found:
        raise WrongMethod(f"Your code runs {', '.join(f'`{name}`' for name in found)}: {because}")
    return counts


def flops(fn: FunctionType, *, at_most: int, because: str) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in `fn`. Returns them.

    Counted as in torch.utils.flop_counter: m x k times k x n are 2mkn, nothing is halved by a mask.
    """
    found = int(_watch(fn, "flops"))
    if found > at_most:
        raise WrongMethod(f"Your code computes {found:,} FLOPs; at most {at_most:,} are needed: {because}")
    return found


def saved_tensors(fn: FunctionType, *, at_most: int, because: str) -> int:
    """Elements that autograd keeps for the backward pass of `fn`, parameters and other leaves aside. Returns them."""
    seen = _watch(fn, "saved")
    if seen["elements"] > at_most:
        raise WrongMethod(
            f"For the backward pass your code keeps {seen['elements']:,} elements, the largest tensor of shape"
            f" {tuple(seen['largest'])}; at most {at_most:,} are needed: {because}"
        )
    return int(seen["elements"])


def graph_breaks(fn: FunctionType, *, at_most: int = 0, because: str) -> None:
    """`fn`, which calls the student's function once, under torch.compile with backend "eager"."""
    seen = _watch(fn, "graph_breaks")
    if seen["count"] > at_most:
        reasons = "; ".join(seen["reasons"])
        raise WrongMethod(f"torch.compile breaks the graph {times(seen['count'])} ({reasons}): {because}")


def recompiles(fn: FunctionType, *, at_most: int = 0, because: str) -> None:
    """`fn` calls a compiled function several times; compiling the same code a second time counts, and so on."""
    count = _watch(fn, "recompiles")["count"]
    if count > at_most:
        raise WrongMethod(f"torch.compile compiles the same code again {times(count)}: {because}")


def packed_bytes(fn: FunctionType, *, at_most: int, because: str) -> int:
    """Bytes of all tensors in what `fn` returns (a tensor, or lists and dicts of them). Returns them."""
    total = sum(tensor.nbytes for tensor in _tensors(probe.run(fn)))
    if total > at_most:
        raise WrongMethod(f"Your tensors take {total:,} bytes; {at_most:,} are enough: {because}")
    return total


def sqnr(result: Any, reference: torch.Tensor, *, at_least: float, because: str) -> float:
    """Signal to quantization noise, 10 log10(sum reference^2 / sum (result - reference)^2) dB. Returns it.

    result: of check.run, the shape of `reference`
    """
    if not isinstance(result, torch.Tensor) or result.shape != reference.shape or result.is_complex():
        raise NotComparable(f"Expected a tensor of shape {tuple(reference.shape)}.")
    signal, noise = reference.double(), result.double() - reference.double()
    power = float(noise.square().sum())
    if not math.isfinite(power):
        raise WrongValues(f"The result holds NaN or infinity: {because}")
    found = math.inf if power == 0 else 10 * math.log10(max(float(signal.square().sum()), 1e-300) / power)
    if found < at_least:
        raise WrongValues(f"The signal is {found:.1f} dB above the noise; {at_least:g} dB are needed: {because}")
    return found


def _watch(fn: FunctionType, what: str) -> Any:
    """What the watcher saw; raises as check.run does if the code stops, whatever it returns."""
    reply = probe.ask(fn, watch=what)
    if reply.raised is not None:
        raise probe.explained(reply.raised, probe.exercise_of(fn))
    if what not in reply.seen:
        raise NotComparable("Nothing could be seen of the run.")
    return reply.seen[what]


def _tensors(value: Any) -> list[torch.Tensor]:
    match value:
        case torch.Tensor():
            return [value]
        case list() | tuple():
            return [tensor for item in value for tensor in _tensors(item)]
        case dict():
            return [tensor for item in value.values() for tensor in _tensors(item)]
    return []
