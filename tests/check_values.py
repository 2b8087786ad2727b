"""Any value that can cross between a student and a check, and when two are the same."""

import math

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torchgrade.check.codec import DTYPES, decode, encode

OFTEN = settings(derandomize=True, deadline=None, max_examples=300)


def round_trip(value):
    return decode(*encode(value))


def same(one, other) -> bool:
    """Equal in type and value, bit by bit; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    match one:
        case torch.Tensor():
            return one.dtype == other.dtype and one.shape == other.shape and _bytes(one) == _bytes(other)
        case float():
            return math.copysign(1, one) == math.copysign(1, other) and (
                one == other or (one != one and other != other)
            )
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return same(list(one.items()), list(other.items()))
    return one == other


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@st.composite
def tensors(draw) -> torch.Tensor:
    """Any dtype, 0 to 4 dimensions, zero sizes included, any bits (so NaN and infinity), contiguous or a view."""
    dtype = draw(st.sampled_from(list(DTYPES.values())))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    count = math.prod(shape) * dtype.itemsize
    bits = torch.tensor(list(draw(st.binary(min_size=count, max_size=count))), dtype=torch.uint8)
    whole = (bits % 2 == 1 if dtype is torch.bool else bits.view(dtype)).reshape(shape)
    return draw(
        st.sampled_from(
            [
                whole,
                whole.mT if whole.ndim > 1 else whole,
                whole[..., :1] if whole.ndim else whole,
                whole.expand(2, *shape),
            ]
        )
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
floats = st.floats().map(lambda x: abs(math.nan) if x != x else x)  # the sign and payload of a Python NaN do not cross
plain = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | floats | texts
keys = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)
