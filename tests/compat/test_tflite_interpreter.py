"""Interpreter: TFLite's methods on our engine, held against LiteRT's own interpreter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tflite_networks import images, network

from bitwright.compat.tflite import Interpreter, OpResolverType, Optimize, TFLiteConverter, load_delegate
from bitwright.errors import BitwrightError, ModelError, SampleError, UsageError

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

MODELS = Path(__file__).parents[2].parent / "shared" / "models"
PUBLISHED = ("resnet8_cifar10_int8", "kws_dscnn_int8", "toycar_autoencoder_int8", "resnet8_cifar10", "dtln_1")
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not here")


@pytest.fixture(scope="module")
def content() -> bytes:
    """An int8 file with integer ports."""
    made = TFLiteConverter.from_onnx(network())
    made.optimizations, made.representative_dataset = [Optimize.DEFAULT], images
    made.inference_input_type = made.inference_output_type = "int8"
    return made.convert()


def integers(shape: Any, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)


def run(face: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    for detail, array in zip(face.get_input_details(), arrays, strict=True):
        face.set_tensor(detail["index"], array)
    face.invoke()
    return [face.get_tensor(detail["index"]) for detail in face.get_output_details()]


def inputs(face: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [
        integers(d["shape"]) if d["dtype"] is np.int8 else rng.normal(0, 1, d["shape"]).astype(d["dtype"])
        for d in face.get_input_details()
    ]


def plain(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Details as values that compare."""
    return [
        {
            key: {k: np.asarray(v).tolist() for k, v in value.items()}
            if isinstance(value, dict)
            else value.tolist()
            if isinstance(value, np.ndarray)
            else value
            for key, value in detail.items()
        }
        for detail in details
    ]


@needs_models
@pytest.mark.parametrize("name", PUBLISHED)
def test_interpreter_details_are_those_of_litert(name):
    """Every tensor of published files: name, index, shape, signature, type, quantization."""
    path = str(MODELS / f"{name}.tflite")
    ours, theirs = Interpreter(path), litert.Interpreter(path, experimental_op_resolver_type=litert.OpResolverType(3))
    for face in (ours, theirs):
        face.allocate_tensors()

    assert plain(theirs.get_input_details()) == plain(ours.get_input_details())
    assert plain(theirs.get_output_details()) == plain(ours.get_output_details())
    assert plain(theirs.get_tensor_details())[: len(ours.get_tensor_details())] == plain(ours.get_tensor_details())
    assert theirs.get_signature_list() == ours.get_signature_list()


