"""`close` compares a result with what it should be and says how they differ; `compare` shows a student the same."""

import math
from typing import Any

import torch

from torchgrade.check import codec
from torchgrade.check.failures import (
    CellError,
    CheckFailed,
    NotComparable,
    NotFinite,
    WrongDtype,
    WrongShape,
    WrongType,
    WrongValues,
)
from torchgrade.check.where import where
from torchgrade.check.words import as_hint, described, shown

# (relative, absolute). float64 as in torch.testing.assert_close; the others a little wider, because a right answer may
# sum in another order than the reference. A dtype that is not named here must agree exactly.
TOLERANCE = {
    torch.float64: (1e-7, 1e-7),
    torch.float32: (1e-5, 1e-5),
    torch.float16: (2e-3, 1e-3),
    torch.bfloat16: (1.6e-2, 1e-3),
    torch.complex64: (1e-5, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
EXACT = (0.0, 0.0)
SHOWN = 3  # mismatches printed

Tolerance = tuple[float, float] | None


def close(
    got: Any,
    expected: Any,
    what: str,
    *,
    hint: str | None = None,
    tolerance: Tolerance = None,
    because: str | None = None,
) -> None:
    """`got` must equal `expected` in type, shape, dtype, finiteness and then value; `what` says what is compared.

    Works on tensors, numbers, strings, None, and lists, tuples and dicts of them. Integers, bools and strings must be
    equal; floats may differ by the default of their dtype (TOLERANCE). Another `tolerance`, a (relative, absolute) pair
    that holds for floats and integers alike, needs a reason: `because`. NaN and infinity are right only where
    `expected` has the same. An int is right where a float is expected.

    Raises WrongType, WrongShape, WrongDtype, NotFinite or WrongValues, in this order, and NotComparable if `got` is of
    any other type; `hint` is added to the message.
    """
    _require_reason(tolerance, because)
    failure = _failure(got, expected, tolerance)
    if failure is not None:
        explained = type(failure)(f"{what}: {failure}{as_hint(hint)}")
        explained.shows = failure.shows
        raise explained


def compare(name: str, yours: Any, reference: Any) -> bool:
    """Print one line that says whether `yours` equals `reference` exactly, approximately or not; return the answer.

    For finding out which of several intermediate results goes wrong first (the idea is Karpathy's `cmp` in
    "Becoming a backprop ninja").
    """
    unequal, wrong = _failure(yours, reference, EXACT), _failure(yours, reference, None)
    verdict = "differs" if wrong else "close" if unequal else "equal"
    detail = str(wrong or unequal or "").partition("\n")[0]
    print(f"{name:<20} {verdict:<11} {detail}".rstrip())
    return wrong is None


def _failure(got: Any, expected: Any, tolerance: Tolerance) -> CheckFailed | None:
    try:
        _compare(_result(got), _reference(expected), tolerance, "")
    except CheckFailed as failure:
        return failure
    return None


def _require_reason(tolerance: Tolerance, because: str | None) -> None:
    if (tolerance is None) != (not because):
        raise CellError(
            "A tolerance other than the default needs a reason: check.close(..., tolerance=..., because=...)."
        )
    match tolerance:
        case None:
            return
        case (int() | float() as relative, int() | float() as absolute) if relative >= 0 and absolute >= 0:
            return
    raise CellError("A tolerance is a pair, (relative, absolute), for example tolerance=(1e-3, 1e-5).")


def _result(got: Any) -> Any:
    """Plain data, as it arrives from `run`: so nothing below meets a class that someone else wrote."""
    try:
        return codec.decode(*codec.encode(got))
    except (codec.Unsendable, codec.Unreadable) as error:
        raise NotComparable(f"the result holds {error}; return tensors, numbers, text, lists or dicts") from None


def _reference(expected: Any) -> Any:
    try:
        return codec.decode(*codec.encode(expected))
    except (codec.Unsendable, codec.Unreadable) as error:
        raise CellError(f"The expected value holds {error}, which check.close cannot compare.") from None


def _compare(got: Any, expected: Any, tolerance: Tolerance, at: str) -> None:
    match expected:
        case torch.Tensor():
            _compare_tensors(got, expected, tolerance, at)
        case list() | tuple():
            if type(got) is not type(expected):
                raise WrongType(f"{at}expected a {type(expected).__name__}, got {described(got)}")
            if len(got) != len(expected):
                raise WrongShape(f"{at}expected {len(expected)} items, got {len(got)}")
            for i, (one, other) in enumerate(zip(got, expected, strict=True)):
                _compare(one, other, tolerance, f"{at}item {i}: ")
        case dict():
            if not isinstance(got, dict):
                raise WrongType(f"{at}expected a dict, got {described(got)}")
            _compare_keys(got, expected, at)
            for key, value in expected.items():
                _compare(got[key], value, tolerance, f"{at}{shown(key)}: ")
        case float():
            _compare_numbers(got, expected, tolerance or TOLERANCE[torch.float64], at)
        case int() if tolerance and not isinstance(expected, bool):
            _compare_numbers(got, expected, tolerance, at)
        case _:
            if type(got) is not type(expected):
                raise WrongType(f"{at}expected {shown(expected)}, got {described(got)}")
            if got != expected:
                raise WrongValues(at + _different(expected, got))


def _compare_keys(got: dict[Any, Any], expected: dict[Any, Any], at: str) -> None:
    for problem, keys in (("misses", expected.keys() - got.keys()), ("should not have", got.keys() - expected.keys())):
        if keys:
            some = ", ".join(sorted(map(shown, keys))[:SHOWN])
            raise WrongShape(
                f"{at}the dict {problem} {some}" + (f" and {len(keys) - SHOWN} more" * (len(keys) > SHOWN))
            )


def _compare_numbers(got: Any, expected: float, tolerance: tuple[float, float], at: str) -> None:
    if type(got) not in (float, int) or (type(got) is float and type(expected) is int):
        raise WrongType(f"{at}expected the number {shown(expected)}, got {described(got)}")
    if got == expected or (got != got and expected != expected):
        return
    try:
        gap, size = abs(got - expected), abs(expected)
        within = math.isfinite(gap) and gap <= tolerance[1] + tolerance[0] * size
    except OverflowError:  # an int beyond every float
        within = False
    if isinstance(got, float) and not math.isfinite(got):
        raise NotFinite(f"{at}expected {shown(expected)}, got {got}")
    if not within:
        raise WrongValues(at + _different(expected, got))


def _compare_tensors(got: Any, expected: torch.Tensor, tolerance: Tolerance, at: str) -> None:
    if not isinstance(got, torch.Tensor):
        raise WrongType(f"{at}expected a tensor of shape {tuple(expected.shape)}, got {described(got)}")
    if got.shape != expected.shape:
        raise WrongShape(f"{at}expected shape {tuple(expected.shape)}, got {tuple(got.shape)}")
    if got.dtype != expected.dtype:
        raise WrongDtype(f"{at}expected dtype {expected.dtype}, got {got.dtype}")
    floating = expected.is_floating_point() or expected.is_complex()
    if not floating and (expected.dtype is torch.bool or tolerance in (None, EXACT)):
        wrong = got.ne(expected)
    else:
        wide = torch.complex128 if expected.is_complex() else torch.float64
        got, expected, dtype = got.to(wide), expected.to(wide), expected.dtype
        _require_finite(got, expected, at)
        rtol, atol = tolerance or TOLERANCE.get(dtype, EXACT)
        wrong = ~torch.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    if wrong.any():
        pattern = where(wrong)
        failure = WrongValues(at + _mismatches(got, expected, wrong) + (f"\n  {pattern.words}" if pattern else ""))
        failure.shows = pattern
        raise failure


def _require_finite(got: torch.Tensor, expected: torch.Tensor, at: str) -> None:
    """NaN and ±inf of `got` must stand exactly where `expected` has them."""
    for name, test in (("NaN", torch.isnan), ("infinite", torch.isinf)):
        surprising = test(got) & ~test(expected)
        if surprising.any():
            count = int(surprising.sum())
            first = f", first at {surprising.nonzero()[0].tolist()}" if got.ndim else ""
            raise NotFinite(f"{at}{count} of {got.numel()} values {'is' if count == 1 else 'are'} {name}{first}")


def _mismatches(got: torch.Tensor, expected: torch.Tensor, wrong: torch.Tensor) -> str:
    if not wrong.ndim:
        return _different(expected.item(), got.item())
    text = f"{int(wrong.sum())} of {wrong.numel()} values differ"
    if got.dtype in (torch.float64, torch.complex128):
        gap = (got - expected).abs()[wrong]
        gap = gap[gap.isfinite()]
        text += f", largest difference {gap.max().item():.3g}" if gap.numel() else ""
    for place in wrong.nonzero()[:SHOWN].tolist():
        text += f"\n  {place}: {_different(expected[tuple(place)].item(), got[tuple(place)].item())}"
    return text


def _different(expected: Any, got: Any) -> str:
    """Both values, with as many digits, or at the place, that shows the difference."""
    if isinstance(expected, float) and isinstance(got, float):
        for digits in (6, 9, 17):
            one, other = f"{expected:.{digits}g}", f"{got:.{digits}g}"
            if one != other:
                break
        return f"expected {one}, got {other}"
    if isinstance(expected, str) and isinstance(got, str) and len(expected) > 40:
        same = next((i for i, pair in enumerate(zip(expected, got, strict=False)) if pair[0] != pair[1]), None)
        same = min(len(expected), len(got)) if same is None else same
        start = max(0, same - 5)
        expected, got = expected[start : start + 40], got[start : start + 40]
        return f"first difference at character {same}: expected {shown(expected)}, got {shown(got)}"
    return f"expected {shown(expected)}, got {shown(got)}"
