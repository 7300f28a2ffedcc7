"""PyTorch modules and programs give graphs with the same outputs, for any batch."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from bitwright.errors import MissingDependencyError, ModelError, UsageError
from bitwright.importers.load import load_graph
from bitwright.importers.torch_module import load_torch

torch = pytest.importorskip("torch", reason="PyTorch modules need PyTorch, which is not installed")


class Residual(torch.nn.Module):
    """Convolutions with BatchNorm and a residual add."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.second = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.head = torch.nn.Linear(8, 5)
        torch.nn.init.uniform_(self.norm.running_mean)
        torch.nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, image: Any) -> Any:
        """image: [N, 3, H, W]."""
        h = torch.relu(self.norm(self.first(image)))
        return self.head(torch.relu(h + self.second(h)).mean((2, 3)))


class Recurrent(torch.nn.Module):
    """An LSTM over [N, T, 6], its last state classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(6, 7, batch_first=True)
        self.head = torch.nn.Linear(7, 3)

    def forward(self, frames: Any) -> Any:
        """frames: [N, T, 6]."""
        return self.head(self.lstm(frames)[0][:, -1])


class Two(torch.nn.Module):
    """Two inputs, two outputs, an optional number."""

    def forward(self, left: Any, right: Any, scale: float = 2.0) -> Any:
        """left, right: [N, C]."""
        return left * scale, right.sum(1)


class Fixed(torch.nn.Module):
    """Code that works for a batch of four alone."""

    def forward(self, x: Any) -> Any:
        """x: [4, 3]."""
        return x.reshape(4, 3) * 2


def _perceptron() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))


@pytest.mark.parametrize(
    ("make", "shape", "name"),
    [
        pytest.param(Residual, (3, 16, 16), "image", id="residual"),
        pytest.param(_perceptron, (4,), "input", id="perceptron"),
        pytest.param(Recurrent, (5, 6), "frames", id="lstm"),
    ],
)
def test_torch_module_gives_the_same_outputs_for_any_batch(make: Any, shape: Any, name: str, run_model: Any) -> None:
    """Traced with one sample, the graph is right for batches of one and four."""
    torch.manual_seed(0)
    module = make()

    model, path = load_graph(module, example_inputs=torch.randn(1, *shape))

    assert path is None
    assert [value.name for value in model.graph.inputs] == [name]
    assert model.opset_imports[""] >= 21
    module.eval()
    for batch in (1, 4):
        x = torch.randn(batch, *shape)
        (found,) = run_model(model, {name: x.numpy()}).values()
        np.testing.assert_allclose(module(x).detach().numpy(), found, rtol=1e-5, atol=1e-5)


def test_torch_parameters_keep_their_names_and_nodes_have_their_own() -> None:
    """Constants are named as the module's parameters; every node has a name of its own."""
    model = load_torch(Residual(), torch.randn(2, 3, 8, 8))

    assert {"first.weight", "second.weight", "second.bias", "head.weight"} <= set(model.graph.initializers)
    names = [node.name for node in model.graph]
    assert all(names)
    assert len(set(names)) == len(names)


def test_torch_module_keeps_its_training_flags() -> None:
    """Each submodule is in the mode it was in, though the export ran in eval mode."""
    module = Residual()
    module.train()
    module.norm.eval()

    load_torch(module, torch.randn(2, 3, 8, 8))

    assert module.training
    assert module.first.training
    assert not module.norm.training


def test_torch_graph_does_not_follow_later_training() -> None:
    """The graph has its own constants."""
    module = _perceptron()
    model = load_torch(module, torch.randn(2, 4))
    before = model.graph.initializers["0.bias"].const_value.numpy().copy()

    with torch.no_grad():
        module[0].bias += 1.0

    np.testing.assert_array_equal(before, model.graph.initializers["0.bias"].const_value.numpy())


