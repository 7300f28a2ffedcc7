"""Quantizes the shipped network in every mode and measures size, accuracy and latency of each beside float."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import bitwright as bw
from bitwright.demo.digits import MODEL_PATH, Digits, load_digits
from bitwright.demo.machine import describe_machine
from bitwright.graph.execution import open_session
from bitwright.report.render import Section, bytes_text, plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType

#: What is shown -> the mode and its options; float itself comes first.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "float16": ("float16", {}),
    "weight-only, 8 bits": ("weight-only", {"weight_bits": 8}),
    "weight-only, 4 bits": ("weight-only", {"weight_bits": 4, "block_size": 32}),
    "dynamic": ("dynamic", {}),
    "int8": ("int8", {}),
    "uint8": ("uint8", {}),
    "int16x8": ("int16x8", {}),
}

FLOAT = "float32"
CALIBRATED = {"int8", "uint8", "int16x8"}
WARM_UP = 20


@dataclass(frozen=True)
class DemoRow:
    """One variant of the network.

    Args:
        name: a key of VARIANTS, or "float32".
        model_bytes: of the ONNX file.
        ratio: model_bytes over those of float32.
        accuracy: share of the test images put in their class.
        latency_us: median of one image on ONNX Runtime.
    """

    name: str
    model_bytes: int
    ratio: float
    accuracy: float
    latency_us: float


@dataclass(frozen=True)
class DemoResult:
    """The table, and what it was measured on."""

    rows: tuple[DemoRow, ...]
    test_images: int
    calibration_images: int
    runs: int
    threads: int
    machine: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        return plain_text(self.__rich__())

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        numbers = ["size", "to float", "accuracy", "latency"]
        shown = Section("handwritten digits in every mode", ["mode", *numbers], right=numbers)
        for row in self.rows:
            shown.add_row(
                row.name,
                bytes_text(row.model_bytes),
                f"{row.ratio:.3f}x",
                f"{100 * row.accuracy:.2f} %",
                f"{row.latency_us:.0f} us",
            )
        below = (
            f"accuracy on {self.test_images} test images; calibrated on {self.calibration_images} training images; "
            f"latency of one image, median of {self.runs} runs in turns, {self.threads} thread\n"
            f"{self.machine}; {self.seconds:.1f} s in all"
        )
        return Group(shown, Text(f"\n{below}", style="dim"))


def run_demo(*, runs: int = 300, variants: Sequence[str] | None = None) -> DemoResult:
    """Quantize the shipped network in every mode, and measure.

    Args:
        runs: how often each variant is timed, in turns.
        variants: keys of VARIANTS; all by default.
    """
    started = time.perf_counter()
    digits = load_digits()
    files = {FLOAT: MODEL_PATH.read_bytes()}
    for name in VARIANTS if variants is None else variants:
        files[name] = _quantized(name, digits)
    sessions = {name: open_session(data, threads=1) for name, data in files.items()}
    latency = _median_latency_us(sessions, digits, runs)
    rows = (
        DemoRow(
            name=name,
            model_bytes=len(data),
            ratio=len(data) / len(files[FLOAT]),
            accuracy=_accuracy(sessions[name], digits),
            latency_us=latency[name],
        )
        for name, data in files.items()
    )
    return DemoResult(
        rows=tuple(rows),
        test_images=len(digits.images),
        calibration_images=len(digits.calibration),
        runs=runs,
        threads=1,
        machine=describe_machine(),
        seconds=time.perf_counter() - started,
    )


def _quantized(name: str, digits: Digits) -> bytes:
    mode, options = VARIANTS[name]
    calibration = digits.calibration if mode in CALIBRATED else None
    model = bw.quantize(str(MODEL_PATH), mode, calibration=calibration, **options)
    data: bytes = model.to_proto().SerializeToString()
    return data


def _accuracy(session: Any, digits: Digits) -> float:
    (scores,) = session.run(None, {session.get_inputs()[0].name: digits.images})
    return float(np.mean(np.argmax(scores, axis=1) == digits.labels))


def _median_latency_us(sessions: Mapping[str, Any], digits: Digits, runs: int) -> dict[str, float]:
    """Of one image, the variants in turns, so that a slow moment of the machine meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    feeds = {session.get_inputs()[0].name: digits.images[:1] for session in sessions.values()}
    for turn in range(WARM_UP + runs):
        for name, session in sessions.items():
            begun = time.perf_counter()
            session.run(None, feeds)
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - begun)
    return {name: 1e6 * statistics.median(values) for name, values in times.items()}
