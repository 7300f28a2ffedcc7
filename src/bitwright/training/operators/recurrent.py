"""LSTM, GRU and RNN: one step after the other, in either direction or both.

    T time, D directions, N batch, I inputs, H hidden
    x [T, N, I], w [D, gates * H, I], r [D, gates * H, H], b [D, 2 * gates * H], states [D, N, H]
    y [T, D, N, H], the last states [D, N, H]

The inputs of all steps are multiplied at once; what remains for a step is the recurrence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from bitwright.training.operators.devices import on_one_device
from bitwright.training.operators.refusal import refuse, require

_ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
_REVERSED = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}

#: One step: (inputs times w plus b, states) -> states, the first of which is the result.
_Cell = Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]


def lstm(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    sequence_lens: torch.Tensor | None = None,
    initial_h: torch.Tensor | None = None,
    initial_c: torch.Tensor | None = None,
    peepholes: torch.Tensor | None = None,
    *,
    activations: Sequence[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[torch.Tensor, ...]:
    """Gates i, o, f, c; the peepholes [D, 3 * H] are those of i, o, f.

        i, f = f(x W + h R + b + P * c)      c' = f * c + i * g(x W + h R + b)
        o = f(x W + h R + b + P * c')        h' = o * h(c')

    Source: ONNX LSTM-22.
    """
    require(input_forget == 0, "LSTM with coupled gates (input_forget)", "export the network without it")
    _require_plain("LSTM", x, sequence_lens, layout)
    x, initial_h, initial_c = on_one_device(x, initial_h, initial_c)
    functions = _functions(activations, ["sigmoid", "tanh", "tanh"], w.shape[0])

    def cell_of(d: int) -> tuple[_Cell, Any, Any]:
        squash, candidate, result = functions[d]
        weight = r[d]
        peeps = None if peepholes is None else peepholes[d].chunk(3)

        def cell(inputs: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
            h, c = states
            i, o, f, g = (inputs + functional.linear(h, weight)).chunk(4, -1)
            if peeps is not None:
                i, f = i + peeps[0] * c, f + peeps[2] * c
            new = squash(f) * c + squash(i) * candidate(g)
            o = o if peeps is None else o + peeps[1] * new
            return squash(o) * result(new), new

        bias = None if b is None else sum(b[d].chunk(2))
        return cell, w[d], bias

    return _run(x, r, [initial_h, initial_c], direction, cell_of)


def gru(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    sequence_lens: torch.Tensor | None = None,
    initial_h: torch.Tensor | None = None,
    *,
    activations: Sequence[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[torch.Tensor, ...]:
    """Gates z, r, n, each with a bias of the input and one of the recurrence.

        z, r = f(x W + h R + b)      h' = (1 - z) * n + z * h
        n = g(x W + b + (r * h) R + b'), or g(x W + b + r * (h R + b')) with linear_before_reset

    Source: ONNX GRU-22.
    """
    _require_plain("GRU", x, sequence_lens, layout)
    x, initial_h = on_one_device(x, initial_h)
    hidden = r.shape[-1]
    functions = _functions(activations, ["sigmoid", "tanh"], w.shape[0])

    def cell_of(d: int) -> tuple[_Cell, Any, Any]:
        squash, candidate = functions[d]
        ours, own = (None, None) if b is None else b[d].chunk(2)
        gates_bias, reset_bias = (None, None) if own is None else own.split([2 * hidden, hidden])
        gates, reset = r[d].split([2 * hidden, hidden])

        def cell(inputs: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
            (h,) = states
            given, new = inputs.split([2 * hidden, hidden], -1)
            update, keep = squash(given + functional.linear(h, gates, gates_bias)).chunk(2, -1)
            if linear_before_reset:
                new = new + keep * functional.linear(h, reset, reset_bias)
            else:
                new = new + functional.linear(keep * h, reset, reset_bias)
            return ((1 - update) * candidate(new) + update * h,)

        return cell, w[d], ours

    return _run(x, r, [initial_h], direction, cell_of)


def rnn(
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    sequence_lens: torch.Tensor | None = None,
    initial_h: torch.Tensor | None = None,
    *,
    activations: Sequence[str] | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[torch.Tensor, ...]:
    """`h'` = f(x W + h R + b).

    Source: ONNX RNN-22.
    """
    _require_plain("RNN", x, sequence_lens, layout)
    x, initial_h = on_one_device(x, initial_h)
    functions = _functions(activations, ["tanh"], w.shape[0])

    def cell_of(d: int) -> tuple[_Cell, Any, Any]:
        (squash,), weight = functions[d], r[d]

        def cell(inputs: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
            return (squash(inputs + functional.linear(states[0], weight)),)

        return cell, w[d], None if b is None else sum(b[d].chunk(2))

    return _run(x, r, [initial_h], direction, cell_of)


def _run(
    x: torch.Tensor,
    r: torch.Tensor,
    initial: Sequence[torch.Tensor | None],
    direction: str,
    cell_of: Callable[[int], tuple[_Cell, Any, Any]],
) -> tuple[torch.Tensor, ...]:
    """Every direction, step by step: the results of all steps, then the last states."""
    results, last = [], []
    for d, backwards in enumerate(_REVERSED[direction]):
        cell, weight, bias = cell_of(d)
        inputs = functional.linear(x, weight, bias).unbind(0)
        zero = x.new_zeros(x.shape[1], r.shape[-1])
        states = tuple(zero if state is None else state[d] for state in initial)
        steps = []
        for given in reversed(inputs) if backwards else inputs:
            states = cell(given, states)
            steps.append(states[0])
        results.append(torch.stack(steps[::-1] if backwards else steps))
        last.append(states)
    return torch.stack(results, 1), *(torch.stack(states) for states in zip(*last, strict=True))


def _functions(names: Sequence[str] | None, default: list[str], directions: int) -> list[list[Callable[[Any], Any]]]:
    """The activations of each direction."""
    chosen = [name.lower() for name in names] if names else default * directions
    for name in chosen:
        if name not in _ACTIVATIONS:
            raise refuse(f"a recurrent network with activation {name}", "it must be Sigmoid, Tanh or Relu")
    width = len(default)
    return [[_ACTIVATIONS[name] for name in chosen[d * width : (d + 1) * width]] for d in range(directions)]


def _require_plain(kind: str, x: torch.Tensor, sequence_lens: torch.Tensor | None, layout: int) -> None:
    require(layout == 0, f"{kind} with the batch first (layout 1)", "export the network with layout 0")
    full = sequence_lens is None or bool((sequence_lens == x.shape[0]).all())
    require(full, f"{kind} over sequences of several lengths", "give it sequences of one length")


OPERATORS: dict[str, Callable[..., Any]] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
