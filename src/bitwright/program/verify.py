"""The verifier: what must hold of a Program before anything runs, writes or raises it."""

from __future__ import annotations

from collections.abc import Iterator

from bitwright.errors import BitwrightError, ModelError, UnsupportedOpError
from bitwright.program.operator import Operator, Options
from bitwright.program.program import Program
from bitwright.program.registry import DEFINITIONS
from bitwright.program.tensor import DTYPES, Tensor

#: How many problems an error lists.
LISTED = 20
#: Sizes and attributes are 32 bits wide in TFLite.
MOST_SIZE = 2**31 - 1


def verify(program: Program, *, where: str | None = None) -> None:
    """Refuse a Program that is not whole.

    Args:
        program: any.
        where: what errors call it.

    Raises:
        UnsupportedOpError: operators outside the vocabulary: all of them, by name.
        ModelError: a name that does not exist, an operand before it is computed, a shape or type that does not fit.
    """
    unknown = sorted({operator.kind for operator in program.operators} - set(DEFINITIONS))
    if unknown:
        raise UnsupportedOpError(
            f"operators that are not known here: {', '.join(unknown)}",
            where=where,
            next="write the model with built-in operators only, or cut these out of it",
        )
    problems = [*_tensor_problems(program), *_order_problems(program)]
    if not problems:
        problems = list(_call_problems(program))
    if problems:
        more = f"\n           and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        listed = "\n           ".join(problems[:LISTED])
        raise ModelError(
            f"the model is not consistent: {listed}{more}", where=where, next="write it again from its source"
        )


def _tensor_problems(program: Program) -> Iterator[str]:
    for name, tensor in program.tensors.items():
        if name != tensor.name or tensor.dtype not in DTYPES or min(tensor.shape, default=0) < 0:
            yield f"tensor {name!r} has no proper name, type or shape"
        elif max(tensor.shape, default=0) > MOST_SIZE:
            yield f"tensor {name!r} {_shown(tensor)} has a size of more than 32 bits"
        elif tensor.data is not None and (
            tensor.data.shape != tensor.shape or tensor.data.dtype != DTYPES[tensor.dtype]
        ):
            yield f"constant {name!r} holds {tensor.data.dtype}{list(tensor.data.shape)}, not {_shown(tensor)}"
        elif tensor.qparams is not None:
            yield from _qparams_problems(tensor)


def _qparams_problems(tensor: Tensor) -> Iterator[str]:
    qparams = tensor.qparams
    assert qparams is not None
    if qparams.storage != tensor.dtype:
        yield f"tensor {tensor.name!r} of {tensor.dtype} has parameters for {qparams.storage}"
    elif qparams.axis is not None and (
        not 0 <= qparams.axis < len(tensor.shape) or tensor.shape[qparams.axis] != qparams.scale.size
    ):
        yield f"tensor {tensor.name!r} {_shown(tensor)} has {qparams.scale.size} scales along axis {qparams.axis}"


def _order_problems(program: Program) -> Iterator[str]:
    known = {name for name, t in program.tensors.items() if t.data is not None or t.variable}
    for port in program.inputs:
        if port.tensor not in program.tensors:
            yield f"input {port.name!r} is no tensor"
        elif port.tensor in known:
            yield f"input {port.name!r} is {port.tensor!r}, which is there already"
        known.add(port.tensor)
    for operator in program.operators:
        for name in operator.inputs:
            if name is not None and name not in known:
                yield f"{_called(operator)} reads {name!r} before it is there"
        for name in operator.outputs:
            if name not in program.tensors:
                yield f"{_called(operator)} gives {name!r}, which is no tensor"
            elif name in known:
                yield f"{_called(operator)} gives {name!r}, which is there already"
            known.add(name)
    for port in program.outputs:
        if port.tensor not in known:
            yield f"output {port.name!r} is never computed"


def _call_problems(program: Program) -> Iterator[str]:
    for call in program.calls:
        operator = call.operator
        definition = DEFINITIONS[operator.kind]
        fewest, most = definition.inputs
        if not fewest <= len(operator.inputs) or (most is not None and len(operator.inputs) > most):
            yield f"{_called(operator)} has {len(operator.inputs)} operands"
            continue
        if None in operator.inputs[: fewest if most is not None else None]:
            yield f"{_called(operator)} leaves out an operand that it needs"
            continue
        if not isinstance(operator.options, definition.options):
            yield f"{_called(operator)} has options of another operator"
            continue
        if wide := _wide_numbers(operator.options):
            yield f"{_called(operator)}: {', '.join(wide)} do not fit 32 bits"
            continue
        try:
            shapes = definition.infer(call)
            declared = tuple([tensor.shape for tensor in call.outputs])
            if shapes != declared:
                yield f"{_called(operator)} gives {_listed(shapes)}, the file says {_listed(declared)}"
            elif definition.refuse is not None and (reason := definition.refuse(call)):
                yield f"{_called(operator)}: {reason}"
        except BitwrightError as error:
            yield f"{_called(operator)}: {error.what}"


def _wide_numbers(options: Options) -> list[str]:
    """Attributes that TFLite cannot write."""
    return [
        name
        for name, value in vars(options).items()
        for number in (value if isinstance(value, tuple) else (value,))
        if isinstance(number, int) and not -MOST_SIZE - 1 <= number <= MOST_SIZE
    ]


def _called(operator: Operator) -> str:
    return f"{operator.kind} {operator.outputs[0]!r}" if operator.outputs else operator.kind


def _listed(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)


def _shown(tensor: Tensor) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"
