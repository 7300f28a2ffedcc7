"""Whole networks of others on the engine and on LiteRT: the same integers in every layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import engine_checks
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bitwright import _engine
from bitwright.formats.tflite.write import write_tflite
from bitwright.numerics.requantize import Rounding
from bitwright.program.program import Port, Program
from bitwright.reading import read_program
from bitwright.runtime.session import Session

MODELS = Path(__file__).parents[2] / ".." / "shared" / "models"
NETWORKS = ("kws_dscnn_int8", "resnet8_cifar10_int8", "toycar_autoencoder_int8", "vww_mobilenetv1_int8")


def opened(program: Program) -> Program:
    """The same with the results of all operators as outputs."""
    names = dict.fromkeys(name for operator in program.operators for name in operator.outputs)
    inputs = tuple(Port(port.tensor, port.tensor) for port in program.inputs)
    return replace(program, inputs=inputs, outputs=tuple(Port(name, name) for name in names), signature=None)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("rounding", "resolver"),
    [("tflite_double", OpResolverType.BUILTIN_REF), ("fp32_even", OpResolverType.AUTO)],
    ids=["reference-kernels", "xnnpack"],
)
def test_engine_gives_the_integers_of_litert_in_every_layer(
    network: str, rounding: Rounding, resolver: OpResolverType
) -> None:
    """tflite_double those of its reference kernels, fp32_even those of its default ones."""
    path = MODELS / f"{network}.tflite"
    if not path.exists():
        pytest.skip("the shared models are not there")
    program = replace(opened(read_program(path)), rounding=rounding)
    session = Session(program, isa=_engine.usable_isa(), threads=1)
    interpreter = Interpreter(
        model_content=write_tflite(program), experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()
    assert session.left == {}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        feeds = {port.name: engine_checks.random_values(program.tensors[port.tensor], rng) for port in program.inputs}
        for port, detail in zip(program.inputs, interpreter.get_input_details(), strict=True):
            interpreter.set_tensor(detail["index"], feeds[port.name])
        interpreter.invoke()
        found = session.run(None, feeds)
        for port, array, detail in zip(program.outputs, found, interpreter.get_output_details(), strict=True):
            np.testing.assert_array_equal(interpreter.get_tensor(detail["index"]), array, err_msg=port.name)
