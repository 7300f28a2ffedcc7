"""QuantizationDebugger: the error of every quantized layer, and a model that leaves chosen ones float."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bitwright.api import calibrate
from bitwright.calibration.samples import empty
from bitwright.calibration.statistics import Statistics
from bitwright.compat.tflite.asked import asked_by
from bitwright.compat.tflite.converter import TFLiteConverter
from bitwright.compat.tflite.debug_options import QuantizationDebugOptions
from bitwright.compat.tflite.denied import patterns_of
from bitwright.compat.tflite.layer_errors import LayerError, layer_errors, quantized_operators, values_needed
from bitwright.compat.tflite.refusals import ArgumentError, NotReadyError
from bitwright.compat.tflite.source import each, samples_of
from bitwright.errors import BitwrightError
from bitwright.formats.tflite.read import read_tflite
from bitwright.model import Model
from bitwright.program.program import Program
from bitwright.program.reference import Reference
from bitwright.reading import read_program
from bitwright.running import layouts_that_fit
from bitwright.runtime.ports import run_rows

Arrays = dict[str, NDArray[Any]]

_METRICS: dict[str, Callable[[Any], Any]] = {
    "num_elements": np.size,
    "stddev": np.std,
    "mean_error": np.mean,
    "max_abs_error": lambda errors: np.max(np.abs(errors)),
    "mean_squared_error": lambda errors: np.mean(np.square(errors)),
}


class QuantizationDebugger:
    """Measures what each layer of a quantized model loses on its own.

    Any quantized .tflite will do: no operators for debugging are needed in it. Layers run on the numpy references, so a
    few samples are enough to ask for.

    Args:
        quant_debug_model_path, quant_debug_model_content: a quantized .tflite, in place of a converter.
        float_model_path, float_model_content: the float one, for model_debug_metrics; a converter makes its own.
        debug_dataset: a function that yields lists of input arrays, or dicts by input name.
        debug_options: what to measure, what to leave float.
        converter: whose model is quantized, with optimizations and a representative_dataset; left as it is.

    Attributes:
        layer_statistics: {tensor: {metric: mean over samples}} after `run`.
        model_statistics: {metric: mean over samples} after `run`, with model_debug_metrics.

    Raises:
        UsageError: a converter that asks for no integers, no model, or a model without quantized layers.
    """

    def __init__(
        self,
        quant_debug_model_path: str | os.PathLike[str] | None = None,
        quant_debug_model_content: bytes | None = None,
        float_model_path: str | os.PathLike[str] | None = None,
        float_model_content: bytes | None = None,
        debug_dataset: Any = None,
        debug_options: QuantizationDebugOptions | None = None,
        converter: TFLiteConverter | None = None,
    ) -> None:
        self._data = debug_dataset
        self._options = debug_options or QuantizationDebugOptions()
        self.converter = converter
        self.quant_model: bytes | None = None
        self._float: Program | None = None
        self._statistics: Statistics | None = None
        self.layer_statistics: dict[str, dict[str, float]] | None = None
        self.model_statistics: dict[str, float] | None = None
        if converter is None:
            self._quantized = _program(quant_debug_model_path, quant_debug_model_content, "quant_debug_model")
            if self._options.model_debug_metrics:
                self._float = _program(float_model_path, float_model_content, "float_model")
        else:
            self._convert(converter)
        self._begin()

    @property
    def options(self) -> QuantizationDebugOptions:
        """What is measured, what is left float. Setting it makes the converter's model again."""
        return self._options

    @options.setter
    def options(self, options: QuantizationDebugOptions) -> None:
        before, self._options = self._options, options
        try:
            if self.converter is not None:
                self._convert(self.converter)
        except BitwrightError:
            self._options = before
            raise
        self._begin()

    def run(self) -> None:
        """Run the samples of debug_dataset and fill the statistics.

        Raises:
            UsageError: there is no debug_dataset.
            SampleError: there is no sample, or one does not fit the model's inputs.
        """
        if self._data is None:
            raise NotReadyError("there are no samples to measure on", next="QuantizationDebugger(debug_dataset=...)")
        layers: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        model: dict[str, list[float]] = defaultdict(list)
        reference = Reference(self._quantized)
        other = None if self._float is None else Reference(self._float)
        for sample in _samples(self._data):
            outputs = self._measured(reference, _feeds(self._quantized, sample), layers)
            if other is not None:
                floats = _run(other.program, other.run, _feeds(other.program, sample))
                for name, metric in (self._options.model_debug_metrics or {}).items():
                    model[name].append(metric(list(floats.values()), list(outputs.values())))
        if not layers:
            raise empty()
        self.layer_statistics = {
            tensor: {name: float(np.nanmean(values)) for name, values in metrics.items()}
            for tensor, metrics in layers.items()
        }
        if self._options.model_debug_metrics:
            self.model_statistics = {name: float(np.mean(values)) for name, values in model.items()}

    def layer_statistics_dump(self, file: IO[str]) -> None:
        """Write the layers as CSV: op_name, tensor_idx, the metrics, scale, zero_point, tensor_name.

        Raises:
            NotReadyError: before `run`.
        """
        if self.layer_statistics is None:
            raise NotReadyError("nothing was measured yet", next="run()")
        metrics = [*self._layer_metrics(), *(self._options.layer_direct_compare_metrics or {})]
        writer = csv.DictWriter(file, ["op_name", "tensor_idx", *metrics, "scale", "zero_point", "tensor_name"])
        writer.writeheader()
        program, index = self._quantized, {name: i for i, name in enumerate(self._quantized.tensors)}
        kinds = {name: operator.kind for operator in program.operators for name in operator.outputs}
        for name, values in self.layer_statistics.items():
            tensor = program.tensors[name]
            row = {"op_name": kinds[name], "tensor_idx": index[name], "tensor_name": name}
            writer.writerow({**row, **values, "scale": tensor.scale, "zero_point": tensor.zero_point})

    def get_nondebug_quantized_model(self) -> bytes:
        """The .tflite, with what is denylisted left float.

        Raises:
            UsageError: there is no converter.
        """
        if self.quant_model is None:
            raise NotReadyError("there is no converter to make a model", next="QuantizationDebugger(converter=...)")
        return self.quant_model

    def get_debug_quantized_model(self) -> bytes:
        """The same: any quantized file is measured here, so none is made for it.

        Raises:
            UsageError: there is no converter.
        """
        return self.get_nondebug_quantized_model()

    def _convert(self, converter: TFLiteConverter) -> None:
        """Quantize the converter's model; calibration runs once, however often options change."""
        asked = asked_by(converter)
        mode = asked.mode or "float"
        if mode not in ("int8", "uint8", "int16x8"):
            raise ArgumentError(
                f"the converter asks for a {mode} model, whose layers have no integer results",
                next="optimizations = [Optimize.DEFAULT] and a representative_dataset",
            )
        asked = replace(asked, strict=False)  # what is denylisted stays float
        given = converter._loaded()
        if asked.calibrated and self._statistics is None:
            samples = samples_of(converter.representative_dataset)
            self._statistics = calibrate(given, samples, mode=mode, target="litert")
        small = converter._quantized(asked, (), self._statistics)
        kinds, tensors = self._options.denylisted_ops or (), self._options.denylisted_nodes or ()
        if kinds or tensors:
            small = converter._quantized(asked, patterns_of(small, kinds, tensors), self._statistics)
        if self._options.fully_quantize:
            small = _fully(small)
        self.quant_model = small.to_tflite()
        self._quantized = read_tflite(self.quant_model)
        self._float = read_tflite(given.to_tflite()) if self._options.model_debug_metrics else None

    def _begin(self) -> None:
        if not quantized_operators(self._quantized):
            raise ArgumentError(
                "the model has no quantized layers to measure", next="quantize it with a representative dataset"
            )
        self.layer_statistics = self.model_statistics = None

    def _layer_metrics(self) -> Mapping[str, Callable[[Any], Any]]:
        return {**_METRICS, **(self._options.layer_debug_metrics or {})}

    def _measured(self, reference: Reference, feeds: Arrays, layers: dict[str, dict[str, list[float]]]) -> Arrays:
        """One sample's outputs; the metrics of its layers are added to `layers`."""
        program, wanted = reference.program, values_needed(reference.program)

        def once(row: Arrays) -> Arrays:
            inputs = {port.tensor: row[port.name] for port in program.inputs}
            values = reference.run(row, wanted) | inputs
            for layer in layer_errors(program, values):
                self._add(layers[layer.tensor], layer)
            return {port.name: values[port.tensor] for port in program.outputs}

        return _run(program, once, feeds)

    def _add(self, found: dict[str, list[float]], layer: LayerError) -> None:
        errors = layer.errors
        for name, metric in self._layer_metrics().items():
            found[name].append(metric(errors))
        scale, zero_point = float(layer.qparams.scale.flat[0]), int(layer.qparams.zero_point.flat[0])
        for name, compare in (self._options.layer_direct_compare_metrics or {}).items():
            found[name].append(compare(layer.floats, layer.integers, scale, zero_point))


