"""Real networks, lowered, quantized, converted and run: against LiteRT and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import bitwright as bw
from bitwright.numerics.metrics import sqnr_db
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.reading import read_program

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

SHARED = Path(__file__).parents[2].parent / "shared"
MODELS = SHARED / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not here")

QUANTIZED = ("resnet8_cifar10_int8", "kws_dscnn_int8", "vww_mobilenetv1_int8", "toycar_autoencoder_int8")
NETWORKS = ("resnet20_cifar10", "vgg_cifar10", "mobilenetv2_cifar10")
Steps = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def interpreter(content: bytes, resolver: str = "AUTO") -> Any:
    made = litert.Interpreter(
        model_content=content, experimental_op_resolver_type=getattr(litert.OpResolverType, resolver)
    )
    made.allocate_tensors()
    return made


def run(runner: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    for detail, array in zip(runner.get_input_details(), arrays, strict=True):
        runner.set_tensor(detail["index"], array)
    runner.invoke()
    return [runner.get_tensor(detail["index"]) for detail in runner.get_output_details()]


def random_input(program: Program, seed: int) -> np.ndarray:
    tensor = program.tensors[program.inputs[0].tensor]
    return np.random.default_rng(seed).integers(-128, 128, tensor.shape, dtype=np.int8)


@pytest.mark.parametrize("name", QUANTIZED)
def test_reference_gives_the_integers_of_litert(name):
    """The authors' own int8 files: no integer differs."""
    content = (MODELS / f"{name}.tflite").read_bytes()
    program, runner = read_program(MODELS / f"{name}.tflite"), interpreter(content, "BUILTIN_REF")
    reference = Reference(program)

    for seed in range(5):
        x = random_input(program, seed)
        ours = reference.run({program.inputs[0].name: x})[program.outputs[0].name]
        assert np.array_equal(run(runner, x)[0], ours)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Sixteen training images, f32[16,3,32,32], normalized by and large."""
    from bitwright.calibration.feeds import InputSpec
    from bitwright.calibration.files import open_path

    spec = InputSpec("image", np.dtype(np.float32), (None, 3, 32, 32))
    opened = open_path(
        str(SHARED / "data" / "cifar10_train_20k.zip"),
        [spec],
        preprocess="scale=1/255 mean=.49,.48,.45 std=.24,.24,.26 size=32 layout=NCHW",
        samples=16,
    )
    return np.concatenate([feeds["image"] for _, feeds in opened])


@pytest.mark.parametrize("name", NETWORKS)
def test_network_lowers_without_transposes(name, images):
    """Float: the scores of ONNX Runtime within 1e-5, and nothing is transposed."""
    model = bw.load(MODELS / f"{name}.onnx")
    session = onnxruntime.InferenceSession(MODELS / f"{name}.onnx", providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {session.get_inputs()[0].name: images[:1]})

    (made,) = run(interpreter(model.to_tflite()), np.ascontiguousarray(images[:1].transpose(0, 2, 3, 1)))

    assert "TRANSPOSE" not in {operator.kind for operator in model.to_program().operators}
    assert np.abs(wanted - made).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_network_is_integer_throughout(name, images):
    """No transpose, no float operator, 0.28 of the bytes, and the integers of LiteRT's reference kernels."""
    small = bw.quantize(MODELS / f"{name}.onnx", "int8", target="litert", calibration=images)
    small = small.with_ports("int8", "int8")
    program, content = small.to_program(), small.to_tflite()
    kinds = {operator.kind for operator in program.operators}
    x = random_input(program, 0)

    assert not {"TRANSPOSE", "QUANTIZE", "DEQUANTIZE"} & kinds
    assert all(t.dtype in ("i8", "i32") for t in program.tensors.values())
    assert len(content) <= 0.28 * (MODELS / f"{name}.onnx").stat().st_size
    ours = Reference(program).run({program.inputs[0].name: x})
    assert np.array_equal(run(interpreter(content, "BUILTIN_REF"), x)[0], ours[program.outputs[0].name])


def denoised(step: Steps, count: int = 100) -> np.ndarray:
    """Masks of so many frames, the states of one fed to the next."""
    rng = np.random.default_rng(0)
    state, masks = np.zeros((1, 2, 128, 2), np.float32), []
    for _ in range(count):
        mask, state = step(np.abs(rng.standard_normal((1, 1, 257))).astype(np.float32), state)
        masks.append(mask)
    return np.stack(masks)


def steps_of(path: Path) -> Steps:
    """The speech denoiser on the runtime of its format."""
    if path.suffix == ".tflite":
        runner = interpreter(path.read_bytes())
        return lambda frame, state: tuple(run(runner, frame, state))  # type: ignore[return-value]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda frame, state: tuple(session.run(None, dict(zip(names, (frame, state), strict=True))))


@pytest.mark.parametrize(("source", "suffix"), [("dtln_1.onnx", ".tflite"), ("dtln_1.tflite", ".onnx")])
def test_recurrent_network_converts_both_ways(source, suffix, tmp_path):
    """A stacked LSTM over 100 steps: within 1e-4; with dynamic weights above 25 dB."""
    wanted = denoised(steps_of(MODELS / source))
    bw.load(MODELS / source).save(tmp_path / f"float{suffix}")
    bw.quantize(MODELS / source, "dynamic", target="litert").save(tmp_path / "dynamic.tflite")

    made = denoised(steps_of(tmp_path / f"float{suffix}"))
    dynamic = denoised(steps_of(tmp_path / "dynamic.tflite"))

    assert np.abs(wanted - made).max() <= 1e-4 * np.abs(wanted).max()
    assert sqnr_db(wanted, dynamic) > 25
    assert (tmp_path / "dynamic.tflite").stat().st_size < 0.3 * (MODELS / source).stat().st_size
