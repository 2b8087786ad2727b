"""A tolerance needs a reason; `compare` says in one line how far a result is off."""

import math

import numpy as np
import pytest
import torch
from torchgrade.check import CellError, CheckFailed, close, compare
from torchgrade.check.close import EXACT

NAN = math.nan


def passes(got, expected, **options) -> bool:
    try:
        close(got, expected, "the sum", **options)
    except CheckFailed:
        return False
    return True


@pytest.mark.parametrize(
    "dtype, right, wrong",
    [
        (torch.float64, 1 + 1e-7, 1 + 4e-7),
        (torch.float32, 1 + 1e-5, 1 + 4e-5),
        (torch.float16, 1 + 2e-3, 1 + 5e-3),
        (torch.bfloat16, 1 + 1e-2, 1 + 3e-2),
        (torch.float8_e5m2, 1, 1.25),
        (torch.complex64, 1 + 1e-5, 1 + 4e-5),
        (torch.complex128, 1 + 1e-7, 1 + 4e-7),
    ],
)
def test_each_dtype_has_its_own_tolerance(dtype, right, wrong):
    one = torch.tensor([1.0]).to(dtype)
    assert passes(torch.tensor([right], dtype=torch.float64).to(dtype), one)
    assert not passes(torch.tensor([wrong], dtype=torch.float64).to(dtype), one)


@pytest.mark.parametrize(
    "options", [{"tolerance": (0.1, 0.1)}, {"because": "so"}, {"tolerance": (0.1, 0.1), "because": ""}]
)
def test_a_tolerance_needs_a_reason(options):
    with pytest.raises(CellError, match="needs a reason"):
        close(1.0, 1.0, "the sum", **options)


@pytest.mark.parametrize("tolerance", [0.1, (0.1,), ("a", 0), (-1, 0), (NAN, 0)])
def test_a_tolerance_is_a_pair(tolerance):
    with pytest.raises(CellError, match="is a pair"):
        close(1.0, 1.0, "the sum", tolerance=tolerance, because="so")


def test_a_tolerance_holds_for_integers_too_but_not_for_bools():
    off_by_one = {"tolerance": (0, 1), "because": "rounding"}
    assert passes(torch.tensor([3, 5], dtype=torch.int8), torch.tensor([4, 4], dtype=torch.int8), **off_by_one)
    assert not passes(torch.tensor([2], dtype=torch.uint8), torch.tensor([4], dtype=torch.uint8), **off_by_one)
    assert passes(3, 4, **off_by_one) and not passes(2, 4, **off_by_one) and not passes(3.5, 4, **off_by_one)
    assert not passes(torch.tensor([True]), torch.tensor([False]), **off_by_one)
    assert not passes(True, False, **off_by_one)
    assert not passes(torch.tensor([2**62]), torch.tensor([2**62 + 1]), tolerance=EXACT, because="exact")


@pytest.mark.parametrize(
    "yours, reference, line",
    [
        (torch.ones(2), torch.ones(2), "dq                   equal"),
        (
            torch.ones(2) + 1e-6,
            torch.ones(2),
            "dq                   close       2 of 2 values differ, largest difference",
        ),
        (
            torch.ones(2) + 1,
            torch.ones(2),
            "dq                   differs     2 of 2 values differ, largest difference 1",
        ),
        (torch.ones(3), torch.ones(2), "dq                   differs     expected shape (2,), got (3,)"),
        (
            torch.ones(2).int(),
            torch.ones(2),
            "dq                   differs     expected dtype torch.float32, got torch.int32",
        ),
        (torch.tensor([NAN]), torch.tensor([NAN]), "dq                   equal"),
        (torch.tensor([True]), torch.tensor([False]), "dq                   differs     1 of 1 values differ"),
        (torch.ones(2, requires_grad=True), torch.ones(2), "dq                   equal"),
        (1.0, 1.0 + 1e-9, "dq                   close       expected 1.000000001"),
        ([1, 2], (1, 2), "dq                   differs     expected a tuple, got a list"),
        (None, torch.ones(2), "dq                   differs     expected a tensor of shape (2,), got None"),
        (np.ones(2), torch.ones(2), "dq                   differs     the result holds a ndarray"),
        (object(), 3, "dq                   differs     the result holds an object"),
    ],
)
def test_compare_prints_one_line_and_returns_the_answer(yours, reference, line, capsys):
    right = compare("dq", yours, reference)
    printed = capsys.readouterr().out
    assert printed.startswith(line) and printed.count("\n") == 1
    assert right is ("differs" not in line)
