"""Trains the network that `bitwright demo` ships, on scikit-learn's digits: `python tools/train_digits.py [FOLDER]`.

Writes two files into src/bitwright/demo (or FOLDER), together under 300 KB:

    digits.onnx      float32, opset 21, f32[N,1,8,8] of pixel / 16 -> f32[N,10]; BatchNorm nodes kept
    digits_test.npz  images u8[T,8,8] and labels u8[T] of the test split, never trained on;
                     calibration_images u8[256,8,8] of the training split

Needs torch and scikit-learn (`pip install -e .[dev]`). One thread, a fixed seed: the same machine gives
the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

SEED = 7
EPOCHS = 80
BATCH = 64
TEST_FRACTION = 0.5
CALIBRATION_IMAGES = 256
PIXEL_MAXIMUM = 16  # scikit-learn's digits hold 0..16

# (name, input channels, output channels, kernel, stride, groups); a residual add closes before "down".
LAYERS = [
    ("stem", 1, 32, 3, 1, 1),
    ("block1", 32, 32, 3, 1, 1),
    ("block2", 32, 32, 3, 1, 1),
    ("down", 32, 32, 3, 2, 32),  # depthwise
    ("point", 32, 64, 1, 1, 1),
    ("wide", 64, 56, 3, 1, 1),
]


class DigitsNet(nn.Module):
    """Stem, residual block, depthwise separable pair, wide convolution, global average, dense: 54 k parameters."""

    def __init__(self) -> None:
        super().__init__()
        for name, inputs, outputs, kernel, stride, groups in LAYERS:
            conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
            self.add_module(name, nn.Sequential(conv, nn.BatchNorm2d(outputs)))
        self.dense = nn.Linear(LAYERS[-1][2], 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """f32[N,1,8,8] -> f32[N,10]."""
        x = F.relu(self.stem(x))
        x = F.relu(x + self.block2(F.relu(self.block1(x))))
        x = F.relu(self.point(F.relu(self.down(x))))
        x = F.relu(self.wide(x))
        return self.dense(F.dropout(x.mean(dim=(2, 3)), 0.2, self.training))


def augment(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Small rotations, scalings, shears and shifts, one for each image."""
    n = x.shape[0]
    drawn = torch.rand(n, 6, generator=generator) * 2 - 1
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = 1 + 0.10 * drawn[:, 0]
    theta[:, 1, 1] = 1 + 0.10 * drawn[:, 1]
    theta[:, 0, 1] = 0.18 * drawn[:, 2]
    theta[:, 1, 0] = 0.18 * drawn[:, 3]
    theta[:, :, 2] = 0.15 * drawn[:, 4:]
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


def train(images: np.ndarray, labels: np.ndarray) -> DigitsNet:
    """The network after EPOCHS of AdamW, its weights averaged over the last quarter."""
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    net = DigitsNet()
    x = torch.from_numpy(images[:, None].astype(np.float32) / PIXEL_MAXIMUM)
    y = torch.from_numpy(labels.astype(np.int64))
    steps = -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=EPOCHS * steps)
    averaged = torch.optim.swa_utils.AveragedModel(net)
    for epoch in range(EPOCHS):
        net.train()
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = F.cross_entropy(net(augment(x[rows], generator)), y[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch >= EPOCHS * 3 // 4:
            averaged.update_parameters(net)
    final: DigitsNet = averaged.module
    refresh_batch_norms(final, x)
    return final.eval()


def refresh_batch_norms(net: DigitsNet, x: torch.Tensor) -> None:
    """Running statistics of the averaged weights, over the plain training images."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    net.train()
    with torch.no_grad():
        for part in x.split(256):
            net(part)


def to_onnx(net: DigitsNet) -> onnx.ModelProto:
    """The network node by node, BatchNorm kept as a node of its own."""
    nodes, constants = [], []

    def constant(name: str, tensor: torch.Tensor) -> str:
        constants.append(numpy_helper.from_array(tensor.detach().numpy().copy(), name))
        return name

    def node(op: str, inputs: list[str], name: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv_norm(value: str, name: str) -> str:
        conv, norm = getattr(net, name)
        pad = conv.padding[0]
        value = node(
            "Conv",
            [value, constant(f"{name}.weight", conv.weight)],
            f"{name}.conv",
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=[pad] * 4,
            group=conv.groups,
        )
        parameters = {"gamma": norm.weight, "beta": norm.bias, "mean": norm.running_mean, "var": norm.running_var}
        inputs = [value, *(constant(f"{name}.{key}", tensor) for key, tensor in parameters.items())]
        return node("BatchNormalization", inputs, f"{name}.norm", epsilon=float(norm.eps))

    def relu(value: str, name: str) -> str:
        return node("Relu", [value], name)

    x = relu(conv_norm("image", "stem"), "stem.relu")
    inner = conv_norm(relu(conv_norm(x, "block1"), "block1.relu"), "block2")
    x = relu(node("Add", [x, inner], "block.add"), "block.relu")
    for name in ("down", "point", "wide"):
        x = relu(conv_norm(x, name), f"{name}.relu")
    x = node("Flatten", [node("GlobalAveragePool", [x], "pool")], "flatten", axis=1)
    inputs = [x, constant("dense.weight", net.dense.weight), constant("dense.bias", net.dense.bias)]
    nodes.append(helper.make_node("Gemm", inputs, ["scores"], name="dense", transB=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], producer_name="bitwright")
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return model


def accuracy(net: DigitsNet, images: np.ndarray, labels: np.ndarray) -> float:
    """The fraction classified correctly."""
    with torch.no_grad():
        scores = net(torch.from_numpy(images[:, None].astype(np.float32) / PIXEL_MAXIMUM))
    return float(np.mean(scores.argmax(1).numpy() == labels))


def main() -> None:
    """Train, measure, write."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "src/bitwright/demo"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        digits.images.astype(np.uint8), digits.target.astype(np.uint8),
        test_size=TEST_FRACTION, stratify=digits.target, random_state=SEED,
    )  # fmt: skip
    net = train(train_x, train_y)
    print(f"parameters {sum(p.numel() for p in net.parameters())}")
    print(f"train {accuracy(net, train_x, train_y):.2%}, test {accuracy(net, test_x, test_y):.2%} of {len(test_y)}")
    onnx.save(to_onnx(net), folder / "digits.onnx")
    np.savez_compressed(
        folder / "digits_test.npz",
        images=test_x,
        labels=test_y,
        calibration_images=train_x[:CALIBRATION_IMAGES],
    )
    print({path.name: path.stat().st_size for path in sorted(folder.glob("digits*"))})


if __name__ == "__main__":
    main()
