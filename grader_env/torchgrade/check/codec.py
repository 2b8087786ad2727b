"""How a result crosses from the student's code to the check: a JSON tree for structure, raw bytes for tensors.

Nothing is pickled, so nothing the student made is ever run by the reader. Tensors, numbers, strings, None, and lists,
tuples and dicts of them can cross; a tensor arrives detached, on the CPU, contiguous, in memory of its own. Subclasses
of these arrive as the plain type.

A message is (header, body). The header is JSON; each node is a list that starts with its tag:

    ["n"]  ["b", true]  ["i", 3]  ["f", "0x1.8p+1"]  ["s", "text"]
    ["l", [node, ...]]  ["u", [node, ...]] (tuple)  ["d", [[key node, node], ...]]
    ["t", "float32", [2, 3], offset]  the tensor's bytes start at `offset` of the body

Caps hold on both sides: size of header and body, depth, number of nodes, bits of an integer, dimensions of a tensor.
"""

import json
import math
from typing import Any

import torch

from torchgrade.caps import MAX_BODY, MAX_HEADER
from torchgrade.check.words import with_article

MAX_DEPTH = 20
MAX_NODES = 10_000
MAX_INT_BITS = 4096  # bits of one Python integer; far below where Python refuses to convert to decimal
MAX_DIMS = 64  # most torch operators take no more

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
        *(torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.complex64, torch.complex128),
    )
}


class Unsendable(Exception):
    """The value holds something that cannot cross; the message says what, in a student's words."""


class Unreadable(Exception):
    """The bytes are not a message this module wrote."""


def encode(value: Any) -> tuple[bytes, bytes]:
    """(header, body) of `value`. Raises Unsendable and nothing else."""
    body: list[bytes] = []
    try:
        header = json.dumps(_Encoder(body).node(value, 0), separators=(",", ":")).encode()
    except Unsendable:
        raise
    except Exception as error:  # a class of the student's may do anything when it is looked at
        kind = with_article(type(value).__name__)
        raise Unsendable(f"{kind} that cannot be read ({type(error).__name__})") from None
    if len(header) > MAX_HEADER:
        raise Unsendable("a result that is too large (more than 1 MiB of text and numbers)")
    return header, b"".join(body)