@needs_models
@pytest.mark.parametrize("resolver", ["BUILTIN_REF", "AUTO"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_interpreter_gives_what_litert_gives(name, resolver):
    """On the references no integer differs, on the engine none by more than a step; floats by rounding."""
    path, kind = str(MODELS / f"{name}.tflite"), litert.OpResolverType[resolver]
    theirs = litert.Interpreter(path, experimental_op_resolver_type=kind)
    ours = Interpreter(path, experimental_op_resolver_type=kind, num_threads=2)
    for face in (theirs, ours):
        face.allocate_tensors()
    given = inputs(theirs)

    for want, got in zip(run(theirs, *given), run(ours, *given), strict=True):
        if want.dtype == np.int8:
            assert np.abs(want.astype(int) - got).max() <= (0 if resolver == "BUILTIN_REF" else 1)
        else:
            assert got == pytest.approx(want, abs=1e-4)


@needs_models
@pytest.mark.parametrize("name", ["resnet8_cifar10_int8", "kws_dscnn_int8", "toycar_autoencoder_int8"])
def test_interpreter_resizes_the_batch_as_litert_does(name):
    """Five rows at once."""
    path = str(MODELS / f"{name}.tflite")
    made = []
    for face in (litert.Interpreter(path), Interpreter(path)):
        detail = face.get_input_details()[0]
        shape = (5, *detail["shape"][1:])
        face.resize_tensor_input(detail["index"], shape, strict=True)
        face.allocate_tensors()
        made.append(run(face, integers(shape))[0])

    assert made[0].shape == made[1].shape
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1


@pytest.mark.parametrize("flattens", [pytest.param(False, id="mean"), pytest.param(True, id="flatten")])
def test_interpreter_runs_our_files_resized(flattens):
    """A file of batch 1 takes rows: each gives what it gives alone."""
    content = TFLiteConverter.from_onnx(network(flattens=flattens)).convert()
    one, many = Interpreter(model_content=content), Interpreter(model_content=content)
    many.resize_tensor_input(0, [3, 8, 8, 3])
    assert many.get_input_details()[0]["shape"].tolist() == [3, 8, 8, 3]
    x = np.concatenate([sample[0] for sample in images(3, channels_last=True)])
    for face in (one, many):
        face.allocate_tensors()

    alone = [run(one, x[i : i + 1])[0] for i in range(3)]

    assert run(many, x)[0] == pytest.approx(np.concatenate(alone), abs=1e-6)


@pytest.mark.parametrize("resolver", [OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_interpreter_resolvers_give_litert_s_integers(content, resolver):
    """The references, and the engine as it rounds like TFLite's own kernels."""
    theirs = litert.Interpreter(model_content=content, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF)
    ours = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    for face in (theirs, ours):
        face.allocate_tensors()
    x = integers((1, 8, 8, 3))

    assert np.array_equal(run(theirs, x)[0], run(ours, x)[0])


def test_interpreter_tensor_is_the_memory_of_the_input(content):
    """What is written into it is run; an output's function gives the last result."""
    face, other = Interpreter(model_content=content), Interpreter(model_content=content)
    for one in (face, other):
        one.allocate_tensors()
    x = integers((1, 8, 8, 3))
    given, made = (face.tensor(d[0]["index"]) for d in (face.get_input_details(), face.get_output_details()))

    given()[...] = x
    face.invoke()

    assert np.array_equal(run(other, x)[0], made())
    first = made().copy()
    given().fill(5)
    face.invoke()
    assert not np.array_equal(first, made())


def test_interpreter_signature_runner_takes_and_gives_names(content):
    """By name, and any batch."""
    face = Interpreter(model_content=content)
    assert face.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["scores"]}}
    runner = face.get_signature_runner()
    x = integers((2, 8, 8, 3))

    made = runner(image=x)

    assert made["scores"].shape == (2, 4)
    assert list(runner.get_input_details()) == ["image"]
    assert runner.get_output_details()["scores"]["dtype"] is np.int8
    assert np.array_equal(made["scores"][:1], runner(image=x[:1])["scores"])
    with pytest.raises(ValueError, match="img"):
        runner(img=x)
    with pytest.raises(ValueError, match="no signature 'other'"):
        face.get_signature_runner("other")


def test_interpreter_keeps_all_tensors_where_asked(content):
    """Inner values as LiteRT has them; without it they are refused."""
    theirs = litert.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    ours = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    plainly = Interpreter(model_content=content)
    for face in (theirs, ours, plainly):
        face.allocate_tensors()
        run(face, integers((1, 8, 8, 3)))
    first = theirs._get_ops_details()[0]["outputs"][0]

    assert np.array_equal(theirs.get_tensor(first), ours.get_tensor(first))
    with pytest.raises(SampleError, match="not kept"):
        plainly.get_tensor(first)
    constant = theirs._get_ops_details()[0]["inputs"][1]
    assert np.array_equal(theirs.get_tensor(constant), plainly.get_tensor(constant))


@needs_models
def test_interpreter_resets_state():
    """reset_all_variables is there for files without state too."""
    face = Interpreter(MODELS / "kws_dscnn.tflite")
    face.reset_all_variables()
    face.allocate_tensors()
    face.reset_all_variables()
    assert face.num_subgraphs() == 1


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        pytest.param(lambda f: f.set_tensor(0, np.zeros((1, 8, 8, 3), np.float32)), ValueError, "int8", id="type"),
        pytest.param(lambda f: f.set_tensor(0, np.zeros((1, 8, 3), np.int8)), ValueError, "1, 8, 3", id="shape"),
        pytest.param(lambda f: f.set_tensor(1, np.zeros(1, np.int8)), ValueError, "no input", id="not-an-input"),
        pytest.param(lambda f: f.get_tensor(999), ValueError, "no tensor 999", id="index"),
        pytest.param(
            lambda f: f.get_tensor(f.get_output_details()[0]["index"]), RuntimeError, "not computed", id="no-invoke"
        ),
        pytest.param(lambda f: f.resize_tensor_input(0, [2, 8, 8, 3], strict=True), ValueError, "fixed", id="strict"),
        pytest.param(lambda f: f.resize_tensor_input(1, [2]), ValueError, "no input", id="resize-a-constant"),
        pytest.param(lambda f: f.get_tensor_details(1), ValueError, "subgraph 1", id="subgraph"),
    ],
)
def test_interpreter_refuses_what_tflite_refuses(content, act, kind, message):
    """With bitwright's errors, which are the built-in ones that scripts catch."""
    face = Interpreter(model_content=content)
    face.allocate_tensors()

    with pytest.raises(kind, match=message) as told:
        act(face)
    assert isinstance(told.value, BitwrightError)


def test_interpreter_refuses_to_run_before_allocate_tensors(content):
    """Also after a resize."""
    face = Interpreter(model_content=content)
    with pytest.raises(RuntimeError, match="no memory"):
        face.invoke()
    face.allocate_tensors()
    face.resize_tensor_input(0, [2, 8, 8, 3])
    with pytest.raises(RuntimeError, match="no memory"):
        face.invoke()


def test_interpreter_refuses_shapes_that_no_operator_takes(content):
    """The error names the operator."""
    face = Interpreter(model_content=content)
    face.resize_tensor_input(0, [1, 8, 8, 4])
    with pytest.raises(SampleError, match="CONV_2D"):
        face.allocate_tensors()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({}, "one model", id="no-model"),
        pytest.param({"model_path": "a", "model_content": b"b"}, "one model", id="two-models"),
        pytest.param({"model_content": b"b", "num_threads": 0}, "num_threads", id="threads"),
        pytest.param({"model_content": b"b", "experimental_delegates": [1]}, "delegates", id="delegates"),
        pytest.param({"model_content": b"b", "experimental_op_resolver_type": 7}, "resolver", id="resolver"),
    ],
)
def test_interpreter_refuses_arguments(arguments, message):
    """Each is a ValueError as well."""
    with pytest.raises(UsageError, match=message) as told:
        Interpreter(**arguments)
    assert isinstance(told.value, ValueError)


def test_interpreter_refuses_what_is_no_file():
    """A file that is not there, bytes that are no model, and delegates."""
    with pytest.raises(ModelError):
        Interpreter("missing.tflite")
    with pytest.raises(ModelError):
        Interpreter(model_content=b"not a model at all")
    with pytest.raises(UsageError, match="delegates"):
        load_delegate("libedgetpu.so")
