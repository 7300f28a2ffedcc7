"""A small network in every mode that a file may have: raised, and lowered to the same numbers again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bitwright.formats.tflite.write import write_tflite
from bitwright.lowering.lower import lower
from bitwright.lowering.raise_program import raise_program
from bitwright.numerics.qparams import QuantParams
from bitwright.numerics.quantize import quantize
from bitwright.program.operator import Activation, Operator, Options
from bitwright.program.options import Conv2DOptions, FullyConnectedOptions, ReshapeOptions
from bitwright.program.program import Port, Program
from bitwright.program.tensor import DTYPES, Array, Tensor
from bitwright.program.verify import verify

#: Parameters of the activations x, a (behind the convolution) and y.
ACTIVATIONS = {
    "int8": (QuantParams(0.03, 4), QuantParams(0.02, -128), QuantParams(0.05, 2)),
    "uint8": (QuantParams(0.03, 131, "u8"), QuantParams(0.02, 0, "u8"), QuantParams(0.05, 120, "u8")),
    "int16x8": (QuantParams(1e-4, 0, "i16"), QuantParams(2e-4, 0, "i16"), QuantParams(3e-4, 0, "i16")),
}
BIASES = {"int8": "i32", "uint8": "i32", "int16x8": "i64"}


class Net:
    """CONV_2D with RELU, RESHAPE, FULLY_CONNECTED: [1, 5, 6, 4] to [1, 5]."""

    def __init__(self, mode: str) -> None:
        self.mode, self.rng = mode, np.random.default_rng(0)
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []

    def activation(self, index: int, name: str, *shape: int) -> str:
        qparams = ACTIVATIONS[self.mode][index] if self.mode in ACTIVATIONS else None
        return self.add(Tensor(name, shape, "f32" if qparams is None else qparams.storage, qparams))

    def add(self, tensor: Tensor) -> str:
        self.tensors[tensor.name] = tensor
        return tensor.name

    def constant(self, name: str, data: Array, qparams: QuantParams | None, dtype: str) -> str:
        return self.add(Tensor(name, data.shape, dtype, qparams, data))

    def weight(self, name: str, *shape: int) -> str:
        """As the mode has it: integers the operator takes, or a constant behind DEQUANTIZE."""
        array: Array = (self.rng.standard_normal(shape) * 0.2).astype(np.float32)
        if self.mode == "float16":
            stored = self.constant(f"{name}_stored", array.astype(np.float16), None, "f16")
        else:
            storage = {"uint8": "u8", "weight-only-4": "i4"}.get(self.mode, "i8")
            steps = np.linspace(0.08, 0.1, shape[0]) if storage == "i4" else np.linspace(0.004, 0.006, shape[0])
            qparams = QuantParams(0.006, 121, "u8") if storage == "u8" else QuantParams(steps, 0, storage, 0)
            if self.mode == "dynamic":
                qparams = QuantParams(0.006)
            dequantized = self.mode.startswith("weight-only")
            stored = self.constant(
                f"{name}_stored" if dequantized else name, quantize(array, qparams), qparams, storage
            )
            if not dequantized:
                return stored
        self.add(Tensor(name, shape))
        self.operators.append(Operator("DEQUANTIZE", (stored,), (name,)))
        return name

    def bias(self, name: str, data: str, weight: str) -> str:
        outputs = self.tensors[weight].shape[0]
        if self.mode not in BIASES:
            return self.constant(name, self.rng.standard_normal(outputs).astype(np.float32), None, "f32")
        qparams = self.tensors[weight].qparams
        assert qparams is not None
        storage = BIASES[self.mode]
        scale = np.float32(self.tensors[data].scale) * qparams.scale
        numbers = self.rng.integers(-2000, 2000, outputs).astype(DTYPES[storage])
        return self.constant(name, numbers, QuantParams(scale, 0, storage, None if scale.size == 1 else 0), storage)

    def program(self) -> Program:
        x, a = self.activation(0, "x", 1, 5, 6, 4), self.activation(1, "a", 1, 5, 6, 8)
        flat, y = self.activation(1, "flat", 1, 240), self.activation(2, "y", 1, 5)
        shape = self.constant("shape", np.int32([1, 240]), None, "i32")
        w = self.weight("w", 8, 3, 3, 4)
        self.step("CONV_2D", [x, w, self.bias("b", x, w)], a, Conv2DOptions(fused_activation_function=Activation.RELU))
        self.step("RESHAPE", [a, shape], flat, ReshapeOptions((1, 240)))
        v = self.weight("v", 5, 240)
        self.step(
            "FULLY_CONNECTED",
            [flat, v, self.bias("c", flat, v)],
            y,
            FullyConnectedOptions(asymmetric_quantize_inputs=self.mode == "dynamic"),
        )
        program = Program(self.tensors, tuple(self.operators), (Port("x", x),), (Port("y", y),))
        verify(program)
        return program

    def step(self, kind: str, inputs: list[str], result: str, options: Options) -> None:
        self.operators.append(Operator(kind, tuple(inputs), (result,), options))


def run_litert(program: Program, x: Array) -> Any:
    module = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")
    resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    session = module.Interpreter(model_content=write_tflite(program), experimental_op_resolver_type=resolver)
    session.allocate_tensors()
    session.set_tensor(session.get_input_details()[0]["index"], x)
    session.invoke()
    return session.get_tensor(session.get_output_details()[0]["index"])


@pytest.mark.parametrize(
    ("mode", "told", "ports"),
    [
        pytest.param("int8", "int8", "int8", id="int8"),
        pytest.param("uint8", "uint8", "uint8", id="uint8"),
        pytest.param("int16x8", "int16x8", "int16", id="int16x8"),
        pytest.param("dynamic", "dynamic", None, id="dynamic"),
        pytest.param("weight-only", "weight-only", None, id="weight-only"),
        pytest.param("weight-only-4", "weight-only", None, id="weight-only-4"),
        pytest.param("float16", "float16", None, id="float16"),
    ],
)
def test_raise_every_mode_is_lowered_to_the_same_numbers(mode, told, ports):
    """LiteRT gives the same for the file and for what is raised and lowered; constants take as many bytes."""
    program = Net(mode).program()
    entry = program.tensors["x"]
    x = np.random.default_rng(1).standard_normal(entry.shape).astype(np.float32)
    given = x if entry.qparams is None else quantize(x, entry.qparams)

    model, plan = raise_program(program)
    assert plan is not None
    again = lower(model, plan, input_type=ports, output_type=ports)

    assert told == plan.mode
    np.testing.assert_array_equal(run_litert(program, given), run_litert(again, given).reshape(1, 5))
    before, after = (sorted(t.nbytes for t in p.tensors.values() if t.data is not None) for p in (program, again))
    assert before[-4:] == after[-4:]
