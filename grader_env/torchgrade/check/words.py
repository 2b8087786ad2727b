"""Plain values (what `codec` can carry) in the words of a message: on one line, printable, short."""

from typing import Any

import torch


def one_line(text: str, limit: int = 300) -> str:
    """`text` on one line of at most `limit` characters, without what a notebook cannot print (lone surrogates)."""
    text = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 3] + "..."


def shown(value: Any) -> str:
    """The value itself."""
    return one_line(repr(value), 60)


def described(value: Any) -> str:
    """What kind of value it is, and its size if it has one."""
    match value:
        case None:
            return "None (is a `return` missing?)"
        case torch.Tensor():
            return f"a tensor of shape {tuple(value.shape)}, dtype {value.dtype}"
        case list() | tuple() | dict():
            return f"a {type(value).__name__} of length {len(value)}"
        case str():
            return f"the text {shown(value)}"
    return f"the {type(value).__name__} {shown(value)}"


def with_article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def as_hint(hint: str | None) -> str:
    """The last line of a message, or nothing."""
    return f"\n  hint: {hint}" if hint else ""


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
