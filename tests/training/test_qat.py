"""Quantization-aware training: what is quantized is what the planner says, and what is trained is what is deployed."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import CNN, IMAGES, MLP, RESIDUAL, build, inputs_of

import bitwright as bw
from bitwright.errors import StatisticsError, UsageError
from bitwright.graph.constants import QuantizedTensor
from bitwright.numerics.quantize import fake_quantize, quantize
from bitwright.quantization.plan import Compute, Role

SHARED = Path(__file__).parents[2] / ".." / "shared" / "models"


def trained(text: str, steps: int = 3, *, seed: int = 0, rate: float = 1e-2, **options):
    """A network of a text after a few steps on noise, in eval mode, and its inputs."""
    model = build(text, seed=seed)
    x = torch.from_numpy(inputs_of(model, 16, seed=seed))
    network = bw.prepare_qat(model, options.pop("recipe", "int8"), **options).train()
    optimizer = torch.optim.SGD(network.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()
    return network.eval(), x


@pytest.mark.parametrize("target", ["onnxruntime", "litert"])
@pytest.mark.parametrize("text", [CNN, RESIDUAL, MLP, IMAGES], ids=["cnn", "residual", "products", "images"])
def test_the_plan_of_what_was_trained_is_that_of_quantize(text, target):
    """The same tensors, roles and reasons to stay float as after training; parameters differ alone."""
    network, x = trained(text, target=target)
    plan = bw.convert(network).plan
    after = bw.quantize(build(text), "int8", calibration=x.numpy(), target=target).plan
    assert {n: (t.role, t.qparams.storage, t.qparams.axis) for n, t in after.tensors.items()} == {
        n: (t.role, t.qparams.storage, t.qparams.axis) for n, t in plan.tensors.items()
    }
    assert {n: v.compute for n, v in after.nodes.items()} == {n: v.compute for n, v in plan.nodes.items()}


@pytest.mark.parametrize("ranges", ["ema", "learned"])
@pytest.mark.parametrize("bn", ["frozen", "correct"])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_integers_are_those_that_the_network_was_evaluated_with(bits, bn, ranges):
    """No integer of the deployed model differs: convolutions, their clamps, normalizations folded, a product."""
    network, x = trained(CNN, target="litert", bn=bn, weight_bits=bits, ranges=ranges)
    program = bw.convert(network).to_program()
    for row in x:
        wanted = run_floats(program, row.numpy()[None])
        made = network(row[None]).detach().numpy()
        np.testing.assert_allclose(wanted, made, atol=1e-5 * max(1.0, np.abs(wanted).max()))


def run_floats(program, fed):
    """What the integer reference gives for a float row, rounding as XNNPACK and ONNX Runtime do."""
    return bw.run(program, {"x": fed}, runtime="reference", rounding="fp32_even")[program.outputs[0].name]


def test_integers_of_images_are_the_same_to_the_last():
    """An image of integers, as ONNX Runtime's kernels give it."""
    network, x = trained(IMAGES)
    made = bw.convert(network)
    qparams = made.plan.qparams_of("y")
    ours = quantize(network(x).detach().numpy(), qparams)
    theirs = quantize(bw.run(made, {"x": x.numpy()}, runtime="onnxruntime")["y"], qparams)
    np.testing.assert_array_equal(ours, theirs)


def test_a_residual_sum_may_round_otherwise_by_one_step():
    """Kernels add in fixed point, the network in floats: at most one step, on few values."""
    network, x = trained(RESIDUAL, target="litert")
    program = bw.convert(network).to_program()
    ours = network(x).detach().numpy()
    theirs = np.concatenate([run_floats(program, row[None]) for row in x.numpy()])
    step = float(bw.convert(network).plan.qparams_of("y").scale[0])
    apart = np.abs(ours - theirs) / step
    assert apart.max() < 1.5 and (apart > 0.5).mean() < 0.05


def test_weights_are_symmetric_and_leave_out_the_lowest_integer():
    """[-127, 127], one scale a channel, the largest magnitude at 127."""
    network, _ = trained(CNN)
    tensor = held(bw.convert(network), "c1")
    assert tensor.qparams.axis == 0 and tensor.qparams.symmetric
    assert (np.abs(tensor.integers).reshape(8, -1).max(axis=1) == 127).all()


@pytest.mark.parametrize(("bits", "most"), [(4, 7), (2, 1)])
def test_fewer_bits_are_fewer_integers(bits, most):
    """-7..7 for 4 bits, -1..1 for 2, held in 8."""
    network, _ = trained(CNN, weight_bits=bits, per_channel=False)
    made = bw.convert(network)
    for name in ("c1", "c2", "fc"):
        tensor = held(made, name)
        assert tensor.integers.dtype == np.int8 and np.abs(tensor.integers).max() == most
        assert tensor.qparams.axis is None


