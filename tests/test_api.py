"""The whole chain as users call it: what it gives, what it refuses, what it leaves alone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.errors import (
    BitwrightError,
    ModelError,
    OutputError,
    RecipeError,
    SampleError,
    StatisticsError,
    TransformError,
    UsageError,
)
from bitwright.graph.execution import open_session
from bitwright.graph.text import parse

MODES = ("float16", "weight-only", "dynamic", "int8", "uint8", "int16x8")
METHODS = ("minmax", "ema", "percentile", "entropy", "mse")

NET = """<ir_version: 10, opset_import: ["": 21]>
net (float[N, 3, 8, 8] x, float[16, 3, 3, 3] w, float[16] b, float[16, 16, 1, 1] v, float[16] c, float[16, 10] d)
  => (float[N, 10] y) {
  [stem] a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  [act] r = Relu(a)
  [point] p = Conv(r, v, c)
  [sum] s = Add(p, r)
  [pool] g = GlobalAveragePool(s)
  [flat] f = Flatten(g)
  [head] y = MatMul(f, d)
}"""


def make_model(text: str = NET) -> ir.Model:
    """A small network with random weights."""
    model = parse(text)
    rng = np.random.default_rng(0)
    for value in list(model.graph.inputs)[1:]:
        shape = value.shape.numpy()  # type: ignore[union-attr]
        array = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        value.const_value = ir.Tensor(array, name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


@pytest.fixture
def model() -> ir.Model:
    return make_model()


@pytest.fixture
def proto() -> onnx.ModelProto:
    return ir.to_proto(make_model())


@pytest.fixture
def path(proto: onnx.ModelProto, tmp_path: Path) -> Path:
    """The network as a file."""
    onnx.save(proto, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def data() -> list[np.ndarray]:
    """Twelve samples."""
    rng = np.random.default_rng(1)
    return [rng.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(12)]


@pytest.fixture
def outputs() -> Callable[[bw.Model, np.ndarray], np.ndarray]:
    """What ONNX Runtime computes from a model's file."""
    return lambda model, x: open_session(model.to_proto().SerializeToString()).run(None, {"x": x})[0]


def same_bytes(a: bw.Model, b: bw.Model) -> bool:
    """Whether two models are written as the same bytes."""
    return a.to_proto().SerializeToString(deterministic=True) == b.to_proto().SerializeToString(deterministic=True)


# What is given


def test_load_takes_every_form(model, proto, path):
    """A path, a str, a ModelProto, an onnx_ir.Model and a Model are the same float model."""
    loaded = bw.load(path)

    assert loaded.plan is None
    assert loaded.source == str(path)
    assert bw.load(loaded) is loaded
    for source in (str(path), proto, model):
        other = bw.load(source)
        assert other.plan is None
        assert [n.op_type for n in other.graph.graph] == [n.op_type for n in loaded.graph.graph]


@pytest.mark.parametrize("mode", MODES)
def test_every_form_of_a_model_is_quantized_to_the_same_bytes(mode, model, proto, path, data):
    """The form the model was given in does not matter."""
    made = [bw.quantize(source, mode, calibration=data) for source in (path, str(path), proto, model, bw.load(path))]

    assert all(same_bytes(made[0], other) for other in made[1:])
    assert made[0].plan.mode == mode


@pytest.mark.parametrize("mode", MODES)
def test_quantize_leaves_what_it_is_given(mode, model, proto, path, data):
    """ModelProto, onnx_ir.Model, Model and file are what they were before."""
    before = proto.SerializeToString(deterministic=True), ir.to_proto(model).SerializeToString(deterministic=True)
    loaded = bw.load(path)
    loaded_before = loaded.to_proto().SerializeToString(deterministic=True)
    file_before = path.read_bytes()

    for source in (proto, model, loaded, path):
        bw.quantize(source, mode, calibration=data, equalize=mode == "int8")

    assert before[0] == proto.SerializeToString(deterministic=True)
    assert before[1] == ir.to_proto(model).SerializeToString(deterministic=True)
    assert loaded_before == loaded.to_proto().SerializeToString(deterministic=True)
    assert file_before == path.read_bytes()


