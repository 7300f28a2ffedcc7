"""Blobs: every tensor comes back bit for bit, in about as many bytes as its entropy says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.formats.bwz.blob import Method, blob_of, gaps_of
from bitwright.formats.bwz.contexts import Contexts, choose_contexts, read_contexts
from bitwright.formats.bwz.errors import DamagedError
from bitwright.formats.bwz.numbers import Cursor, number
from bitwright.formats.bwz.symbols import code, decode, symbols_of
from bitwright.formats.bwz.unblob import data_of

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal((200, 200)).astype(np.float32)


def pruned(shape, share, values, rng=RNG):
    """Weights of which a share is left, with so many values."""
    book = np.linspace(-1, 1, values).astype(np.float32)
    weights = book[rng.binomial(values - 1, 0.5, shape)]
    return np.where(rng.random(shape) < share, weights, np.float32(0))


def entropy_bytes(array):
    """What independent elements of this distribution take at least."""
    _, counts = np.unique(array.reshape(-1).view(f"u{array.itemsize}"), return_counts=True)
    return float(-(counts * np.log2(counts / counts.sum())).sum() / 8)


def coded(array):
    """The blob of an array, which gives back its bytes."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    blob = blob_of(data, array.itemsize, array.shape, is_float=array.dtype.kind == "f")
    back = data_of(memoryview(blob), array.itemsize, array.shape, array.size, "tensor 'w'")
    np.testing.assert_array_equal(data, back)
    return blob