def test_activations_of_4_bits_have_16_values(tmp_path):
    """0 to 15 in the file, and what ONNX Runtime computes is what the network was evaluated with."""
    network, x = trained(IMAGES, activation_bits=4)
    made = bw.convert(network)
    made.save(tmp_path / "m.onnx")
    qparams = made.plan.qparams_of("y")
    theirs = bw.run(str(tmp_path / "m.onnx"), {"x": x.numpy()}, runtime="onnxruntime")["y"]
    assert qparams.storage == "u4" and len(np.unique(theirs)) <= 16
    np.testing.assert_allclose(theirs, network(x).detach().numpy(), atol=1e-5)
    with pytest.raises(UsageError, match="litert"):
        bw.prepare_qat(build(IMAGES), activation_bits=4, target="litert")


def held(model, layer):
    """The integer weight of a layer of the CNN, the first, second or third that has one."""
    weights = [node.inputs[1].const_value for node in model.graph.graph if node.op_type in ("Conv", "Gemm")]
    tensor = weights[("c1", "c2", "fc").index(layer)]
    assert isinstance(tensor, QuantizedTensor)
    return tensor


def test_ranges_are_moving_averages():
    """M * average + (1 - m) * what a step sees, from the first step's own range on."""
    model = build(MLP)
    network = bw.prepare_qat(model, momentum=0.9).train()
    batches = [torch.from_numpy(inputs_of(model, 8, seed=seed)) for seed in range(3)]
    for batch in batches:
        network(batch)
    network(batches[0])  # what the third saw counts from here on
    low = [float(batch.min()) for batch in batches]
    wanted = 0.9 * (0.9 * low[0] + 0.1 * low[1]) + 0.1 * low[2]
    assert wanted == pytest.approx(float(network.activation_quantizer("x").low), rel=1e-6)


def test_nothing_is_quantized_before_the_delay_is_over():
    """Steps of training that only watch; then it is."""
    model = build(MLP)
    x = torch.from_numpy(inputs_of(model))
    plain = bw.trainable(model).train()(x)
    network = bw.prepare_qat(model, delay=2).train()
    assert torch.equal(plain, network(x)) and torch.equal(plain, network(x))
    assert not torch.equal(plain, network(x))


def test_frozen_ranges_stay():
    """Whatever comes after."""
    model = build(MLP)
    network = bw.prepare_qat(model).train()
    x = torch.from_numpy(inputs_of(model))
    network(x), network(x)
    before = network.activation_quantizer("x").high.clone()
    network.freeze_ranges()
    network(10 * x), network(10 * x)
    assert torch.equal(before, network.activation_quantizer("x").high)


def test_learned_scales_move_with_the_optimizer():
    """Those of activations and of weights are parameters with gradients."""
    model = build(MLP)
    x = inputs_of(model, 64)
    network = bw.prepare_qat(model, ranges="learned", calibration=x).train()
    scales = {name: p for name, p in network.named_parameters() if name.endswith("scale")}
    before = {name: p.detach().clone() for name, p in scales.items()}
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network(torch.from_numpy(x)).square().mean().backward()
    optimizer.step()
    assert len(scales) == 4  # two activations, two weights
    assert all(not torch.equal(before[name], p.detach()) for name, p in scales.items())


def test_calibration_gives_the_first_ranges():
    """Those of post-training quantization with the same method."""
    model = build(MLP)
    x = inputs_of(model, 64)
    network = bw.prepare_qat(model, calibration=x, method="minmax")
    after = bw.quantize(model, "int8", calibration=x, method="minmax").plan
    ours = bw.convert(network).plan
    assert [t.qparams for t in after.tensors.values() if t.role is Role.ACTIVATION] == [
        t.qparams for t in ours.tensors.values() if t.role is Role.ACTIVATION
    ]


def test_calibration_takes_a_path_as_everywhere(tmp_path):
    """A file of samples gives the ranges that its array gives."""
    x = inputs_of(build(MLP), 64)
    np.save(tmp_path / "x.npy", x)
    plans = [bw.convert(bw.prepare_qat(build(MLP), calibration=data)).plan for data in (x, str(tmp_path / "x.npy"))]
    assert plans[0].to_json() == plans[1].to_json()


