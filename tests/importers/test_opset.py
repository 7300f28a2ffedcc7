"""Older operator sets are brought to a current one with the same outputs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from bitwright.errors import ModelError
from bitwright.graph.execution import random_feeds
from bitwright.graph.text import parse
from bitwright.importers.load import load_graph
from bitwright.importers.onnx_file import load_onnx
from bitwright.importers.opset import to_current_opset
from bitwright.importers.opset_adapters import ADAPTERS

#: id: (operator set, body, inputs, output type). Every adapter is met at least once.
OLD_GRAPHS: dict[str, tuple[int, str, str, str]] = {
    "upsample-7-nearest": (7, "y = Upsample<scales=[1.0,1.0,2.0,3.0]>(x)", "float[1,2,3,4] x", "float"),
    "upsample-7-linear": (7, 'y = Upsample<mode="linear", scales=[1.0,1.0,2.0,2.0]>(x)', "float[1,2,3,4] x", "float"),
    "upsample-9": (
        9,
        "s = Constant<value=float[4]{1.0,1.0,2.0,2.0}>() y = Upsample(x, s)",
        "float[1,2,3,4] x",
        "float",
    ),
    "resize-10-up": (
        10,
        "s = Constant<value=float[4]{1.0,1.0,2.0,1.5}>() y = Resize(x, s)",
        "float[1,2,3,4] x",
        "float",
    ),
    "resize-10-down": (
        10,
        "s = Constant<value=float[4]{1.0,1.0,0.6,0.6}>() y = Resize(x, s)",
        "float[1,1,5,7] x",
        "float",
    ),
    "resize-10-linear": (
        10,
        's = Constant<value=float[4]{1.0,1.0,0.6,1.6}>() y = Resize<mode="linear">(x, s)',
        "float[1,1,5,7] x",
        "float",
    ),
    "resize-11-scales": (
        11,
        "r = Constant<value=float[0]{}>() s = Constant<value=float[4]{1.0,1.0,2.0,2.0}>()"
        ' y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, r, s)',
        "float[1,1,5,7] x",
        "float",
    ),
    "resize-11-sizes": (
        11,
        "r = Constant<value=float[0]{}>() z = Constant<value=int64[4]{1,1,9,4}>() y = Resize(x, r, r, z)",
        "float[1,1,5,7] x",
        "float",
    ),
    "slice-7": (7, "y = Slice<axes=[1,2], starts=[1,-3], ends=[3,1000]>(x)", "float[2,4,5] x", "float"),
    "slice-7-no-axes": (7, "y = Slice<starts=[1,0], ends=[3,2]>(x)", "float[4,4,5] x", "float"),
    "topk-7": (7, "y, i = TopK<k=2, axis=1>(x)", "float[3,5] x", "float"),
    "pad-7": (7, "y = Pad<pads=[0,1,2,0], value=1.5>(x)", "float[3,5] x", "float"),
    "pad-7-zero": (7, "y = Pad<pads=[0,1,2,0]>(x)", "float[3,5] x", "float"),
    "pad-7-reflect": (7, 'y = Pad<mode="reflect", pads=[0,1,2,0]>(x)', "float[3,5] x", "float"),
    "clip-7": (7, "y = Clip<min=-0.5, max=0.25>(x)", "float[3,5] x", "float"),
    "clip-7-min": (7, "y = Clip<min=0.0>(x)", "float[3,5] x", "float"),
    "clip-10-half": (10, "h = Cast<to=10>(x) c = Clip<min=0.0, max=6.0>(h) y = Cast<to=1>(c)", "float[3,5] x", "float"),
    "dropout-7": (7, "y = Dropout<ratio=0.3>(x)", "float[3,5] x", "float"),
    "dropout-10": (10, "y = Dropout<ratio=0.3>(x)", "float[3,5] x", "float"),
    "batchnorm-7": (
        7,
        "y = BatchNormalization<spatial=1>(x, a, b, c, d)",
        "float[2,3,4,4] x, float[3] a, float[3] b, float[3] c, float[3] d",
        "float",
    ),
    "batchnorm-9": (
        9,
        "y = BatchNormalization(x, a, b, c, d)",
        "float[2,3,4,4] x, float[3] a, float[3] b, float[3] c, float[3] d",
        "float",
    ),
    "squeeze-12": (12, "y = Squeeze<axes=[0,2]>(x)", "float[1,3,1] x", "float"),
    "squeeze-12-all": (12, "y = Squeeze(x)", "float[1,3,1] x", "float"),
    "unsqueeze-12": (12, "y = Unsqueeze<axes=[0,2]>(x)", "float[3,5] x", "float"),
    "reduce-sum-12": (12, "y = ReduceSum<axes=[1], keepdims=0>(x)", "float[3,5] x", "float"),
    "reduce-sum-12-all": (12, "y = ReduceSum(x)", "float[3,5] x", "float"),
    "split-12": (12, "y, z = Split<axis=1, split=[2,3]>(x)", "float[3,5] x", "float"),
    "split-12-equal": (12, "y, z = Split<axis=1>(x)", "float[3,6] x", "float"),
    "split-13-equal": (13, "y, z = Split<axis=1>(x)", "float[3,6] x", "float"),
    "softmax-12-matrix": (12, "y = Softmax(x)", "float[3,5] x", "float"),
    "softmax-12-last": (12, "y = Softmax<axis=3>(x)", "float[2,3,4,5] x", "float"),
    "softmax-12-negative": (12, "y = Softmax<axis=-1>(x)", "float[2,3,4,5] x", "float"),
    "softmax-12-flattened": (12, "y = Softmax(x)", "float[2,3,4,5] x", "float"),
    "softmax-12-flattened-negative": (12, "y = Softmax<axis=-2>(x)", "float[2,3,4,5] x", "float"),
    "softmax-12-inside": (12, "a = Relu(x) b = Softmax<axis=2>(a) y = Neg(b)", "float[2,3,4,5] x", "float"),
    "log-softmax-12": (12, "y = LogSoftmax(x)", "float[2,3,4] x", "float"),
    "hardmax-12": (12, "y = Hardmax(x)", "float[2,3,4] x", "float"),
    "softmax-12-in-branch": (
        12,
        "c = Constant<value=bool {1}>() y = If(c)"
        "<then_branch = t () => (float[2,3,4] p) { p = Softmax(x) },"
        " else_branch = e () => (float[2,3,4] q) { q = Neg(x) }>",
        "float[2,3,4] x",
        "float",
    ),
    "squeeze-12-in-branch": (
        12,
        "c = Constant<value=bool {1}>() y = If(c)"
        "<then_branch = t () => (float[2,3] p) { a = Unsqueeze<axes=[0]>(x) p = Squeeze<axes=[0]>(a) },"
        " else_branch = e () => (float[2,3] q) { q = Neg(x) }>",
        "float[2,3] x",
        "float",
    ),
    "scatter-9": (
        9,
        "i = Constant<value=int64[1,2]{1,3}>() u = Constant<value=float[1,2]{9.0,8.0}>() y = Scatter<axis=1>(x, i, u)",
        "float[1,5] x",
        "float",
    ),
    "roi-align-15": (
        15,
        "r = Constant<value=float[1,4]{0.0,0.0,3.0,3.0}>() i = Constant<value=int64[1]{0}>()"
        " y = RoiAlign<output_height=2, output_width=2>(x, r, i)",
        "float[1,1,5,5] x",
        "float",
    ),
    "grid-sample-16": (16, 'y = GridSample<mode="bicubic">(x, g)', "float[1,1,4,4] x, float[1,3,3,2] g", "float"),
    "grid-sample-16-default": (16, "y = GridSample(x, g)", "float[1,1,4,4] x, float[1,3,3,2] g", "float"),
    "dft-17": (17, "y = DFT<axis=1>(x)", "float[1,5,2] x", "float"),
    "dft-17-default": (17, "y = DFT(x)", "float[1,5,4,2] x", "float"),
    "group-norm-18": (
        18,
        "y = GroupNormalization<num_groups=2>(x, a, b)",
        "float[2,6,3,3] x, float[2] a, float[2] b",
        "float",
    ),
    **{
        f"{op}-17": (17, f"y = {op}<axes=[1], keepdims=1>(x)", "float[3,5] x", "float")
        for op in ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare")
    },
    **{
        f"{op}-17": (17, f"p = Exp(x) y = {op}<axes=[-1], keepdims=0>(p)", "float[3,5] x", "float")
        for op in ("ReduceLogSum", "ReduceLogSumExp")
    },
}


def _parse(opset: int, body: str, inputs: str, kind: str) -> ir.Model:
    return parse(f'<ir_version: 8, opset_import: ["": {opset}]> g ({inputs}) => ({kind} y) {{ {body} }}')


@pytest.mark.parametrize("case", OLD_GRAPHS)
def test_opset_adapter_keeps_the_outputs(case: str, run_model: Any) -> None:
    """A graph of an older set gives the same outputs at the current one."""
    old = load_onnx(_parse(*OLD_GRAPHS[case]))
    feeds = {name: np.abs(x) if name == "d" else x for name, x in random_feeds(old, seed=1).items()}
    try:
        expected = run_model(old, feeds)
    except Exception as error:
        pytest.skip(f"ONNX Runtime does not run the old graph: {str(error)[:100]}")

    new = to_current_opset(old)

    assert new.opset_imports == {"": 21}
    found = run_model(new, feeds)
    for name, value in expected.items():
        assert value.shape == found[name].shape
        # Halves: ONNX Runtime has no kernel for the old Clip and computes it in float32.
        np.testing.assert_allclose(value, found[name], rtol=1e-3 if "half" in case else 1e-5, atol=1e-6)


def test_opset_adapters_cover_every_operator_that_changed() -> None:
    """An operator that lost an attribute, renamed an input or changed a default between 7 and 21 has an adapter."""
    fine = {
        ("Gemm", 11): "C became optional",
        ("Loop", 11): "inputs became optional",
        ("OptionalHasElement", 18): "the input became optional",
    }
    history: dict[str, list[Any]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            history.setdefault(schema.name, []).append(schema)
    missing = []
    for name, schemas in history.items():
        schemas.sort(key=lambda s: s.since_version)
        for old, new in itertools.pairwise(schemas):
            if not 7 < new.since_version <= 21 or (name, new.since_version) in fine:
                continue
            common = set(old.attributes) & set(new.attributes)
            changed = (
                new.deprecated
                or set(old.attributes) - set(new.attributes)
                or any(str(old.attributes[k].default_value) != str(new.attributes[k].default_value) for k in common)
                or [i.name for i in old.inputs] != [i.name for i in new.inputs][: len(old.inputs)]
                or old.min_input != new.min_input
            )
            steps = {step.introduced for step in ADAPTERS.get(name, ())}
            if changed and new.since_version not in steps:
                missing.append((name, new.since_version))
    assert missing == []


def test_opset_conversion_leaves_the_given_model_and_its_constants_alone() -> None:
    """The old model is as it was; constants are shared, not copied."""
    old = load_onnx(
        parse(
            '<ir_version: 8, opset_import: ["": 12, "custom": 3]> g (float[1,2,3] x) => (float y) '
            "<float[3] w = {1.0, 2.0, 3.0}> { a = Mul(x, w) b = custom.Thing(a) y = Softmax(b) }"
        )
    )
    before = ir.to_proto(old).SerializeToString()

    new = to_current_opset(old)

    assert before == ir.to_proto(old).SerializeToString()
    assert old.graph.initializers["w"].const_value is new.graph.initializers["w"].const_value
    assert new.opset_imports == {"": 21, "custom": 3}
    assert [v.name for v in new.graph.outputs] == ["y"]
    assert {"a", "b", "y"} <= {v.name for node in new.graph for v in node.outputs}
    assert new.ir_version >= 10


def test_current_models_are_returned_as_they_are() -> None:
    """A model at the wanted set or above is the same object."""
    model = load_onnx(parse('<ir_version: 10, opset_import: ["": 22]> g (float[1] x) => (float[1] y) { y = Relu(x) }'))

    assert to_current_opset(model) is model


def test_old_constants_that_had_to_be_inputs_become_constants() -> None:
    """Before IR version 4 constants were listed as inputs too; afterwards only true inputs remain."""
    old = parse(
        '<ir_version: 3, opset_import: ["": 8]> g (float[1,3] x, float[3] w) => (float[1,3] y) '
        "<float[3] w = {1.0, 2.0, 3.0}> { y = Mul(x, w) }"
    )

    new = to_current_opset(load_onnx(old))

    assert [v.name for v in new.graph.inputs] == ["x"]
    assert "w" in new.graph.initializers


@pytest.mark.parametrize(
    ("opset", "body", "inputs", "part"),
    [
        pytest.param(6, "y = Add<broadcast=1>(x, x)", "float[2,3] x", "operator Add of set 6", id="too-old"),
        pytest.param(
            8, "y = BatchNormalization<spatial=0>(x, x, x, x, x)", "float[2,3] x", "spatial=0", id="batch-norm-spatial"
        ),
        pytest.param(
            13,
            "y, m, v, s, t = BatchNormalization(x, a, a, a, a) z = Neg(m)",
            "float[2,3] x, float[3] a",
            "training",
            id="batch-norm-training",
        ),
        pytest.param(
            18, "y = GroupNormalization<num_groups=2>(x, x, x)", "float x", "channels", id="group-norm-unknown"
        ),
        pytest.param(9, "y = TopK(x)", "float[2,3] x", "it has no attribute 'k'", id="attribute-missing"),
    ],
)
def test_opset_conversion_refuses_with_the_node_and_what_to_do(opset: int, body: str, inputs: str, part: str) -> None:
    """What has no counterpart is refused by node and operator."""
    old = load_onnx(_parse(opset, body, inputs, "float"))

    with pytest.raises(ModelError, match=part) as caught:
        to_current_opset(old)

    assert "node " in str(caught.value.where)
    assert "export the model again at operator set 21" in str(caught.value.next)


def test_operators_older_than_seven_that_never_changed_are_read(run_model: Any) -> None:
    """Set 1 is fine for an operator that stayed as it was until set 7."""
    old = load_onnx(_parse(1, "y = Not(x)", "bool[2] x", "bool[2]"))

    new = to_current_opset(old)

    feeds = {"x": np.array([True, False])}
    np.testing.assert_array_equal([False, True], run_model(new, feeds)["y"])


REAL = ["mnist_cnn", "dtln_1", "dtln_2", "resnet20_cifar10", "vgg_cifar10", "mobilenetv2_cifar10"]


@pytest.mark.parametrize("name", REAL)
def test_real_models_give_the_same_outputs_at_the_current_set(name: str, run_model: Any, shared_models: Path) -> None:
    """Networks of sets 8 to 17 give the same outputs and keep the names of all their values."""
    old = load_onnx(shared_models / f"{name}.onnx")

    new, path = load_graph(shared_models / f"{name}.onnx")

    assert path == str(shared_models / f"{name}.onnx")
    assert new.opset_imports[""] >= 21
    assert {v.name for n in old.graph for v in n.outputs} <= {v.name for n in new.graph for v in n.outputs}
    assert [v.name for v in old.graph.outputs] == [v.name for v in new.graph.outputs]
    feeds = random_feeds(new, seed=2)
    expected, found = run_model(old, feeds), run_model(new, feeds)
    for output, value in expected.items():
        np.testing.assert_allclose(value, found[output], rtol=1e-4, atol=1e-5)


def test_load_gives_the_oldest_container_that_runtimes_know(tmp_path):
    """A file whose container version is newer than its operators need is read in the one they need."""
    import onnx_ir

    from bitwright.importers.load import load_graph

    model = onnx_ir.from_onnx_text(
        '<ir_version: 14, opset_import: ["": 21]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    )

    assert load_graph(model)[0].ir_version == 10
    assert model.ir_version == 14


def test_load_refuses_an_operator_set_from_the_future():
    """Operator set 99 is refused with the newest that is known."""
    import onnx_ir

    from bitwright.importers.load import load_graph

    model = onnx_ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 99]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    )

    with pytest.raises(ModelError, match="operator set 99"):
        load_graph(model)
