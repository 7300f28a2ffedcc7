"""Networks of known shape with seeded weights: what latency, time and memory are measured on.

`python -m bench.networks mobilenetv2` builds bench/out/mobilenetv2.onnx and prints its path;
`python -m bench.networks samples 128` builds bench/out/samples_128.npy, f32[128,3,224,224].

Weights are He-initialised, so accuracy means nothing here. BatchNorm stays a node of its own; its running mean and
variance are those of a pass of random images, so that activations neither vanish nor explode.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench.paths import OUT

IMAGE = (3, 224, 224)
CLASSES = 1000
EPSILON = 1e-5
SAMPLE_SEED = 11


class Builder:
    """A graph, node by node."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.rng = name, np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.float32]] = {}

    def constant(self, name: str, array: NDArray[np.floating]) -> str:
        """An initializer."""
        self.constants[name] = np.ascontiguousarray(array, dtype=np.float32)
        return name

    def node(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        """A node whose one output has its name."""
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv_norm(
        self, x: str, name: str, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1,
        gain: float = 1.0,
    ) -> str:  # fmt: skip
        """Convolution without bias, then BatchNorm whose gamma is about `gain`."""
        fan_in = inputs // groups * kernel * kernel
        shape = (outputs, inputs // groups, kernel, kernel)
        weight = self.constant(f"{name}.weight", self.rng.standard_normal(shape) * np.sqrt(2.0 / fan_in))
        pad = kernel // 2
        x = self.node(
            "Conv", [x, weight], f"{name}.conv",
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[pad] * 4, group=groups,
        )  # fmt: skip
        parameters = {
            "gamma": gain * self.rng.uniform(0.7, 1.3, outputs),
            "beta": self.rng.normal(0.1, 0.2, outputs),
            "mean": np.zeros(outputs),
            "var": np.ones(outputs),
        }
        names = [self.constant(f"{name}.norm.{key}", value) for key, value in parameters.items()]
        return self.node("BatchNormalization", [x, *names], f"{name}.norm", epsilon=EPSILON)

    def relu(self, x: str, name: str) -> str:
        """max(x, 0)."""
        return self.node("Relu", [x], name)

    def relu6(self, x: str, name: str) -> str:
        """Clip to 0..6."""
        for key, value in {"zero": 0.0, "six": 6.0}.items():
            self.constants.setdefault(key, np.array(value, dtype=np.float32))
        return self.node("Clip", [x, "zero", "six"], name)

    def classifier(self, x: str, inputs: int) -> onnx.ModelProto:
        """Global average and dense; the finished model, opset 17."""
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x], "pool")], "flatten", axis=1)
        weight = self.constant("dense.weight", self.rng.standard_normal((CLASSES, inputs)) * np.sqrt(1.0 / inputs))
        bias = self.constant("dense.bias", np.zeros(CLASSES))
        self.node("Gemm", [x, weight, bias], "scores", transB=1)
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *IMAGE])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", CLASSES])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="bitwright-bench")
        model.ir_version = 8
        return with_statistics(model)


def mobilenet_v1() -> onnx.ModelProto:
    """MobileNetV1 1.0 (Howard et al. 2017, table 1)."""
    b = Builder("mobilenetv1", seed=1)
    x = b.relu6(b.conv_norm("image", "stem", 3, 32, 3, stride=2), "stem.relu")
    channels = 32
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for index, (outputs, stride) in enumerate(plan):
        name = f"block{index}"
        depthwise = b.conv_norm(x, f"{name}.depthwise", channels, channels, 3, stride=stride, groups=channels)
        x = b.relu6(depthwise, f"{name}.depthwise.relu")
        x = b.relu6(b.conv_norm(x, f"{name}.point", channels, outputs, 1), f"{name}.point.relu")
        channels = outputs
    return b.classifier(x, channels)


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2 1.0 (Sandler et al. 2018, table 2)."""
    b = Builder("mobilenetv2", seed=2)
    x = b.relu6(b.conv_norm("image", "stem", 3, 32, 3, stride=2), "stem.relu")
    channels, index = 32, 0
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, outputs, repeats, first_stride in plan:
        for repeat in range(repeats):
            name, stride, inner = f"block{index}", first_stride if repeat == 0 else 1, channels * expansion
            y = x
            if expansion != 1:
                y = b.relu6(b.conv_norm(y, f"{name}.expand", channels, inner, 1), f"{name}.expand.relu")
            depthwise = b.conv_norm(y, f"{name}.depthwise", inner, inner, 3, stride=stride, groups=inner)
            y = b.relu6(depthwise, f"{name}.depthwise.relu")
            y = b.conv_norm(y, f"{name}.project", inner, outputs, 1, gain=0.7)
            x = b.node("Add", [x, y], f"{name}.add") if stride == 1 and channels == outputs else y
            channels, index = outputs, index + 1
    x = b.relu6(b.conv_norm(x, "head", channels, 1280, 1), "head.relu")
    return b.classifier(x, 1280)


def resnet50() -> onnx.ModelProto:
    """ResNet-50 with the stride in the 3x3 convolution (He et al. 2016, "v1.5")."""
    b = Builder("resnet50", seed=3)
    x = b.relu(b.conv_norm("image", "stem", 3, 64, 7, stride=2), "stem.relu")
    x = b.node("MaxPool", [x], "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, repeats in enumerate([3, 4, 6, 3]):
        inner, outputs = 64 << stage, 256 << stage
        for repeat in range(repeats):
            name, stride = f"stage{stage}.{repeat}", 2 if stage and not repeat else 1
            y = b.relu(b.conv_norm(x, f"{name}.a", channels, inner, 1), f"{name}.a.relu")
            y = b.relu(b.conv_norm(y, f"{name}.b", inner, inner, 3, stride=stride), f"{name}.b.relu")
            y = b.conv_norm(y, f"{name}.c", inner, outputs, 1, gain=0.5)
            if repeat == 0:
                x = b.conv_norm(x, f"{name}.down", channels, outputs, 1, stride=stride)
            x = b.relu(b.node("Add", [x, y], f"{name}.add"), f"{name}.relu")
            channels = outputs
    return b.classifier(x, channels)


NETWORKS = {"mobilenetv1": mobilenet_v1, "mobilenetv2": mobilenet_v2, "resnet50": resnet50}


def with_statistics(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, its BatchNorm means and variances those of a pass of random images.

    Each norm sees the normalized values of those before it.
    """
    import onnxruntime

    written = _norms_written_out(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(written.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(names, {"image": random_images(4, seed=SAMPLE_SEED + 1)}), strict=True))
    for tensor in model.graph.initializer:
        if tensor.name in results:
            tensor.CopyFrom(numpy_helper.from_array(results[tensor.name].reshape(-1).astype(np.float32), tensor.name))
    onnx.checker.check_model(model, full_check=True)
    return model


