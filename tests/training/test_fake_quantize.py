"""Fake quantization in torch is that of numerics, and its gradients are those that are written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.numerics.qparams import QuantParams, integer_bounds
from bitwright.numerics.quantize import fake_quantize as of_numerics
from bitwright.numerics.ranges import qparams_from_range
from bitwright.training.fake_quantize import fake_quantize, learned_fake_quantize, parameters_of_range
from bitwright.training.quantizers import rounded_bias

reals = st.floats(-1e4, 1e4, width=32)


@settings(max_examples=200, deadline=None)
@given(reals, reals, st.sampled_from(["i8", "u8", "i16"]), st.booleans(), st.booleans(), st.booleans())
def test_parameters_are_those_of_numerics(one, other, storage, symmetric, narrow, inside):
    """Scale and zero_point of any range are, to the last bit, what the planner would choose."""
    low, high = min(one, other), max(one, other)
    narrow = narrow and symmetric
    wanted = qparams_from_range(low, high, storage=storage, symmetric=symmetric, narrow_range=narrow, inside=inside)
    qmax = wanted.qmax
    middle = (0 if storage[0] == "i" else (qmax + 1) // 2) if symmetric else None
    scale, zero_point = parameters_of_range(
        torch.tensor(low), torch.tensor(high), qmin=wanted.qmin, qmax=qmax, middle=middle, inside=inside
    )
    assert wanted.scale[0] == scale.numpy() and wanted.zero_point[0] == zero_point.numpy()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["i8", "u8", "i16"]), st.floats(1e-4, 10.0), st.integers(-5, 5))
def test_values_are_those_of_numerics(seed, storage, scale, point):
    """Ties, both bounds and beyond."""
    low, high = integer_bounds(storage)
    qparams = QuantParams(scale, np.clip(point, low, high), storage)
    rng = np.random.default_rng(seed)
    steps = np.concatenate([rng.integers(-300, 300, 50) + 0.5, rng.standard_normal(50) * 200])
    x = (steps * scale).astype(np.float32)
    made = fake_quantize(
        torch.from_numpy(x), torch.tensor(qparams.scale), torch.tensor(float(qparams.zero_point[0])), low, high
    )
    np.testing.assert_array_equal(of_numerics(x, qparams), made.numpy())


def test_the_gradient_goes_straight_through_inside_and_is_zero_outside():
    """Rounding has none of its own; what saturates has none at all."""
    x = torch.tensor([-200.0, -128.0, 0.3, 127.0, 127.6], requires_grad=True)
    fake_quantize(x, torch.tensor(1.0), torch.tensor(0.0), -128, 127).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_the_gradient_of_a_learned_scale_is_that_of_the_paper():
    """round(v) - v inside, the bound outside, times 1 / sqrt(elements * qmax)."""
    x = torch.tensor([0.3, -1.7, 9.0, -9.0], requires_grad=True)
    scale = torch.tensor([0.5], requires_grad=True)
    learned_fake_quantize(x, scale, torch.tensor([0.0]), -7, 7).sum().backward()
    v = np.array([0.6, -3.4])
    wanted = (np.sum(np.rint(v) - v) + 7 - 7) / np.sqrt(4 * 7)
    assert scale.grad.item() == pytest.approx(wanted, rel=1e-5)
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_scales_of_channels_each_get_their_own_gradient():
    """What one channel saturates moves its scale alone."""
    x = torch.tensor([[0.0, 0.5], [100.0, 100.0]])
    scale = torch.ones(2, 1, requires_grad=True)
    learned_fake_quantize(x, scale, torch.zeros(2, 1), -7, 7).sum().backward()
    assert scale.grad[1].item() == pytest.approx(2 * 7 / np.sqrt(2 * 7))
    assert abs(scale.grad[0].item()) < 0.5


def test_a_bias_is_rounded_to_its_scale_and_keeps_its_gradient():
    """int32 steps, one scale a channel."""
    bias = torch.tensor([0.26, -1.0], requires_grad=True)
    made = rounded_bias(bias, torch.tensor([0.1, 0.3]))
    np.testing.assert_allclose([0.3, -0.9], made.detach().numpy(), rtol=1e-6)
    made.sum().backward()
    assert bias.grad.tolist() == [1.0, 1.0]
