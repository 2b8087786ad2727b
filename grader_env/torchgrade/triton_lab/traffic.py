"""Counts the bytes that kernels load and store in Triton's interpreter, and refuses what lies outside the tensors."""

from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime.interpreter import TensorHandle, interpreter_builder

Spans = list[tuple[int, int]]


class Traffic:
    """Bytes of all programs so far; elements that a mask switches off do not count. An atomic update is both.

    What a GPU fetches from its memory may be less (caches) or more (whole sectors).
    """

    def __init__(self) -> None:
        self.loaded = self.stored = 0
        self._starts = self._ends = np.zeros(0, np.uint64)

    def allow(self, spans: Spans) -> None:
        """From now on addresses lie in these half-open spans, each the memory of a tensor of the launch."""
        ordered = np.array(sorted({(start, end) for start, end in spans if start < end}), np.uint64).reshape(-1, 2)
        self._starts, self._ends = ordered[:, 0], ordered[:, 1]

    def watch(self) -> None:
        """Look at every access of the interpreter, which has one place for each kind."""
        builder: Any = interpreter_builder
        load, store = builder.create_masked_load, builder.create_masked_store
        update, swap = builder.create_atomic_rmw, builder.create_atomic_cas

        def masked_load(ptrs: TensorHandle, mask: Any, *rest: Any, **named: Any) -> Any:
            mask = _handle(mask)
            self.loaded += self._bytes("tl.load reads", ptrs, mask)
            return load(ptrs, mask, *rest, **named)

        def masked_store(ptrs: TensorHandle, value: Any, mask: Any, *rest: Any, **named: Any) -> Any:
            mask = _handle(mask)
            self.stored += self._bytes("tl.store writes", ptrs, mask)
            return store(ptrs, value, mask, *rest, **named)

        def atomic_rmw(kind: Any, ptr: TensorHandle, value: Any, mask: Any, *rest: Any) -> Any:
            self._both(ptr, mask)
            return update(kind, ptr, value, mask, *rest)

        def atomic_cas(ptr: TensorHandle, *rest: Any) -> Any:
            self._both(ptr, TensorHandle(np.ones_like(ptr.data, dtype=bool), rest[0].dtype))
            return swap(ptr, *rest)

        builder.create_masked_load, builder.create_masked_store = masked_load, masked_store
        builder.create_atomic_rmw, builder.create_atomic_cas = atomic_rmw, atomic_cas

    def _both(self, ptrs: TensorHandle, mask: TensorHandle) -> None:
        size = self._bytes("an atomic operation changes", ptrs, mask)
        self.loaded += size
        self.stored += size

    def _bytes(self, does: str, ptrs: TensorHandle, mask: TensorHandle) -> int:
        size: int = max(1, ptrs.get_element_ty().primitive_bitwidth // 8)
        addresses = ptrs.data[np.broadcast_to(mask.data, ptrs.data.shape)]
        count = len(addresses)
        outside = count - int(self._inside(addresses, size).sum())
        if outside:
            elements = "one element" if outside == 1 else f"{outside} elements"
            raise IndexError(f"{does} {elements} outside of every tensor of the launch; is a mask missing or wrong?")
        return count * size

    def _inside(self, addresses: Any, size: int) -> Any:
        if self._starts.size == 0:
            return np.zeros(addresses.shape, bool)
        before = np.searchsorted(self._starts, addresses, side="right") - 1
        return (before >= 0) & (addresses <= self._ends[np.maximum(before, 0)] - np.uint64(size))


def _handle(mask: Any) -> Any:
    """Block pointers and descriptors come with a plain array as their mask."""
    return mask if isinstance(mask, TensorHandle) else TensorHandle(mask, tl.int1)
