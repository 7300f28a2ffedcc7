"""quant_pre_process: a model made ready to be quantized. The quantizers here do it themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bitwright.compat.onnxruntime.quantization.options import warn
from bitwright.errors import UsageError

if TYPE_CHECKING:
    import onnx

    Source: TypeAlias = str | os.PathLike[str] | onnx.ModelProto

#: What ONNX Runtime's quantizers look for, to know that they need not ask for it.
_MARK = ("onnx.quant.pre_process", "onnxruntime.quant")


def quant_pre_process(
    input_model: Source | None = None,
    output_model_path: str | os.PathLike[str] | None = None,
    skip_optimization: bool = False,
    skip_onnx_shape: bool = False,
    skip_symbolic_shape: bool = False,
    auto_merge: bool = False,
    int_max: int = 2**31 - 1,
    guess_output_rank: bool = False,
    verbose: int = 0,
    save_as_external_data: bool = False,
    all_tensors_to_one_file: bool = False,
    external_data_location: str | None = None,
    external_data_size_threshold: int = 1024,
    **deprecated_kwargs: Any,
) -> None:
    """Fold constants and normalizations, infer shapes, and write the float model.

    Args:
        input_model: path or onnx.ModelProto.
        output_model_path: path.
        skip_optimization: shapes alone are inferred.
        skip_onnx_shape, skip_symbolic_shape: with both, and without optimization, the model is written as it is.
        auto_merge, int_max, guess_output_rank, verbose: of ONNX Runtime's symbolic inference; warned of.
        save_as_external_data: constants go to one file beside the model (all_tensors_to_one_file or not).
        external_data_location: that file's name; `<model>.data` by default.
        external_data_size_threshold: bytes from which a constant goes there.
        deprecated_kwargs: input_model_path, the older name of input_model.

    Raises:
        UsageError: no input or output, or an unknown argument.
        ModelError, OutputError: as each says.
    """
    import onnx_ir as ir

    import bitwright as bw
    from bitwright.graph.io import atomic_output, write_model
    from bitwright.transforms.pipeline import prepare
    from bitwright.transforms.shapes import infer_shapes

    given = input_model if input_model is not None else deprecated_kwargs.pop("input_model_path", None)
    for missing in ["input_model"] * (given is None) + ["output_model_path"] * (output_model_path is None):
        raise UsageError(f"{missing} is needed", next="quant_pre_process(input_model, output_model_path)")
    if deprecated_kwargs:
        raise UsageError(f"unknown arguments {', '.join(deprecated_kwargs)}", next="see quant_pre_process")
    if (auto_merge, int_max, guess_output_rank, verbose) != (False, 2**31 - 1, False, 0):
        warn("auto_merge, int_max, guess_output_rank and verbose have no meaning: shapes are inferred by ONNX's rules")
    assert output_model_path is not None
    name = Path(output_model_path).name
    beside = external_data_location or f"{name}.data"
    if Path(beside).name != beside:
        raise UsageError(
            f"external_data_location cannot be {beside!r}",
            next=f"a file's name: it lies beside the model, as {Path(beside).name or name + '.data'}",
        )
    model = bw.load(given)
    if skip_optimization:
        made = model.graph.clone()
        if not (skip_onnx_shape and skip_symbolic_shape):
            infer_shapes(made)
    else:
        made = prepare(model.graph)
    made.metadata_props.setdefault(*_MARK)
    with atomic_output(output_model_path) as folder:
        if save_as_external_data:
            ir.save(made, folder / name, external_data=beside, size_threshold_bytes=external_data_size_threshold)
        else:
            write_model(made, folder / name)
