"""A model's file read by a process of its own: TensorFlow's memory, log and choice of backend stay there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from bitwright import errors
from bitwright.errors import BitwrightError, ModelError
from bitwright.importers.onnx_file import load_onnx

#: What the process runs: the task comes as JSON, what is refused goes back as JSON.
_SCRIPT = "from bitwright.importers.tensorflow.process import main; main()"


def is_free() -> bool:
    """Whether this process has neither TensorFlow nor Keras: then no layer of a user's own can be registered in it."""
    return not {"tensorflow", "keras", "tf_keras"} & set(sys.modules)


def read_in_process(path: str, options: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> ir.Model:
    """What `load_tensorflow` gives of a file, read there.

    Args:
        path: of the model.
        options: of `load_tensorflow`, as JSON has them.
        environment: variables that the process has besides this one's.

    Raises:
        BitwrightError: as it was raised there; ModelError where the process ended otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="bitwright") as folder:
        made, refused = Path(folder, "model.onnx"), Path(folder, "refused.json")
        task = json.dumps({"path": path, "options": dict(options), "made": str(made), "refused": str(refused)})
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, task],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if refused.exists():
            told = json.loads(refused.read_text())
            raise getattr(errors, told["kind"])(told["what"], where=told["where"], next=told["next"])
        if done.returncode or not made.exists():
            said = [line for line in done.stderr.splitlines() if line.strip()] or [f"it ended with {done.returncode}"]
            raise ModelError(
                f"the process that reads the model failed: {said[-1][:300]}",
                where=path,
                next="try `bitwright.load` in Python, where TensorFlow was imported before",
            )
        return load_onnx(onnx.load(made))


def main() -> None:
    """Do the task of the command line."""
    from bitwright.importers.tensorflow.load import load_here

    task = json.loads(sys.argv[1])
    try:
        ir.save(load_here(task["path"], **task["options"]), task["made"])
    except BitwrightError as error:
        told = {"kind": type(error).__name__, "what": error.what, "where": error.where, "next": error.next}
        Path(task["refused"]).write_text(json.dumps(told))
