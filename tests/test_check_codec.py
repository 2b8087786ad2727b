"""A result crosses as plain data: what is written comes back the same, and no bytes whatever do any harm."""

import enum
from collections import OrderedDict, namedtuple

import pytest
import torch
from check_values import OFTEN, round_trip, same, values
from hypothesis import given
from torch._subclasses.fake_tensor import FakeTensorMode
from torchgrade.check import codec
from torchgrade.check.codec import Unsendable, encode


@OFTEN
@given(values)
def test_everything_that_can_cross_comes_back_the_same(value):
    assert same(round_trip(value), value)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 3, requires_grad=True),
        torch.ones(2, requires_grad=True) * 3,
        torch.nn.Parameter(torch.ones(2)),
        torch.ones(2).as_subclass(type("Mine", (torch.Tensor,), {})),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(2, dtype=torch.complex64).conj().imag,
        torch._neg_view(torch.ones(2)),
        torch.nn.Buffer(torch.ones(2)),
    ],
)
def test_a_tensor_of_any_kind_arrives_plain_detached_and_contiguous(tensor):
    back = round_trip(tensor)
    assert type(back) is torch.Tensor and not back.requires_grad and back.grad_fn is None
    assert back.is_contiguous() and not back.is_conj() and not back.is_neg()
    assert torch.equal(back, tensor.detach().as_subclass(torch.Tensor))


def test_a_tensor_arrives_in_memory_of_its_own():
    tensor = torch.zeros(3)
    back, twin = round_trip([tensor, tensor])
    back += 1
    assert tensor.sum() == 0 and twin.sum() == 0


def test_a_subclass_arrives_as_the_plain_type():
    number = enum.IntEnum("number", "ONE")
    text = enum.Enum("text", {"A": "a"}, type=str)
    pair = namedtuple("pair", "x y")
    value = [
        number.ONE,
        text.A,
        pair(1, 2),
        OrderedDict(a=1),
        torch.Size([2]),
        torch.ones(2).max(0),
        {text.A: number.ONE},
    ]
    expected = [1, "a", (1, 2), {"a": 1}, (2,), (torch.tensor(1.0), torch.tensor(0)), {"a": 1}]
    assert same(round_trip(value), expected)


def itself():
    cycle: list = []
    cycle.append(cycle)
    return cycle


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


class Endless(list):
    def __iter__(self):
        while True:
            yield 1


class Broken(dict):
    def items(self):
        raise SystemError("no")


class Evil(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise ValueError("no")


def leaked():
    kept = []
    torch.vmap(lambda x: (kept.append(x), x)[1])(torch.zeros(3, 2))
    return kept[0]


def fake():
    with FakeTensorMode():
        return torch.zeros(3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: object(), "an object"),
        (lambda: {1, 2}, "a set"),
        (lambda: 1j, "a complex"),
        (lambda: {(1, 2): 3}, "a dict with a tuple as a key"),
        (lambda: "\ud800", "not valid Unicode"),
        (lambda: {"a\udfff": 1}, "not valid Unicode"),
        (lambda: "\ud83d\ude00", "not valid Unicode"),
        (lambda: 1 << 4096, "an integer of more than 4096 bits"),
        (lambda: -(10**5000), "an integer of more than 4096 bits"),
        (itself, "lists nested more than 20 deep"),
        (lambda: nested(21), "lists nested more than 20 deep"),
        (lambda: [0] * 10_000, "more than 10,000 values"),
        (Endless, "more than 10,000 values"),
        (lambda: "x" * (1 << 20), "too large"),
        (lambda: "x" * (1 << 21), "a text of 2,097,152 characters"),
        (lambda: [1 << 4095] * 1000, "too large"),
        (lambda: torch.zeros(1).expand(1 << 40), "more than 256 MiB of tensors"),
        (lambda: torch.zeros([1] * 65), "a tensor of more than 64 dimensions"),
        (lambda: torch.ones(2).to_sparse(), "layout torch.sparse_coo"),
        (lambda: torch.ones(2, device="meta"), "device meta"),
        (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "a tensor of layout"),
        (lambda: torch.nested.nested_tensor([torch.ones(1)], layout=torch.jagged), "layout torch.jagged"),
        (lambda: torch.zeros(2, dtype=torch.complex32), "dtype torch.complex32"),
        (lambda: torch.nn.LazyLinear(2).weight, "values cannot be read (UninitializedParameter)"),
        (leaked, "values cannot be read"),
        (fake, "values cannot be read (FakeTensor)"),
        (Broken, "a Broken that cannot be read (SystemError)"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*(nested tensors|ComplexHalf)")
def test_what_cannot_cross_is_named(make, message):
    with pytest.raises(Unsendable) as error:
        encode(make())
    assert message in str(error.value)


def test_the_cap_on_tensors_counts_all_of_them(monkeypatch):
    monkeypatch.setattr(codec, "MAX_BODY", 8)
    encode([torch.zeros(1), torch.zeros(1)])
    with pytest.raises(Unsendable):
        encode([torch.zeros(1), {"a": (torch.zeros(1), torch.zeros(1))}])


def test_a_subclass_that_resists_crosses_as_its_numbers():
    assert same(round_trip(torch.ones(2).as_subclass(Evil)), torch.ones(2))


def test_the_caps_leave_room_for_what_lessons_return():
    for value in (nested(20), 1 << 4095, [0] * 9_999, "x" * 1_000_000, torch.zeros([1] * 64), torch.empty(0, 1 << 41)):
        assert same(round_trip(value), value)