def test_other_calls_leave_what_they_are_given(model, proto, data):
    """Calibrating, transforming, comparing and inspecting change nothing either."""
    before = proto.SerializeToString(deterministic=True), ir.to_proto(model).SerializeToString(deterministic=True)

    for source in (proto, model):
        bw.calibrate(source, data)
        bw.transform(source, "fold_constants fold_batch_norms equalize strip_unused_nodes", outputs=["r"])
        bw.compare(source, source, data, runs=1)
        bw.inspect(source)
        loaded = bw.load(source)
        loaded.to_proto()

    assert before[0] == proto.SerializeToString(deterministic=True)
    assert before[1] == ir.to_proto(model).SerializeToString(deterministic=True)


def test_calibration_samples_are_left_as_they_are(model, data):
    """Arrays given for calibration are read, not written."""
    copies = [x.copy() for x in data]

    bw.quantize(model, "int8", calibration=data)

    for x, copy in zip(data, copies, strict=True):
        np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("form", ["list", "dicts", "array", "generator", "callable", "npy", "npz", "reader"])
def test_every_form_of_calibration_gives_the_same_model(form, model, data, tmp_path):
    """A list, dicts, one array, a generator, a callable, files and a reader are the same samples."""

    class Reader:
        def __init__(self) -> None:
            self.left = iter(data)

        def get_next(self):
            x = next(self.left, None)
            return None if x is None else {"x": x}

    np.save(tmp_path / "x.npy", np.concatenate(data))
    np.savez(tmp_path / "x.npz", x=np.concatenate(data))
    forms = {
        "list": data,
        "dicts": [{"x": x} for x in data],
        "array": np.concatenate(data),
        "generator": (x for x in data),
        "callable": lambda: iter(data),
        "npy": tmp_path / "x.npy",
        "npz": str(tmp_path / "x.npz"),
        "reader": Reader(),
    }

    assert same_bytes(bw.quantize(model, "int8", calibration=forms[form]), bw.quantize(model, "int8", calibration=data))


def test_recipe_takes_the_place_of_a_mode(model, data):
    """mode=Recipe, recipe=Recipe and the mode it stands for give the same parameters."""
    recipe = bw.Recipe.from_json('[{"compute": "integer"}]')

    first, second = bw.quantize(model, recipe, calibration=data), bw.quantize(model, recipe=recipe, calibration=data)

    assert same_bytes(first, second)
    assert first.plan.tensors == bw.quantize(model, "int8", calibration=data).plan.tensors


def test_equalize_helps_weights_of_uneven_channels(outputs, data):
    """Channel ranges a thousandfold apart are evened out: the per-tensor model gets much better."""
    from bitwright.numerics.metrics import sqnr_db

    model = make_model(NET.replace("Add(p, r)", "Relu(p)"))
    factor = np.geomspace(0.03, 30, 16).astype(np.float32)
    for name, by in (("w", factor[:, None, None, None]), ("v", 1 / factor[None, :, None, None])):
        weight = model.graph.initializers[name]
        weight.const_value = ir.Tensor(weight.const_value.numpy() * by, name=name)
    reference = np.concatenate([outputs(bw.load(model), x) for x in data])

    plain, even = (bw.quantize(model, "int8", calibration=data, per_channel=False, equalize=on) for on in (False, True))

    error = [sqnr_db(reference, np.concatenate([outputs(m, x) for x in data])) for m in (plain, even)]
    assert error[1] > error[0] + 6
    assert [v.name for v in even.to_ir().graph.outputs] == ["y"]


def test_report_compares_with_the_float_model(model, data):
    """Nodes and samples are those of the plan; every weight's error is that against its float values."""
    made = bw.quantize(model, "int8", calibration=data)

    told = made.report.to_dict()

    assert told["nodes"] == made.plan.counts()
    assert told["samples"] == len(data)
    assert told["bytes"]["after"]["total"] == made.to_proto().ByteSize()
    weights = [t for t in told["worst_tensors"] if t["role"] == "weight"]
    assert weights
    assert all(30 < tensor["sqnr_db"] < 70 for tensor in weights)


# Statistics


@pytest.mark.parametrize("method", METHODS)
def test_statistics_give_the_bytes_that_calibrating_in_place_gives(method, model, data, tmp_path):
    """Saved, loaded, or in shards merged in any order: the same plan and the same file."""
    expected = bw.quantize(model, "int8", calibration=data, method=method)

    whole = bw.calibrate(model, data, method=method)
    shards = [bw.calibrate(model, data, method=method, shard=(i, 4)) for i in range(4)]
    whole.save(tmp_path / "s.npz")
    whole.save(tmp_path / "s.json")

    variants = {
        "fresh": whole,
        "npz": bw.Statistics.load(tmp_path / "s.npz"),
        "json": bw.Statistics.load(tmp_path / "s.json"),
        "merged": shards[2].merge(shards[0], shards[3], shards[1]),
    }
    for name, statistics in variants.items():
        made = bw.quantize(model, "int8", statistics=statistics, method=method)
        assert made.plan == expected.plan, name
        assert same_bytes(made, expected), name


