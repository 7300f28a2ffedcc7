"""Size and speed of packed models: `python -m bench.packing [--runs 5]`.

Weights drawn with a seed: LeNet-300-100 and a VGG for CIFAR-10, pruned and clustered, with rows and columns alike or
with some that keep more weights than others, as trained ones do; float32 and float16 without structure; int8. Then the
models of the shared folder, where there is one. Times are minima; MB/s are of the weights as float32, one thread.
`bound` is the entropy of each tensor's values taken as independent: no code without contexts takes fewer bits.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from bench.environment import ROOT
from bench.paths import machine, print_table, write_json
from bitwright.formats.bwz.read import Packed
from bitwright.formats.bwz.write import write_bwz

Weights = dict[str, NDArray[Any]]

LENET = {"fc1": (784, 300), "fc2": (300, 100), "fc3": (100, 10)}
VGG = {
    "conv1": (64, 3, 3, 3), "conv2": (128, 64, 3, 3), "conv3": (256, 128, 3, 3), "conv4": (256, 256, 3, 3),
    "conv5": (512, 256, 3, 3), "conv6": (512, 512, 3, 3), "fc": (512, 10),
}  # fmt: skip
SHARED = ROOT / ".." / "shared" / "models"


def main() -> None:
    """Measure, print, write bench/out/packing.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print(about := machine(), flush=True)
    data = [measured(name, model_of(weights), ".onnx", weights, arguments.runs) for name, weights in drawn().items()]
    for path in sorted(SHARED.glob("*")):
        if path.suffix in (".onnx", ".tflite"):
            data.append(measured(path.name, path.read_bytes(), path.suffix, None, arguments.runs))
    columns = ["model", "float32", "file", "packed", "ratio", "bits", "bound", "pack, MB/s", "unpack, MB/s"]
    print_table(columns, [cells(row) for row in data])
    print(write_json("packing", {"about": about, "runs": arguments.runs, "models": data}))


def cells(row: dict[str, Any]) -> list[str]:
    """A line of the table."""
    sizes = [f"{row[key]:,}" for key in ("float32_bytes", "file_bytes", "packed_bytes")]
    bound = "-" if row["bound"] is None else f"{row['bound']:.3f}"
    ratio = f"{row['float32_bytes'] / row['packed_bytes']:.1f}"
    return [row["model"], *sizes, ratio, f"{row['bits']:.3f}", bound, f"{row['pack']:.0f}", f"{row['unpack']:.0f}"]


def measured(name: str, model: bytes, suffix: str, weights: Weights | None, runs: int) -> dict[str, Any]:
    """Sizes and speeds of one model; its bytes come back.

    Raises:
        SystemExit: they do not.
    """
    packing, unpacking = [], []
    for _ in range(runs):
        started = time.perf_counter()
        data = write_bwz(model, suffix)
        packed_at = time.perf_counter()
        back = Packed(data).contents()
        unpacking.append(time.perf_counter() - packed_at)
        packing.append(packed_at - started)
        if back != model:
            raise SystemExit(f"{name} does not come back")
    packed = Packed(data)
    elements = sum(packed.tensor(tensor).size for tensor in packed.entries)
    return {
        "model": name,
        "float32_bytes": 4 * elements,
        "file_bytes": len(model),
        "packed_bytes": len(data),
        "bits": 8 * len(data) / elements,
        "bound": bound_of(weights) if weights is not None else None,
        "pack": 4 * elements / min(packing) / 1e6,
        "unpack": 4 * elements / min(unpacking) / 1e6,
    }


def drawn() -> dict[str, Weights]:
    """Weights by kind."""
    rng = np.random.default_rng(0)
    found: dict[str, Weights] = {}
    for uneven in (False, True):
        kind = "uneven" if uneven else "even"
        found[f"LeNet-300-100, 8 %, 32 values, {kind}"] = pruned_network(LENET, 0.08, 32, rng, uneven)
        for share, values in ((0.05, 16), (0.1, 32)):
            name = f"VGG, {100 * share:.0f} %, {values} values, {kind}"
            found[name] = pruned_network(VGG, share, values, rng, uneven)
    floats = {name: (rng.standard_normal(shape) * 0.05).astype(np.float32) for name, shape in VGG.items()}
    found["VGG, float32"] = floats
    found["VGG, pruned to 10 %"] = {name: pruned(array, 0.1) for name, array in floats.items()}
    found["VGG, float16"] = {name: array.astype(np.float16) for name, array in floats.items()}
    found["VGG, int8"] = {name: quantized(array) for name, array in floats.items()}
    return found


def pruned_network(
    shapes: dict[str, tuple[int, ...]], share: float, values: int, rng: np.random.Generator, uneven: bool
) -> Weights:
    """Normal weights of which the largest are left, at so many even values."""
    weights: Weights = {}
    for name, shape in shapes.items():
        array = rng.standard_normal(shape) * 0.05
        for axis in (0, 1) if uneven else ():
            spread = np.exp(0.5 * rng.standard_normal(shape[axis]))
            array *= spread.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        weights[name] = clustered(pruned(array.astype(np.float32), share), values)
    return weights


def pruned(array: NDArray[Any], share: float) -> NDArray[Any]:
    """The share that is largest; zeros elsewhere."""
    return np.where(np.abs(array) < np.quantile(np.abs(array), 1 - share), np.float32(0), array)


def clustered(array: NDArray[Any], values: int) -> NDArray[Any]:
    """What is not zero at the nearest of so many even values."""
    left = array[array != 0]
    centres = np.linspace(left.min(), left.max(), values)
    out = array.copy()
    out[array != 0] = centres[np.searchsorted((centres[1:] + centres[:-1]) / 2, left)]
    return out


def quantized(array: NDArray[Any]) -> NDArray[np.int8]:
    """Integers, one scale an output channel."""
    axes = tuple(range(1, array.ndim))
    return np.rint(array / np.abs(array).max(axes, keepdims=True) * 127).astype(np.int8)


def bound_of(weights: Weights) -> float | None:
    """Bits a weight; None where nearly every weight has a value of its own, whose distribution is not known."""
    bits = 0.0
    for array in weights.values():
        _, counts = np.unique(array, return_counts=True)
        if counts.size > 1 << 16:
            return None
        bits -= float((counts * np.log2(counts / counts.sum())).sum())
    return bits / sum(array.size for array in weights.values())


def model_of(weights: Weights) -> bytes:
    """An ONNX file that holds them."""
    held = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    nodes = [onnx.helper.make_node("Identity", ["x"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "weights", ports[:1], ports[1:], held)
    return bytes(onnx.helper.make_model(graph).SerializeToString())


if __name__ == "__main__":
    main()
