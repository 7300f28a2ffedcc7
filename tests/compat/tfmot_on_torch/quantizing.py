"""tfmot.quantization.keras on Keras's torch backend; started by test_tfmot.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from networks import convolutional, images, kernels, layers, trained

import bitwright as bw
import bitwright.compat.tfmot as tfmot
from bitwright.calibration.idx import read_idx
from bitwright.compat.tflite import OpsSet, Optimize, TFLiteConverter
from bitwright.errors import UnsupportedOpError, UsageError
from bitwright.formats.tflite.read import read_tflite
from bitwright.quantization.plan import Compute

tf_quantization = tfmot.quantization.keras
MNIST = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def model() -> Any:
    return trained(convolutional(), epochs=3)


@pytest.fixture(scope="module")
def aware(model: Any) -> Any:
    return trained(tf_quantization.quantize_model(model), rate=1e-3)


def on(runtime: str, made: bw.Model, tmp_path: Path, **feeds: Any) -> dict[str, Any]:
    """What a model's file gives."""
    path = tmp_path / {"onnxruntime": "model.onnx", "litert": "model.tflite"}[runtime]
    made.save(path)
    return bw.run(str(path), feeds, runtime=runtime)


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_quantize_aware_model_predicts_what_its_file_gives(aware, runtime, tmp_path):
    """No value differs."""
    if runtime == "litert":
        pytest.importorskip("ai_edge_litert")
    x, _ = images(100, 1)

    (scores,) = on(runtime, bw.load(aware), tmp_path, image=x).values()

    np.testing.assert_array_equal(scores, aware.predict(x, verbose=0))


def test_quantize_aware_model_is_int8_throughout(aware):
    """Every node computes with integers, and no Transpose is between the layers."""
    made = bw.load(aware)

    assert made.plan is not None
    assert {node.compute for node in made.plan.nodes.values()} == {Compute.INTEGER}
    assert "TRANSPOSE" not in {operator.kind for operator in made.to_program().operators}


def test_quantize_aware_model_is_taken_wherever_a_model_is(aware, tmp_path):
    """load, convert, inspect give the model that is quantized as it was trained."""
    paths = [tmp_path / "loaded.tflite", tmp_path / "converted.tflite"]
    bw.load(aware).save(paths[0])
    bw.convert(aware).save(paths[1])

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert "int8 for litert" in str(bw.inspect(aware))


def test_quantize_model_leaves_the_float_model(model, aware):
    """Weights are copied, names of model and inputs too."""
    again = trained(convolutional(), epochs=3)

    for before, now in zip(kernels(again).values(), kernels(model).values(), strict=True):
        np.testing.assert_array_equal(before, now)
    assert aware.name == model.name
    assert [tensor.name for tensor in aware.inputs] == ["image"]


def test_quantize_aware_model_evaluates_in_keras(aware):
    """The loss and the metrics of compile."""
    x, labels = images(200, 1)

    told = aware.evaluate(x, labels, verbose=0, return_dict=True)

    assert told["accuracy"] == pytest.approx((aware.predict(x, verbose=0).argmax(1) == labels).mean())
    assert told["accuracy"] > 0.9


def test_quantize_aware_model_is_saved_and_trained_on(aware, tmp_path):
    """As .keras with its ranges; weights alone as well."""
    x, labels = images(64, 1)
    aware.save(tmp_path / "aware.keras")
    aware.save_weights(tmp_path / "aware.weights.h5")

    with tf_quantization.quantize_scope():
        loaded = keras.models.load_model(tmp_path / "aware.keras")

    np.testing.assert_array_equal(loaded.predict(x, verbose=0), aware.predict(x, verbose=0))
    loaded.fit(x, labels, verbose=0)
    assert not np.array_equal(loaded.predict(x, verbose=0), aware.predict(x, verbose=0))
    loaded.load_weights(tmp_path / "aware.weights.h5")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), aware.predict(x, verbose=0))


def test_quantization_keeps_the_zeros_of_pruning():
    """prune, strip, quantize_model, fit: the zeros are the same in the integers."""
    sparsity = tfmot.sparsity.keras
    pruned = sparsity.prune_low_magnitude(convolutional(), sparsity.ConstantSparsity(0.5, 0))
    pruned = sparsity.strip_pruning(trained(pruned, callbacks=[sparsity.UpdatePruningStep()]))

    aware = trained(tf_quantization.quantize_model(pruned), rate=1e-3)

    shares = [zeros.share for zeros in bw.sparsity(aware.network).weights.values()]
    assert shares == pytest.approx([0.5] * 3, abs=0.01)
    assert all(share >= 0.5 for share in shares)


def test_quantization_keeps_shared_values():
    """cluster, strip, quantize_apply with tfmot's scheme for it: so few integers, where no normalization is folded."""
    clustering = tfmot.clustering.keras
    clustered = trained(clustering.cluster_weights(trained(convolutional(normalized=False)), 8), rate=1e-3)
    annotated = tf_quantization.quantize_annotate_model(clustering.strip_clustering(clustered))
    scheme = tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme()

    aware = trained(tf_quantization.quantize_apply(annotated, scheme), rate=1e-3)

    network = aware.network
    found = [len(np.unique(network.tensor(name).detach().cpu().numpy())) for name in network.weight_names()]
    assert len(found) == 2
    assert max(found) <= 8


def test_annotated_layers_alone_are_quantized(model):
    """The others, and what follows them, compute with floats."""

    def own(layer: Any) -> Any:
        return tf_quantization.quantize_annotate_layer(layer) if isinstance(layer, layers.Dense) else layer

    annotated = keras.models.clone_model(model, clone_function=own)

    made = bw.load(trained(tf_quantization.quantize_apply(annotated), epochs=1))

    assert made.plan is not None
    computes = {node.op_type: made.plan.nodes[str(node.name)].compute for node in made.graph.graph}
    assert computes["Conv"] is Compute.FLOAT
    assert computes["MaxPool"] is Compute.FLOAT
    assert computes["Gemm"] is Compute.INTEGER


