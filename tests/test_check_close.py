"""`check.close` agrees with torch's own comparison, names the first thing wrong, and never fails in another way."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchgrade.check import CellError, CheckFailed, close
from torchgrade.check.close import TOLERANCE
from torchgrade.check.codec import DTYPES
from torchgrade.check.failures import NotComparable, NotFinite, WrongDtype, WrongShape, WrongType, WrongValues

OFTEN = settings(derandomize=True, deadline=None, max_examples=500)
INF, NAN = math.inf, math.nan


def failure(got, expected, **options) -> CheckFailed:
    with pytest.raises(CheckFailed) as error:
        close(got, expected, "the sum", **options)
    return error.value


def passes(got, expected, **options) -> bool:
    try:
        close(got, expected, "the sum", **options)
    except CheckFailed:
        return False
    return True


def torch_agrees(got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float) -> bool:
    """torch's verdict at our tolerance, in float64, because near the edge it would depend on rounding."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    wide = torch.complex128 if got.is_complex() else torch.float64 if got.is_floating_point() else got.dtype
    try:
        torch.testing.assert_close(got.to(wide), expected.to(wide), rtol=rtol, atol=atol, equal_nan=True)
    except AssertionError:
        return False
    return True


numbers = st.sampled_from([0.0, -0.0, 1.0, -3.5, 1e-9, 300.0, INF, -INF, NAN]) | st.floats(-1e4, 1e4)
nudges = st.sampled_from([0.0, 0.0, 0.0, 1e-12, 1e-8, 1e-6, 1e-4, 1e-3, 3e-3, 0.1, INF, NAN])


@st.composite
def pairs(draw):
    """Two tensors that are often equal, often nearly so, and sometimes of another shape or dtype."""
    floating = list(TOLERANCE)
    dtype = draw(st.sampled_from(floating))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape)
    expected = torch.tensor(draw(st.lists(numbers, min_size=count, max_size=count)), dtype=torch.float64)
    nudge = torch.tensor(draw(st.lists(nudges, min_size=count, max_size=count)), dtype=torch.float64)
    got = expected + nudge * expected.abs().clamp(min=1).nan_to_num(posinf=1)
    other_dtype = draw(st.sampled_from([dtype, dtype, dtype, dtype, *floating]))
    other_shape = draw(st.sampled_from([shape, shape, shape, [*shape, 1], shape[::-1]]))
    return got.reshape(other_shape).to(other_dtype), expected.reshape(shape).to(dtype)


@OFTEN
@given(pairs())
def test_floats_agree_with_torch(pair):
    got, expected = pair
    assert passes(got, expected) == torch_agrees(got, expected, *TOLERANCE[expected.dtype])


@OFTEN
@given(pairs(), st.sampled_from([(0.0, 0.0), (1e-3, 0.0), (0.0, 1e-3), (0.1, 0.1)]))
def test_floats_agree_with_torch_at_any_tolerance(pair, tolerance):
    got, expected = pair
    assert passes(got, expected, tolerance=tolerance, because="so") == torch_agrees(got, expected, *tolerance)


def test_float64_has_the_tolerance_of_torch_and_no_dtype_a_smaller_one():
    for dtype, (rtol, atol) in TOLERANCE.items():
        strict = torch.testing._comparison._DTYPE_PRECISIONS[dtype]
        assert rtol >= strict[0] and atol >= strict[1]
    assert TOLERANCE[torch.float64] == torch.testing._comparison._DTYPE_PRECISIONS[torch.float64]


@OFTEN
@given(st.data())
def test_integers_and_bools_must_be_equal(data):
    dtype = data.draw(st.sampled_from([d for d in DTYPES.values() if not d.is_floating_point and not d.is_complex]))
    low, high = (0, 1) if dtype is torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    some = st.sampled_from([low, high, high - 1]) | st.integers(low, high)
    count = data.draw(st.integers(0, 4))
    got, expected = (torch.tensor(data.draw(st.lists(some, min_size=count, max_size=count)), dtype=dtype) for _ in "ab")
    assert passes(got, expected) == (got.tolist() == expected.tolist())
    assert passes(expected, expected)


@OFTEN
@given(numbers, numbers, nudges)
def test_python_numbers_agree_with_torch(one, other, nudge):
    for got, expected in ((one, other), (one + nudge, one)):
        tensors = (torch.tensor(value, dtype=torch.float64) for value in (got, expected))
        assert passes(got, expected) == torch_agrees(*tensors, *TOLERANCE[torch.float64])


# What is said, and in which order

