"""Targets: what a runtime accepts, as data."""

from __future__ import annotations

import pytest

from bitwright.errors import UsageError
from bitwright.quantization.forms import FORMS
from bitwright.quantization.rules import RULES
from bitwright.quantization.target import load_target, target_names


@pytest.mark.parametrize("name", target_names())
def test_target_names_only_operators_that_have_a_rule(name):
    """An operator of a target without a row in the rules would never be quantized."""
    target = load_target(name)

    named = set().union(*target.integer_ops.values(), *target.float_result_ops.values(), target.dynamic_ops)
    assert named <= set(RULES)
    assert target.name == name
    for storage, ops in target.float_result_ops.items():
        assert ops <= target.integer_ops[storage]


def test_unknown_target_is_refused():
    """The error lists the targets there are."""
    with pytest.raises(UsageError) as caught:
        load_target("toaster")

    assert "toaster" in caught.value.what
    assert "onnxruntime" in caught.value.next


def test_target_that_is_a_path_is_refused():
    """A name is a name: no file elsewhere is read."""
    with pytest.raises(UsageError):
        load_target("../targets/onnxruntime")


@pytest.mark.parametrize("name", target_names())
def test_target_refuses_only_forms_that_there_are(name):
    """A row that nobody wrote would refuse nothing."""
    target = load_target(name)

    assert set(target.refused_forms) - {"u4"} == {"u8", "i8", "i16", "dynamic"}  # u4 is as u8, where it is
    assert set().union(*target.refused_forms.values()) <= set(FORMS)
    assert target.same_scale_ops <= set(RULES)


def test_every_form_is_refused_by_some_target():
    """A row that no target names is dead."""
    refused = {row for name in target_names() for rows in load_target(name).refused_forms.values() for row in rows}

    assert refused == set(FORMS)


def test_litert_names_what_its_kernels_take():
    """Weights i8 beside i8 and i16 activations, u8 with one scale beside u8; biases of 64 bits beside 16."""
    target = load_target("litert")

    assert {storage: k.weights for storage, k in target.kernels.items()} == {"i8": "i8", "i16": "i8", "u8": "u8"}
    assert [target.bias_storage(storage) for storage in ("i8", "u8", "i16")] == ["i32", "i32", "i64"]
    assert not target.kernels["u8"].weights_per_channel
    assert target.integer_ops["i16"] < target.integer_ops["i8"]
    assert {"HardSwish", "PRelu", "LogSoftmax", "LpNormalization", "DepthToSpace", "SpaceToDepth"}.isdisjoint(
        target.integer_ops["i16"]
    )


def test_onnxruntime_takes_any_weights():
    """What its kernels take beside activations is not narrowed, and its tails may stay float."""
    target = load_target("onnxruntime")

    assert not target.kernels
    assert target.bias_storage("i16") == "i32"
    assert not target.is_whole
    assert target.has_blocks