@pytest.mark.parametrize("form", ["tuple", "dict"])
def test_torch_example_inputs_are_a_tuple_or_a_dict(form: str, run_model: Any) -> None:
    """Inputs are named as forward's arguments, however the examples are given; all get a free batch."""
    example = {"left": torch.randn(2, 3), "right": torch.randn(2, 4)}

    model = load_torch(Two(), tuple(example.values()) if form == "tuple" else example)

    assert [value.name for value in model.graph.inputs] == ["left", "right"]
    feeds = {"left": np.ones((5, 3), np.float32), "right": np.ones((5, 4), np.float32)}
    doubled, summed = run_model(model, feeds).values()
    np.testing.assert_array_equal(np.full((5, 3), 2.0), doubled)
    np.testing.assert_array_equal(np.full(5, 4.0), summed)


def test_torch_module_that_fixes_its_batch_is_exported_for_it_with_a_warning() -> None:
    """Code that only works for its example's batch gives a graph of that batch, and a warning."""
    with pytest.warns(UserWarning, match="Fixed was exported for the batch size of its example inputs only"):
        model = load_torch(Fixed(), torch.randn(4, 3))

    assert model.graph.inputs[0].shape == ir.Shape([4, 3])


def test_torch_batch_stays_fixed_when_asked() -> None:
    """dynamic_batch=False keeps the example's batch."""
    model = load_torch(_perceptron(), torch.randn(3, 4), dynamic_batch=False)

    assert model.graph.inputs[0].shape == ir.Shape([3, 4])


def test_torch_program_file_gives_the_same_outputs(tmp_path: Path, run_model: Any) -> None:
    """A .pt2 file of torch.export.save is read."""
    module = Residual().eval()
    x = torch.randn(2, 3, 8, 8)
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(module, (x,)), path)

    model, shown = load_graph(path)

    assert shown == str(path)
    (found,) = run_model(model, {"image": x.numpy()}).values()
    np.testing.assert_allclose(module(x).detach().numpy(), found, rtol=1e-5, atol=1e-5)


def test_torch_module_without_examples_says_what_to_give() -> None:
    """A module alone cannot be traced."""
    with pytest.raises(UsageError, match="example inputs") as caught:
        load_graph(_perceptron())

    assert caught.value.where == "Sequential"
    assert "example_inputs" in str(caught.value.next)


def test_torch_module_that_cannot_be_exported_says_why() -> None:
    """The exporter's own reason is in the error."""

    class Data(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2 if float(x.sum()) > 0 else x.nope

    with pytest.raises(ModelError, match="could not export") as caught:
        load_torch(Data(), torch.randn(2, 3))

    assert caught.value.where == "Data"
    assert caught.value.next


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
def test_torch_pickle_is_refused_without_being_read(suffix: str, tmp_path: Path) -> None:
    """Unpickling runs code, so files of torch.save are refused by name."""
    path = tmp_path / f"net{suffix}"
    torch.save(_perceptron().state_dict(), path)

    with pytest.raises(ModelError, match="unpickling runs the file's code") as caught:
        load_graph(path)

    assert caught.value.where == str(path)
    assert "torch.export.save" in str(caught.value.next)


@pytest.mark.parametrize("kind", ["not-a-zip", "other-zip", "pickled-object", "missing"])
def test_torch_program_file_that_is_none_is_refused(kind: str, tmp_path: Path) -> None:
    """Damaged or foreign .pt2 files are refused with their path."""
    path = tmp_path / "net.pt2"
    if kind == "not-a-zip":
        path.write_bytes(b"not a zip")
    elif kind != "missing":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data/constants/opaque_obj_0" if kind == "pickled-object" else "x", b"y")

    with pytest.raises(ModelError) as caught:
        load_graph(path)

    assert caught.value.where == str(path)
    assert caught.value.next


def test_missing_torch_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without PyTorch the error names the extra."""
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(MissingDependencyError) as caught:
        load_graph(tmp_path / "net.pt2")

    assert caught.value.next == "pip install bitwright[torch]"


def test_torch_module_whose_forward_takes_anything_has_a_free_batch() -> None:
    """Keras's layers are modules with `forward(self, *args, **kwargs)`."""

    class Anything(torch.nn.Module):
        def forward(self, *args, **kwargs):
            return args[0].relu()

    graph, _ = load_graph(Anything(), example_inputs=(torch.zeros(2, 3),))

    (given,) = graph.graph.inputs
    assert given.shape is not None
    assert not isinstance(given.shape[0], int)
    assert given.shape[1] == 3
