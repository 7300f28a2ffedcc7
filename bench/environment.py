"""What a measuring process starts in: its cores, its threads, the instructions it may use. Standard library only.

A cap must be in the environment before a runtime is imported, and cores be set before it makes its threads, so whoever
measures runs in a process of its own that `measured_in_process` starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

#: What each cap sets; AMX is refused besides (bench/no_amx.py). OpenVINO's oneDNN obeys ONEDNN_MAX_CPU_ISA: the kernels
#: that its runtime model names are others then.
CAPS = {
    "avx512vnni": {"BITWRIGHT_ISA": "avx512vnni", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"},
    "avx2": {"BITWRIGHT_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
}

#: Whom a cap does not hold: they ask cpuid and know no environment variable or option.
UNCAPPED: dict[str | None, tuple[str, ...]] = {None: (), "avx512vnni": (), "avx2": ("ONNX Runtime", "LiteRT")}

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores_for(threads: int) -> list[int]:
    """The last cores that this process may use, one a thread: the first one serves the most interrupts."""
    return sorted(os.sched_getaffinity(0))[-threads:]


def measured_in_process(module: str, spec: dict[str, Any], *, threads: int, cap: str | None = None) -> Any:
    """Run `python -m <module> SPEC.json RESULT.json` pinned, limited and capped; gives what it wrote.

    Raises:
        SystemExit: the process failed; its last words are the message.
    """
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) | (CAPS[cap] if cap else {})
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "spec.json"), Path(folder, "result.json")
        given.write_text(json.dumps(spec))
        cores = ",".join(str(core) for core in cores_for(threads))
        command = ["taskset", "-c", cores, sys.executable, "-m", module, str(given), str(result)]
        done = subprocess.run(command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{module} failed with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
        return json.loads(result.read_text())
