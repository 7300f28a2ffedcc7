"""quantize_static, quantize_dynamic and quantize, with ONNX Runtime's arguments in their order and defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bitwright.compat.onnxruntime.quantization.asked import (
    DYNAMIC_TYPES,
    dynamic_recipe,
    scope_of,
    static_recipe,
)
from bitwright.compat.onnxruntime.quantization.cache import read_cache, write_cache
from bitwright.compat.onnxruntime.quantization.calibrate import CalibrationMethod, samples_of
from bitwright.compat.onnxruntime.quantization.config import DynamicQuantConfig, StaticQuantConfig
from bitwright.compat.onnxruntime.quantization.options import read_options, warn
from bitwright.compat.onnxruntime.quantization.quant_utils import QuantFormat, QuantType, member_of
from bitwright.compat.onnxruntime.quantization.ranges import method_of, settled
from bitwright.compat.several import several
from bitwright.errors import UsageError

if TYPE_CHECKING:
    import onnx

    from bitwright.model import Model

    Source: TypeAlias = str | os.PathLike[str] | onnx.ModelProto

__all__ = ["DynamicQuantConfig", "StaticQuantConfig", "quantize", "quantize_dynamic", "quantize_static"]

#: Constants of at least so many bytes go to the file beside the model, with use_external_data_format.
EXTERNAL_BYTES = 1024


def quantize_static(
    model_input: Source,
    model_output: str | os.PathLike[str],
    calibration_data_reader: Any = None,
    quant_format: Any = QuantFormat.QDQ,
    op_types_to_quantize: Any = None,
    per_channel: bool = False,
    reduce_range: bool = False,
    activation_type: Any = QuantType.QInt8,
    weight_type: Any = QuantType.QInt8,
    nodes_to_quantize: Any = None,
    nodes_to_exclude: Any = None,
    use_external_data_format: bool = False,
    calibrate_method: Any = CalibrationMethod.MinMax,
    calibration_providers: Any = None,
    extra_options: dict[str, Any] | None = None,
    calibration_cache_path: str | os.PathLike[str] | None = None,
) -> None:
    """Quantize weights and activations, and write the model with QDQ pairs.

    Args:
        model_input: path or onnx.ModelProto, or whatever `bitwright.load` takes.
        model_output: path.
        calibration_data_reader: an object with get_next(); may be None where the cache exists.
        quant_format: QDQ; QOperator is refused.
        op_types_to_quantize: operators; all that ONNX Runtime has integer kernels for by default.
        per_channel: one scale an output channel of every weight, that of a Gemm and MatMul included.
        reduce_range: weights of 7 bits.
        activation_type: QInt8, QUInt8 or QInt16.
        weight_type: QInt8, QUInt8 or QInt4 (held in 8 bits, with a warning).
        nodes_to_quantize, nodes_to_exclude: names of nodes.
        use_external_data_format: constants go to a file beside the model; they do so above 2 GiB anyway.
        calibrate_method: MinMax, Entropy or Percentile.
        calibration_providers: calibration runs on the CPU; others are warned of.
        extra_options: see options.py: done, warned of, or refused.
        calibration_cache_path: JSON of ranges, ONNX Runtime's or our own; read where it exists, else written.

    Raises:
        UsageError: an argument that is not offered.
        ModelError, SampleError, StatisticsError, OutputError: as each says.
    """
    import bitwright as bw

    method = member_of(CalibrationMethod, calibrate_method, "calibrate_method")
    options = read_options(extra_options, static=True)
    collected = method_of(method, options)
    if any(provider != "CPUExecutionProvider" for provider in calibration_providers or ()):
        warn("calibration_providers has no meaning: calibration runs on the CPU")
    model = bw.load(model_input)
    recipe = static_recipe(
        activation_type,
        weight_type,
        quant_format,
        per_channel=per_channel,
        reduce_range=reduce_range,
        options=options,
        scope=scope_of(model.graph.graph, op_types_to_quantize, nodes_to_quantize, nodes_to_exclude, options),
    )
    statistics = None if calibration_cache_path is None else read_cache(calibration_cache_path, method)
    if statistics is None:
        if calibration_data_reader is None:
            raise UsageError(
                "there is nothing to calibrate on",
                where="calibration_data_reader",
                next="give a reader, or the calibration_cache_path of a cache that exists",
            )
        samples = samples_of(calibration_data_reader, options.stride)
        seen = bw.calibrate(model, samples, method=collected, mode=recipe, target="onnxruntime")
        statistics = settled(seen, collected, options, recipe.entries[0].how.activation_storage or "i8")
        if calibration_cache_path is not None:
            write_cache(statistics, calibration_cache_path, method)
    small = bw.quantize(model, recipe, statistics=statistics, method="minmax", target="onnxruntime")
    _write(small, model_output, external=use_external_data_format)


def quantize_dynamic(
    model_input: Source,
    model_output: str | os.PathLike[str],
    op_types_to_quantize: Any = None,
    per_channel: bool = False,
    reduce_range: bool = False,
    weight_type: Any = QuantType.QInt8,
    nodes_to_quantize: Any = None,
    nodes_to_exclude: Any = None,
    use_external_data_format: bool = False,
    extra_options: dict[str, Any] | None = None,
) -> None:
    """Quantize weights; kernels quantize activations as they arrive.

    Args: as of `quantize_static`, and
        op_types_to_quantize: Conv, MatMul, LSTM and Gather by default; a Gemm is one of its MatMuls.
        weight_type: QInt8; QUInt8 is stored as QInt8, with a warning.

    Raises:
        UsageError: an argument that is not offered.
        ModelError, OutputError: as each says.
    """
    import bitwright as bw

    options = read_options(extra_options, static=False)
    model = bw.load(model_input)
    types = [*(several(op_types_to_quantize) or DYNAMIC_TYPES)]
    types += ["Gemm"] if "MatMul" in types else []
    scope = scope_of(model.graph.graph, types, nodes_to_quantize, nodes_to_exclude, options)
    recipe = dynamic_recipe(weight_type, per_channel=per_channel, reduce_range=reduce_range, scope=scope)
    small = bw.quantize(model, recipe, target="onnxruntime")
    _write(small, model_output, external=use_external_data_format)


def quantize(model_input: Source, model_output: str | os.PathLike[str], quant_config: Any) -> None:
    """What a StaticQuantConfig or DynamicQuantConfig holds, called.

    Raises:
        UsageError: another configuration.
    """
    asked = vars(quant_config) if hasattr(quant_config, "__dict__") else {}
    kinds = [kind.__name__ for kind in type(quant_config).__mro__]
    if StaticQuantConfig.__name__ in kinds:
        quantize_static(model_input, model_output, **asked)
    elif DynamicQuantConfig.__name__ in kinds:
        quantize_dynamic(model_input, model_output, **{k: v for k, v in asked.items() if k != "activation_type"})
    else:
        raise UsageError(
            f"a configuration cannot be {kinds[0]}",
            where="quant_config",
            next="give a StaticQuantConfig or a DynamicQuantConfig, or use `bitwright quantize --mode weight-only`",
        )


def _write(model: Model, path: str | os.PathLike[str], *, external: bool) -> None:
    from bitwright.graph.io import atomic_output, write_model

    with atomic_output(path) as folder:
        write_model(model.to_ir(), folder / Path(path).name, external_threshold=EXTERNAL_BYTES if external else None)
