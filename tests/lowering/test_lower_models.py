"""Trained networks of ../shared: what LiteRT computes of them, and which operators they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitwright as bw
from bitwright.formats.tflite.write import write_tflite
from bitwright.graph.execution import Execution, random_feeds
from bitwright.importers.load import load_graph
from bitwright.lowering.layout import layouts_of
from bitwright.lowering.lower import lower
from bitwright.transforms.pipeline import prepare

MODELS = Path(__file__).parents[2] / ".." / "shared" / "models"
IMAGES = ["mnist_cnn", "resnet20_cifar10", "vgg_cifar10", "mobilenetv2_cifar10"]

pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="../shared/models is not here")


@pytest.mark.parametrize("name", IMAGES)
def test_lower_image_network_in_float(name, on_litert):
    """Within 1e-5 of ONNX Runtime, reference kernels and default; no TRANSPOSE; images go in channels last."""
    model = prepare(load_graph(MODELS / f"{name}.onnx")[0])
    program = lower(model, None)
    feeds = random_feeds(model)

    assert "TRANSPOSE" not in {op.kind for op in program.operators}
    assert list(layouts_of(program).inputs.values()) == [(0, 2, 3, 1)]
    for output, wanted in Execution(model).run(feeds).items():
        for resolver in ("BUILTIN_REF", "AUTO"):
            assert np.abs(wanted - on_litert(program, feeds, resolver)[output]).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", IMAGES)
def test_lower_image_network_in_int8(name):
    """Every operator but the first QUANTIZE and the last DEQUANTIZE computes on integers; no TRANSPOSE."""
    path = MODELS / f"{name}.onnx"
    samples = [random_feeds(prepare(load_graph(path)[0]), seed) for seed in range(2)]
    small = bw.quantize(path, "int8", target="litert", calibration=samples, method="minmax")

    program = lower(small.graph, small.plan)

    kinds = [op.kind for op in program.operators]
    given = {program.tensors[name].dtype for op in program.operators[:-1] for name in op.outputs}
    assert (kinds[0], kinds[-1], kinds.count("TRANSPOSE")) == ("QUANTIZE", "DEQUANTIZE", 0)
    assert given == {"i8"}
    # The smallest keeps as many bytes of names and parameters as of weights.
    assert len(write_tflite(program)) <= (0.31 if name != "mnist_cnn" else 0.4) * path.stat().st_size


@pytest.mark.parametrize("name", ["dtln_1", "dtln_2"])
def test_lower_speech_network_keeps_its_states(name, litert_session):
    """Within 1e-4 of ONNX Runtime over 100 steps, each fed the states of the one before."""
    model = prepare(load_graph(MODELS / f"{name}.onnx")[0])
    program, session = lower(model, None), Execution(model)
    sound, state = (str(value.name) for value in model.graph.inputs)
    heard, after = (str(value.name) for value in model.graph.outputs)
    run = litert_session(program)
    rng = np.random.default_rng(0)
    states = [np.zeros((1, 2, 128, 2), np.float32)] * 2

    for _ in range(100):
        frame = np.abs(rng.standard_normal(program.tensors[sound].shape)).astype(np.float32)
        wanted = session.run({sound: frame, state: states[0]})
        made = run({sound: frame, state: states[1]})
        states = [wanted[after], made[after]]
        for output in (heard, after):
            assert np.abs(wanted[output] - made[output]).max() <= 1e-4 * np.abs(wanted[output]).max()