WRONG = [
    (torch.ones(2), torch.ones(3), WrongShape, "expected shape (3,), got (2,)"),
    (torch.ones(3, 1), torch.ones(3), WrongShape, "expected shape (3,), got (3, 1)"),
    (torch.tensor(1.0), torch.ones(1), WrongShape, "expected shape (1,), got ()"),
    (torch.ones(2).double(), torch.ones(2), WrongDtype, "expected dtype torch.float32, got torch.float64"),
    (torch.ones(0).double(), torch.ones(0), WrongDtype, "expected dtype torch.float32, got torch.float64"),
    (torch.tensor([1]), torch.tensor([True]), WrongDtype, "expected dtype torch.bool, got torch.int64"),
    (torch.tensor([1.0, NAN]), torch.ones(2), NotFinite, "1 of 2 values is NaN, first at [1]"),
    (torch.tensor([[NAN, 1, NAN]]), torch.ones(1, 3), NotFinite, "2 of 3 values are NaN, first at [0, 0]"),
    (torch.tensor([5.0, -INF]), torch.ones(2), NotFinite, "1 of 2 values is infinite, first at [1]"),
    (torch.tensor(NAN), torch.tensor(1.0), NotFinite, "1 of 1 values is NaN"),
    (torch.tensor([complex(1, NAN)]), torch.tensor([1j]), NotFinite, "1 of 1 values is NaN, first at [0]"),
    (torch.tensor([5.0]), torch.tensor([NAN]), WrongValues, "1 of 1 values differ\n  [0]: expected nan, got 5"),
    (torch.tensor([5.0]), torch.tensor([INF]), WrongValues, "1 of 1 values differ\n  [0]: expected inf, got 5"),
    (torch.tensor([-INF]), torch.tensor([INF]), WrongValues, "1 of 1 values differ\n  [0]: expected inf, got -inf"),
    (torch.tensor(2.0), torch.tensor(1.0), WrongValues, "expected 1, got 2"),
    (
        torch.tensor([[0.0, 1], [2, 3]]),
        torch.tensor([[0.0, 1.5], [2, 1]]),
        WrongValues,
        "2 of 4 values differ, largest difference 2\n  [0, 1]: expected 1.5, got 1\n  [1, 1]: expected 1, got 3",
    ),
    (
        torch.tensor([1 + 2j]),
        torch.tensor([1 + 1j]),
        WrongValues,
        "1 of 1 values differ, largest difference 1\n  [0]: ",
    ),
    (torch.tensor([1.00002]), torch.tensor([1.0]), WrongValues, "2e-05\n  [0]: expected 1, got 1.00002"),
    (torch.tensor([1.0000002]).double(), torch.tensor([1.0]).double(), WrongValues, "expected 1, got 1.00000024"),
    (torch.tensor([0], dtype=torch.uint8), torch.tensor([255], dtype=torch.uint8), WrongValues, "expected 255, got 0"),
    (torch.tensor([-(2**63)]), torch.tensor([2**63 - 1]), WrongValues, f"expected {2**63 - 1}, got {-(2**63)}"),
    (torch.tensor([2**62]), torch.tensor([2**62 + 1]), WrongValues, f"expected {2**62 + 1}, got {2**62}"),
    (torch.tensor([True]), torch.tensor([False]), WrongValues, "1 of 1 values differ\n  [0]: expected False, got True"),
    (None, torch.ones(2, 3), WrongType, "expected a tensor of shape (2, 3), got None (is a `return` missing?)"),
    (1.0, torch.tensor(1.0), WrongType, "expected a tensor of shape (), got the float 1.0"),
    ([1.0], torch.ones(1), WrongType, "expected a tensor of shape (1,), got a list of length 1"),
    (torch.tensor(1.0), 1.0, WrongType, "expected the number 1.0, got a tensor of shape (), dtype torch.float32"),
    (True, 1.0, WrongType, "expected the number 1.0, got the bool True"),
    ("1", 1.0, WrongType, "expected the number 1.0, got the text '1'"),
    (True, 1, WrongType, "expected 1, got the bool True"),
    (1, True, WrongType, "expected True, got the int 1"),
    (1.0, 1, WrongType, "expected 1, got the float 1.0"),
    (0, None, WrongType, "expected None, got the int 0"),
    (None, "a", WrongType, "expected 'a', got None"),
    (NAN, 1.0, NotFinite, "expected 1.0, got nan"),
    (INF, NAN, NotFinite, "expected nan, got inf"),
    (-INF, INF, NotFinite, "expected inf, got -inf"),
    (5.0, INF, WrongValues, "expected inf, got 5"),
    (5.0, NAN, WrongValues, "expected nan, got 5"),
    (1.0000003, 1.0, WrongValues, "expected 1, got 1.0000003"),
    (10**400, 1.0, WrongValues, "expected 1.0, got 1000"),
    (3, 4, WrongValues, "expected 4, got 3"),
    ("b", "a", WrongValues, "expected 'a', got 'b'"),
    ("x" * 99 + "b", "x" * 99 + "a", WrongValues, "first difference at character 99: expected 'xxxxxa', got 'xxxxxb'"),
    ("x" * 50, "x" * 99, WrongValues, "first difference at character 50: expected 'xxxxxxxx"),
    ("", "x" * 99, WrongValues, "first difference at character 0: expected 'xxx"),
    ((1, 2), [1, 2], WrongType, "expected a list, got a tuple of length 2"),
    ([1, 2], (1, 2), WrongType, "expected a tuple, got a list of length 2"),
    ([1], [1, 2], WrongShape, "expected 2 items, got 1"),
    ([1, [2, torch.ones(1)]], [1, [2, torch.zeros(1)]], WrongValues, "item 1: item 1: 1 of 1 values differ"),
    ({"a": 1}, [1], WrongType, "expected a list, got a dict of length 1"),
    (None, {}, WrongType, "expected a dict, got None"),
    ({"a": 1}, {"a": 1, "b": 2}, WrongShape, "the dict misses 'b'"),
    ({"a": 1, 3: 2}, {"a": 1}, WrongShape, "the dict should not have 3"),
    ({}, dict.fromkeys("abcdef"), WrongShape, "the dict misses 'a', 'b', 'c' and 3 more"),
    ({"a": {"b": 2}}, {"a": {"b": 1}}, WrongValues, "'a': 'b': expected 1, got 2"),
]