def _program(path: str | os.PathLike[str] | None, content: bytes | None, what: str) -> Program:
    if (path is None) == (content is None):
        raise ArgumentError(
            "a debugger needs one model of a kind", next=f"give a converter, or {what}_path or {what}_content"
        )
    return read_tflite(content, where=f"{what}_content") if content is not None else read_program(path or "")


def _fully(small: Model) -> Model:
    storage = {"uint8": "uint8", "int16x8": "int16"}.get(small.plan.mode if small.plan is not None else "", "int8")
    return small.with_ports(storage, storage)


def _samples(dataset: Any) -> Iterator[Any]:
    given = samples_of(dataset)
    return each(given() if callable(given) else given)


def _feeds(program: Program, sample: Any) -> Arrays:
    if isinstance(sample, Mapping):
        return {str(name): np.asarray(value) for name, value in sample.items()}
    parts: Sequence[Any] = sample if isinstance(sample, (list, tuple)) else [sample]
    if len(parts) != len(program.inputs):
        names = ", ".join(port.name for port in program.inputs)
        raise ArgumentError(f"a sample holds {len(parts)} arrays", next=f"give {len(program.inputs)}: {names}")
    return {port.name: np.asarray(value) for port, value in zip(program.inputs, parts, strict=True)}


def _run(program: Program, run: Callable[[Arrays], Mapping[str, NDArray[Any]]], feeds: Arrays) -> Arrays:
    """Outputs as reals, in the caller's layout."""
    return run_rows(program, run, feeds, layouts=layouts_that_fit(program, feeds), as_floats=True)
