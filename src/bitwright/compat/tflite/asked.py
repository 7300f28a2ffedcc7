"""Asked: what a converter's attributes mean together: the mode, its options, the types of ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bitwright.compat.several import several
from bitwright.compat.tflite.attributes import Attributes
from bitwright.compat.tflite.constants import OpsSet, Optimize, members, type_name
from bitwright.errors import UsageError

_INT16X8 = str(OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8)
_SAMPLES = "set representative_dataset to a function that yields lists of input arrays"
_FLOAT = "float32"


@dataclass(frozen=True)
class Asked:
    """What is asked of `bitwright.quantize`.

    Args:
        mode: of bitwright; None leaves the model float.
        strict: refuse when a node would stay float.
        calibrated: whether the samples are used.
        per_channel: one scale per output channel of a weight.
        input_stats: (mean, standard deviation) by input name.
        default_ranges: (lowest, highest) value of activations without statistics.
        input_type, output_type: of ports; None: float.
        unused: what the attributes hold and nothing uses: a sentence each.
    """

    mode: str | None
    strict: bool = False
    calibrated: bool = False
    per_channel: bool = True
    input_stats: Mapping[str, tuple[float, float]] | None = None
    default_ranges: tuple[float, float] | None = None
    input_type: str | None = None
    output_type: str | None = None
    unused: tuple[str, ...] = ()


def asked_by(attributes: Attributes, *, is_trained: bool = False) -> Asked:
    """What the attributes ask for.

    Args:
        attributes: of a converter.
        is_trained: the model was trained as it runs quantized, so that its integers are chosen; types of ports are
            asked for, and whether floats are refused.

    Raises:
        UsageError: they contradict each other, or lack what they need.
    """
    legacy = _port("inference_type", attributes.inference_type)
    unused: list[str] = []
    if is_trained:
        return _asked_of_trained(attributes, legacy)
    mode, strict = _legacy(attributes, legacy) if legacy is not None else _mode(attributes, unused)
    is_integer = mode in ("int8", "uint8", "int16x8")
    has_samples, stats = attributes.representative_dataset is not None, attributes.quantized_input_stats
    default_ranges = attributes.default_ranges_stats
    if has_samples and not is_integer:
        unused.append(f"representative_dataset changes nothing: a {mode or 'float'} model needs no samples")
    if stats and mode != "uint8":
        unused.append("quantized_input_stats changes nothing: it goes with inference_type=tf.uint8")
    if default_ranges is not None and not is_integer:
        unused.append("default_ranges_stats changes nothing: activations are float")
    return Asked(
        mode,
        strict,
        calibrated=has_samples and is_integer,
        per_channel=mode == "uint8" or not attributes._experimental_disable_per_channel,  # uint8 has no other
        input_stats=_by_input(stats) if stats and mode == "uint8" else None,
        default_ranges=None
        if default_ranges is None or not is_integer
        else _pair(default_ranges, "default_ranges_stats", "(min, max)"),
        input_type=_port("inference_input_type", attributes.inference_input_type, legacy),
        output_type=_port("inference_output_type", attributes.inference_output_type, legacy),
        unused=tuple(unused),
    )


def _asked_of_trained(attributes: Attributes, legacy: str | None) -> Asked:
    operators, types = _spec(attributes)
    told = {
        "representative_dataset": attributes.representative_dataset is not None,
        "quantized_input_stats": bool(attributes.quantized_input_stats),
        "default_ranges_stats": attributes.default_ranges_stats is not None,
        "target_spec.supported_types": bool(types - {"int8", _FLOAT}),
        "target_spec.supported_ops": _INT16X8 in operators,
    }
    return Asked(
        None,
        strict=types == {"int8"} or _only_integers(operators),
        input_type=_port("inference_input_type", attributes.inference_input_type, legacy),
        output_type=_port("inference_output_type", attributes.inference_output_type, legacy),
        unused=tuple(
            f"{name} changes nothing: the model has the integers of its training" for name in told if told[name]
        ),
    )


def _only_integers(operators: frozenset[str]) -> bool:
    return bool(operators) and not operators & {"TFLITE_BUILTINS", "SELECT_TF_OPS"}


def _mode(attributes: Attributes, unused: list[str]) -> tuple[str | None, bool]:
    """The mode of optimizations and target_spec, and whether float nodes are refused; adds to `unused`."""
    wanted = members(attributes.optimizations, Optimize, "optimizations")
    operators, types = _spec(attributes)
    only_int8 = types == {"int8"}
    is_int16 = _INT16X8 in operators
    is_int8 = "TFLITE_BUILTINS_INT8" in operators or only_int8
    strict = only_int8 or _only_integers(operators)
    if "EXPERIMENTAL_SPARSITY" in wanted:
        unused.append(
            "EXPERIMENTAL_SPARSITY changes nothing: weights are stored dense; `bitwright pack` makes zeros small"
        )
    wanted -= {"EXPERIMENTAL_SPARSITY"}
    if not wanted:
        if strict:
            raise UsageError(
                "target_spec asks for integers alone, and optimizations is empty",
                next="converter.optimizations = [Optimize.DEFAULT]",
            )
        if types - {_FLOAT}:
            unused.append("target_spec.supported_types changes nothing: optimizations is empty")
        return None, False
    if types and types <= {"float16", _FLOAT}:
        if strict:
            raise UsageError(
                "target_spec asks for float16 weights and for integers alone", next="leave one of the two out"
            )
        return ("float16" if "float16" in types else None), False
    if (is_int16 or is_int8) and attributes.representative_dataset is None:
        raise UsageError("integer activations need samples to calibrate on", next=_SAMPLES)
    if is_int16 or is_int8:
        return "int16x8" if is_int16 else "int8", strict
    if wanted == {"OPTIMIZE_FOR_SIZE"}:
        return "weight-only", False
    return "dynamic" if attributes.representative_dataset is None else "int8", False


def _spec(attributes: Attributes) -> tuple[frozenset[str], set[str]]:
    """The operators and types of target_spec."""
    spec = attributes.target_spec
    if not hasattr(spec, "supported_ops"):
        raise UsageError(f"target_spec cannot be {spec!r}", next="converter.target_spec.supported_ops = [...]")
    operators = members(spec.supported_ops, OpsSet, "target_spec.supported_ops")
    types = {type_name(kind, "target_spec.supported_types") for kind in several(spec.supported_types)}
    if "EXPERIMENTAL_STABLEHLO_OPS" in operators or operators == {"SELECT_TF_OPS"}:
        raise UsageError(
            f"files of {', '.join(sorted(operators))} are not written",
            next="OpsSet.TFLITE_BUILTINS: nodes without a built-in operator are listed by an error",
        )
    if unknown := sorted(types - {"int8", "float16", _FLOAT}):
        raise UsageError(
            f"target_spec.supported_types cannot hold {', '.join(unknown)}",
            next=f"float16 or int8; int16 activations: supported_ops = [OpsSet.{_INT16X8}]",
        )
    return operators, types


def _legacy(attributes: Attributes, kind: str) -> tuple[str, bool]:
    """The mode of inference_type, what TensorFlow 1 asked for integers with."""
    if kind not in ("uint8", "int8"):
        raise UsageError(f"inference_type cannot be {kind}", next="float32, uint8 or int8")
    if attributes.representative_dataset is None:
        if kind == "int8":
            raise UsageError("inference_type int8 needs samples to calibrate on", next=_SAMPLES)
        if not attributes.quantized_input_stats:
            raise UsageError(
                "inference_type uint8 needs to know how inputs become integers",
                next="quantized_input_stats = {input name: (mean, std)}: [-1, 1] is (127.5, 127.5); or samples: "
                + _SAMPLES,
            )
        if attributes.default_ranges_stats is None:
            raise UsageError(
                "inference_type uint8 needs ranges of activations",
                next=f"default_ranges_stats = (min, max), to see how fast it is; for results, {_SAMPLES}",
            )
    return kind, False


def _port(name: str, given: Any, otherwise: str | None = None) -> str | None:
    """The type of a port by its name, None for floats."""
    kind = otherwise if given is None else type_name(given, name)
    return None if kind == _FLOAT else kind


def _by_input(stats: Any) -> dict[str, tuple[float, float]]:
    if not isinstance(stats, Mapping):
        raise UsageError(f"quantized_input_stats cannot be {stats!r}", next="{input name: (mean, std)}")
    return {
        name.removesuffix(":0"): _pair(pair, f"quantized_input_stats of {name!r}", "(mean, std)")
        for name, pair in stats.items()
    }


def _pair(given: Any, what: str, form: str) -> tuple[float, float]:
    try:
        first, second = (float(number) for number in given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} cannot be {given!r}", next=f"give two numbers: {form}") from error
    return first, second
