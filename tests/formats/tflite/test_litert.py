"""LiteRT runs what is written: every shared model, read and written again, gives the same bits as before."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from bitwright.formats.tflite.read import read_tflite
from bitwright.formats.tflite.write import write_tflite

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")

_BENCH = runpy.run_path(str(Path(__file__).parents[3] / "bench" / "mutations.py"))
SMALL: dict[str, bytes] = _BENCH["small_files"]()
SHARED = sorted((Path(__file__).parents[3] / ".." / "shared" / "models").glob("*.tflite"))
RESOLVERS = [interpreter.OpResolverType.AUTO, interpreter.OpResolverType.BUILTIN_REF]
INPUTS = 10


def loaded(data: bytes, resolver: Any) -> Any:
    """An interpreter of one thread, its tensors allocated."""
    session = interpreter.Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=1)
    session.allocate_tensors()
    return session


def outputs(session: Any, feeds: list[Any]) -> list[tuple[str, bytes]]:
    """Names and bytes."""
    for detail, feed in zip(session.get_input_details(), feeds, strict=True):
        session.set_tensor(detail["index"], feed)
    session.invoke()
    return [(detail["name"], session.get_tensor(detail["index"]).tobytes()) for detail in session.get_output_details()]


def random_feeds(session: Any, rng: np.random.Generator) -> list[Any]:
    """Integers over their whole range, reals of a normal distribution."""
    feeds = []
    for detail in session.get_input_details():
        if np.issubdtype(detail["dtype"], np.integer):
            limits = np.iinfo(detail["dtype"])
            feeds.append(rng.integers(limits.min, limits.max + 1, detail["shape"], dtype=detail["dtype"]))
        else:
            feeds.append(3 * rng.standard_normal(detail["shape"], dtype=np.float32))
    return feeds


@pytest.mark.skipif(not SHARED, reason="../shared is absent")
@pytest.mark.parametrize("resolver", RESOLVERS, ids=lambda resolver: resolver.name)
@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_shared_model_written_again_gives_the_same_bits(path: Path, resolver: Any) -> None:
    """On random inputs, names included."""
    before = path.read_bytes()
    first, second = loaded(before, resolver), loaded(write_tflite(read_tflite(before)), resolver)
    rng = np.random.default_rng(0)
    for _ in range(INPUTS):
        feeds = random_feeds(first, rng)
        assert outputs(first, feeds) == outputs(second, feeds)


@pytest.mark.skipif(not SHARED, reason="../shared is absent")
@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_shared_model_written_again_has_the_same_size(path: Path) -> None:
    """Within 2 %: scales, ranges and shapes are all there still."""
    before = path.read_bytes()

    assert len(write_tflite(read_tflite(before))) == pytest.approx(len(before), rel=0.02)


@pytest.mark.skipif(not SHARED, reason="../shared is absent")
@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_shared_model_written_again_asks_for_the_same_versions(path: Path) -> None:
    """Of every operator, as its converter had them. `kws_dscnn` has the version of int8 weights at a dense layer
    whose weights its converter left float.
    """

    def versions(data: bytes) -> list[tuple[int, int]]:
        model = tflite.Model.GetRootAs(data)
        graph = model.Subgraphs(0)
        calls = [graph.Operators(index) for index in range(graph.OperatorsLength())]
        codes = [model.OperatorCodes(call.OpcodeIndex()) for call in calls]
        return [(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), code.Version()) for code in codes]

    before = path.read_bytes()
    theirs, ours = versions(before), versions(write_tflite(read_tflite(before)))
    dense = int(tflite.BuiltinOperator.FULLY_CONNECTED)
    expected = [((dense, 3), (dense, 1))] if path.stem == "kws_dscnn" else []

    assert [pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]] == expected


@pytest.mark.parametrize("resolver", RESOLVERS, ids=lambda resolver: resolver.name)
@pytest.mark.parametrize("name", SMALL)
def test_small_file_runs(name: str, resolver: Any) -> None:
    """int4 and float16 constants, a left-out bias, parameters per axis, scalars, several outputs."""
    session = loaded(SMALL[name], resolver)
    first = outputs(session, random_feeds(session, np.random.default_rng(0)))

    assert all(bytes(len(contents)) != contents for _, contents in first)


def test_signature_is_run_by_its_names() -> None:
    """As callers of LiteRT do."""
    session = loaded(SMALL["integers"], RESOLVERS[0])

    assert session.get_signature_list() == {"serving_default": {"inputs": ["port_x"], "outputs": ["port_y"]}}
    made = session.get_signature_runner("serving_default")(port_x=np.ones((1, 8, 8, 2), np.int8))
    assert (list(made), made["port_y"].shape) == (["port_y"], (1, 5))


def test_free_batch_can_be_resized() -> None:
    """A -1 in the signature of the shape is what LiteRT asks for."""
    session = interpreter.Interpreter(model_content=SMALL["integers"], num_threads=1)

    assert session.get_input_details()[0]["shape_signature"].tolist() == [-1, 8, 8, 2]
