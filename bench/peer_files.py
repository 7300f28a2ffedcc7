"""The files of a network: float in both formats, and int8 as each runtime's own tool makes it. Kept in bench/out.

| key | made by |
|---|---|
| `float.tflite`, `float.onnx` | `bitwright convert`, from the one that there is |
| `ort.onnx` | ONNX Runtime's quantize_static: QDQ, uint8 activations, int8 weights |
| `nncf.xml` | NNCF, for OpenVINO |
| `litert.tflite` | the network's authors with LiteRT's converter, else ai-edge-quantizer |
| `bitwright.tflite` | the same file of the authors, else `bitwright quantize` |
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.paths import OUT, bitwright, our_command, their_command
from bench.zoo import SAMPLES, Network, samples_path

HERE = Path(__file__).parent

KEYS = ("float.tflite", "float.onnx", "ort.onnx", "nncf.xml", "litert.tflite", "bitwright.tflite")


def files_of(net: Network, *, rebuild: bool) -> dict[str, Path | str]:
    """Each key's file, made when it is not there; the last words of the tool where it failed."""
    found: dict[str, Path | str] = {}
    given = {f"float{net.source.suffix}": net.source} if net.source.suffix == ".onnx" else {}
    if net.int8 is not None:
        given |= {"litert.tflite": net.int8, "bitwright.tflite": net.int8}
    for key in KEYS:
        path = given.get(key, OUT / f"{net.name}.{key}")
        found[key] = path
        if key not in given and (rebuild or not path.exists()):
            done = subprocess.run(command(net, key, path), cwd=OUT.parents[1], capture_output=True, text=True)
            if done.returncode:
                path.unlink(missing_ok=True)
                found[key] = done.stderr.strip().splitlines()[-1]
    return found


def command(net: Network, key: str, path: Path) -> list[str]:
    """What makes one file."""
    samples = samples_path(net)
    onnx = net.source if net.source.suffix == ".onnx" else OUT / f"{net.name}.float.onnx"
    tflite = OUT / f"{net.name}.float.tflite"
    count = ("--samples", str(SAMPLES))
    match key:
        case "float.tflite":
            return [sys.executable, "-m", "bench.float_tflite", str(net.source), str(path)]
        case "float.onnx":
            return bitwright("convert", str(tflite), str(path))
        case "ort.onnx":
            return their_command(onnx, path, samples, SAMPLES, "minmax")
        case "nncf.xml":
            return [sys.executable, str(HERE / "nncf_quantize.py"), str(onnx), str(path), str(samples), *count]
        case "litert.tflite":
            return [sys.executable, str(HERE / "litert_quantize.py"), str(tflite), str(path), str(samples), *count]
        case _:
            return our_command(net.source, path, samples, SAMPLES, "minmax")
