"""Activations that no kernel computes, of simpler ones in float: Softplus, Mish, Softsign, Selu, Celu, Elu, Swish."""

from __future__ import annotations

from collections.abc import Callable

from bitwright.lowering.lowerings.normalization import Composer
from bitwright.lowering.refusal import Refusal
from bitwright.lowering.step import Step
from bitwright.program.options import DivOptions

#: ONNX's defaults for Selu.
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875

Compose = Callable[[Step, Composer, str, str], str]


def _composed(compose: Compose) -> Callable[[Step], None]:
    """One operand through several operators, in whatever layout it is there."""

    def lower(step: Step) -> None:
        data = step.value(0)
        kernel = step.kernel([data], integer=())
        if step.low.dtype(data) != "f32":
            raise Refusal(f"computes in {step.low.dtype(data)}")
        form = step.low.form(data, None)
        result = step.result(kernel, step.build.shape(form.tensor))
        step.give(kernel, compose(step, Composer(step), form.tensor, result), form.layout)

    return lower


def _softplus_parts(do: Composer, data: str) -> tuple[str, str]:
    """The two addends of log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), of which neither overflows."""
    power = do.do("EXP", "power", do.do("NEG", "below", do.do("ABS", "size", data)))
    return do.do("RELU", "positive", data), do.do(
        "LOG", "rest", do.do("ADD", "above_one", power, do.number("one", 1.0))
    )


def softplus(step: Step, do: Composer, data: str, result: str) -> str:
    """log(1 + exp(x))."""
    return do.do("ADD", "sum", *_softplus_parts(do, data), result=result)


def mish(step: Step, do: Composer, data: str, result: str) -> str:
    """X * tanh(softplus(x))."""
    gate = do.do("TANH", "gate", do.do("ADD", "softplus", *_softplus_parts(do, data)))
    return do.do("MUL", "product", data, gate, result=result)


def softsign(step: Step, do: Composer, data: str, result: str) -> str:
    """X / (1 + |x|)."""
    below = do.do("ADD", "above_one", do.do("ABS", "size", data), do.number("one", 1.0))
    return do.do("DIV", "quotient", data, below, options=DivOptions(), result=result)


def _scaled_elu(do: Composer, data: str, alpha: float, gamma: float, result: str) -> str:
    """Gamma * (max(x, 0) + alpha * min(exp(x) - 1, 0))."""
    curve = do.do("MINIMUM", "curve", do.do("ELU", "elu", data), do.number("zero", 0.0))
    below = do.do("MUL", "below", curve, do.number("alpha", alpha * gamma))
    above = do.do("RELU", "positive", data)
    if gamma != 1.0:
        above = do.do("MUL", "above", above, do.number("gamma", gamma))
    return do.do("ADD", "sum", above, below, result=result)


def selu(step: Step, do: Composer, data: str, result: str) -> str:
    """Gamma * x above zero, gamma * alpha * (exp(x) - 1) below."""
    return _scaled_elu(do, data, step.real("alpha", SELU_ALPHA), step.real("gamma", SELU_GAMMA), result)


def elu(step: Step, do: Composer, data: str, result: str) -> str:
    """X above zero, alpha * (exp(x) - 1) below, for an alpha other than 1."""
    return _scaled_elu(do, data, step.real("alpha", 1.0), 1.0, result)


def celu(step: Step, do: Composer, data: str, result: str) -> str:
    """X above zero, alpha * (exp(x / alpha) - 1) below: alpha times the Elu of x / alpha."""
    alpha = step.real("alpha", 1.0)
    if alpha == 1.0:
        return do.do("ELU", "elu", data, result=result)
    narrow = do.do("ELU", "elu", do.do("MUL", "narrow", data, do.number("share", 1 / alpha)))
    return do.do("MUL", "wide", narrow, do.number("alpha", alpha), result=result)


def swish(step: Step, do: Composer, data: str, result: str) -> str:
    """X * sigmoid(alpha * x)."""
    alpha = step.real("alpha", 1.0)
    inner = data if alpha == 1.0 else do.do("MUL", "steep", data, do.number("alpha", alpha))
    return do.do("MUL", "product", data, do.do("LOGISTIC", "gate", inner), result=result)


lower_elu_of_any_alpha = _composed(elu)

LOWERINGS: dict[str, Callable[[Step], None]] = {
    "Softplus": _composed(softplus),
    "Mish": _composed(mish),
    "Softsign": _composed(softsign),
    "Selu": _composed(selu),
    "Celu": _composed(celu),
    "Swish": _composed(swish),
}
