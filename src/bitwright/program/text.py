"""The text form of a Program: one line a tensor that is there from the start, one line an operator."""

from __future__ import annotations

from dataclasses import fields

from bitwright.program.operator import Operator
from bitwright.program.program import Program
from bitwright.program.tensor import Tensor

#: Constants of at most so many elements are shown with their values.
SHOWN_ELEMENTS = 8


def to_text(program: Program) -> str:
    """The Program as text.

    program main, rounding tflite_double
      input x: f32[1,4]
      const w: i8[2,4] scale=0.5 zero_point=0
      y: f32[1,2] = FULLY_CONNECTED(x, w, -) {keep_num_dims=True}
      output y
    """
    lines = [f"program {program.name}, rounding {program.rounding}"]
    lines += [f"  input {_port(p.name, p.tensor)}: {tensor_text(program.tensors[p.tensor])}" for p in program.inputs]
    for tensor in program.tensors.values():
        if tensor.variable:
            lines.append(f"  state {tensor.name}: {tensor_text(tensor)}")
        elif tensor.data is not None:
            small = f" = {tensor.data.tolist()}" if tensor.elements <= SHOWN_ELEMENTS else ""
            lines.append(f"  const {tensor.name}: {tensor_text(tensor)}{small}")
    lines += [f"  {_operator(program, operator)}" for operator in program.operators]
    lines += [f"  output {_port(p.name, p.tensor)}" for p in program.outputs]
    return "\n".join(lines) + "\n"


def _port(name: str, tensor: str) -> str:
    return name if name == tensor else f"{name} = {tensor}"


def _operator(program: Program, operator: Operator) -> str:
    results = ", ".join(f"{t.name}: {tensor_text(t)}" for t in program.results(operator))
    operands = ", ".join(name if name is not None else "-" for name in operator.inputs)
    options = operator.options
    changed = [
        f"{f.name}={value}" for f in fields(options) if (value := getattr(options, f.name)) != f.default
    ]  # what has the schema's default is left out
    return f"{results} = {operator.kind}({operands})" + (f" {{{', '.join(changed)}}}" if changed else "")


def tensor_text(tensor: Tensor) -> str:
    """Its storage type, shape and parameters: "i8[1,4] scale=0.5, zero_point=0".

    >>> tensor_text(Tensor("x", (1, 4)))
    'f32[1,4]'
    """
    shown = f"{tensor.dtype}[{','.join(map(str, tensor.shape))}]"
    if tensor.qparams is None:
        return shown
    return f"{shown} {repr(tensor.qparams)[len('QuantParams(') : -1].split(', ', 1)[1]}"