def test_quantizing_twice_gives_the_same_bytes(model, data):
    """The same call gives the same file, however many threads calibrate."""
    one, two = (bw.quantize(model, "int8", calibration=data, workers=n) for n in (1, 2))

    assert same_bytes(one, two)


def test_statistics_serve_every_integer_mode_they_were_made_for(model, data):
    """Statistics of mode int8 serve uint8 as well: the same values are watched."""
    statistics = bw.calibrate(model, data)

    for mode in ("int8", "uint8"):
        assert bw.quantize(model, mode, statistics=statistics).plan == bw.quantize(model, mode, calibration=data).plan


def test_progress_is_told(model, data):
    """The callback is called up to (12, 12)."""
    seen: list[tuple[int, int | None]] = []

    bw.quantize(model, "int8", calibration=data, progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (12, 12)


# What is refused


def refused(kind: type[BitwrightError], call: Callable[[], object]) -> str:
    """The error must be of the kind and say what to do next."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.what
    assert caught.value.next, caught.value.what
    return str(caught.value)


@pytest.mark.parametrize("mode", ["int8", "uint8", "int16x8"])
def test_a_quantized_model_is_not_quantized_again(mode, model, data, tmp_path):
    """In every form: the Model, its file, its proto; and it is not calibrated either."""
    made = bw.quantize(model, mode, calibration=data)
    made.save(tmp_path / "small.onnx")

    for again in (made, tmp_path / "small.onnx", made.to_proto()):
        assert "quantized already" in refused(UsageError, lambda m=again: bw.quantize(m, "int8", calibration=data))
        assert "quantized already" in refused(UsageError, lambda m=again: bw.calibrate(m, data))
    assert "small.onnx" in refused(UsageError, lambda: bw.quantize(tmp_path / "small.onnx", "dynamic"))


@pytest.mark.parametrize("mode", ["float16", "weight-only", "dynamic"])
def test_a_model_with_small_weights_is_quantized_from_what_they_stand_for(mode, model, data, tmp_path):
    """Its activations are floats still; the report warns of the second rounding."""
    bw.quantize(model, mode).save(tmp_path / "small.onnx")

    made = bw.quantize(tmp_path / "small.onnx", "int8", calibration=data)

    assert made.plan.counts()["integer"] > 0
    assert f"weights came as {mode} and are rounded a second time" in str(made.report)


@pytest.mark.parametrize("mode", ["int8", "uint8", "int16x8"])
def test_integer_modes_without_samples_are_refused(mode, model):
    """The error says what to give, and which mode needs none."""
    told = refused(UsageError, lambda: bw.quantize(model, mode))

    assert mode in told
    assert "dynamic" in told


def test_equalize_with_saved_statistics_is_refused(model, data):
    """Their ranges are those of the channels before."""
    statistics = bw.calibrate(model, data)

    assert "equaliz" in refused(UsageError, lambda: bw.quantize(model, "int8", statistics=statistics, equalize=True))


@pytest.mark.parametrize(
    "options, kind, told",
    [
        ({"mode": "int3"}, UsageError, "int3"),
        ({"target": "toaster"}, UsageError, "toaster"),
        ({"method": "magic"}, UsageError, "magic"),
        ({"weight_bits": 5}, UsageError, "5"),
        ({"activation_type": "i3"}, UsageError, "i3"),
        ({"weight_method": "best"}, UsageError, "best"),
        ({"mode": "weight-only", "block_size": 7}, UsageError, "7"),
        ({"preprocess": "scale=1/255"}, UsageError, "preprocess"),
        ({"samples": 0}, UsageError, "0"),
        ({"calibration": []}, SampleError, ""),
        ({"calibration": [np.zeros((1, 4, 8, 8), np.float32)]}, SampleError, "x"),
        ({"calibration": [np.zeros((1, 3, 8, 8), np.complex64)]}, SampleError, "complex64"),
        ({"calibration": [np.full((1, 3, 8, 8), np.nan, np.float32)]}, SampleError, "NaN"),
        ({"calibration": [{"z": np.zeros((1, 3, 8, 8), np.float32)}]}, SampleError, "z"),
        ({"calibration": 3}, BitwrightError, ""),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_options_and_samples_that_do_not_fit_are_refused(options, kind, told, model, data):
    """Each says what is wrong and what to do."""
    asked = {"mode": "int8", "calibration": data, **options}

    assert told in refused(kind, lambda: bw.quantize(model, **asked))


def test_a_bad_exclude_is_refused(model):
    """What is excluded is given as regular expressions."""
    with pytest.raises(RecipeError, match="regular expression"):
        bw.quantize(model, "dynamic", exclude=["("])


def test_statistics_of_another_model_are_refused(model, data):
    """The values they lack are named."""
    other = parse("""<ir_version: 10, opset_import: ["": 21]>
        g (float[N, 16] z) => (float[N, 16] u) <float[1, 16] k = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7}>
        { u = Gemm <transB = 1> (z, k) }""")
    other.graph.outputs[0].shape = None
    statistics = dataclasses.replace(bw.calibrate(other, [np.ones((2, 16), np.float32)]), graph="")

    assert "'x'" in refused(StatisticsError, lambda: bw.quantize(model, "int8", statistics=statistics))


def test_statistics_of_another_method_are_refused(model, data):
    """Statistics of minmax have no histogram for percentile."""
    statistics = bw.calibrate(model, data)

    assert "percentile" in refused(
        StatisticsError, lambda: bw.quantize(model, "int8", statistics=statistics, method="percentile")
    )


@pytest.mark.parametrize(
    "source",
    [3, None, b"bytes", object(), "nowhere.onnx", "model.txt"],
    ids=["number", "none", "bytes", "object", "missing", "suffix"],
)
@pytest.mark.parametrize("call", ["load", "quantize", "inspect"])
def test_what_is_no_model_is_refused(source, call, tmp_path, monkeypatch):
    """Each with an error of ours that says what is read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.txt").write_text("hello")
    options = {"mode": "dynamic"} if call == "quantize" else {}

    refused(BitwrightError, lambda: getattr(bw, call)(source, **options))


