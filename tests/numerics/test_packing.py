"""Packed integers, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import QuantParamsError
from bitwright.numerics.packing import pack, unpack
from bitwright.numerics.qparams import STORAGES

PACKED = ["i4", "u4", "i2", "u2"]


@given(storage=st.sampled_from(PACKED), rows=st.integers(0, 5), columns=st.integers(0, 9), seed=st.integers(0, 999))
@settings(max_examples=150, deadline=None)
def test_unpack_gives_back_what_was_packed(storage, rows, columns, seed):
    """For every storage type and shape, odd lengths and empty ones included."""
    kind = STORAGES[storage]
    q = np.random.default_rng(seed).integers(kind.qmin, kind.qmax, (rows, columns), endpoint=True).astype(kind.dtype)

    packed = pack(q, storage)
    again = unpack(packed, storage, q.shape)

    assert packed.nbytes == -(-q.size * kind.bits // 8)
    assert again.dtype == q.dtype
    np.testing.assert_array_equal(q, again)


def test_pack_puts_the_first_value_lowest():
    """Low nibble first, low pair of bits first; what is left of the last byte is 0."""
    assert pack(np.uint8([0x1, 0xF, 0x7]), "u4").tolist() == [0xF1, 0x07]
    assert pack(np.int8([-8, 7]), "i4").tolist() == [0x78]
    assert pack(np.uint8([1, 2, 3, 0, 3]), "u2").tolist() == [0b00111001, 0b11]
    assert pack(np.int8([-1, -2]), "i2").tolist() == [0b1011]


@pytest.mark.parametrize("storage", ["i4", "u4"])
def test_pack_is_the_layout_of_onnx(storage):
    """The bytes are those that ONNX itself writes."""
    onnx = pytest.importorskip("onnx")
    kind = STORAGES[storage]
    q = np.arange(kind.qmin, kind.qmax).astype(kind.dtype)
    code = {"i4": onnx.TensorProto.INT4, "u4": onnx.TensorProto.UINT4}[storage]

    theirs = onnx.helper.make_tensor("q", code, q.shape, q)

    assert pack(q, storage).tolist() == list(theirs.raw_data or bytes(theirs.int32_data))


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: pack(np.int8([8]), "i4"), id="out-of-range"),
        pytest.param(lambda: pack(np.int8([1]), "i8"), id="not-packed"),
        pytest.param(lambda: unpack(np.uint8([1, 2]), "i4", (5,)), id="too-few-bytes"),
        pytest.param(lambda: unpack(np.uint8([1, 2]), "i4", (2,)), id="too-many-bytes"),
    ],
)
def test_packing_refuses(call):
    """Values, storage types and byte counts that do not fit are errors."""
    with pytest.raises(QuantParamsError):
        call()
