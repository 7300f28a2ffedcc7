"""Calibration tables written and read for a model: TensorRT's cache (.cache), ncnn's int8 table (.table)."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import onnx_ir as ir

from bitwright.api import float_model, load
from bitwright.calibration.statistics import Statistics, listed
from bitwright.calibration.tables import ncnn, tensorrt
from bitwright.calibration.tables.lines import read_text
from bitwright.calibration.tables.ncnn_layers import layers_of
from bitwright.calibration.tables.suffixes import NCNN, TABLE_SUFFIXES, TENSORRT
from bitwright.calibration.tables.thresholds import LEVELS, default_method, statistics_of, thresholds_of
from bitwright.errors import StatisticsError, UsageError
from bitwright.graph.constants import constant_of
from bitwright.graph.digest import digest
from bitwright.graph.io import write_bytes
from bitwright.graph.values import float_values
from bitwright.quantization.rules import Scale, rule_of
from bitwright.transforms.pipeline import prepare

__all__ = ["TABLE_SUFFIXES", "read_table", "write_table"]


def write_table(
    statistics: Statistics,
    path: str | os.PathLike[str],
    model: Any,
    *,
    method: str | None = None,
    tensorrt_version: str = "8.6.1",
) -> tuple[str, ...]:
    """Write what calibration saw as another runtime's table; whole or not at all.

    A table holds one symmetric range [-t, t] of 8 bits a tensor. The suffix chooses: `.cache` has the tensors by name,
    `.table` the weights and the input of each layer, named like its node. Values that are only moved have the range of
    what they are moved from. `calibrate` with `every_value=True` sees to it that nothing else is missing.

    Args:
        statistics: of this model.
        path: ends in .cache or .table.
        model: the float model: a Model, or what `load` takes.
        method: minmax, ema, percentile, entropy or mse; by default entropy where its histograms were collected, else
            minmax.
        tensorrt_version: the TensorRT that a .cache is for: it takes its own version's alone.

    Returns:
        The names of the tensors or layers in it.

    Raises:
        StatisticsError: statistics of another model, without what the method needs, or of nothing that the table
            holds; names that it cannot hold.
        UsageError: no statistics, another suffix, an unknown method, or no version.
        OutputError: the file cannot be written.
    """
    suffix = _suffix(path)
    if not isinstance(statistics, Statistics):
        raise UsageError(f"statistics cannot be {type(statistics).__name__}", next="bitwright.Statistics.load(path)")
    prepared = prepare(float_model(load(model)).graph)
    if statistics.graph and statistics.graph != digest(prepared):
        raise StatisticsError(
            "the statistics were taken on another model, or on other weights of it",
            where=str(path),
            next="calibrate this one: `bitwright calibrate MODEL --calibration DATA -o FILE`",
        )
    method = method or default_method(statistics)
    thresholds = _with_moved(prepared, thresholds_of(statistics, method))
    if not thresholds:
        raise StatisticsError("the statistics have no range to write", where=str(path), next="calibrate the model")
    if suffix == TENSORRT:
        scales = {name: tensorrt.scale_of_threshold(t) for name, t in thresholds.items()}
        version = tensorrt.version_number(tensorrt_version)
        text = tensorrt.CalibrationCache(scales, tensorrt.algorithm_for(method), version).to_text()
        names = tuple(scales)
    else:
        table = _ncnn_table(prepared, thresholds, str(path))
        text, names = table.to_text(), tuple(table.inputs)
    write_bytes(text.encode(), path)
    return names


def read_table(path: str | os.PathLike[str], model: Any) -> Statistics:
    """Read a table as the statistics that `quantize` takes for this model; ranges are [-t, t].

    What the table has no range of stays float, and the report says so. Scales of weights are checked for their number
    and left out: a plan takes the weights' own.

    Args:
        path: ends in .cache or .table.
        model: the float model: a Model, or what `load` takes.

    Warns:
        UserWarning: names the model does not have, as TensorRT's own caches hold; layers with one of two lines.

    Raises:
        StatisticsError: a damaged file, or none of its names is in the model.
        UsageError: another suffix.
    """
    suffix, where = _suffix(path), str(path)
    text = read_text(path)
    given = float_model(load(model)).graph
    prepared = prepare(given)
    if suffix == TENSORRT:
        scales = tensorrt.CalibrationCache.from_text(text, where=where).scales
        known = {str(value.name) for graph in (given, prepared) for value in float_values(graph)}
        thresholds = {name: scale * LEVELS for name, scale in scales.items() if name in known}
        unknown = [name for name in scales if name not in known]
    else:
        thresholds, unknown = _inputs_of_layers(prepared, ncnn.Int8Table.from_text(text, where=where), where)
    if not thresholds:
        why = f"is of another model: this one has no {listed(unknown)}" if unknown else "has no range for a whole layer"
        raise StatisticsError(
            f"the table {why}",
            where=where,
            next="`bitwright inspect MODEL` lists the nodes; tensors keep the names of the ONNX file",
        )
    if unknown:
        _warn(where, f"the model has no {listed(unknown)}; their scales are left out")
    return statistics_of(_with_origins(prepared, thresholds))


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise UsageError(
            f"a calibration table ends in {TENSORRT} (TensorRT) or {NCNN} (ncnn), not in {suffix or 'nothing'}",
            where=str(path),
            next=f"name it {Path(path).with_suffix(TENSORRT).name} or {Path(path).with_suffix(NCNN).name}",
        )
    return suffix


def _ncnn_table(model: ir.Model, thresholds: dict[str, float], where: str) -> ncnn.Int8Table:
    layers = list(layers_of(model))
    held = [layer for layer in layers if layer.input in thresholds]
    if not held:
        raise StatisticsError(
            "there is no layer that ncnn quantizes and whose input has a range",
            where=where,
            next="it quantizes Conv on images, Gemm and MatMul with constant weights",
        )
    if left := [layer.name for layer in layers if layer.input not in thresholds]:
        _warn(where, f"layers without a range of their input stay float: {listed(left)}")
    inputs = {layer.name: ncnn.scale_of_threshold(thresholds[layer.input]) for layer in held}
    return ncnn.Int8Table({layer.name: layer.scales for layer in held}, inputs)


def _inputs_of_layers(model: ir.Model, table: ncnn.Int8Table, where: str) -> tuple[dict[str, float], list[str]]:
    """(thresholds by value name, layers that the model does not have)."""
    layers = {layer.name: layer for layer in layers_of(model)}
    thresholds: dict[str, float] = {}
    halves = []
    for name, layer in layers.items():
        weights, scale = table.weights.get(name), table.inputs.get(name)
        if weights is not None and weights.size not in (layer.scales.size, layer.channels):
            raise StatisticsError(
                f"layer {name!r} has {weights.size} weight scales in the table, {layer.channels} output channels here",
                where=where,
                next="give the table of this model",
            )
        if weights is not None and scale is not None:
            thresholds[layer.input] = max(LEVELS / scale, thresholds.get(layer.input, 0.0))
        elif weights is not None or scale is not None:
            halves.append(name)
    if halves:
        _warn(where, f"layers with one of their two lines stay float: {listed(halves)}")
    return thresholds, [name for name in {**table.weights, **table.inputs} if name not in layers]


def _with_moved(model: ir.Model, thresholds: dict[str, float]) -> dict[str, float]:
    """Thresholds in the order of the graph, those of moved values and of known ranges too; names it lacks last."""
    found: dict[str, float] = {}
    for value in float_values(model):
        name, node = str(value.name), value.producer()
        rule = rule_of(node) if node is not None else None
        if name in thresholds:
            found[name] = thresholds[name]
        elif node is None or rule is None or constant_of(value) is not None:
            continue
        elif rule.scale is Scale.SAME and node.inputs[0] is not None and node.inputs[0].name in found:
            found[name] = found[str(node.inputs[0].name)]
        elif rule.scale is Scale.FIXED and rule.fixed_range is not None:
            found[name] = max(abs(bound) for bound in rule.fixed_range)
    return {**found, **thresholds}


def _with_origins(model: ir.Model, thresholds: dict[str, float]) -> dict[str, float]:
    """Thresholds with those of values that are moved alone, and only into values that have one.

    Clamping before the move or after it is the same.
    """
    found = dict(thresholds)
    for node in reversed(model.graph):
        value = node.inputs[0] if node.inputs else None
        if value is None or not value.name or value.name in found or value.is_graph_output():
            continue
        results = [result for user in value.consumers() for result in _moved_from(value, user)]
        if results and all(name in found for name in results):
            found[value.name] = max(found[name] for name in results)
    return found


def _moved_from(value: ir.Value, user: ir.Node) -> list[str]:
    """Names of the results that a node moves a value into; the value's own when it does anything else with it."""
    rule = rule_of(user)
    if rule is None or rule.scale is not Scale.SAME or user.inputs[0] is not value:
        return [str(value.name)]
    return [str(result.name) for result in user.outputs if result.name]


def _warn(where: str, text: str) -> None:
    warnings.warn(f"{where}: {text}", stacklevel=3)
