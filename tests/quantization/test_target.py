"""Targets: what a runtime accepts, as data."""

from __future__ import annotations

import pytest

from bitwright.errors import UsageError
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
