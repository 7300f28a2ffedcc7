"""The float .tflite that LiteRT runs and its quantizer starts from: `python -m bench.float_tflite MODEL OUT.tflite`.

MODEL (.onnx or .tflite) as `bitwright convert` writes it, with two changes that leave its outputs as they are, so that
LiteRT is not held back by how its file was made:

- PADV2 that fills with the lowest value before MAX_POOL_2D of what a RELU gave becomes PAD, which fills with zeros:
  XNNPACK and the quantizer know PAD alone;
- int8 weights of a float convolution (a "hybrid" file) become float weights.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from bitwright.formats.tflite.write import write_tflite
from bitwright.numerics.quantize import dequantize
from bitwright.program.operator import Activation, Operator
from bitwright.program.program import Program
from bitwright.program.tensor import Tensor
from bitwright.reading import read_model, read_program


def plain(program: Program) -> Program:
    """The Program with both changes."""
    operators = tuple(_zeros_around(program, operator) for operator in program.operators)
    used = {name for operator in operators for name in (*operator.inputs, *operator.outputs)}
    used |= {port.tensor for port in (*program.inputs, *program.outputs)}
    tensors = {name: _float_weights(tensor) for name, tensor in program.tensors.items() if name in used}
    return replace(program, operators=operators, tensors=tensors)


def _zeros_around(program: Program, operator: Operator) -> Operator:
    if operator.kind != "PADV2":
        return operator
    producer = next(op for op in program.operators if operator.inputs[0] in op.outputs)
    readers = [program.operators[index].kind for index in program.readers[operator.outputs[0]]]
    after_relu = getattr(producer.options, "fused_activation_function", None) == Activation.RELU
    if not after_relu or readers != ["MAX_POOL_2D"]:
        return operator
    return Operator("PAD", operator.inputs[:2], operator.outputs)


def _float_weights(tensor: Tensor) -> Tensor:
    if tensor.data is None or tensor.qparams is None:
        return tensor
    return replace(tensor, dtype="f32", data=dequantize(tensor.data, tensor.qparams), qparams=None)


def main() -> None:
    """Read, change, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    is_tflite = arguments.model.suffix == ".tflite"
    program = read_program(arguments.model) if is_tflite else read_model(arguments.model).to_program()
    arguments.output.write_bytes(write_tflite(plain(program)))


if __name__ == "__main__":
    main()
