"""Recipes of ai-edge-quantizer: what the package ships, what people write, and what is refused by name."""

from __future__ import annotations

import copy
import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitwright as bw
from bitwright.cli.main import run
from bitwright.compat.ai_edge_quantizer import is_recipe, to_recipe
from bitwright.errors import RecipeError, UsageError
from bitwright.quantization.recipe import Recipe

WEIGHTS = {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"}
ACTIVATIONS = {"num_bits": 8, "symmetric": False, "granularity": "TENSORWISE", "dtype": "INT"}
INTEGER = {"compute_precision": "INTEGER", "explicit_dequantize": False, "skip_checks": False, "min_weight_elements": 0}
FLOAT = INTEGER | {"compute_precision": "FLOAT", "explicit_dequantize": True}
MIN_MAX = "min_max_uniform_quantize"


def entry(config: dict[str, Any], operation: str = "*", regex: str = ".*", algorithm: str = MIN_MAX) -> dict[str, Any]:
    """One entry."""
    return {"regex": regex, "operation": operation, "algorithm_key": algorithm, "op_config": config}


def static(**changes: Any) -> dict[str, Any]:
    """A configuration of static quantization."""
    return {"activation_tensor_config": ACTIVATIONS, "weight_tensor_config": WEIGHTS, **INTEGER, **changes}


DYNAMIC = {"weight_tensor_config": WEIGHTS, **INTEGER}
WEIGHT_ONLY = {"weight_tensor_config": WEIGHTS, **FLOAT}
AI16 = ACTIVATIONS | {"num_bits": 16, "symmetric": True}
WI4 = WEIGHTS | {"num_bits": 4}
#: What the package's recipe.py gives by these names, and how Conv and Softmax compute then.
SHIPPED = {
    "dynamic_wi8_afp32": (entry(DYNAMIC), "dynamic", "float"),
    "dynamic_legacy_wi8_afp32": (entry(DYNAMIC | {"min_weight_elements": 1024}), "float", "float"),
    "weight_only_wi8_afp32": (entry(WEIGHT_ONLY), "weight-only", "float"),
    "weight_only_wi4_afp32": (entry(WEIGHT_ONLY | {"weight_tensor_config": WI4}), "weight-only", "float"),
    "static_wi8_ai8": (entry(static()), "integer", "integer"),
    "static_wi8_ai16": (entry(static(activation_tensor_config=AI16)), "integer", "integer"),
}
#: What the stem's weights and the depthwise result are stored in; None: as floats.
STORED = {
    "dynamic_wi8_afp32": ("i8", None),
    "dynamic_legacy_wi8_afp32": (None, None),
    "weight_only_wi8_afp32": ("i8", None),
    "weight_only_wi4_afp32": ("i4", None),
    "static_wi8_ai8": ("i8", "i8"),
    "static_wi8_ai16": ("i8", "i16"),
}


@pytest.fixture(scope="module")
def net():
    """Stem (Conv, Relu) - depthwise (Conv, Clip) - mean - fc (Gemm) - Softmax."""
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    held = {
        "w1": rng.standard_normal((8, 3, 3, 3)),
        "w2": rng.standard_normal((8, 1, 5, 5)),
        "w3": rng.standard_normal((8, 160)),
        "low": np.array(0.0),
        "high": np.array(6.0),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], name="stem", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["stem/out"], name="act"),
        node("Conv", ["stem/out", "w2"], ["c2"], name="depthwise", group=8, pads=[2, 2, 2, 2]),
        node("Clip", ["c2", "low", "high"], ["block/out"], name="act6"),
        node("GlobalAveragePool", ["block/out"], ["g"], name="mean"),
        node("Flatten", ["g"], ["f"], name="flatten"),
        node("Gemm", ["f", "w3"], ["a"], name="fc"),
        node("Softmax", ["a"], ["y"], name="softmax"),
    ]
    ports = [helper.make_tensor_value_info("x", 1, [1, 3, 8, 8]), helper.make_tensor_value_info("y", 1, [1, 160])]
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "net", ports[:1], ports[1:], constants)
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def samples():
    """Four inputs."""
    return np.random.default_rng(1).standard_normal((4, 3, 8, 8)).astype(np.float32)


