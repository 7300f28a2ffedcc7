"""transform_graph: the documented list, and what of it quantizes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.compat.graph_transforms import TransformGraph, transform_graph
from bitwright.compat.graph_transforms.rows import ALIASES, known
from bitwright.errors import TransformError
from bitwright.graph.constants import QuantizedTensor
from bitwright.graph.execution import Execution
from bitwright.numerics.metrics import sqnr_db

DOCUMENTED = [
    *("add_default_attributes", "fold_batch_norms", "fold_constants", "fold_old_batch_norms"),
    *("freeze_requantization_ranges", "fuse_convolutions", "insert_logging", "merge_duplicate_nodes"),
    *("obfuscate_names", "obsfucate_names", "quantize_nodes", "quantize_weights", "remove_attribute", "remove_device"),
    *("remove_nodes", "rename_attribute", "rename_op", "round_weights", "set_device", "sort_by_execution_order"),
    "strip_unused_nodes",
]

SCRIPT = (
    "add_default_attributes fold_constants(ignore_errors=true) fold_batch_norms fold_old_batch_norms quantize_weights "
    "quantize_nodes strip_unused_nodes sort_by_execution_order"
)


def integers(model: bw.Model) -> dict[str, np.ndarray]:
    """The stored integers of every constant, and their scales."""
    held = {name: value.const_value for name, value in model.graph.graph.initializers.items()}
    return {
        n: np.append(t.integers.ravel(), t.qparams.scale) for n, t in held.items() if isinstance(t, QuantizedTensor)
    }


@pytest.mark.parametrize("name", DOCUMENTED)
def test_transform_graph_knows_the_documented_list(name):
    """Every name of TensorFlow's documentation is one here."""
    assert ALIASES.get(name, name) in known()


@pytest.mark.parametrize("target", ["onnxruntime", "litert"])
def test_transform_graph_runs_the_usual_script(target, network, distance, samples, tmp_path):
    """Weights and nodes in eight bits, on ONNX Runtime and on the engine, close to float."""
    made = transform_graph(network, SCRIPT, inputs="input_data", outputs="softmax", target=target)

    assert [step.name for step in made.steps] == [call.split("(")[0] for call in SCRIPT.split()]
    assert distance(made.model) > 34
    counts = made.model.plan.counts()
    assert counts["dynamic"] == 2
    made.model.save(tmp_path / "o.tflite")
    expected = Execution(network.graph).run({"input_data": samples})["softmax"]
    (got,) = bw.run(tmp_path / "o.tflite", {"input_data": samples}).values()
    assert sqnr_db(expected, got) > 34


def test_transform_graph_leaves_the_given_model(network):
    """Whatever is done is done to a copy."""
    before = ir.to_onnx_text(network.graph)

    transform_graph(network, f"{SCRIPT} round_weights obfuscate_names")
    transform_graph(network, "quantize_weights rename_op(old_op_name=Relu, new_op_name=Abs)")

    assert ir.to_onnx_text(network.graph) == before


def test_TransformGraph_takes_tensorflows_arguments(network_file, distance):
    """A list of transforms and lists of names; what comes back is a Model."""
    made = TransformGraph(network_file, ["input_data"], ["softmax"], ["fold_batch_norms", "quantize_weights"])

    assert isinstance(made, bw.Model)
    assert distance(made) > 36


def test_transform_graph_finds_names_with_and_without_ports(network):
    """Names of nodes, of values, and with TensorFlow's :0."""
    made = transform_graph(network, "strip_unused_nodes", inputs=["input_data:0"], outputs=["fc:0"])

    assert [value.name for value in made.model.graph.graph.outputs] == ["logits_0"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("quantize_weigths", "did you mean quantize_weights"),
        ("quantize_nodes(input_min=0)", "input_min and input_max must be given together"),
        ("quantize_nodes(fallback_min=1, fallback_max=0)", "the lower one first"),
        ("quantize_nodes(range=1)", "quantize_nodes has no argument 'range'"),
        ("quantize_weights(minimum_size=large)", "must be a whole number"),
        ("freeze_requantization_ranges", "needs min_max_log_file"),
        ("freeze_requantization_ranges(min_max_log_file=none.txt)", "the log cannot be read"),
        ("set_device(color=red)", "set_device has no argument 'color'"),
    ],
)
def test_transform_graph_refuses_wrong_calls(text, told, network):
    """What cannot be meant is said, with what could be."""
    with pytest.raises(TransformError) as error:
        transform_graph(network, text)

    assert told in str(error.value)


def test_transform_graph_refuses_unknown_names(network):
    """An output that is neither a node nor a value."""
    with pytest.raises(TransformError, match="no value of the graph is named 'sotfmax'"):
        transform_graph(network, "strip_unused_nodes", outputs=["sotfmax"])


def test_transform_graph_ignores_errors_where_asked(network, distance):
    """The step is passed over, the rest is done."""
    network.graph.graph.initializers["fc_w"].const_value.numpy()[0, 0] = np.nan

    with pytest.raises(TransformError, match="NaN"):
        transform_graph(network, "quantize_weights")
    made = transform_graph(network, "quantize_weights(ignore_errors=true) fold_batch_norms")

    assert made.steps[0].message.startswith("error ignored")
    assert (made.model.plan, made.steps[1].modified) == (None, True)


@pytest.mark.parametrize("name", ["set_device(device=cpu, if_default=true)", "remove_device", "flatten_atrous_conv"])
def test_transform_graph_says_what_has_no_meaning(name, network):
    """One line, and nothing is done."""
    made = transform_graph(network, name)

    assert not made.steps[0].modified
    assert made.steps[0].message.startswith("nothing to do: ")
    assert made.model is network


