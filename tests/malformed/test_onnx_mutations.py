"""Files made by chance: each is read or refused by an error of bitwright's, in little time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import onnx_ir as ir
import pytest

from bitwright.errors import BitwrightError
from bitwright.graph.text import parse
from bitwright.importers.load import load_graph

SECONDS = 2.0
SEEDS = 40
FILES_PER_SEED = 50

MODELS = {
    "current": '<ir_version: 10, opset_import: ["": 21, "com.microsoft": 1]> '
    "g (float[N,3,8,8] x, bool c) => (float[N,3] y, float[3] z) "
    "<float[3,3,1,1] w = {1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0}, int64[2] s = {0,3}> "
    "{ [conv] a = Conv<kernel_shape=[1,1]>(x, w) b = Relu(a) p = GlobalAveragePool(b) [flat] y = Reshape(p, s) "
    "z = If(c)<then_branch = t () => (float[3] q) { q = Constant<value=float[3]{1.0,2.0,3.0}>() }, "
    "else_branch = e () => (float[3] r) { r = Constant<value_floats=[1.0,2.0,3.0]>() }> }",
    "old": '<ir_version: 3, opset_import: ["": 8]> g (float[1,4,6] x, float[6] w) => (float[1,4] y) '
    "<float[6] w = {1.0,2.0,3.0,4.0,5.0,6.0}> "
    "{ a = Mul(x, w) b = Slice<axes=[1], starts=[0], ends=[4]>(a) c = Clip<min=-1.0, max=1.0>(b) "
    "d = Softmax(c) e = Pad<pads=[0,0,0,0,0,0]>(d) f = ReduceMean<axes=[2], keepdims=0>(e) "
    "u = Unsqueeze<axes=[0]>(f) y = Squeeze<axes=[0]>(u) }",
    "functions": '<ir_version: 10, opset_import: ["": 20, "local": 1]> g (float[3] x) => (float[3] y) '
    "{ a = local.Double(x) y = local.Double(a) } "
    '<domain: "local", opset_import: ["": 20]> Double (a) => (b) { c = Neg(a) d = Neg(c) b = Add(a, d) }',
}


def _mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bits flipped, bytes overwritten with values that mean much, a piece moved, or the end cut off."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        # What changes the length mostly ends in the parser, so it is the rarer kind.
        kind = rng.choice(["bit", "byte", "extreme", "swap"] * 4 + ["splice", "cut", "insert"])
        at = rng.randrange(len(out))
        other = rng.randrange(len(out))
        size = rng.randrange(1, 20)
        if kind == "bit":
            out[at] ^= 1 << rng.randrange(8)
        elif kind == "byte":
            out[at] = rng.randrange(256)
        elif kind == "extreme":
            out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == "splice":
            out[at : at + size] = out[other : other + size]
        elif kind == "insert":
            out[at:at] = out[other : other + size]
        elif kind == "swap":
            out[at], out[other] = out[other], out[at]
        elif len(out) > 8:
            del out[at:]
        if not out:
            return b"\0"
    return bytes(out)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", MODELS)
def test_mutated_file_is_read_or_refused(name: str, seed: int, tmp_path: Path) -> None:
    """No other kind of exception leaves the reader, whatever the bytes; constants that were read can be used."""
    rng = random.Random(f"{name}-{seed}")
    data = ir.to_proto(parse(MODELS[name])).SerializeToString()
    path = tmp_path / "m.onnx"
    for _ in range(FILES_PER_SEED):
        mutant = _mutated(data, rng)
        path.write_bytes(mutant)
        start = time.perf_counter()
        try:
            model, _ = load_graph(path)
            for value in model.graph.initializers.values():
                if value.const_value is not None:
                    value.const_value.numpy()
        except BitwrightError as error:
            assert error.where, mutant
            assert error.next, mutant
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} for {mutant!r}") from error
        assert time.perf_counter() - start < SECONDS, mutant
