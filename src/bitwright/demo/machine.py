"""What a measurement was made on: processor, cores, the instructions that integer kernels use, ONNX Runtime."""

from __future__ import annotations

import os
import platform
from pathlib import Path

#: Processor flags that decide which integer kernels a runtime picks, x86 then ARM.
INTEGER_FLAGS = ("avx2", "avx512bw", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm")


def describe_machine() -> str:
    """One line: processor, usable cores, integer instructions, ONNX Runtime's version."""
    import onnxruntime

    name, flags = _processor()
    present = ", ".join(flag for flag in INTEGER_FLAGS if flag in flags) or "no known integer instructions"
    return f"{name}, {usable_cores()} cores, {present}; ONNX Runtime {onnxruntime.__version__}"


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> tuple[str, set[str]]:
    """Name and flags, as far as the system tells."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return name, flags
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            name = value
        elif key in ("flags", "Features"):
            flags = set(value.split())
            break
    return name, flags
