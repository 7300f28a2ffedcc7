"""UNIDIRECTIONAL_SEQUENCE_LSTM beside LiteRT's own kernel, over runs that keep their state."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.errors import ModelError
from bitwright.numerics.qparams import QuantParams
from bitwright.program.operator import Activation
from bitwright.program.options import UnidirectionalSequenceLSTMOptions
from bitwright.program.reference import Reference
from bitwright.program.tensor import Tensor
from bitwright.program.verify import verify

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
#: What follows only the input gate, by operand.
INPUT_GATE = (1, 5, 9, 12, 20)


@dataclass(frozen=True)
class Sizes:
    batch: int = 2
    steps: int = 3
    inputs: int = 4
    cells: int = 5
    outputs: int = 5


SMALL = Sizes()


def lstm(peer, sizes=SMALL, *, hybrid=False, without=(), seed=0, **fields):
    """A one-operator Program with all 24 operands but those of `without`."""
    rng = np.random.default_rng(seed)
    options = UnidirectionalSequenceLSTMOptions(**{"fused_activation_function": Activation.TANH} | fields)

    def weights(name, shape, *, plain=False):
        values = (rng.standard_normal(shape) * 0.6).astype(np.float32)
        if plain or not hybrid:
            return Tensor(name, shape, "f32", None, values)
        scale = float(np.abs(values).max() / 127) or 1.0
        integers = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
        return Tensor(name, shape, "i8", QuantParams(scale), integers)

    n, t = sizes.batch, sizes.steps
    lead = (t, n) if options.time_major else (n, t)
    operands = [
        Tensor("x", (*lead, sizes.inputs)),
        *(weights(f"w{gate}", (sizes.cells, sizes.inputs)) for gate in range(4)),
        *(weights(f"r{gate}", (sizes.cells, sizes.outputs)) for gate in range(4)),
        *(weights(f"p{gate}", (sizes.cells,)) for gate in range(3)),
        *(weights(f"b{gate}", (sizes.cells,), plain=True) for gate in range(4)),
        weights("projection", (sizes.outputs, sizes.cells)),
        weights("projection_bias", (sizes.outputs,), plain=True),
        Tensor("hidden", (n, sizes.outputs), variable=True),
        Tensor("cell", (n, sizes.cells), variable=True),
        *(weights(f"n{gate}", (sizes.cells,), plain=True) for gate in range(4)),
    ]
    kept = [None if index in without else operand for index, operand in enumerate(operands)]
    return peer.one_operator("UNIDIRECTIONAL_SEQUENCE_LSTM", kept, Tensor("y", (*lead, sizes.outputs)), options)


def worst_relative_error(peer, program, runs=3):
    """The largest difference over runs that keep their state, relative to the largest output."""
    verify(program)
    interpreter = peer.Interpreter(model_content=peer.write_tflite(program), num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    reference, rng, worst = Reference(program), np.random.default_rng(1), 0.0
    for _ in range(runs):
        x = rng.standard_normal(program.tensors["x"].shape).astype(np.float32)
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        wanted = interpreter.get_tensor(target["index"])
        ours = reference.run({"x": x})["y"]
        worst = max(worst, float(np.abs(wanted - ours).max() / max(np.abs(wanted).max(), 1e-3)))
    return worst


@pytest.mark.parametrize("hybrid", [pytest.param(False, id="float"), pytest.param(True, id="hybrid")])
@EXAMPLES
@given(data=st.data())
def test_lstm_is_within_2e_6_of_litert(peer, hybrid, data):
    """Over projections, peepholes, layer norm, coupled gates, clipping and activations, with the state kept."""
    batch, steps, inputs, cells = (data.draw(st.integers(1, most)) for most in (3, 5, 8, 8))
    projected = data.draw(st.booleans())
    sizes = Sizes(batch, steps, inputs, cells, data.draw(st.integers(1, 8)) if projected else cells)
    without = set() if projected else {16, 17}
    without |= {17} if data.draw(st.booleans()) else set()
    without |= set(INPUT_GATE) if data.draw(st.booleans()) else set()
    without |= {9, 10, 11} if data.draw(st.booleans()) else set()
    without |= {20, 21, 22, 23} if data.draw(st.booleans()) else set()
    program = lstm(
        peer,
        sizes,
        hybrid=hybrid,
        without=without,
        seed=data.draw(st.integers(0, 2**32 - 1)),
        time_major=data.draw(st.booleans()),
        cell_clip=data.draw(st.sampled_from([0.0, 0.5])),
        proj_clip=data.draw(st.sampled_from([0.0, 0.3])),
        asymmetric_quantize_inputs=hybrid and data.draw(st.booleans()),
        fused_activation_function=data.draw(st.sampled_from([Activation.TANH, Activation.RELU, Activation.RELU6])),
    )

    assert worst_relative_error(peer, program) < 2e-6


def test_lstm_starts_anew_after_a_reset(peer):
    """The state is zero at first, changes what follows, and is zero again after `reset`."""
    reference = Reference(lstm(peer))
    x = {"x": np.ones((2, 3, 4), np.float32)}

    first, second = reference.run(x)["y"], reference.run(x)["y"]
    reference.reset()

    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, reference.run(x)["y"])


def test_lstm_in_two_halves_is_the_whole(peer):
    """The state that is left behind is the one that the next step begins with."""
    whole, half = (lstm(peer, Sizes(steps=steps), time_major=True) for steps in (4, 2))
    x = np.random.default_rng(0).standard_normal((4, 2, 4)).astype(np.float32)
    reference = Reference(half)

    wanted = Reference(whole).run({"x": x})["y"]

    halves = [reference.run({"x": part})["y"] for part in (x[:2], x[2:])]
    np.testing.assert_allclose(wanted, np.concatenate(halves), rtol=0, atol=1e-6)


def changed(program, name, **fields):
    """The Program with another tensor of that name."""
    return replace(program, tensors={**program.tensors, name: replace(program.tensors[name], **fields)})


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        pytest.param(lambda p: lstm(p, without=(2,)), "left out", id="forget-weights"),
        pytest.param(lambda p: lstm(p, without=(1,)), "of the input gate", id="half-an-input-gate"),
        pytest.param(lambda p: lstm(p, Sizes(outputs=3), without=(16, 17)), "without a projection", id="projection"),
        pytest.param(
            lambda p: lstm(p, fused_activation_function=Activation.NONE), "activation is NONE", id="no-activation"
        ),
        pytest.param(
            lambda p: changed(lstm(p), "cell", variable=False, data=np.zeros((2, 5), np.float32)),
            "variable tensors",
            id="constant-state",
        ),
        pytest.param(
            lambda p: changed(lstm(p), "w1", shape=(5, 3), data=np.zeros((5, 3), np.float32)), "operand 2", id="shape"
        ),
        pytest.param(
            lambda p: changed(changed(lstm(p), "x", dtype="i8"), "y", dtype="i8"), "intermediate tensors", id="integer"
        ),
    ],
)
def test_lstm_says_why_it_is_refused(peer, made, reason):
    """What has no kernel or no meaning is refused with the reason."""
    with pytest.raises(ModelError, match=reason):
        verify(made(peer))