class _Encoder:
    def __init__(self, body: list[bytes]):
        self._body, self._size, self._nodes = body, 0, 0

    def node(self, value: Any, depth: int) -> list[Any]:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise Unsendable(f"more than {MAX_NODES:,} values")
        if depth > MAX_DEPTH:
            raise Unsendable(f"lists nested more than {MAX_DEPTH} deep")
        match value:
            case None:
                return ["n"]
            case bool():
                return ["b", value]
            case int():
                if value.bit_length() > MAX_INT_BITS:
                    raise Unsendable(f"an integer of more than {MAX_INT_BITS} bits")
                return ["i", value]
            case float():
                return ["f", float.hex(value)]
            case str():
                return ["s", _text(value)]
            case torch.Tensor():
                return self._tensor(value)
            case tuple():
                return ["u", [self.node(item, depth + 1) for item in value]]
            case list():
                return ["l", [self.node(item, depth + 1) for item in value]]
            case dict():
                return ["d", [[self._key(key), self.node(item, depth + 1)] for key, item in value.items()]]
        raise Unsendable(with_article(type(value).__name__))

    def _key(self, key: Any) -> list[Any]:
        if not isinstance(key, str | int | float | None):
            raise Unsendable(f"a dict with {with_article(type(key).__name__)} as a key")
        return self.node(key, MAX_DEPTH)

    def _tensor(self, value: torch.Tensor) -> list[Any]:
        try:
            with torch._C.DisableTorchFunctionSubclass():  # a subclass arrives as the numbers it holds
                return self._plain_tensor(value)
        except (RuntimeError, ValueError, TypeError):  # without memory of its own, or left over from torch.func
            raise Unsendable(f"a tensor whose values cannot be read ({type(value).__name__})") from None

    def _plain_tensor(self, value: torch.Tensor) -> list[Any]:
        name = str(value.dtype).removeprefix("torch.")
        if value.layout is not torch.strided or value.is_meta or value.is_nested or name not in DTYPES:
            raise Unsendable(f"a tensor of layout {value.layout}, dtype {value.dtype}, device {value.device}")
        if value.ndim > MAX_DIMS:
            raise Unsendable(f"a tensor of more than {MAX_DIMS} dimensions")
        offset = self._size
        self._size += value.numel() * value.element_size()
        if self._size > MAX_BODY:
            raise Unsendable(f"more than {MAX_BODY >> 20} MiB of tensors")
        plain = value.detach().as_subclass(torch.Tensor).cpu().resolve_conj().resolve_neg().contiguous()
        self._body.append(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        return ["t", name, list(value.shape), offset]


def _text(value: str) -> str:
    text = str.__str__(value)  # not str(value), which an Enum of strings overrides
    if len(text) > MAX_HEADER:
        raise Unsendable(f"a text of {len(text):,} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unsendable("a text that is not valid Unicode (half of a surrogate pair)") from None
    return text


def decode(header: bytes, body: bytes) -> Any:
    """The value of a message. Raises Unreadable, and nothing else, for what `encode` would not have written."""
    if len(header) > MAX_HEADER or len(body) > MAX_BODY:
        raise Unreadable("larger than the cap")
    try:
        decoder = _Decoder(body)
        value = decoder.node(json.loads(header), 0)
    except (ValueError, TypeError, OverflowError, RuntimeError, MemoryError) as error:
        raise Unreadable(type(error).__name__) from None
    if decoder.used != len(body):
        raise Unreadable("bytes that belong to no tensor")
    return value


class _Decoder:
    def __init__(self, body: bytes):
        self._body, self._nodes, self.used = body, 0, 0

    def node(self, tree: Any, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH or type(tree) is not list:
            raise Unreadable("not a tree within the caps")
        match tree:
            case ["n"]:
                return None
            case ["b", bool(value)]:
                return value
            case ["i", int(value)] if type(value) is int and value.bit_length() <= MAX_INT_BITS:
                return value
            case ["f", str(text)]:
                return float.fromhex(text)
            case ["s", str(text)]:
                return text.encode().decode()  # UnicodeEncodeError for half of a surrogate pair
            case ["u", list(items)]:
                return tuple(self.node(item, depth + 1) for item in items)
            case ["l", list(items)]:
                return [self.node(item, depth + 1) for item in items]
            case ["d", list(pairs)]:
                found = {self._key(key): self.node(item, depth + 1) for key, item in pairs}
                if len(found) == len(pairs):
                    return found
            case ["t", str(name), list(shape), int(offset)]:
                return self._tensor(name, shape, offset)
        raise Unreadable("an unknown node")

    def _key(self, tree: Any) -> Any:
        if type(tree) is not list or tree[:1] not in (["s"], ["i"], ["f"], ["b"], ["n"]):
            raise Unreadable("not a dict key")
        return self.node(tree, MAX_DEPTH)

    def _tensor(self, name: str, shape: list[Any], offset: int) -> torch.Tensor:
        if name not in DTYPES or len(shape) > MAX_DIMS or any(type(n) is not int or n < 0 for n in shape):
            raise Unreadable("not a tensor's dtype and shape")
        dtype = DTYPES[name]
        size = math.prod(shape) * dtype.itemsize
        if offset != self.used or offset + size > len(self._body):
            raise Unreadable("a tensor outside the body")
        self.used += size
        if size == 0:
            return torch.empty(shape, dtype=dtype)
        raw = torch.frombuffer(bytearray(memoryview(self._body)[offset : offset + size]), dtype=torch.uint8)
        if dtype is torch.bool:
            raw = raw.ne(0)  # a byte other than 0 and 1 would be a bool that equals neither True nor False
        return raw.view(dtype).reshape(shape)