def test_an_unknown_transform_is_refused(model):
    """The name is shown."""
    assert "frobnicate" in refused(TransformError, lambda: bw.transform(model, "frobnicate"))


def test_an_unknown_target_is_refused_by_every_call(model, data):
    """Targets are known when calibrating and inspecting too."""
    assert "toaster" in refused(UsageError, lambda: bw.calibrate(model, data, target="toaster"))
    assert "toaster" in refused(UsageError, lambda: bw.inspect(model, target="toaster"))


# Saving


def test_save_writes_what_to_proto_gives(model, data, tmp_path):
    """One file, the same bytes, the path given back."""
    made = bw.quantize(model, "int8", calibration=data)

    written = made.save(tmp_path / "small.onnx")

    assert written == [tmp_path / "small.onnx"]
    assert (tmp_path / "small.onnx").read_bytes() == made.to_proto().SerializeToString()
    assert os.listdir(tmp_path) == ["small.onnx"]


@pytest.mark.parametrize("name", ["small.h5", "small", "small.onnx.txt"])
def test_save_refuses_a_suffix_that_names_no_format(name, model, tmp_path):
    """Nothing is written."""
    refused(UsageError, lambda: bw.load(model).save(tmp_path / name))

    assert os.listdir(tmp_path) == []


def test_save_that_fails_leaves_the_old_file(model, data, tmp_path, monkeypatch):
    """An error in the middle of writing leaves the file that was there, and nothing beside it."""
    (tmp_path / "small.onnx").write_bytes(b"old")
    made = bw.quantize(model, "dynamic")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace", "rename"):
        monkeypatch.setattr(os, name, full)
    with pytest.raises(OutputError) as caught:
        made.save(tmp_path / "small.onnx")
    monkeypatch.undo()

    assert "No space left" in str(caught.value)
    assert (tmp_path / "small.onnx").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["small.onnx"]


def test_save_into_a_folder_that_does_not_exist_is_refused(model, tmp_path):
    """The path is named."""
    assert "nowhere" in refused(OutputError, lambda: bw.load(model).save(tmp_path / "nowhere" / "small.onnx"))


def test_save_replaces_the_file_it_was_read_from(path, tmp_path, outputs, data):
    """Quantizing in place over the float file works: what is needed was read before."""
    made = bw.quantize(path, "dynamic")
    expected = outputs(made, data[0])

    made.save(path)

    np.testing.assert_array_equal(outputs(bw.load(path), data[0]), expected)


