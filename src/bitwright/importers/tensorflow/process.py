"""A model's file read by a process of its own: TensorFlow's memory, log and choice of backend stay there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitwright import errors
from bitwright.errors import BitwrightError, ModelError

if TYPE_CHECKING:
    import onnx_ir as ir

# What the graph is made with is imported while the other process works.

#: What the process runs: the task comes as JSON, what is refused goes back as JSON.
_SCRIPT = "from bitwright.importers.tensorflow.process import main; main()"


def is_free() -> bool:
    """Whether this process has neither TensorFlow nor Keras: then no layer of a user's own can be registered in it."""
    return not {"tensorflow", "keras", "tf_keras"} & set(sys.modules)


class _Reading:
    """A process that reads a file.

    Args:
        path: of the model.
        options: of `load_tensorflow`, as JSON has them.
        environment: variables that the process has besides this one's.
    """

    def __init__(self, path: str, options: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._folder = tempfile.TemporaryDirectory(prefix="bitwright")
        self._made, self._refused, self._said = (
            Path(self._folder.name, name) for name in ("model.onnx", "refused.json", "said.txt")
        )
        task = {"path": path, "options": dict(options), "made": str(self._made), "refused": str(self._refused)}
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT, json.dumps(task)],
                env={**os.environ, **(environment or {})},
                stdout=said,
                stderr=said,
            )

    def graph(self) -> ir.Model:
        """What it read.

        Raises:
            BitwrightError: as it was raised there; ModelError where the process ended otherwise.
        """
        import onnx

        from bitwright.importers.onnx_file import load_onnx

        try:
            code = self._process.wait()
            if self._refused.exists():
                told = json.loads(self._refused.read_text())
                raise getattr(errors, told["kind"])(told["what"], where=told["where"], next=told["next"])
            if code or not self._made.exists():
                said = [line for line in self._said.read_text().splitlines() if line.strip()]
                raise ModelError(
                    f"the process that reads the model failed: {(said or [f'it ended with {code}'])[-1][:300]}",
                    where=self.path,
                    next="try `bitwright.load` in Python, where TensorFlow was imported before",
                )
            return load_onnx(onnx.load(self._made))
        finally:
            self.end()

    def end(self) -> None:
        """The process is gone, and its files."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


#: Readings that were begun, by what is read.
_begun: dict[str, _Reading] = {}


def _key(path: str, options: Mapping[str, Any]) -> str:
    return json.dumps([path, dict(options)])


@contextmanager
def begun(path: str, options: Mapping[str, Any]) -> Iterator[None]:
    """While it lasts, `read_in_process` of the same finds the reading begun."""
    key = _key(path, options)
    _begun[key] = _Reading(path, options)
    try:
        yield
    finally:
        if (left := _begun.pop(key, None)) is not None:
            left.end()


def read_in_process(path: str, options: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> ir.Model:
    """What `load_tensorflow` gives of a file, read there.

    Args:
        path: of the model.
        options: of `load_tensorflow`, as JSON has them.
        environment: variables that the process has besides this one's.

    Raises:
        BitwrightError: as it was raised there; ModelError where the process ended otherwise.
    """
    reading = _begun.pop(_key(path, options), None) if environment is None else None
    return (reading or _Reading(path, options, environment)).graph()


def main() -> None:
    """Do the task of the command line."""
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]  # Keras's wrappers of it take a second to import

    import onnx_ir as ir

    from bitwright.importers.tensorflow.load import load_tensorflow

    task = json.loads(sys.argv[1])
    try:
        ir.save(load_tensorflow(task["path"], here=True, **task["options"]), task["made"])
    except BitwrightError as error:
        told = {"kind": type(error).__name__, "what": error.what, "where": error.where, "next": error.next}
        Path(task["refused"]).write_text(json.dumps(told))
    os._exit(0)  # all is written, and taking TensorFlow down takes a second
