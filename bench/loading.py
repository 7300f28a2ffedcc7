"""Loading by each side in turns: what `python -m bench.loading SPEC.json RESULT.json` measures for bench/load.py."""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.runtimes import RUNTIMES

PACKAGES = {
    "onnxruntime": "onnxruntime",
    "litert": "ai_edge_litert.interpreter",
    "openvino": "openvino",
    "bitwright": "bitwright.compiling",
}

ARENA_GAP = 1 << 16  # bytes without a tensor that part two allocations


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def heap_bytes() -> int:
    """What malloc has given out: from its arenas and as mappings of their own."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    told = mallinfo2()
    return int(told.uordblks + told.hblkhd)


def measure(runtime: str, path: Path, sample: NDArray[np.float32]) -> dict[str, float]:
    """One session: milliseconds to load, milliseconds of the first run, bytes held after both."""
    gc.collect()
    before = heap_bytes()
    started = time.perf_counter()
    session = RUNTIMES[runtime].load(path, sample.shape, 1)
    loaded = time.perf_counter()
    face = RUNTIMES[runtime].face(session, path, sample.shape)
    feed = face.feed(sample)
    called = time.perf_counter()
    face.run(feed)
    ended = time.perf_counter()
    held = heap_bytes() - before - feed.nbytes
    return {"load_ms": 1e3 * (loaded - started), "first_ms": 1e3 * (ended - called), "heap_bytes": held}


def litert_arena_bytes(path: Path) -> int:
    """The span of the addresses of all computed tensors, temporary ones too, under LiteRT's own kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    content = path.read_bytes()
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    session = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    session.allocate_tensors()
    file = np.frombuffer(content, np.uint8).ctypes.data
    arrays = (session.tensor(detail["index"])() for detail in session.get_tensor_details())
    spans = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays)
    spans = [span for span in spans if not file <= span[0] < file + len(content)]  # those are constants
    total, first, last = 0, *spans[0]
    for start, end in spans:
        if start - last > ARENA_GAP:
            total, first = total + last - first, start
        last = max(last, end)
    span: int = total + last - first
    return span


def arena_bytes(runtime: str, path: Path) -> int | None:
    """Memory of activations, where the runtime tells it."""
    if runtime == "litert":
        return litert_arena_bytes(path)
    if runtime == "bitwright":
        told: int = RUNTIMES[runtime].load(path, (), 1).arena_bytes
        return told
    return None


def main() -> None:
    """Measure, write."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    sample = np.load(spec["samples"])[:1]
    sides: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for name, runtime, file in spec["sides"]:
        try:
            importlib.import_module(PACKAGES[runtime])
            cold = measure(runtime, Path(file), sample)
        except Exception as error:  # whatever a runtime raises: the others are measured all the same
            missing[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            continue
        sides[name] = {"cold_ms": cold["load_ms"], "arena_bytes": arena_bytes(runtime, Path(file))}
    present = [side for side in spec["sides"] if side[0] in sides]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for turn in range(spec["runs"]):
        for place in range(len(present)):
            name, runtime, file = present[(turn + place) % len(present)]
            runs[name].append(measure(runtime, Path(file), sample))
    for name, found in runs.items():
        sides[name] |= {key: [run[key] for run in found] for key in ("load_ms", "first_ms")}
        sides[name]["heap_bytes"] = int(statistics.median(run["heap_bytes"] for run in found))
    Path(sys.argv[2]).write_text(json.dumps({"sides": sides, "missing": missing}))


if __name__ == "__main__":
    main()
