"""Triton's interpreter (3.7) holds bfloat16 as integers, computes with those, and cuts off where a GPU rounds.

Mended for conversions and for products, the ways in which kernels use it; other arithmetic is refused.
"""

from typing import Any

import numpy as np
import torch
import triton.language as tl
from triton.runtime.interpreter import TensorHandle, interpreter_builder

REFUSED = "Triton's interpreter cannot compute with bfloat16: convert with .to(tl.float32) first, or use float16"


def watch() -> None:
    """From now on `tl.dot` of bfloat16 is right, and other arithmetic in it raises TypeError instead of going wrong."""
    builder: Any = interpreter_builder
    cast, dot, binary, unary = builder.cast_impl, builder.create_dot, builder.binary_op, builder.unary_op

    def cast_impl(value: TensorHandle, to: Any) -> Any:
        if value.dtype.scalar == tl.float32 and to.scalar == tl.bfloat16:
            return TensorHandle(_rounded(value.data), tl.bfloat16)
        return cast(value, to)

    def create_dot(a: TensorHandle, b: TensorHandle, *rest: Any) -> Any:
        return dot(_wide(a), _wide(b), *rest)  # products of bfloat16 are exact in float32, which a GPU adds them in

    def binary_op(left: TensorHandle, right: TensorHandle, *rest: Any) -> Any:
        _refuse(left, right)
        return binary(left, right, *rest)

    def unary_op(value: TensorHandle, *rest: Any) -> Any:
        _refuse(value)
        return unary(value, *rest)

    builder.cast_impl, builder.create_dot = cast_impl, create_dot
    builder.binary_op, builder.unary_op = binary_op, unary_op


def _rounded(numbers: Any) -> Any:
    """float32 to the bits of the nearest bfloat16, ties to even."""
    numbers = np.ascontiguousarray(numbers, np.float32).reshape(np.shape(numbers))
    return torch.from_numpy(numbers).bfloat16().view(torch.uint16).numpy()


def _wide(value: TensorHandle) -> TensorHandle:
    return interpreter_builder.cast_impl(value, tl.float32) if _is_bfloat16(value) else value


def _refuse(*values: TensorHandle) -> None:
    if any(map(_is_bfloat16, values)):
        raise TypeError(REFUSED)


def _is_bfloat16(value: TensorHandle) -> bool:
    return bool(value.dtype.scalar == tl.bfloat16)