def test_inputs_and_outputs_by_name_stay_so(tmp_path):
    """Two inputs in a dict, two outputs in a dict, each with its loss."""
    image, extra = keras.Input((12, 12, 1), name="image"), keras.Input((3,), name="extra")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Concatenate()([x, layers.Dense(8, activation="relu")(extra)])
    outputs = {"scores": layers.Dense(4, name="scores")(x), "size": layers.Dense(1, name="size")(x)}
    aware = tf_quantization.quantize_model(keras.Model({"image": image, "extra": extra}, outputs))
    aware.compile(optimizer="adam", loss={"scores": "mse", "size": "mse"})
    rng = np.random.default_rng(0)
    feeds = {"image": images(32)[0], "extra": rng.normal(size=(32, 3)).astype(np.float32)}
    aware.fit(feeds, {"scores": rng.normal(size=(32, 4)), "size": rng.normal(size=(32, 1))}, epochs=2, verbose=0)

    expected = aware.predict(feeds, verbose=0)
    given = on("onnxruntime", bw.load(aware), tmp_path, **feeds)

    assert sorted(expected) == sorted(given) == ["scores", "size"]
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array)


def test_quantize_model_names_what_it_does_not_take(model):
    """Models that are still being pruned, subclassed ones, schemes of other bits; a prefix names nothing."""

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UsageError, match="still being pruned or clustered: prune_low_magnitude_first"):
        tf_quantization.quantize_model(tfmot.sparsity.keras.prune_low_magnitude(model))
    with pytest.raises(UsageError, match="Sequential or Functional model is quantized, not Own"):
        tf_quantization.quantize_model(Own())
    with pytest.raises(UsageError, match="no layer of the model is annotated"):
        tf_quantization.quantize_apply(model)
    with pytest.raises(UsageError, match="the scheme int is not known"):
        tf_quantization.quantize_apply(model, 4)
    with pytest.raises(UsageError, match="a quantize_config is not taken"):
        tf_quantization.quantize_annotate_layer(layers.Dense(2), quantize_config=object())
    with pytest.warns(UserWarning, match="quantized_layer_name_prefix='q_' names nothing"):
        tf_quantization.quantize_model(model, quantized_layer_name_prefix="q_")


def test_converter_gives_a_quantize_aware_model_the_ports_that_are_asked(aware):
    """Full integers need no samples: training has seen them."""
    made = TFLiteConverter.from_keras_model(aware)
    made.optimizations = [Optimize.DEFAULT]
    made.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type, made.inference_output_type = np.uint8, np.int8

    program = read_tflite(made.convert())

    assert [program.tensors[port.tensor].dtype for port in (*program.inputs, *program.outputs)] == ["u8", "i8"]
    assert not [o.kind for o in program.operators if any(program.tensors[name].dtype == "f32" for name in o.outputs)]


def test_converter_refuses_floats_of_a_quantize_aware_model_where_integers_are_asked(model):
    """A layer that was left float is named."""
    parts = keras.models.clone_model(model, clone_function=lambda layer: (
        tf_quantization.quantize_annotate_layer(layer) if layer.name == "scores" else layer
    ))  # fmt: skip
    made = TFLiteConverter.from_keras_model(trained(tf_quantization.quantize_apply(parts), epochs=1))
    made.target_spec.supported_ops = [OpsSet.TFLITE_BUILTINS_INT8]

    with pytest.raises(UnsupportedOpError, match="Conv"):
        made.convert()


@pytest.mark.parametrize(
    ("attribute", "value"), [("supported_types", [np.float16]), ("representative_dataset", lambda: iter(()))]
)
def test_converter_warns_of_what_a_quantize_aware_model_has_no_use_for(aware, attribute, value):
    """Its integers are those of its training."""
    made = TFLiteConverter.from_keras_model(aware)
    made.optimizations = [Optimize.DEFAULT]
    setattr(made.target_spec if attribute == "supported_types" else made, attribute, value)

    with pytest.warns(UserWarning, match=f"{attribute} changes nothing"):
        made.convert()


@pytest.mark.skipif(not MNIST.is_dir(), reason="the shared data are not here")
def test_mnist_loses_little_at_int8(tmp_path):
    """A short training on 6 000 digits; 2 000 test images on ONNX Runtime."""
    x, test = (
        (read_idx(MNIST / f"{part}-images-idx3-ubyte.gz")[:count, ..., None] / np.float32(255)).astype(np.float32)
        for part, count in (("train", 6000), ("t10k", 2000))
    )
    labels, truth = (read_idx(MNIST / f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k"))
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((28, 28, 1), name="image"),
        layers.Conv2D(8, 3, strides=2, activation="relu"),
        layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.Flatten(),
        layers.Dense(10),
    ])  # fmt: skip

    def fitted(net: Any, epochs: int, rate: float) -> Any:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        net.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=["accuracy"])
        net.fit(x, labels[:6000].astype(np.int64), batch_size=64, epochs=epochs, verbose=0)
        return net

    def percent(scores: Any) -> float:
        return 100 * float((scores.argmax(1) == truth[:2000]).mean())

    before = percent(fitted(model, 3, 3e-3).predict(test, verbose=0))
    aware = fitted(tf_quantization.quantize_model(model), 1, 5e-4)
    (scores,) = on("onnxruntime", bw.load(aware), tmp_path, image=test).values()

    assert before > 85
    assert percent(scores) >= before - 0.5
