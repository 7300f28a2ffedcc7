"""Files are read by a process of their own, where this one has no TensorFlow."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)


def python(code: str, *arguments: str) -> dict[str, object]:
    """What a new process prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    made: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return made


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory) -> str:
    import tensorflow as tf

    path = str(tmp_path_factory.mktemp("process") / "model")
    module = tf.Module()
    spec = tf.TensorSpec((None, 3), name="x")
    module.call = tf.function(lambda x: {"y": 2.0 * tf.nn.relu(x)}, input_signature=[spec])
    tf.saved_model.save(module, path, signatures=module.call.get_concrete_function())
    return path


READ = """
import json, sys
import bitwright as bw
bw.load(sys.argv[1]).save(sys.argv[2])
print(json.dumps({"tensorflow": "tensorflow" in sys.modules}))
"""
REFUSED = """
import json, sys
import bitwright as bw
try:
    bw.load(sys.argv[1], signature="no such")
except bw.BitwrightError as error:
    print(json.dumps({"kind": type(error).__name__, "what": error.what, "where": error.where, "next": error.next}))
"""


def test_file_is_read_without_tensorflow_in_this_process(saved_model, tmp_path):
    """The graph is the same, and the memory of TensorFlow is another process's."""
    told = python(READ, saved_model, str(tmp_path / "made.onnx"))

    x = np.float32([[-1, 0.5, 2]])
    assert told == {"tensorflow": False}
    session = onnxruntime.InferenceSession(tmp_path / "made.onnx")
    np.testing.assert_array_equal([[0, 1, 4]], session.run(["y"], {"x": x})[0])


def test_refusal_of_another_process_is_the_same(saved_model):
    """Its kind, what, where and next."""
    told = python(REFUSED, saved_model)

    assert told["kind"] == "UsageError"
    assert "no signature 'no such'" in str(told["what"])
    assert told["where"] == saved_model
    assert "serving_default" in str(told["next"])
