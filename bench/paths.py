"""Where measurements keep what they build, and how they start the two quantizers. Standard library only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"

#: Methods that ONNX Runtime's own tool has as well.
METHODS = ("minmax", "percentile", "entropy")


def build(*arguments: str) -> Path:
    """Build a network or samples in a process of its own, so that the caller stays small; gives the path."""
    command = [sys.executable, "-m", "bench.networks", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=OUT.parents[1])
    return Path(done.stdout.strip().splitlines()[-1])


def machine() -> str:
    """One line on the machine, found out by a process of its own."""
    code = "from bitwright.demo.machine import describe_machine; print(describe_machine())"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def our_command(model: Path, output: Path, samples: Path, count: int, method: str, *more: str) -> list[str]:
    """`bitwright quantize` in mode int8."""
    return [
        *bitwright("quantize", str(model), "-o", str(output), "--mode", "int8", "--method", method),
        *("--calibration", str(samples), "--samples", str(count), *more),
    ]


def their_command(model: Path, output: Path, samples: Path, count: int, method: str) -> list[str]:
    """ONNX Runtime's quant_pre_process and quantize_static."""
    script = Path(__file__).with_name("ort_quantize.py")
    return [
        *(sys.executable, str(script), str(model), str(output), str(samples)),
        *("--samples", str(count), "--method", method),
    ]


def bitwright(*arguments: str) -> list[str]:
    """The command line, in this interpreter's environment."""
    return [sys.executable, "-c", "from bitwright.cli.main import main; main()", *arguments]


def write_json(name: str, data: Any) -> Path:
    """bench/out/<name>.json."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in Markdown, ready for docs/performance.md."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |", flush=True)