def test_correction_gives_the_outputs_of_batch_statistics():
    """While batches are normalized by their own statistics, folded weights give what unfolded ones would."""
    model = build(CNN)
    x = torch.from_numpy(inputs_of(model, 32))
    floating = bw.trainable(model).train()
    corrected = bw.prepare_qat(model, bn="correct", delay=10**6).train()
    torch.testing.assert_close(floating(x), corrected(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(floating.n2.mean, corrected.n2.mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(floating.n2.var, corrected.n2.var, atol=1e-5, rtol=1e-4)


def test_frozen_normalizations_keep_their_statistics():
    """bn="frozen": running statistics do not move; their scale and shift are trained."""
    network, _ = trained(CNN, bn="frozen")
    start = bw.trainable(build(CNN))
    assert torch.equal(start.n1.mean, network.n1.mean) and torch.equal(start.n1.var, network.n1.var)
    assert not torch.equal(start.n1.weight, network.n1.weight)


def test_a_state_dict_brings_everything_back():
    """Weights, ranges, what is frozen: a fresh network goes on as the old one."""
    network, x = trained(CNN, bn="correct")
    network.freeze_norms()
    network.freeze_ranges()
    fresh = bw.prepare_qat(build(CNN), bn="correct")
    fresh.load_state_dict(copy.deepcopy(network.state_dict()))
    assert torch.equal(network(x), fresh.eval()(x))
    network.train(), fresh.train()
    assert torch.equal(network(3 * x), fresh(3 * x)) and torch.equal(network(x), fresh(x))


def test_training_under_autocast_works():
    """bfloat16 products on a CPU; quantizers compute in float32."""
    model = build(CNN)
    network = bw.prepare_qat(model).train()
    x = torch.from_numpy(inputs_of(model))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            loss = network(x).float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.activation_quantizer("x").low.dtype == torch.float32


def test_a_network_that_saw_nothing_is_not_converted():
    """The error names a value, and what to do."""
    with pytest.raises(StatisticsError, match="'x'"):
        bw.convert(bw.prepare_qat(build(MLP)))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"bn": "batch"}, "bn cannot be"),
        ({"ranges": "kl"}, "ranges cannot be"),
        ({"weight_bits": 3}, "3 bits"),
        ({"recipe": "float16"}, "nothing|quantizes"),
        ({"exclude": (".*",)}, "quantizes nothing|nothing computes"),
        ({"exclude": ("no_such_node",)}, "matches no node"),
    ],
)
def test_choices_that_cannot_be_are_refused(options, match):
    """With what there is instead."""
    with pytest.raises(UsageError, match=match):
        bw.prepare_qat(build(MLP), options.pop("recipe", "int8"), **options)


def test_excluded_layers_stay_float():
    """A regular expression of node names."""
    model = build(MLP)
    model.graph.node(0).name, model.graph.node(2).name = "first", "last"
    network = bw.prepare_qat(model, exclude=("last",)).train()
    network(torch.from_numpy(inputs_of(model))), network(torch.from_numpy(inputs_of(model)))
    plan = bw.convert(network).plan
    assert plan.compute_of("last") is Compute.FLOAT and plan.compute_of("first") is Compute.INTEGER


@pytest.mark.parametrize("mode", ["dynamic", "weight-only"])
def test_modes_without_activations_train_their_weights(mode):
    """Weights alone are quantized, and no data is needed for ranges."""
    network, x = trained(MLP, recipe=mode, steps=1, weight_bits=8)
    made = bw.convert(network)
    weights = {n: t for n, t in made.plan.tensors.items() if t.role is Role.WEIGHT}
    ours = network(x).detach().numpy()
    assert weights and not any(t.role is Role.ACTIVATION for t in made.plan.tensors.values())
    for name, planned in weights.items():
        value = made.graph.graph.initializers[name].const_value
        np.testing.assert_array_equal(value.numpy(), fake_quantize(value.numpy(), planned.qparams))
    assert np.isfinite(ours).all()


def test_a_network_of_a_lost_source_trains_to_a_file_that_runs(tmp_path):
    """A trained .onnx in, an int8 .tflite out, on its own runtime."""
    path = SHARED / "resnet20_cifar10.onnx"
    if not path.exists():
        pytest.skip("the shared models are not here")
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    network = bw.prepare_qat(str(path), target="litert").train()
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network(x), network(x).square().mean().backward()
    bw.convert(network.eval()).save(tmp_path / "m.tflite")
    interpreter = litert.Interpreter(str(tmp_path / "m.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[:1].permute(0, 2, 3, 1).numpy())
    interpreter.invoke()
    made = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    ours = network(x[:1]).detach().numpy()
    assert np.abs(made - ours).max() < 0.1 * np.abs(ours).max()