ARRAYS = {
    "shared": (pruned((300, 100), 1.0, 16), Method.CODED),
    "pruned-and-shared": (pruned((64, 64, 3, 3), 0.08, 32), None),
    "pruned-in-runs": (np.repeat(pruned((64, 60), 0.05, 32), 30, axis=1), Method.SPARSE),
    "pruned-float32": (np.where(RNG.random((200, 200)) < 0.1, NORMAL, np.float32(0)), Method.SPARSE),
    "float32": (NORMAL, Method.PLANES),
    "float16": (NORMAL.astype(np.float16), Method.PLANES),
    "float64": (RNG.standard_normal((100, 100)), Method.PLANES),
    "int8": (np.clip(np.rint(RNG.standard_normal((200, 200)) * 30), -127, 127).astype(np.int8), Method.CODED),
    "int16": (np.rint(RNG.standard_normal(30000) * 30).astype(np.int16), Method.CODED),
    "int32": (np.rint(RNG.standard_normal(30000) * 1e5).astype(np.int32), Method.PLANES),
    "int64": (np.arange(100000) * 12345, Method.PLANES),
    "noise": (RNG.integers(0, 256, 5000, np.uint8), Method.RAW),
    "zeros": (np.zeros((100, 100), np.float32), Method.CODED),
    "one-element": (np.float32([[1.5]]), Method.RAW),
    "one-that-is-not-zero": (np.float32([0] * 5000 + [1]), None),
    "last-and-first": (np.float32([1] + [0] * 100000 + [2]), None),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_blob_gives_back_every_bit(name):
    """Of each kind of tensor, by the method that is for it, in no more than its own bytes and one."""
    array, method = ARRAYS[name]

    blob = coded(array)

    assert len(blob) <= array.nbytes + 1
    if method is not None:
        assert Method(blob[0]) == method


@pytest.mark.parametrize("name", ["shared", "pruned-and-shared", "int8", "int16"])
def test_blob_is_near_the_entropy(name):
    """Within a hundredth, codebook and table aside."""
    array, _ = ARRAYS[name]
    spelled = 800

    assert len(coded(array)) <= 1.01 * entropy_bytes(array) + spelled


def test_blob_keeps_signed_zeros_and_each_nan():
    """-0.0 is not 0.0, and NaNs keep their bits."""
    patterns = np.uint32([0, 0x80000000, 0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800000])
    coded(np.random.default_rng(1).choice(patterns, 3000, p=[0.9, 0.02, 0.02, 0.02, 0.02, 0.02]).view(np.float32))


def test_blob_of_float_planes_holds_the_exponents_alone():
    """Turned left by one bit: 8 bits of exponent in one plane, so that weights of one scale take less than 27 bits."""
    weights = (np.random.default_rng(2).standard_normal(100_000) * 0.05).astype(np.float32)

    assert 8 * len(coded(weights)) / weights.size < 26.7


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    width=st.sampled_from([1, 2, 4, 8]),
    size=st.integers(1, 3000),
    values=st.integers(1, 400),
    zeros=st.sampled_from([0.0, 0.3, 0.9, 0.999]),
    is_float=st.booleans(),
)
def test_blob_gives_back_whatever_is_drawn(data, width, size, values, zeros, is_float):
    """Any number of values, of zeros, of elements."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    book = rng.integers(0, 256, values * width, np.uint8).view(f"u{width}")
    elements = np.where(rng.random(size) < zeros, 0, rng.choice(book, size)).astype(f"u{width}")
    given_bytes = elements.view(np.uint8)

    blob = blob_of(given_bytes, width, (size,), is_float=is_float)

    np.testing.assert_array_equal(given_bytes, data_of(memoryview(blob), width, (size,), size, "w"))


def test_contexts_find_the_rows_and_columns_that_are_left():
    """Rows and columns of different density: fewer bytes than any coder that takes elements as alike."""
    rng = np.random.default_rng(3)
    share = np.outer(rng.uniform(0.02, 1, 300), np.where(rng.random(200) < 0.3, 0.4, 0.01))
    array = np.where(rng.random(share.shape) < share, pruned(share.shape, 1.0, 16, rng), np.float32(0))

    blob = coded(array)

    assert Method(blob[0]) == Method.CODED
    assert len(blob) < 0.9 * entropy_bytes(array)


def test_contexts_are_read_as_written():
    """Axes and classes, four a byte."""
    given_contexts = Contexts((5, 7), ((1, np.uint8([0, 1, 2, 3, 3, 2, 1])), (0, np.uint8([3, 0, 0, 1, 2]))))

    back = read_contexts(Cursor(given_contexts.to_bytes(), "w"), (5, 7))

    np.testing.assert_array_equal(given_contexts.of_elements(), back.of_elements())
    assert back.count == 16


def test_contexts_are_left_out_where_rows_are_alike():
    """Classes that save nothing are not spelled."""
    symbols = symbols_of(pruned((100, 100), 0.3, 8).reshape(-1).view(np.uint8), 4)

    assert choose_contexts(symbols, (100, 100))[0].axes == ()


def test_gaps_of_no_positions_are_none():
    """A tensor without exceptions has no gaps."""
    assert gaps_of(np.zeros(0, np.int64)).size == 0


def test_symbols_are_sorted_and_counted():
    """Patterns as unsigned integers, ascending, each with how often it comes."""
    symbols = symbols_of(np.int16([5, -1, 5, 0]).view(np.uint8), 2)

    assert symbols.patterns.tolist() == [0, 5, 0xFFFF]
    assert symbols.counts.tolist() == [1, 2, 1]
    assert symbols.indices.tolist() == [1, 2, 1, 0]


def test_symbols_of_too_many_patterns_are_none():
    """More than 4096."""
    assert symbols_of(np.arange(4096, dtype=np.uint32).view(np.uint8), 4) is not None
    assert symbols_of(np.arange(4097, dtype=np.uint32).view(np.uint8), 4) is None


def test_decode_refuses_bytes_of_other_lengths():
    """Too few, too many, and those of another number of symbols."""
    data = code(np.uint8([0, 1, 2, 1] * 100), 3)

    assert decode(memoryview(data), 400, 3) is not None
    assert decode(memoryview(data[:-1]), 400, 3) is None
    assert decode(memoryview(data + b"\0"), 400, 3) is None
    assert decode(memoryview(data), 399, 3) is None


#: A sparse blob of floats up to its gaps: one element, one gap, in two bytes.
ONE_POSITION = b"\3" + bytes(4) + number(1) + number(1) + number(2)


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        pytest.param(b"", "too early", id="empty"),
        pytest.param(b"\7", "no method", id="no-method"),
        pytest.param(b"\0" + bytes(39), "too early", id="short"),
        pytest.param(b"\0" + bytes(41), "too many", id="long"),
        pytest.param(b"\1" + number(0), "codebook of 0", id="no-patterns"),
        pytest.param(b"\1" + number(11), "codebook of 11", id="more-patterns-than-elements"),
        pytest.param(b"\1" + number(1) + bytes(4) + number(3), "along 3 axes", id="three-axes"),
        pytest.param(b"\1" + number(1) + bytes(4) + number(1) + number(1), "not there", id="no-such-axis"),
        pytest.param(b"\1" + number(2) + bytes(8) + number(0) + bytes(5), "cannot be decoded", id="no-table"),
        pytest.param(b"\2\2" + bytes(8), "no known kind", id="planes-of-no-kind"),
        pytest.param(b"\2\0" + b"\1\1\1\1" + b"\2\2\2\2", "no method", id="planes-in-planes"),
        pytest.param(b"\3" + bytes(4) + number(11) + number(11), "more positions", id="more-than-elements"),
        pytest.param(ONE_POSITION + b"\0\x0a" + bytes(5), "outside", id="behind"),
        pytest.param(ONE_POSITION + b"\0\xff" + bytes(5), "outside", id="no-end"),
        pytest.param(ONE_POSITION + b"\0\0\3", "no method", id="sparse-in-sparse"),
        pytest.param(b"\xff" * 40, "no method", id="ones"),
        pytest.param(b"\1" + b"\xff" * 20, "no end", id="endless-number"),
    ],
)  # fmt: skip
def test_blob_that_nobody_wrote_is_refused(blob, said):
    """Ten floats: each way to say what cannot be, by the tensor's name."""
    with pytest.raises(DamagedError, match=said) as caught:
        data_of(memoryview(blob), 4, (10,), 10, "tensor 'w'")

    assert "tensor 'w'" in str(caught.value)