@pytest.mark.parametrize(
    ("minimum", "stored"), [(1024, {"fc_w"}), (864, {"fc_w", "conv_w"}), (865, {"fc_w"}), (20481, set())]
)
def test_quantize_weights_stores_what_is_large_enough(minimum, stored, network, ops):
    """Constants of at least so many elements, each with a DequantizeLinear."""
    made = transform_graph(network, f"quantize_weights(minimum_size={minimum})").model

    assert set(integers(made)) == stored
    assert ops(made).count("DequantizeLinear") == len(stored)


def test_quantize_weights_stores_constants_of_any_operator(network, distance, tmp_path):
    """Operands of Add and the like too; in .tflite files as well."""
    made = transform_graph(network, "quantize_weights(minimum_size=10)").model

    assert {"fc_w", "conv_w", "conv_b", "fc_b", "gamma", "beta", "mean", "var"} == set(integers(made))
    assert distance(made) > 33
    made.save(tmp_path / "o.tflite")


@pytest.mark.parametrize("target", ["onnxruntime", "litert"])
@pytest.mark.parametrize("ranges", ["", "(fallback_min=-4, fallback_max=6)"])
def test_quantize_nodes_gives_the_same_integers_with_and_without_quantize_weights(target, ranges, network):
    """Weights are rounded once, whichever steps come before."""
    text = f"fold_batch_norms {{}} quantize_nodes{ranges}"

    alone = integers(transform_graph(network, text.format(""), target=target).model)
    after = integers(transform_graph(network, text.format("quantize_weights"), target=target).model)

    assert len(alone) >= 2
    assert alone.keys() == after.keys()
    for name, expected in alone.items():
        np.testing.assert_allclose(after[name], expected, rtol=1e-6, err_msg=name)


def test_quantize_nodes_calibrates_on_samples(network, samples, distance, ops):
    """With samples the ranges are constants: full-integer, and no pair of Dequantize and Quantize meets."""
    made = transform_graph(network, "quantize_nodes", calibration={"input_data": samples}).model

    assert made.plan.counts()["integer"] == 4
    assert distance(made) > 33
    assert not transform_graph(made, "remove_redundant_quantization").steps[0].modified


def test_quantize_nodes_takes_a_fallback_range(network, ops):
    """Every activation has the range that was told."""
    made = transform_graph(network, "quantize_nodes(fallback_min=-4, fallback_max=6)").model

    assert {"input_data", "relu", "flat"} <= set(made.plan.tensors)
    assert made.plan.tensors["input_data"].qparams.scale[0] == pytest.approx(10 / 255)
    assert "DynamicQuantizeLinear" not in ops(made)


@pytest.mark.parametrize("more", ["", ", fallback_min=-4, fallback_max=13"])
def test_quantize_nodes_makes_inputs_integers(more, network, samples, tmp_path):
    """Inputs hold uint8 of the range, and give what the floats that they stand for gave."""
    held = np.clip(np.rint((samples + 4) * 255 / 8), 0, 255).astype(np.uint8)
    text = f"quantize_nodes(input_min=-4, input_max=4{more})"

    made = transform_graph(network, text).model

    graph = made.to_ir()
    assert graph.graph.inputs[0].dtype == ir.DataType.UINT8
    sources = [node.inputs[0].producer() for node in graph.graph if node.op_type == "QuantizeLinear"]
    assert all(node is None or node.op_type != "DequantizeLinear" for node in sources)
    floats = transform_graph(network, text.replace("input_min=-4, input_max=4, ", "")).model if more else made
    reals = (held.astype(np.float32) - 128) * np.float32(8 / 255)
    got = Execution(graph).run({"input_data": held})["softmax"]
    expected = Execution(network.graph if not more else floats.to_ir()).run({"input_data": reals})["softmax"]
    assert sqnr_db(expected, got) > (14 if more else 28)


def test_quantize_nodes_makes_inputs_integers_of_tflite_files(network, samples, tmp_path):
    """The ports of a full-integer .tflite are uint8; of one with float activations they cannot be."""
    text = "quantize_nodes(input_min=-4, input_max=4{})"

    made = transform_graph(network, text.format(", fallback_min=-4, fallback_max=13"), target="litert").model
    made.save(tmp_path / "o.tflite")

    assert bw.load(tmp_path / "o.tflite").input_type == "uint8"
    with pytest.raises(TransformError, match="has float inputs"):
        transform_graph(network, text.format(""), target="litert")


def test_quantized_models_are_left_as_they_are(network, samples):
    """A second quantize_nodes or quantize_weights says so."""
    made = transform_graph(network, "quantize_nodes", calibration={"input_data": samples}).model

    again = transform_graph(made, "quantize_weights quantize_nodes")

    assert [step.modified for step in again.steps] == [False, False]
    assert all("already" in step.message for step in again.steps)


def test_edits_of_a_quantized_model_keep_it_quantized(network, samples, distance, tmp_path):
    """What changes the graph afterwards leaves integers integers, in .tflite files too."""
    made = transform_graph(network, "quantize_nodes obfuscate_names", calibration={"input_data": samples})

    made.model.save(tmp_path / "o.tflite")

    assert made.steps[1].modified
    assert distance(made.model) > 33
    assert "conv" not in str(made.model.to_ir().metadata_props)
    kinds = [operator.kind for operator in bw.load(tmp_path / "o.tflite").to_program().operators]
    assert kinds[:3] == ["QUANTIZE", "PAD", "CONV_2D"]
