"""Damaged .tflite files: each is read or refused, in how many seconds at worst, with how much memory.

    python -m bench.mutations --count 20000

Bits flipped, bytes and words overwritten, lengths and offsets made large, pieces moved, the end cut off: of every
.tflite file in the shared folder and of small ones written here.
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bitwright.errors import BitwrightError
from bitwright.formats.tflite.read import read_tflite
from bitwright.formats.tflite.write import write_tflite
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation, Operator
from bitwright.program.options import (
    ConcatenationOptions,
    Conv2DOptions,
    FullyConnectedOptions,
    Pool2DOptions,
    ReshapeOptions,
    SoftmaxOptions,
    SplitOptions,
    StridedSliceOptions,
)
from bitwright.program.program import Port, Program
from bitwright.program.tensor import Tensor

SHARED = Path(__file__).parents[1] / ".." / "shared" / "models"
#: What lengths, offsets and sizes are overwritten with.
WORDS = (0, 1, 2, 4, 16, 127, 255, 256, 1000, 65535, 65536, 1 << 20, 1 << 28, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def main() -> None:
    """Read them all, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    files = [*small_files().values(), *(path.read_bytes() for path in sorted(SHARED.glob("*.tflite")))]
    print(f"{arguments.count} mutants of {len(files)} files", flush=True)
    before = _peak_mib()
    outcomes: Counter[str] = Counter()
    worst = 0.0
    for mutant in mutants(files, arguments.count, random.Random(arguments.seed)):
        outcome, seconds = outcome_of(mutant)
        outcomes[outcome] += 1
        worst = max(worst, seconds)
    for outcome, count in outcomes.most_common():
        print(f"  {count:6} {outcome}")
    print(f"worst {worst:.3f} s, peak {_peak_mib():.0f} MiB ({before:.0f} before the first)")


def outcome_of(data: bytes) -> tuple[str, float]:
    """Whether it is read (and its constants can be used) or refused, with which error; and the seconds that took."""
    start = time.perf_counter()
    try:
        program = read_tflite(data, where="mutant")
        for tensor in program.tensors.values():
            if tensor.data is not None:
                tensor.data.tobytes()
        outcome = "read"
    except BitwrightError as error:
        if not (error.where and error.next):
            raise AssertionError(f"an error without where or next: {error.what}") from error
        outcome = f"refused: {type(error).__name__}"
    return outcome, time.perf_counter() - start


def mutants(files: list[bytes], count: int, rng: random.Random) -> Iterator[bytes]:
    """Mutants of the files in turns."""
    for number in range(count):
        yield mutated(files[number % len(files)], rng)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One file with one to sixteen changes, most of them where its structure is: near its beginning and its end."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        kind = rng.choice(["bit", "byte", "word", "word", "word", "near", "swap"] * 3 + ["move", "cut", "insert"])
        at, other, size = _place(rng, len(out)), _place(rng, len(out)), rng.randrange(1, 40)
        word = at & ~3
        if kind == "bit":
            out[at] ^= 1 << rng.randrange(8)
        elif kind == "byte":
            out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == "word" and word + 4 <= len(out):
            out[word : word + 4] = struct.pack("<I", rng.choice([*WORDS, rng.getrandbits(32), len(data)]))
        elif kind == "near" and word + 4 <= len(out):
            old = struct.unpack_from("<I", out, word)[0]
            out[word : word + 4] = struct.pack("<I", (old + rng.choice([-4, -1, 1, 4, 8, 1024])) % (1 << 32))
        elif kind == "swap":
            out[at], out[other] = out[other], out[at]
        elif kind == "move":
            out[at : at + size] = out[other : other + size]
        elif kind == "insert":
            out[at:at] = out[other : other + size]
        elif kind == "cut" and len(out) > 16:
            del out[at:]
        if not out:
            return b"\0"
    return bytes(out)


def _place(rng: random.Random, size: int) -> int:
    near = min(size, 8192)
    start = rng.choice([0, 0, size - near, rng.randrange(size)])
    return min(start + rng.randrange(near), size - 1)


def small_files() -> dict[str, bytes]:
    """Files with everything the format has: types, parameters per axis, state, a signature, metadata, every option."""
    return {name: write_tflite(program) for name, program in small_programs().items()}


def small_programs() -> dict[str, Program]:
    """What `small_files` are written from."""
    return {"integers": _integers(), "floats": _floats(), "shapes": _shapes()}


def _program(tensors: list[Tensor], operators: list[Operator], inputs: str, outputs: str, **about: object) -> Program:
    def ports(names: str) -> tuple[Port, ...]:
        return tuple(Port(name if "signature" not in about else f"port_{name}", name) for name in names.split())

    named = {tensor.name: tensor for tensor in tensors}
    return Program(named, tuple(operators), ports(inputs), ports(outputs), **about)  # type: ignore[arg-type]