def _norms_written_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """Each BatchNorm as mean, variance and scaling of the batch at hand.

    Means and variances are outputs, under the names of the constants that they will replace.
    """
    written = onnx.ModelProto()
    written.CopyFrom(model)
    del written.graph.node[:]
    replaced: set[str] = set()
    epsilon = numpy_helper.from_array(np.float32(EPSILON), "epsilon")
    flat = numpy_helper.from_array(np.array([1, -1, 1, 1], np.int64), "flat")
    for node in model.graph.node:
        if node.op_type != "BatchNormalization":
            written.graph.node.append(node)
            continue
        x, gamma, beta, mean, var = node.input
        name = node.name
        steps = [
            ("ReduceMean", [x], mean, {"axes": [0, 2, 3]}),
            ("Sub", [x, mean], f"{name}/centred", {}),
            ("Mul", [f"{name}/centred", f"{name}/centred"], f"{name}/squared", {}),
            ("ReduceMean", [f"{name}/squared"], var, {"axes": [0, 2, 3]}),
            ("Add", [var, "epsilon"], f"{name}/safe", {}),
            ("Sqrt", [f"{name}/safe"], f"{name}/deviation", {}),
            ("Div", [f"{name}/centred", f"{name}/deviation"], f"{name}/unit", {}),
            ("Reshape", [gamma, "flat"], f"{name}/gamma", {}),
            ("Reshape", [beta, "flat"], f"{name}/beta", {}),
            ("Mul", [f"{name}/unit", f"{name}/gamma"], f"{name}/scaled", {}),
            ("Add", [f"{name}/scaled", f"{name}/beta"], node.output[0], {}),
        ]
        for op, inputs, output, attributes in steps:
            written.graph.node.append(helper.make_node(op, inputs, [output], **attributes))
        replaced |= {mean, var}
        for output in (mean, var):
            written.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in replaced]
    del written.graph.initializer[:]
    written.graph.initializer.extend([*kept, epsilon, flat])
    return written


def random_images(count: int, *, seed: int) -> NDArray[np.float32]:
    """f32[count,3,224,224], mean about 0 and variance about 1: coarse blobs with noise on top."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((count, 3, 28, 28), dtype=np.float32)
    blobs = coarse.repeat(8, axis=2).repeat(8, axis=3)
    return (0.9 * blobs + 0.4 * rng.standard_normal((count, *IMAGE), dtype=np.float32)).astype(np.float32)


def network_path(name: str) -> Path:
    """bench/out/<name>.onnx, built when it is not there."""
    path = OUT / f"{name}.onnx"
    if not path.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        onnx.save(NETWORKS[name](), path)
    return path


def samples_path(count: int) -> Path:
    """bench/out/samples_<count>.npy, f32[count,3,224,224], built when it is not there.

    Fewer samples are the first ones of more.
    """
    path = OUT / f"samples_{count}.npy"
    if not path.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        half_made = path.with_suffix(".part")
        array = np.lib.format.open_memmap(half_made, mode="w+", dtype=np.float32, shape=(count, *IMAGE))
        for index in range(count):
            array[index] = random_images(1, seed=SAMPLE_SEED + 100 + index)[0]
        array.flush()
        half_made.replace(path)
    return path


def main() -> None:
    """Build what is named and print its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=[*NETWORKS, "samples"])
    parser.add_argument("count", nargs="?", type=int, default=128)
    arguments = parser.parse_args()
    what = arguments.what
    print(samples_path(arguments.count) if what == "samples" else network_path(what))


if __name__ == "__main__":
    main()
