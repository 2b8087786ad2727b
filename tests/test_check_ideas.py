"""Checks of the idea: each sees what it should, passes the right method, and says what it saw of the wrong one."""

import sys

import pytest
import torch
from torchgrade.check import sqnr
from torchgrade.check.failures import NotAnswered, NotComparable, StudentRaised, WrongMethod, WrongValues
from torchgrade.lessons.solved import new_lesson, run_source

NOTEBOOK = """
import torch
import torch.nn.functional as F

SCALE = 0.25

def naive(q, k, v):
    return (q @ k.mT * SCALE).softmax(-1) @ v

def fused(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)

def blocks(q, k, v):
    return torch.cat([naive(part, k, v) for part in q.split(8, dim=-2)], dim=-2)

def stub(q, k, v):
    raise NotImplementedError()

def branches(x):
    if x.sum() > 0:
        return x
    return -x

def loops(x):
    for _ in range(3):
        x = x + 1
        print(end="")
        torch._dynamo.graph_break()
    return x

def grouped(x, w):
    return torch.nn.functional.grouped_mm(x, w, offs=torch.tensor([3, 10], dtype=torch.int32))

def straight(x):
    return torch.where(x.sum() > 0, x, -x)

again = torch.compile(lambda x: x * 2, backend="eager", dynamic=False)
once = torch.compile(lambda x: x * 2, backend="eager", dynamic=True)
packed = {"values": torch.zeros(10, dtype=torch.int8), "scales": [torch.zeros(2)]}
"""
PROLOGUE = """
import torch
from torchgrade import check

q, k, v = (torch.randn(1, 2, 64, 16, requires_grad=True) for _ in range(3))
tokens, experts = torch.randn(10, 4), torch.randn(2, 4, 8)
because = "that is the idea"
"""


@pytest.fixture(scope="module")
def notebook():
    before = sys.modules["__main__"]
    space = new_lesson()  # the compiler looks functions up in `__main__`
    run_source(NOTEBOOK, "<notebook>", space)
    yield space
    sys.modules["__main__"] = before


def run(notebook, test):
    run_source(f"{PROLOGUE}\nresult = {test}", "<cell>", notebook)
    return notebook["result"]


PASSES = (
    "check.largest_intermediate(lambda: blocks(q, k, v), at_most=2 * 8 * 64 * 2, because=because)",
    "check.largest_intermediate(lambda: fused(q, k, v), at_most=2 * 64 * 16, because=because)",
    "check.operators(lambda: fused(q, k, v), forbidden=['bmm'], because=because)",
    "check.flops(lambda: fused(q, k, v), at_most=2 * 2 * 2 * 64 * 64 * 16, because=because)",
    "check.saved_tensors(lambda: fused(q, k, v), at_most=2 * 64 * 16 + 2 * 64, because=because)",
    "check.flops(lambda: grouped(tokens, experts), at_most=2 * 10 * 4 * 8, because=because)",
    "check.graph_breaks(lambda: straight(torch.ones(3)), because=because)",
    "check.recompiles(lambda: [once(torch.ones(n)) for n in (3, 4, 5)], because=because)",
    "check.packed_bytes(lambda: packed, at_most=18, because=because)",
)
FAILS = {
    "check.largest_intermediate(lambda: naive(q, k, v), at_most=4096, because=because)": "(2, 64, 64), 8,192",
    "check.operators(lambda: naive(q, k, v), forbidden=['bmm', 'mm'], because=because)": "runs `bmm`: that is",
    "check.operators(lambda: naive(q, k, v), allowed=['bmm', 'view', 'expand'], because=because)": "`_softmax`",
    "check.flops(lambda: naive(q, k, v), at_most=2 * 2 * 64 * 64 * 16, because=because)": "524,288 FLOPs",
    "check.flops(lambda: fused(q, k, v), at_most=2 * 2 * 64 * 64 * 16, because=because)": "524,288 FLOPs",
    "check.flops(lambda: grouped(tokens, experts), at_most=2 * 10 * 4 * 8 - 1, because=because)": "640 FLOPs",
    "check.saved_tensors(lambda: naive(q, k, v), at_most=8191, because=because)": "(2, 64, 64)",
    "check.graph_breaks(lambda: branches(torch.ones(3)), because=because)": "breaks the graph once",
    "check.graph_breaks(lambda: loops(torch.ones(3)), because=because)": "breaks the graph once",
    "check.recompiles(lambda: [again(torch.ones(n)) for n in (3, 4, 5)], because=because)": "again 2 times",
    "check.packed_bytes(lambda: packed, at_most=17, because=because)": "18 bytes; 17 are enough",
}


@pytest.mark.parametrize("test", PASSES)
def test_the_right_method_passes(test, notebook):
    run(notebook, test)


@pytest.mark.parametrize("test", FAILS)
def test_the_wrong_method_is_told_what_was_seen(test, notebook):
    with pytest.raises(WrongMethod) as failure:
        run(notebook, test)
    assert FAILS[test] in str(failure.value)
    assert "that is the idea" in str(failure.value)


def test_a_stub_is_not_answered_and_an_error_is_the_students(notebook):
    with pytest.raises(NotAnswered, match="stub: not answered yet"):
        run(notebook, "check.flops(lambda: stub(q, k, v), at_most=1, because=because)")
    with pytest.raises(StudentRaised, match="naive, line 8"):
        run(notebook, "check.operators(lambda: naive(q, k.mT, v), because=because)")


def test_sqnr_is_in_decibels():
    reference = torch.tensor([3.0, 4.0])
    assert sqnr(reference + torch.tensor([0.3, 0.4]), reference, at_least=19.9, because="") == pytest.approx(
        20, abs=1e-4
    )
    assert sqnr(reference, reference, at_least=100, because="") == float("inf")
    with pytest.raises(WrongValues, match=r"14\.0 dB above the noise; 20 dB are needed: more bits"):
        sqnr(reference * 1.2, reference, at_least=20, because="more bits")
    with pytest.raises(WrongValues, match="NaN"):
        sqnr(reference * float("nan"), reference, at_least=20, because="")
    for odd in (None, torch.zeros(3), reference.to(torch.complex64)):
        with pytest.raises(NotComparable):
            sqnr(odd, reference, at_least=20, because="")