def _integers() -> Program:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (4, 3, 3, 2), dtype=np.int8)
    scales = np.float32([0.01, 0.02, 0.03, 0.04])
    activation = QuantParams(0.05, -3, "i8")
    x = QuantParams(0.1, 5, "i8")
    probabilities = QuantParams(1 / 256, -128, "i8")
    dense = rng.integers(-127, 128, (5, 64), dtype=np.int8)
    return _program(
        [
            Tensor("x", (1, 8, 8, 2), "i8", x, shape_signature=(-1, 8, 8, 2)),
            Tensor("w", weights.shape, "i8", QuantParams(scales, 0, "i8", 0, narrow_range=True), weights),
            Tensor("b", (4,), "i32", QuantParams(scales * np.float32(0.1), 0, "i32", 0), np.int32([1, -2, 3, -4])),
            Tensor("c", (1, 8, 8, 4), "i8", activation),
            Tensor("p", (1, 4, 4, 4), "i8", activation),
            Tensor("shape", (2,), "i32", data=np.int32([1, 64])),
            Tensor("r", (1, 64), "i8", activation),
            Tensor("dense", dense.shape, "i8", QuantParams(0.02, 0, "i8", narrow_range=True), dense),
            Tensor("d", (1, 5), "i8", activation),
            Tensor("y", (1, 5), "i8", probabilities),
        ],
        [
            Operator("CONV_2D", ("x", "w", "b"), ("c",), Conv2DOptions(fused_activation_function=Activation.RELU)),
            Operator(
                "MAX_POOL_2D",
                ("c",),
                ("p",),
                Pool2DOptions(stride_w=2, stride_h=2, filter_width=2, filter_height=2),
            ),
            Operator("RESHAPE", ("p", "shape"), ("r",), ReshapeOptions(new_shape=(1, 64))),
            Operator("FULLY_CONNECTED", ("r", "dense", None), ("d",), FullyConnectedOptions()),
            Operator("SOFTMAX", ("d",), ("y",), SoftmaxOptions(beta=1.0)),
        ],
        *("x", "y"),
        signature="serving_default",
        metadata={"labels": b"a\nb\n"},
    )


def _floats() -> Program:
    rng = np.random.default_rng(1)
    packed = rng.integers(-7, 8, (3, 6), dtype=np.int8)
    half = rng.standard_normal((3,)).astype(np.float16)
    return _program(
        [
            Tensor("x", (2, 6)),
            Tensor("w4", packed.shape, "i4", QuantParams([0.1, 0.2, 0.3], 0, "i4", 0, narrow_range=True), packed),
            Tensor("w", packed.shape),
            Tensor("b16", (3,), "f16", data=half),
            Tensor("b", (3,)),
            Tensor("d", (2, 3)),
            Tensor("g", (2, 3)),
            Tensor("y", (2, 6)),
        ],
        [
            Operator("DEQUANTIZE", ("w4",), ("w",)),
            Operator("DEQUANTIZE", ("b16",), ("b",)),
            Operator("FULLY_CONNECTED", ("x", "w", "b"), ("d",), FullyConnectedOptions(keep_num_dims=True)),
            Operator("LOGISTIC", ("d",), ("g",)),
            Operator("CONCATENATION", ("d", "g"), ("y",), ConcatenationOptions(axis=1)),
        ],
        *("x", "y"),
        name="floats",
        description="of floats",
    )


def _shapes() -> Program:
    def integers(name: str, *values: int) -> Tensor:
        return Tensor(name, (len(values),), "i32", data=np.array(values, np.int32))

    return _program(
        [
            Tensor("x", (1, 4, 6)),
            integers("begin", 0, 1, 0),
            integers("end", 1, 3, 6),
            integers("strides", 1, 1, 2),
            Tensor("s", (2, 3)),
            integers("perm", 1, 0),
            Tensor("t", (3, 2)),
            Tensor("pads", (2, 2), "i32", data=np.int32([[0, 1], [1, 1]])),
            Tensor("p", (4, 4)),
            Tensor("axis", (), "i32", data=np.array(1, np.int32)),
            Tensor("a", (4, 2)),
            Tensor("b", (4, 2)),
        ],
        [
            Operator(
                "STRIDED_SLICE", ("x", "begin", "end", "strides"), ("s",), StridedSliceOptions(shrink_axis_mask=1)
            ),
            Operator("TRANSPOSE", ("s", "perm"), ("t",)),
            Operator("PAD", ("t", "pads"), ("p",)),
            Operator("SPLIT", ("axis", "p"), ("a", "b"), SplitOptions(num_splits=2)),
        ],
        *("x", "a b"),
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
