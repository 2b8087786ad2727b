"""A function that is called again and again among the student's names."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from torchgrade.check import capture


class Called:
    """The packed function; where it names something its cell did not define, it finds the student's.

    payload: capture.pack_call of it
    """

    def __init__(self, payload: bytes, names: dict[str, Any]):
        self._fn: Callable[..., Any] = capture.unpack(payload, names)
        self._fixed: tuple[Any, ...] = ()

    def hold(self, fixed: tuple[Any, ...]) -> None:
        """The arguments that come first in every call from here on."""
        self._fixed = fixed

    def call(self, inputs: list[tuple[Any, ...]]) -> list[Any]:
        """The results on each of `inputs`."""
        with default_modes():
            return [self._fn(*self._fixed, *one) for one in inputs]


@contextlib.contextmanager
def default_modes() -> Iterator[None]:
    """What a `with` around a check sets does not travel to the student's code."""
    with torch.inference_mode(False), torch.enable_grad(), contextlib.ExitStack() as stack:
        if torch.is_autocast_enabled("cpu"):  # else not: an outer autocast keeps the weights that an inner one has cast
            stack.enter_context(torch.autocast("cpu", enabled=False))
        yield