@pytest.mark.parametrize("got, expected, kind, message", WRONG)
def test_the_first_thing_wrong_is_named(got, expected, kind, message):
    error = failure(got, expected)
    assert type(error) is kind
    assert str(error).startswith("the sum: ") and message in str(error)


@pytest.mark.parametrize("got, expected, kind, message", WRONG)
def test_a_message_is_short(got, expected, kind, message):
    text = str(failure(got, expected, hint="look at the axis"))
    assert text.endswith("\n  hint: look at the axis")
    assert len(text.splitlines()) <= 8 and max(map(len, text.splitlines())) <= 200


@pytest.mark.parametrize(
    "got, expected",
    [
        (torch.tensor([NAN, INF, -INF, 1]), torch.tensor([NAN, INF, -INF, 1])),
        (torch.empty(0, 3), torch.empty(0, 3)),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        (torch.ones(2), torch.nn.Parameter(torch.ones(2))),
        (torch.ones(2), torch.ones(2, requires_grad=True) * 1),
        (torch.ones(2, 3).T, torch.ones(3, 2)),
        ((2, 3), torch.ones(2, 3).shape),
        ({"w": torch.ones(1)}, torch.nn.ParameterDict({"w": torch.ones(1)}).state_dict()),
        (tuple(torch.ones(2).max(0)), torch.ones(2).max(0)),
        (np.float64(1.5), 1.5),
        (1.5, np.float64(1.5)),
        (1, 1.0),
        (2**60, float(2**60)),
        (NAN, NAN),
        (-INF, -INF),
        (None, None),
        ({"b": 1, "a": (True, "x")}, {"a": (True, "x"), "b": 1}),
    ],
)
def test_equal_things_pass(got, expected):
    close(got, expected, "the sum")


class Liar(torch.Tensor):
    """Always equal, whoever asks."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return torch.tensor(True)


class Mute:
    def __repr__(self):
        raise ValueError

    def __eq__(self, other):
        return True

    __hash__ = None  # type: ignore[assignment]


class Crash(dict):
    def items(self):
        raise ZeroDivisionError


STRANGE = [
    Mute(),
    Crash(a=1),
    object,
    len,
    1j,
    {1, 2},
    b"bytes",
    np.ones(2),
    np.int64(3),
    (i for i in range(3)),
    torch.float32,
    torch.device("cpu"),
    torch.Generator(),
    torch.nn.Linear(1, 1),
    torch.ones(2).to_sparse(),
    torch.ones(2, device="meta"),
    "\ud800",
    10**5000,
    [[[Mute()]]],
]


@pytest.mark.parametrize("got", STRANGE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("expected", [torch.ones(2), 1.0, 1, "a", None, [1], {"a": 1}], ids=repr)
def test_a_strange_result_fails_by_name(got, expected):
    error = failure(got, expected, hint="see above")
    assert type(error) is NotComparable and len(str(error).splitlines()) == 2


@pytest.mark.parametrize("expected", STRANGE, ids=lambda value: type(value).__name__)
def test_a_strange_expected_value_is_the_cells_fault(expected):
    with pytest.raises(CellError, match="The expected value holds"):
        close(1, expected, "the sum")


def test_a_tensor_that_claims_to_be_equal_is_compared_by_its_numbers():
    assert type(failure(torch.zeros(2).as_subclass(Liar), torch.ones(2))) is WrongValues
    close(torch.ones(2).as_subclass(Liar), torch.ones(2), "the sum")


@OFTEN
@given(st.data())
def test_whatever_is_compared_nothing_but_a_failed_check_comes_out(data):
    anything = st.sampled_from([one for row in WRONG for one in row[:2]] + STRANGE)
    got = data.draw(anything | st.lists(anything, max_size=2) | st.dictionaries(st.text(max_size=1), anything))
    passes(got, data.draw(st.sampled_from([row[1] for row in WRONG])))


def test_more_than_three_mismatches_are_counted():
    text = str(failure(torch.arange(100.0), torch.zeros(100)))
    assert text.startswith("the sum: 99 of 100 values differ, largest difference 99\n  [1]: ")
    assert len(text.splitlines()) == 4
