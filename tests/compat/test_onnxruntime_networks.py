"""Scripts written for ONNX Runtime's quantizer, run with both: the import line differs, nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bitwright.calibration.feeds import input_specs
from bitwright.calibration.files import open_path
from bitwright.reading import read_graph

SHARED = Path(__file__).resolve().parents[3] / "shared"
NETWORK = SHARED / "models" / "resnet20_cifar10.onnx"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared models are not here")

PREPROCESS = "scale=1/255 mean=0.485,0.456,0.406 std=0.229,0.224,0.225 layout=NCHW"
PACKAGES = {"theirs": "onnxruntime", "ours": "bitwright.compat.onnxruntime"}

STATIC = """
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

class CifarReader(CalibrationDataReader):
    def __init__(self, images):
        self.rows = iter([{"input": image} for image in images])

    def get_next(self):
        return next(self.rows, None)

quant_pre_process(model_path, prepared_path, skip_symbolic_shape=True)
quantize_static(
    prepared_path,
    output_path,
    CifarReader(images),
    quant_format=QuantFormat.QDQ,
    per_channel=True,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
    calibrate_method=CalibrationMethod.MinMax,
    extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
)
"""

CONFIGURED = """
from onnxruntime.quantization import CalibrationMethod, QuantType, StaticQuantConfig, quantize

class Reader:
    def __init__(self, images):
        self.rows = iter([{"input": image} for image in images])

    def get_next(self):
        return next(self.rows, None)

quantize(model_path, output_path, StaticQuantConfig(Reader(images), calibrate_method=CalibrationMethod.Entropy))
"""

DYNAMIC = """
from onnxruntime.quantization import QuantType, quantize_dynamic

quantize_dynamic(model_path, output_path, weight_type=QuantType.QInt8)
"""


def images_of(archive: str, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """So many images [1, 3, 32, 32] as the network takes them, and their classes."""
    specs = input_specs(read_graph(str(NETWORK))[0])
    samples = open_path(SHARED / "data" / archive, specs, preprocess=PREPROCESS, samples=count)
    images = [feeds["input"] for _, feeds in samples]
    return images, np.asarray(samples.labels)


@pytest.fixture(scope="module")
def calibration_images():
    """64 training images."""
    return images_of("cifar10_train_20k.zip", 64)[0]


@pytest.fixture(scope="module")
def test_images():
    """500 test images and their classes."""
    return images_of("cifar10_test.zip", 500)


def run_script(script: str, package: str, model: Path, folder: Path, images: list[np.ndarray]) -> Path:
    """The script as it stands but for the package's name; the file that it writes."""
    output = folder / f"{package.split('.', maxsplit=1)[0]}.onnx"
    names = {"model_path": str(model), "prepared_path": str(folder / "prepared.onnx"), "output_path": str(output)}
    exec(script.replace("from onnxruntime.", f"from {package}."), names | {"images": images})
    return output


def accuracy(path: Path, images: list[np.ndarray], labels: np.ndarray) -> float:
    """Share of images whose class is found, in percent."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = [session.run(None, {"input": image})[0].argmax() for image in images]
    return 100.0 * float(np.mean(np.array(found) == labels))


def operators(path: Path) -> Counter[str]:
    """How often each operator is in a file."""
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("script", [pytest.param(STATIC, id="static"), pytest.param(CONFIGURED, id="configured")])
def test_script_gives_a_file_as_good_as_onnx_runtimes(script, calibration_images, test_images, tmp_path):
    """The same text; as many classes found as ONNX Runtime's file finds, within 0.6 points, in no more bytes."""
    theirs, ours = (run_script(script, package, NETWORK, tmp_path, calibration_images) for package in PACKAGES.values())

    assert accuracy(theirs, *test_images) - 0.6 <= accuracy(ours, *test_images)
    assert ours.stat().st_size <= theirs.stat().st_size
    assert operators(ours)["QuantizeLinear"] >= 30


def test_script_of_dynamic_quantization_gives_the_same_kernels(test_images, tmp_path):
    """quantize_dynamic makes the convolutions that ONNX Runtime's makes, and as many classes are found."""
    theirs, ours = (run_script(DYNAMIC, package, NETWORK, tmp_path, []) for package in PACKAGES.values())
    images, labels = test_images

    assert operators(theirs)["ConvInteger"] == operators(ours)["ConvInteger"] > 0
    assert accuracy(theirs, images[:200], labels[:200]) - 1.0 <= accuracy(ours, images[:200], labels[:200])
