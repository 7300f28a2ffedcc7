"""Gradients, types and devices of the operators of training."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from bitwright.training.operators.registry import OPERATORS  # noqa: E402


def integers(*values: int) -> Any:
    """An operand that says a shape, axes or pads."""
    return torch.tensor(values, dtype=torch.int64)


#: id: (operator, operands, attributes). A tuple is the shape of a real operand, which gets a gradient.
CASES: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "conv-1d": ("Conv", [(2, 2, 7), (3, 2, 3), (3,)], {"pads": [1, 0], "strides": [2]}),
    "conv-2d-groups": ("Conv", [(1, 4, 5, 5), (4, 2, 3, 3), (4,)], {"group": 2, "auto_pad": "SAME_LOWER"}),
    "conv-3d-dilated": ("Conv", [(1, 1, 4, 4, 4), (2, 1, 2, 2, 2)], {"dilations": [2, 1, 2]}),
    "conv-transpose": (
        "ConvTranspose",
        [(1, 2, 3, 3), (2, 2, 3, 3), (2,)],
        {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]},
    ),
    "gemm": ("Gemm", [(3, 2), (4, 3), (2, 1)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    "matmul": ("MatMul", [(2, 1, 3, 4), (4, 2)], {}),
    "einsum": ("Einsum", [(2, 3, 4), (2, 4)], {"equation": "bij,bj->bi"}),
    "max-pool": ("MaxPool", [(1, 2, 5, 5)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "average-pool": ("AveragePool", [(1, 2, 5, 5)], {"kernel_shape": [2, 3], "ceil_mode": 1, "pads": [0, 1, 1, 0]}),
    "average-pool-dilated": ("AveragePool", [(1, 2, 5, 5)], {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    "lp-pool": ("LpPool", [(1, 2, 5, 5)], {"kernel_shape": [2, 2]}),
    "global-average-pool": ("GlobalAveragePool", [(2, 3, 4, 4)], {}),
    "global-max-pool": ("GlobalMaxPool", [(2, 3, 4, 4)], {}),
    "batch-normalization": ("BatchNormalization", [(2, 3, 4), (3,), (3,), "mean", "variance"], {}),
    "layer-normalization": ("LayerNormalization", [(2, 3, 4), (4,), (4,)], {}),
    "layer-normalization-two-axes": ("LayerNormalization", [(2, 3, 4), (3, 4)], {"axis": 1}),
    "rms-normalization": ("RMSNormalization", [(2, 3, 4), (4,)], {}),
    "instance-normalization": ("InstanceNormalization", [(2, 3, 4), (3,), (3,)], {}),
    "group-normalization": ("GroupNormalization", [(2, 4, 3), (4,), (4,)], {"num_groups": 2}),
    "lp-normalization": ("LpNormalization", [(2, 3, 4)], {"axis": 1}),
    "mean-variance-normalization": ("MeanVarianceNormalization", [(2, 3, 4, 4)], {}),
    "lrn": ("LRN", [(1, 5, 3, 3)], {"size": 4, "alpha": 0.5}),
    "relu": ("Relu", [(3, 4)], {}),
    "leaky-relu": ("LeakyRelu", [(3, 4)], {"alpha": 0.1}),
    "prelu": ("PRelu", [(2, 3, 4), (3, 1)], {}),
    "elu": ("Elu", [(3, 4)], {"alpha": 0.7}),
    "selu": ("Selu", [(3, 4)], {}),
    "celu": ("Celu", [(3, 4)], {"alpha": 2.0}),
    "sigmoid": ("Sigmoid", [(3, 4)], {}),
    "hard-sigmoid": ("HardSigmoid", [(3, 4)], {}),
    "hard-swish": ("HardSwish", [(3, 4)], {}),
    "swish": ("Swish", [(3, 4)], {"alpha": 1.7}),
    "mish": ("Mish", [(3, 4)], {}),
    "softplus": ("Softplus", [(3, 4)], {}),
    "gelu": ("Gelu", [(3, 4)], {}),
    "gelu-tanh": ("Gelu", [(3, 4)], {"approximate": "tanh"}),
    "tanh": ("Tanh", [(3, 4)], {}),
    "erf": ("Erf", [(3, 4)], {}),
    "exp": ("Exp", [(3, 4)], {}),
    "softmax": ("Softmax", [(3, 4)], {"axis": 0}),
    "log-softmax": ("LogSoftmax", [(3, 4)], {}),
    "clip": ("Clip", [(3, 4), (), ()], {}),
    "add": ("Add", [(2, 3), (3,)], {}),
    "div": ("Div", [(2, 3), (2, 1)], {}),
    "max": ("Max", [(2, 3), (3,), (2, 1)], {}),
    "mean": ("Mean", [(2, 3), (3,)], {}),
    "where": ("Where", [torch.tensor([True, False, True]), (2, 3), (3,)], {}),
    "reduce-mean": ("ReduceMean", [(2, 3, 4), integers(-1)], {"keepdims": 0}),
    "reduce-prod": ("ReduceProd", [(2, 3, 4), integers(0, 2)], {}),
    "reduce-l2": ("ReduceL2", [(2, 3, 4), integers(1)], {}),
    "reduce-max": ("ReduceMax", [(2, 3, 4)], {}),
    "reduce-log-sum-exp": ("ReduceLogSumExp", [(2, 3, 4), integers(1)], {}),
    "top-k": ("TopK", [(3, 5), integers(2)], {}),
    "cum-sum": ("CumSum", [(3, 4), torch.tensor(1)], {"exclusive": 1, "reverse": 1}),
    "reshape": ("Reshape", [(2, 3, 4), integers(0, -1)], {}),
    "transpose": ("Transpose", [(2, 3, 4)], {"perm": [2, 0, 1]}),
    "slice-backwards": ("Slice", [(3, 5), integers(4), integers(-6), integers(1), integers(-2)], {}),
    "split": ("Split", [(5, 2)], {"num_outputs": 2}),
    "concat": ("Concat", [(2, 3), (1, 3)], {"axis": 0}),
    "tile": ("Tile", [(2, 3), integers(2, 1)], {}),
    "expand": ("Expand", [(3, 1), integers(2, 1, 4)], {}),
    "gather": ("Gather", [(4, 3), torch.tensor([[0, -1], [2, 0]])], {}),
    "gather-elements": ("GatherElements", [(3, 3), torch.tensor([[0, -1, 1]])], {}),
    "gather-nd": ("GatherND", [(2, 3, 4), torch.tensor([[1], [-1]])], {"batch_dims": 1}),
    "scatter-elements": ("ScatterElements", [(3, 3), torch.tensor([[0, -1, 1]]), (1, 3)], {"reduction": "add"}),
    "scatter-nd": ("ScatterND", [(3, 2), torch.tensor([[2], [-3]]), (2, 2)], {}),
    "pad": ("Pad", [(3, 4), integers(1, 0, -1, 2)], {}),
    "pad-reflect": ("Pad", [(3, 4), integers(2, 2), None, integers(-1)], {"mode": "reflect"}),
    "resize-nearest": ("Resize", [(1, 1, 3, 3), None, None, integers(1, 1, 5, 2)], {}),
    "resize-linear": ("Resize", [(1, 1, 3, 3), None, None, integers(1, 1, 5, 2)], {"mode": "linear"}),
    "resize-cubic": ("Resize", [(1, 1, 4, 4), None, None, integers(1, 1, 7, 3)], {"mode": "cubic"}),
    "depth-to-space": ("DepthToSpace", [(1, 4, 2, 2)], {"blocksize": 2, "mode": "CRD"}),
    "one-hot": ("OneHot", [torch.tensor([0, -1, 7]), torch.tensor(3), (2,)], {"axis": 0}),
    "lstm": (
        "LSTM",
        [(3, 2, 2), (2, 12, 2), (2, 12, 3), (2, 24), None, (2, 2, 3), (2, 2, 3), (2, 9)],
        {"direction": "bidirectional", "hidden_size": 3},
    ),
    "gru": ("GRU", [(3, 2, 2), (1, 9, 2), (1, 9, 3), (1, 18)], {"hidden_size": 3}),
    "gru-reset-after": (
        "GRU",
        [(3, 2, 2), (1, 9, 2), (1, 9, 3), (1, 18), None, (1, 2, 3)],
        {"hidden_size": 3, "linear_before_reset": 1, "direction": "reverse"},
    ),
    "rnn": ("RNN", [(3, 2, 2), (1, 3, 2), (1, 3, 3), (1, 6)], {"hidden_size": 3}),
    "attention": (
        "Attention",
        [(1, 2, 3, 4), (1, 1, 5, 4), (1, 1, 5, 2), (3, 5)],
        {"is_causal": 1, "softcap": 2.0},
    ),
    "rotary-embedding": ("RotaryEmbedding", [(1, 2, 3, 4), (5, 2), (5, 2), torch.tensor([[0, 2, 4]])], {}),
}


def operands_of(name: str, dtype: Any, device: str = "cpu") -> list[Any]:
    """The operands of a case: real ones drawn, and asking for gradients."""
    generator = torch.Generator().manual_seed(len(name))
    made = []
    for operand in CASES[name][1]:
        if isinstance(operand, tuple):
            x = torch.randn(operand, generator=generator, dtype=torch.float64)
            made.append(x.to(device, dtype).requires_grad_())
        elif operand in ("mean", "variance") if isinstance(operand, str) else False:
            made.append(torch.tensor([0.5, 1.0, 2.0], dtype=dtype, device=device))
        else:
            made.append(operand)
    return made


def call(name: str, operands: list[Any]) -> tuple[Any, ...]:
    """The real outputs of a case."""
    op, _, attributes = CASES[name]
    made = OPERATORS[op](*operands, **attributes)
    return tuple(y for y in (made if isinstance(made, tuple) else (made,)) if y.is_floating_point())


@pytest.mark.parametrize("name", CASES)
def test_operator_gradient_is_that_of_its_function(name):
    """What backward gives is the slope that small steps of each operand measure."""
    operands = operands_of(name, torch.float64)
    places = [i for i, x in enumerate(operands) if x is not None and x.requires_grad]

    def function(*reals: Any) -> tuple[Any, ...]:
        filled = list(operands)
        for place, real in zip(places, reals, strict=True):
            filled[place] = real
        return call(name, filled)

    assert torch.autograd.gradcheck(function, [operands[i] for i in places])


@pytest.mark.parametrize("name", CASES)
def test_operator_keeps_the_type_of_its_operands(name):
    """In bfloat16 every result is bfloat16, near that of float64."""
    wanted = call(name, operands_of(name, torch.float64))

    made = call(name, operands_of(name, torch.bfloat16))

    for one, other in zip(wanted, made, strict=True):
        assert other.dtype is torch.bfloat16
        assert torch.allclose(one, other.double(), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", CASES)
def test_operator_learns_under_autocast(name):
    """Results are near those of float64, and every float32 operand gets a finite gradient."""
    wanted, operands = call(name, operands_of(name, torch.float64)), operands_of(name, torch.float32)

    with torch.autocast("cpu", torch.bfloat16):
        made = call(name, operands)
    sum(y.float().sum() for y in made).backward()

    for one, other in zip(wanted, made, strict=True):
        assert torch.allclose(one, other.double(), rtol=0.1, atol=0.1)
    learning = [x for x in operands if x is not None and x.requires_grad]
    assert all(x.grad is not None and bool(torch.isfinite(x.grad).all()) for x in learning)


@pytest.mark.parametrize("name", CASES)
def test_operator_computes_where_its_data_is(name):
    """With data on another device, and shapes and indices in main memory, results are on that device."""
    wanted = call(name, operands_of(name, torch.float32))

    made = call(name, operands_of(name, torch.float32, device="meta"))

    assert [(y.shape, "meta") for y in wanted] == [(y.shape, y.device.type) for y in made]


def test_operator_of_mixed_places_joins_them_on_the_accelerator():
    """A constant in main memory meets data on another device, in either order."""
    here, there = torch.ones(3), torch.ones(2, 3, device="meta")

    assert OPERATORS["Mul"](here, there).device.type == "meta"
    assert OPERATORS["Concat"](there, here[None], axis=0).device.type == "meta"
    assert OPERATORS["Add"](here, here).device.type == "cpu"


def test_attention_without_an_open_key_gives_zero_and_no_nan_gradient():
    """A row that the mask closes whole is 0, and so is its gradient."""
    q, k, v = (torch.randn(1, 1, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    closed = torch.tensor([[False, False], [True, False]])

    y = OPERATORS["Attention"](q, k, v, closed)
    y.sum().backward()

    assert torch.equal(torch.zeros(3, dtype=torch.float64), y[0, 0, 0])
    assert torch.equal(torch.zeros(3, dtype=torch.float64), q.grad[0, 0, 0])
    assert bool(torch.isfinite(k.grad).all())
