"""Parameters of weights: ranges and least squared error, per tensor, channel and block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bitwright.errors import QuantParamsError
from bitwright.numerics.quantize import fake_quantize, quantize
from bitwright.quantization.weights import as_matrix, choose_weight_qparams

WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
    # squares of smaller magnitudes leave float32
    elements=st.just(0.0) | st.floats(2.0**-30, 100, width=32) | st.floats(-100, -(2.0**-30), width=32),
)
GRANULARITIES = st.sampled_from(["per-tensor", 0, 1, (16, 1), (1, 16), (1, 5)])


def options_of(granularity) -> dict:
    """Arguments of choose_weight_qparams for an axis or a block shape."""
    if granularity == "per-tensor":
        return {}
    return {"block_shape": granularity} if isinstance(granularity, tuple) else {"axis": granularity}


def squared_error(weight: np.ndarray, **options) -> float:
    """What quantizing costs."""
    error = fake_quantize(weight, choose_weight_qparams(weight, **options)).astype(np.float64) - weight
    return float(np.vdot(error, error))


@settings(max_examples=150, deadline=None)
@given(WEIGHTS, GRANULARITIES, st.sampled_from(["i8", "i4"]))
def test_mse_never_costs_more_than_minmax(weight, granularity, storage):
    """The scale of least squared error is no worse than that of the largest magnitude (up to float32 rounding)."""
    options = {"storage": storage, **options_of(granularity)}

    best = squared_error(weight, method="mse", **options)

    assert best <= squared_error(weight, **options) * (1 + 1e-4) + 1e-12 * float(np.vdot(weight, weight))


@settings(max_examples=150, deadline=None)
@given(WEIGHTS, GRANULARITIES, st.sampled_from(["i8", "i4", "u8"]), st.booleans())
def test_minmax_error_is_at_most_half_a_step(weight, granularity, storage, symmetric):
    """Every weight lies inside its range: the error is half a step, plus half a step of a rounded zero_point."""
    options = {"storage": storage, "symmetric": symmetric and storage != "u8", **options_of(granularity)}

    qparams = choose_weight_qparams(weight, **options)

    error = np.abs(fake_quantize(weight, qparams) - weight)
    step = fake_step(weight, qparams)
    slack = 0.5 if options["symmetric"] else 1.0
    assert (error <= step * slack * (1 + 1e-3) + np.abs(weight) * 1e-6).all()
    assert quantize(weight, qparams).min() >= qparams.qmin


def fake_step(weight: np.ndarray, qparams) -> np.ndarray:
    """The step at every element."""
    from bitwright.numerics.quantize import expand

    return np.broadcast_to(expand(qparams, weight.shape)[0], weight.shape)


def test_mse_gives_up_an_outlier_for_many():
    """At 4 bits one weight ten times the others is clipped, and the error falls a lot."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((1, 4096)).astype(np.float32)
    weight[0, 0] = 8.0

    options = {"storage": "i4", "axis": 0}

    assert squared_error(weight, method="mse", **options) < 0.5 * squared_error(weight, **options)


def test_symmetric_int8_uses_the_narrow_range():
    """-127..127 at 8 bits, so that the largest magnitude is exact on both sides; -7..7 at 4 bits."""
    weight = np.float32([[-1.0, 0.6, 1.0]])

    eight = choose_weight_qparams(weight)
    four = choose_weight_qparams(weight, storage="i4")

    assert eight.narrow_range
    assert quantize(weight, eight).tolist() == [[-127, 76, 127]]
    assert np.float32(1 / 7) == four.scale[0]
    assert quantize(weight, four).tolist() == [[-7, 4, 7]]


def test_blocks_with_a_ragged_end_have_scales_of_their_own():
    """70 rows in blocks of 32: three scales, the last over six rows; padding does not count."""
    weight = np.ones((70, 2), np.float32)
    weight[64:] = 0.25

    qparams = choose_weight_qparams(weight, storage="i4", block_shape=(32, 1))

    assert qparams.scale.shape == (3, 2)
    np.testing.assert_allclose(qparams.scale[:, 0], [1 / 7, 1 / 7, 0.25 / 7], rtol=1e-6)
    np.testing.assert_allclose(fake_quantize(weight, qparams), weight, rtol=1e-6)


@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_zero_groups_have_a_scale(method):
    """A channel of zeros has a positive, finite scale and gives zeros."""
    weight = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    weight[2] = 0

    qparams = choose_weight_qparams(weight, axis=0, method=method)

    assert np.isfinite(qparams.scale).all() and (qparams.scale > 0).all()
    assert not fake_quantize(weight, qparams)[2].any()


def test_channels_are_independent():
    """Permuting the channels permutes their scales."""
    weight = np.random.default_rng(0).standard_normal((3, 6, 2)).astype(np.float32)
    order = np.array([4, 0, 5, 2, 1, 3])

    for method in ("minmax", "mse"):
        scale = choose_weight_qparams(weight, axis=1, method=method).scale
        np.testing.assert_array_equal(
            choose_weight_qparams(weight[:, order], axis=1, method=method).scale, scale[order]
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weight_that_is_not_finite_is_refused(bad):
    """NaN and Inf have no integers."""
    with pytest.raises(QuantParamsError, match="NaN or Inf"):
        choose_weight_qparams(np.float32([[1.0, bad]]))


def test_matrix_view_of_a_kernel_keeps_its_first_dimension():
    """[O, I, kH, kW] is cut into blocks over [O, I*kH*kW]."""
    assert as_matrix(np.zeros((6, 5, 3, 3), np.float32)).shape == (6, 45)
    assert as_matrix(np.zeros((6, 5), np.float32)).shape == (6, 5)
