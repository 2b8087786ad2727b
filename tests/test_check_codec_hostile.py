"""No bytes whatever do harm to the one who reads a result: they are plain data, or Unreadable."""

import json

import pytest
import torch
from check_values import OFTEN, round_trip, same, values
from hypothesis import given
from hypothesis import strategies as st
from torchgrade.check import codec
from torchgrade.check.codec import DTYPES, Unreadable, decode, encode


def readable_or_refused(header: bytes, body: bytes) -> None:
    """Whatever the bytes, `decode` gives plain data or says Unreadable."""
    try:
        value = decode(header, body)
    except Unreadable:
        return
    assert same(round_trip(value), value)


@OFTEN
@given(st.binary(max_size=64), st.binary(max_size=16))
def test_any_bytes_are_readable_or_refused(header, body):
    readable_or_refused(header, body)


@OFTEN
@given(values, st.data())
def test_a_message_with_changed_bytes_is_readable_or_refused(value, data):
    header, body = map(bytearray, encode(value))
    for part in (header, body):
        for _ in range(data.draw(st.integers(0, 3))):
            if part:
                part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.sampled_from(b'[]{}",0-9eEnNtfI\\u\xff'))
        if data.draw(st.booleans()):
            del part[data.draw(st.integers(0, len(part))) :]
    readable_or_refused(bytes(header), bytes(body))


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["n", "b", "i", "f", "s", "l", "u", "d", "t", "float32", "bool", "0x1p9", "nan", "0x1p99999", "\ud800"]
    )
    | st.sampled_from([2**31, 2**40, 2**63, -1]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=20,
)


@OFTEN
@given(trees, st.binary(max_size=16))
def test_any_tree_is_readable_or_refused(tree, body):
    readable_or_refused(json.dumps(tree).encode(), body)


@OFTEN
@given(
    st.sampled_from([*DTYPES, "qint8"]),
    st.lists(st.integers(-1, 2**64), max_size=6),
    st.integers(-2, 20),
    st.binary(max_size=40),
)
def test_any_claim_about_a_tensor_is_readable_or_refused(name, shape, offset, body):
    readable_or_refused(json.dumps(["t", name, shape, offset]).encode(), body)


@pytest.mark.parametrize(
    "header, body",
    [
        (b"", b""),
        (b"[" * 100_000, b""),
        (b'["l",[' * 100_000, b""),
        (b'["l",[' * 21 + b'["n"]' + b"]]" * 21, b""),
        (b'["l",[' + b",".join([b'["n"]'] * 10_000) + b"]]", b""),
        (b'["i",' + b"9" * 5000 + b"]", b""),
        (b'["i",' + b"9" * 1300 + b"]", b""),
        (b'["i",NaN]', b""),
        (b'["i",1.0]', b""),
        (b'["i",true]', b""),
        (b'["b",1]', b""),
        (b'["f",NaN]', b""),
        (b'["f",1.5]', b""),
        (b'["f","0x1p99999"]', b""),
        (b'["f","1_"]', b""),
        (b'["s","\\ud800"]', b""),
        (b'["s","a"', b""),
        (b'["n"]["n"]', b""),
        (b'["n"]', b"x"),
        (b'{"n":1,"n":2}', b""),
        (b'["d",[[["l",[]],["n"]]]]', b""),
        (b'["d",[[["n"]]]]', b""),
        (b'["d",[[["t","bool",[1],0],["n"]]]]', b"a"),
        (b'["d",[[["u",[]],["n"]]]]', b""),
        (b'["l",[["t","bool",[1],0],["t","bool",[1],0]]]', b"ab"),
        (b'["d",{"ab":1}]', b""),
        (b'["d",["ab"]]', b""),
        (b'["d",[3]]', b""),
        (b'["d",[[["s","a"],["n"]],[["s","a"],["b",true]]]]', b""),
        (b'["t","float32",[-1],0]', b""),
        (b'["t","float32",[-1,-1],0]', b"abcd"),
        (b'["t","float32",[1],-4]', b"abcd"),
        (b'["t","float32",[1],1]', b"xabcd"),
        (b'["t","float32",[1],0]', b"abc"),
        (b'["t","float32",[1.0],0]', b"abcd"),
        (b'["t","float32",[true],0]', b"abcd"),
        (b'["t","float32",[4611686018427387904,4],0]', b""),
        (b'["t","float32",[0,9223372036854775807,9223372036854775807],0]', b""),
        (b'["t","float32",[0,99999999999999999999999],0]', b""),
        (b'["t","float32",[' + b",".join([b"1"] * 65) + b"],0]", b"abcd"),
        (b'["t","qint8",[1],0]', b"a"),
        (b'["l",[["t","bool",[1],0],["t","bool",[1],0]]]', b"a"),
        (b'["x"]', b""),
        (b'["n",1]', b""),
        (b'"n"', b""),
        (b" " * ((1 << 20) + 1), b""),
        (b"\xff\xfe\x00", b""),
    ],
)
def test_a_message_that_encode_would_not_write_is_refused(header, body):
    with pytest.raises(Unreadable):
        decode(header, body)


@pytest.mark.parametrize("shape", [b"[-1,0]", b"[true]", b"[1.0]"])
def test_a_shape_is_refused_before_torch_sees_it(shape):
    with pytest.raises(Unreadable, match="not a tensor's dtype and shape"):
        decode(b'["t","bool",' + shape + b",0]", b"a")


def test_a_tensor_larger_than_the_body_is_refused_before_torch_sees_it():
    with pytest.raises(Unreadable, match="a tensor outside the body"):
        decode(b'["t","float64",[1099511627776,1099511627776],0]', b"abcdefgh")


def test_a_body_over_the_cap_is_refused(monkeypatch):
    monkeypatch.setattr(codec, "MAX_BODY", 3)
    with pytest.raises(Unreadable, match="larger than the cap"):
        decode(b'["t","bool",[4],0]', b"abcd")


def test_a_byte_that_is_no_bool_becomes_true():
    assert same(decode(b'["t","bool",[3],0]', b"\x00\x02\xff"), torch.tensor([False, True, True]))


def test_empty_tensors_claiming_huge_dimensions_take_no_memory():
    claims = ",".join(['["t","float64",[0,4611686018427387904],0]'] * 9_000)
    assert len(decode(f'["l",[{claims}]]'.encode(), b"")) == 9_000
