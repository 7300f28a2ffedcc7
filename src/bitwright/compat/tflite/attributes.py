"""Attributes: what can be set on a converter, what each is at first, and what setting it changes here."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from typing import Any

from bitwright.compat.tflite.constants import Optimize, TargetSpec
from bitwright.errors import UsageError


@dataclass(frozen=True)
class Attribute:
    """One attribute.

    Args:
        default: what it is at first.
        ignored: said in a warning when it is set to something else that is not empty; None: nothing is to be said.
        refused: said in an error likewise.
    """

    default: Any = None
    ignored: str | None = None
    refused: str | None = None


_DENSE = "weights are stored dense; `bitwright pack` makes a file of zeros small"
_NO_PICTURES = "no GraphViz files are written; `bitwright inspect` shows a model"
_SCALES = "every input of a concatenation has the scale of its result here"
_NO_FAKES = "nothing is moved across fake quantization here"
_BUILTIN = "only built-in operators are written; others are refused when the model is converted"
_ONE_QUANTIZER = "there is one quantizer here, and it takes no other's options"

#: What `convert` reads.
_READ = {
    "allow_custom_ops": Attribute(False, ignored=_BUILTIN),
    "default_ranges_stats": Attribute(),
    "inference_input_type": Attribute(),
    "inference_output_type": Attribute(),
    "inference_type": Attribute(),
    "optimizations": Attribute(()),
    "quantized_input_stats": Attribute(),
    "representative_dataset": Attribute(),
    "target_spec": Attribute(),
    "_experimental_disable_per_channel": Attribute(False),
}

#: What belongs to TensorFlow's own converter: its passes, its logs. Models come out the same here.
_HARMLESS = {
    "conversion_summary_dir": None,
    "drop_control_dependency": True,
    "canonicalizing_inf_as_min_max_float": True,
    "elide_elementsattrs_if_larger": None,
    "enable_timing": None,
    "exclude_conversion_metadata": False,
    "experimental_enable_resource_variables": True,
    "experimental_lower_to_saved_model": True,
    "experimental_new_converter": True,
    "experimental_new_dynamic_range_quantizer": True,
    "experimental_new_quantizer": True,
    "ir_dump_dir": None,
    "ir_dump_func_regex": None,
    "ir_dump_pass_regex": None,
    "legalize_custom_tensor_list_ops": False,
    "model_origin_framework": None,
    "print_ir_after": None,
    "print_ir_before": None,
    "print_ir_module_scope": None,
    "saved_model_dir": None,
    "serialize_debug_metadata": False,
    "unfold_batchmatmul": False,
    "_experimental_default_to_single_batch_in_tensor_list_ops": False,
    "_experimental_disable_fuse_mul_and_fc": False,
    "_experimental_enable_composite_direct_lowering": True,
    "_experimental_enable_dynamic_update_slice": False,
    "_experimental_guarantee_all_funcs_one_use": False,
    "_experimental_lower_tensor_list_ops": True,
    "_experimental_preserve_assert_op": False,
    "_experimental_unfold_large_splat_constant": False,
    "_experimental_use_buffer_offset": False,
}

_OTHERS = {
    "change_concat_input_ranges": Attribute(False, ignored=_SCALES),
    "dump_graphviz_dir": Attribute(ignored=_NO_PICTURES),
    "dump_graphviz_video": Attribute(False, ignored=_NO_PICTURES),
    "reorder_across_fake_quant": Attribute(False, ignored=_NO_FAKES),
    "_experimental_allow_all_select_tf_ops": Attribute(False, ignored=_BUILTIN),
    "_experimental_sparsify_model": Attribute(False, ignored=_DENSE),
    "experimental_stablehlo_quantizer_config": Attribute(refused=_ONE_QUANTIZER),
    "experimental_use_stablehlo_quantizer": Attribute(False, refused=_ONE_QUANTIZER),
    "_experimental_calibrate_only": Attribute(False, refused="`bitwright calibrate` writes what calibration saw"),
    "_experimental_disable_per_channel_quantization_for_dense_layers": Attribute(
        False, refused="say it in a recipe: `bitwright quantize --recipe`, or _experimental_disable_per_channel for all"
    ),
    "_experimental_full_integer_quantization_bias_type": Attribute(
        refused="biases are int32 beside int8 activations and int64 beside int16"
    ),
    "_experimental_low_bit_qat": Attribute(False, refused="bitwright.prepare_qat trains for few bits"),
    "_experimental_qdq_conversion_mode": Attribute(refused="QDQ models are read by bitwright.load as they are"),
    "_experimental_quantization_options": Attribute(refused=_ONE_QUANTIZER),
    "_experimental_reduce_type_precision": Attribute(False, refused="bitwright.quantize has weight_bits"),
    "_experimental_strict_qdq": Attribute(False, refused="QDQ models are read by bitwright.load as they are"),
    "_experimental_tf_quantization_mode": Attribute(refused=_ONE_QUANTIZER),
    "_experimental_variable_quantization": Attribute(False, refused="state stays float"),
}

ATTRIBUTES: dict[str, Attribute] = _READ | {name: Attribute(default) for name, default in _HARMLESS.items()} | _OTHERS

#: Other names of attributes, and properties.
_PROPERTIES = ("output_format", "post_training_quantize", "target_ops")

_TFLITE_FORMATS = ("TFLITE", "2")  # its name, and the number that TensorFlow's constant is


class Attributes:
    """An object that holds the attributes of a converter: those that are known, and no others.

    Setting one that changes nothing here warns in one line where TensorFlow would have done something for it.
    """

    default_ranges_stats: Any
    inference_input_type: Any
    inference_output_type: Any
    inference_type: Any
    optimizations: Any
    quantized_input_stats: Any
    representative_dataset: Any
    target_spec: Any
    _experimental_disable_per_channel: bool

    def __init__(self) -> None:
        for name, attribute in ATTRIBUTES.items():
            object.__setattr__(self, name, attribute.default)
        self.optimizations = []
        self.quantized_input_stats = {}
        self.target_spec = TargetSpec()

    def __setattr__(self, name: str, value: Any) -> None:
        attribute = ATTRIBUTES.get(name)
        if attribute is None and name not in _PROPERTIES:
            raise _unknown(name)
        without_meaning = attribute is not None and (attribute.refused or attribute.ignored)
        if attribute is not None and without_meaning and value != attribute.default and _says_something(value):
            if attribute.refused is not None:
                raise UsageError(f"{name} is not offered: {attribute.refused}", next="leave it out")
            warnings.warn(f"{name} changes nothing: {attribute.ignored}", stacklevel=2)
        object.__setattr__(self, name, value)

    @property
    def post_training_quantize(self) -> bool:
        """The first name of optimizations=[Optimize.DEFAULT]."""
        return bool(self.optimizations)

    @post_training_quantize.setter
    def post_training_quantize(self, value: Any) -> None:
        self.optimizations = [Optimize.DEFAULT] if value else []

    @property
    def target_ops(self) -> Any:
        """The first name of target_spec.supported_ops."""
        return self.target_spec.supported_ops

    @target_ops.setter
    def target_ops(self, value: Any) -> None:
        self.target_spec.supported_ops = value

    @property
    def output_format(self) -> str:
        """TFLITE; no other is written."""
        return "TFLITE"

    @output_format.setter
    def output_format(self, value: Any) -> None:
        if str(value) not in _TFLITE_FORMATS:
            raise UsageError(f"output_format cannot be {value!r}", next="TFLITE; `bitwright inspect` shows a model")


def _says_something(value: Any) -> bool:
    return value is not None and value is not False and value != ""


def _unknown(name: str) -> UsageError:
    known = [*ATTRIBUTES, *_PROPERTIES]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return UsageError(
        f"a converter has no attribute {name!r}",
        next=f"did you mean {' or '.join(near)}?"
        if near
        else f"it has {', '.join(n for n in [*_READ, *_PROPERTIES] if n[0] != '_')}, and TensorFlow's others",
    )
