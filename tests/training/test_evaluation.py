"""What a network is evaluated with is what is deployed, whatever range its integers have and wherever it is held."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import onnx_ir as ir
import pytest
import torch
from small_networks import CNN, IMAGES, MLP, build, inputs_of

import bitwright as bw
from bitwright.errors import UsageError
from bitwright.numerics.quantize import quantize

#: A Relu whose result shares its parameters with values below zero.
JOINED = """
joined (float[N,3,8,8] x, float[8,3,3,3] w1, float[8] b1, float[8,3,3,3] w2, float[4,16,3,3] w3) => (float[N,4,4,4] y) {
  a = Conv (x, w1, b1)
  b = Relu (a)
  c = Conv (x, w2)
  d = Concat <axis=1> (b, c)
  y = Conv (d, w3)
}
"""

SCALED = """
scaled (float[N,3,8,8] x, float[8,3,3,3] w1, float[1,8,1,1] k1, float[1,8,1,1] k2, float[4,8,3,3] w2)
    => (float[N,4,4,4] y) {
  a = Conv (x, w1)
  b = HardSigmoid (a)
  c = Mul (b, k1)
  d = Add (c, k2)
  y = Conv (d, w2)
}
"""

CLIPPED = IMAGES.replace("float[8] b1,", "float[8] b1, float low, float high,").replace(
    "Relu (a)", "Clip (a, low, high)"
)


def after_steps(text: str, *arguments: object, **options: object):
    """A network after two steps of training, in eval mode, and what it saw."""
    model = build(text)
    x = torch.from_numpy(3 * inputs_of(model, 16))
    network = bw.prepare_qat(model, *arguments, **options).train()
    network(x), network(x)
    return network.eval(), x


def integers_of(network, x, *, runtime):
    """The integers of y: as the network gives them in eval mode, and as a runtime does."""
    made = bw.convert(network)
    qparams = made.plan.qparams_of("y")
    if runtime == "reference":
        program = made.to_program()
        rows = [bw.run(program, {"x": row[None]}, runtime=runtime, rounding="fp32_even") for row in x.numpy()]
        theirs = np.concatenate([row[program.outputs[0].name] for row in rows])
    else:
        theirs = bw.run(made, {"x": x.numpy()}, runtime=runtime)["y"]
    return quantize(network(x).detach().numpy(), qparams), quantize(theirs, qparams)


@pytest.mark.parametrize("ranges", ["ema", "learned"])
def test_a_clamp_holds_where_its_result_shares_a_range_with_others(ranges):
    """A Relu before a Concat whose integers reach below zero."""
    network, x = after_steps(JOINED, target="litert", ranges=ranges)
    ours, theirs = integers_of(network, x, runtime="reference")
    np.testing.assert_array_equal(theirs, ours)


def test_a_clamp_holds_where_integers_are_symmetric():
    """A Relu whose 16-bit integers have zero_point 0: float32 rounds sums of 16 bits, so that few differ, by one."""
    network, x = after_steps(IMAGES, "int16x8")
    ours, theirs = integers_of(network, x, runtime="onnxruntime")
    apart = np.abs(theirs.astype(np.int64) - ours)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


@pytest.mark.parametrize(("target", "runtime"), [("onnxruntime", "onnxruntime"), ("litert", "reference")])
def test_a_clamp_holds_where_a_learned_scale_reaches_beyond_it(target, runtime):
    """Integers above that of 6 behind a Clip to [0, 6]."""
    model = build(CLIPPED)
    x = torch.from_numpy(6 * inputs_of(model, 16))
    network = bw.prepare_qat(model, target=target, ranges="learned", calibration=x.numpy()).eval()
    scale = network.activation_quantizer("b").scale
    with torch.no_grad():
        scale.fill_(10.0 / 255.0)
    ours, theirs = integers_of(network, x, runtime=runtime)
    np.testing.assert_array_equal(theirs, ours)


def test_constant_operands_are_those_that_are_deployed():
    """Factors and summands beside activations have integers of their own."""
    network, x = after_steps(SCALED, target="litert")
    ours, theirs = integers_of(network, x, runtime="reference")
    np.testing.assert_array_equal(theirs, ours)


def test_a_state_dict_counts_at_once():
    """In a network that was evaluated with other ranges before."""
    network, x = after_steps(CNN)
    other = bw.prepare_qat(build(CNN)).train()
    other(5 * x), other(5 * x), other.eval()(x)
    other.load_state_dict(copy.deepcopy(network.state_dict()))
    assert torch.equal(network(x), other(x))


def test_a_quantized_network_is_pickled_whole():
    """As torch.save and processes that are spawned do it; what comes back is converted to the same."""
    network, x = after_steps(CNN)
    other = pickle.loads(pickle.dumps(network))
    assert torch.equal(network(x), other(x))
    assert bw.convert(network).plan.tensors == bw.convert(other).plan.tensors


def test_autocast_leaves_evaluation_as_it_is():
    """Sums of integers are not rounded to bfloat16."""
    network, x = after_steps(IMAGES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = network(x)
    assert torch.equal(network(x), made)


@pytest.mark.parametrize(("before", "name"), [("b", "values"), ("b", "keys"), ("w1", "_masks"), ("w1", "training")])
def test_values_and_constants_may_have_any_name(before, name):
    """Also one that modules, or dictionaries of them, have themselves."""
    text = (
        MLP.replace(f" {before} =", f" {name} =").replace(f"({before}", f"({name}").replace(f" {before},", f" {name},")
    )
    network, x = after_steps(text)
    same, _ = after_steps(MLP)
    assert torch.equal(same(x), network(x))


def test_unsigned_weights_follow_their_range_below_zero():
    """Positive weights have zero_point 0 by chance: when they move, it does."""
    model = build(MLP)
    held = model.graph.initializers["w1"]
    held.const_value = ir.Tensor(np.abs(held.const_value.numpy()), name="w1")
    quantizer = bw.prepare_qat(model, "uint8", target="litert").weight_quantizer("w1")
    moved = torch.from_numpy(held.const_value.numpy()) - 0.2
    made, scale = quantizer(moved)
    assert quantizer.start.storage == "u8" and int(quantizer.start.zero_point[0]) == 0
    assert float((made - moved).abs().max()) <= float(scale.max())


def test_one_step_gives_ranges_enough():
    """What it saw is what is converted."""
    model = build(MLP)
    x = inputs_of(model)
    network = bw.prepare_qat(model).train()
    network(torch.from_numpy(x))
    wanted = bw.quantize(model, "int8", calibration=x, method="minmax").plan
    assert bw.convert(network).plan.qparams_of("x") == wanted.qparams_of("x")


def test_a_momentum_that_averages_nothing_is_refused():
    """1 would keep the first range for ever."""
    with pytest.raises(UsageError, match="momentum cannot be 1"):
        bw.prepare_qat(build(MLP), momentum=1)


def test_channels_of_a_clustered_or_pruned_network_are_not_removed():
    """Shared values and masks would be lost."""
    for network in (
        bw.cluster_weights(build(CNN), 4),
        bw.prune_low_magnitude(build(CNN), bw.ConstantSparsity(0.5, 0)),
    ):
        with pytest.raises(UsageError, match="clustered or being pruned"):
            bw.prune_channels(network, keep=0.6)