# Numbers


def test_float16_of_values_beyond_its_range_stays_float(model, outputs, data):
    """A weight with 70000 keeps its type, and the result is finite and the same."""
    array = model.graph.initializers["v"].const_value.numpy().copy()
    array[3, 5] = 70000
    model.graph.initializers["v"].const_value = ir.Tensor(array, name="v")

    made = bw.quantize(model, "float16")

    assert "w" in made.plan.tensors
    assert "v" not in made.plan.tensors
    got, expected = outputs(made, data[0]), outputs(bw.load(model), data[0])
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, expected, rtol=1e-2)


def test_float16_at_the_edge_of_its_range_is_taken(model):
    """65504 is a float16; the next float up to infinity is not."""
    for largest, kept in ((65504.0, True), (65536.0, False)):
        array = model.graph.initializers["v"].const_value.numpy().copy()
        array[0, 0] = largest
        model.graph.initializers["v"].const_value = ir.Tensor(array, name="v")
        made = bw.quantize(model, "float16")
        assert ("v" in made.plan.tensors) == kept
        assert np.isfinite(made.graph.graph.initializers["v"].const_value.numpy()).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_model_of_nothing_to_quantize_is_given_back_as_it_was(mode, outputs):
    """A network without weights, in every mode: the same results."""
    model = parse("""<ir_version: 10, opset_import: ["": 21]>
        g (float[N, 4] x) => (float[N, 4] y) { a = Sin(x) y = Relu(a) }""")
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)

    made = bw.quantize(model, mode, calibration=[x])

    np.testing.assert_array_equal(outputs(made, x), np.maximum(np.sin(x), 0, dtype=np.float32))
    assert made.plan.counts() == {"float": 2}


def test_transform_of_a_quantized_model_sees_its_nodes(model, data):
    """Transforms work on the file's spelling: Quantize and Dequantize nodes are there."""
    made = bw.quantize(model, "int8", calibration=data)

    changed = bw.transform(made, "name_nodes")

    assert changed.plan is None
    assert "QuantizeLinear" in {n.op_type for n in changed.graph.graph}


def test_model_error_of_a_truncated_file_names_it(path):
    """A file cut in half is no model."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert "net.onnx" in refused(ModelError, lambda: bw.load(path))


def test_exclusion_that_matches_nothing_is_told(model):
    """A typo in --exclude is not silent: a warning names it."""
    small = bw.quantize(model, "dynamic", exclude="nosuchnode")

    assert any("nosuchnode" in warning for warning in small.report.warnings)


def test_calibration_data_that_no_mode_reads_are_told(model, data):
    """Dynamic needs none, and the report says that they were left alone."""
    small = bw.quantize(model, "dynamic", calibration=data)

    assert any("calibration data were not read" in warning for warning in small.report.warnings)


def test_statistics_are_no_path(model):
    """The refusal says what loads them."""
    assert "Statistics.load" in refused(UsageError, lambda: bw.quantize(model, "int8", statistics="seen.npz"))


def test_inspect_forecasts_what_quantize_does(model, data):
    """What inspect says int8 would do is what quantize then does, normalizations folded and all."""
    forecast = bw.inspect(model).preview

    assert forecast.counts() == bw.quantize(model, "int8", calibration=data).plan.counts()


def test_statistics_of_other_weights_are_refused(model, data):
    """Statistics are of one model: the same graph with other weights has other ranges."""
    seen = bw.calibrate(model, data)
    other = ir.from_proto(ir.to_proto(model))
    value = next(v for v in other.graph.initializers.values() if v.const_value.dtype == ir.DataType.FLOAT)
    value.const_value = ir.Tensor(value.const_value.numpy() * np.float32(3), name=value.name)

    assert bw.quantize(model, "int8", statistics=seen).plan.counts()
    with pytest.raises(StatisticsError, match="another model") as caught:
        bw.quantize(other, "int8", statistics=seen)

    assert caught.value.next


def test_statistics_of_different_models_do_not_merge(model, data):
    """Shards of different models are refused."""
    seen = bw.calibrate(model, data, shard=(0, 2))
    other = dataclasses.replace(bw.calibrate(model, data, shard=(1, 2)), graph="00000000")

    with pytest.raises(StatisticsError, match="different models"):
        seen.merge(other)