def computes(net, samples, *entries: dict[str, Any]) -> dict[str, str]:
    """How each node computes, by its name, in a .tflite file."""
    recipe = to_recipe(json.dumps(entries), net)
    small = bw.quantize(net, recipe, target="litert", calibration=samples if recipe.needs_calibration else None)
    return {name: str(plan.compute) for name, plan in small.plan.nodes.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_recipe_that_the_package_ships_gives_the_mode_that_it_names(name, net, samples):
    """Convolutions and Softmax compute as named; weights and activations have the bits that are named."""
    shipped, conv, softmax = SHIPPED[name]
    recipe = to_recipe([shipped], net)

    small = bw.quantize(net, recipe, target="litert", calibration=samples if recipe.needs_calibration else None)

    nodes, tensors = small.plan.nodes, small.plan.tensors
    stored = [tensors[value].qparams.storage if value in tensors else None for value in ("w1", "block/out")]
    assert (conv, softmax) == (nodes["stem"].compute, nodes["softmax"].compute)
    assert STORED[name] == tuple(stored)
    assert small.to_tflite()[4:8] == b"TFL3"


def test_recipe_of_operators_holds_for_those_alone(net, samples):
    """CONV_2D is not DEPTHWISE_CONV_2D; the clamp behind one goes with it."""
    found = computes(
        net,
        samples,
        entry(static()),
        entry(WEIGHT_ONLY, "FULLY_CONNECTED"),
        {"regex": ".*", "operation": "CONV_2D", "algorithm_key": "no_quantize"},
    )

    expected = {"stem": "float", "act": "float", "depthwise": "integer", "act6": "integer", "fc": "weight-only"}
    assert expected == {name: found[name] for name in expected}


@pytest.mark.parametrize("regex", ["block/", "^depthwise;", "block/out;$"])
def test_recipe_regex_is_searched_in_names_of_nodes_and_results(regex, net, samples):
    """The result of the clamp is the name that the file gives the operator."""
    found = computes(net, samples, entry(DYNAMIC, regex=regex))

    assert [name for name, compute in found.items() if compute != "float"] == ["depthwise"]


def test_recipe_for_every_operator_replaces_those_before_it(net, samples):
    """With the same regex; with another one, what it cannot hold for stays as it was."""
    replaced = computes(net, samples, entry(static(), "SOFTMAX"), entry(DYNAMIC))
    beside = computes(net, samples, entry(static()), entry(DYNAMIC, regex="fc|softmax"))

    assert (replaced["stem"], replaced["softmax"]) == ("dynamic", "float")
    assert (beside["stem"], beside["fc"], beside["softmax"]) == ("integer", "dynamic", "integer")


def test_recipe_leaves_weights_of_few_elements(net, samples):
    """min_weight_elements: the stem has 216, the depthwise convolution 200, the product 1280."""
    found = computes(net, samples, entry(DYNAMIC | {"min_weight_elements": 210}))

    assert (found["stem"], found["depthwise"], found["fc"]) == ("dynamic", "float", "dynamic")


def test_recipe_reads_members_of_enumerations(net):
    """The package's functions give str enumerations where its JSON has names."""

    class Precision(StrEnum):
        INTEGER = "INTEGER"

    told = entry(DYNAMIC | {"compute_precision": Precision.INTEGER})

    assert to_recipe([told], net) == to_recipe([entry(DYNAMIC)], net)


def test_recipe_of_half_floats_stores_halves(net, samples):
    """float_casting is mode float16."""
    halves = {"weight_tensor_config": {"num_bits": 16, "dtype": "FLOAT"}, **FLOAT}

    assert computes(net, samples, entry(halves, algorithm="float_casting"))["fc"] == "float16"


def test_recipe_entry_that_holds_for_nothing_is_named_in_the_report(net, samples):
    """A network without such an operator."""
    recipe = to_recipe([entry(DYNAMIC), entry(DYNAMIC, "BATCH_MATMUL", "attention")], net)

    warnings = bw.quantize(net, recipe, target="litert").report.warnings

    assert any("'attention'" in line and "BATCH_MATMUL" in line for line in warnings)


def changed(config: dict[str, Any], field: str, **values: Any) -> dict[str, Any]:
    """A configuration with some values of one tensor's configuration changed."""
    made = copy.deepcopy(config)
    made[field].update(values)
    return made


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (entry(DYNAMIC, algorithm="DECOMPOSED_HADAMARD_ROTATION"), "DECOMPOSED_HADAMARD_ROTATION"),
        (entry(DYNAMIC, algorithm="GPTQ"), "GPTQ"),
        (entry(DYNAMIC, "STABLEHLO_COMPOSITE"), "STABLEHLO_COMPOSITE"),
        (entry(static(), "INPUT"), "INPUT"),
        (entry(changed(DYNAMIC, "weight_tensor_config", num_bits=4)), "no weights of INT with 4 bits"),
        (entry(changed(DYNAMIC, "weight_tensor_config", granularity="BLOCKWISE_32")), "BLOCKWISE_32"),
        (entry(changed(WEIGHT_ONLY, "weight_tensor_config", granularity="ROWWISE")), "ROWWISE"),
        (entry(changed(WEIGHT_ONLY, "weight_tensor_config", algorithm_params={"clip": 0.9})), "algorithm_params"),
        (entry(changed(static(), "activation_tensor_config", num_bits=4)), "activations of INT with 4 bits"),
        (entry(static(compute_precision="FLOAT")), "integer activations are for integer kernels"),
        (entry(WEIGHT_ONLY | {"explicit_dequantize": False}), "explicit_dequantize False"),
        (entry({"compute_precision": "INTEGER"}), "without weight_tensor_config"),
        (entry(DYNAMIC | {"colour": 1}), "unknown field 'colour'"),
        (entry(DYNAMIC, regex="("), "not a regular expression"),
        (entry(changed(DYNAMIC, "weight_tensor_config", num_bits="eight")), "num_bits = 'eight'"),
        (entry(changed(WEIGHT_ONLY, "weight_tensor_config", granularity="BLOCKWISE_all")), "granularity = 'all'"),
        (entry(DYNAMIC | {"min_weight_elements": None}), "min_weight_elements = None"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_recipe_refuses_what_it_cannot_express(told, what, net):
    """By name, at its entry, with what to do instead."""
    with pytest.raises(RecipeError) as caught:
        to_recipe([told], net)

    assert what in caught.value.what
    assert "entry 1 of the recipe" in caught.value.where
    assert caught.value.next


def test_recipe_of_blocks_is_refused_where_files_hold_none(net):
    """Weight-only blocks are for .onnx files."""
    blocks = entry(changed(WEIGHT_ONLY, "weight_tensor_config", granularity="BLOCKWISE_32"), "FULLY_CONNECTED")

    made = bw.quantize(net, to_recipe([blocks], net), target="onnxruntime")

    assert made.plan.tensors["w3"].qparams.block_shape is not None
    with pytest.raises(UsageError, match="litert hold no blocks"):
        bw.quantize(net, to_recipe([blocks], net), target="litert")


def test_recipe_of_several_models_is_refused(net):
    """Some recipes name one list a section."""
    with pytest.raises(RecipeError, match="several models"):
        to_recipe('{"default": "dynamic_wi8_afp32_recipe.json"}', net)


def test_recipe_forms_are_told_apart():
    """Our own recipes and text that is none are not theirs."""
    ours = Recipe.from_json('[{"scope": ".*", "operator": "*", "compute": "dynamic"}]').to_json()

    assert (is_recipe(json.dumps([entry(DYNAMIC)])), is_recipe(ours), is_recipe("no")) == (True, False, False)


def test_cli_quantize_takes_either_form(net, tmp_path):
    """--recipe with theirs and with ours gives the same file."""
    import onnx

    onnx.save(net, tmp_path / "net.onnx")
    (tmp_path / "theirs.json").write_text(json.dumps([entry(WEIGHT_ONLY)]))
    (tmp_path / "ours.json").write_text('[{"operator": "*", "compute": "weight-only"}]')

    made = [run_quantize(tmp_path, name) for name in ("theirs", "ours")]

    assert made[0] == made[1]


def run_quantize(folder: Path, name: str) -> bytes:
    """What `bitwright quantize --recipe` writes."""
    model, made, recipe = (str(folder / file) for file in ("net.onnx", f"{name}.tflite", f"{name}.json"))
    assert run(["quantize", model, "-o", made, "--recipe", recipe, "--json"]) == 0
    return Path(made).read_bytes()
