"""Sessions: what a caller gives and gets, from how many threads, and what a session tells of itself."""

from __future__ import annotations

import resource
import threading
from dataclasses import replace

import numpy as np
import pytest

import bitwright as bw
from bitwright import _engine
from bitwright.errors import SampleError, UnsupportedOpError, UsageError
from bitwright.graph.text import parse
from bitwright.program.operator import Activation, Operator
from bitwright.program.options import UnidirectionalSequenceLSTMOptions
from bitwright.program.program import Port, Program
from bitwright.program.reference import Reference
from bitwright.program.tensor import Tensor

CHANNELS, SIDE, CLASSES = 16, 10, 70


def float_network(batch: str = "1", seed: int = 0):
    """Convolution, depthwise convolution, sum, mean, dense: a graph of constants."""
    model = parse(f"""<ir_version: 10, opset_import: ["": 21]>
        net (float[{batch}, 3, {SIDE}, {SIDE}] x, float[{CHANNELS}, 3, 3, 3] w1, float[{CHANNELS}] b1,
             float[{CHANNELS}, 1, 3, 3] w2, float[{CHANNELS}, {CLASSES}] w3) => (float[{batch}, {CLASSES}] y) {{
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) r1 = Relu(c1)
        c2 = Conv <group = {CHANNELS}, pads = [1, 1, 1, 1]> (r1, w2) s = Add(c2, r1)
        m = GlobalAveragePool(s) f = Flatten(m) y = Gemm(f, w3)
        }}""")
    rng = np.random.default_rng(seed)
    return with_constants(model, {v.name: rng.standard_normal(v.shape.numpy()) / 3 for v in model.graph.inputs[1:]})


def with_constants(model, arrays):
    """A graph whose inputs of these names are float constants."""
    import onnx_ir as ir

    for value in list(model.graph.inputs):
        if value.name in arrays:
            tensor = ir.tensor(np.float32(arrays[value.name]), name=value.name)
            fresh = ir.Value(name=value.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
            value.replace_all_uses_with(fresh)
            model.graph.inputs.remove(value)
            model.graph.register_initializer(fresh)
    return model


def images(count: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(scope="module")
def small() -> bw.Model:
    """The network quantized for LiteRT, with integer ports."""
    return bw.quantize(
        float_network(), calibration=list(images(4)[:, None]), target="litert", input_type="int8", output_type="int8"
    )


@pytest.fixture(scope="module")
def program(small) -> Program:
    """The same in TFLite's vocabulary."""
    return small.to_program()


@pytest.fixture(scope="module")
def session(program):
    """Compiled."""
    return bw.compile(program)


def stored(count: int = 1, seed: int = 2) -> np.ndarray:
    """Integers as the Program's input holds them."""
    return np.random.default_rng(seed).integers(-128, 128, (count, SIDE, SIDE, 3)).astype(np.int8)


def wanted(program: Program, x: np.ndarray) -> np.ndarray:
    """What the numpy references give, row by row."""
    reference = Reference(replace(program, rounding="fp32_even"))
    return np.concatenate([reference.run({"x": row[None]})["y"] for row in x])


def test_session_has_the_face_of_an_onnx_runtime_session(session):
    """Names, shapes and types of inputs and outputs."""
    (given,), (made,) = session.get_inputs(), session.get_outputs()

    assert (given.name, given.shape, given.type) == ("x", (1, SIDE, SIDE, 3), "tensor(int8)")
    assert (made.name, made.shape, made.type) == ("y", (1, CLASSES), "tensor(int8)")


def test_session_runs_as_the_references_do(session, program):
    """By name, by call, and for the outputs that are asked."""
    x = stored()
    expected = wanted(program, x)

    np.testing.assert_array_equal(expected, session.run(None, {"x": x})[0])
    np.testing.assert_array_equal(expected, session.run(["y"], {"x": x})[0])
    np.testing.assert_array_equal(expected, session(x))


def test_session_takes_arrays_in_any_memory_order(session, program):
    """An array that is a view of another is read as it is seen."""
    x = stored()

    np.testing.assert_array_equal(wanted(program, x), session(np.asfortranarray(x)))


def test_session_quantizes_floats_for_integer_inputs(session, program):
    """Reals are rounded with the input's own parameters."""
    x = np.random.default_rng(3).standard_normal((1, SIDE, SIDE, 3)).astype(np.float32)
    tensor = program.tensors[program.inputs[0].tensor]
    integers = np.clip(np.rint(x / np.float32(tensor.scale)) + tensor.zero_point, -128, 127).astype(np.int8)

    np.testing.assert_array_equal(wanted(program, integers), session(x))


def test_session_runs_rows_one_by_one(session, program):
    """Five rows where the model takes one."""
    x = stored(5)

    np.testing.assert_array_equal(wanted(program, x), session(x))


@pytest.mark.parametrize(
    ("feeds", "told"),
    [
        pytest.param({"z": stored()}, "'x' is missing|no input is named z", id="unknown"),
        pytest.param({"x": stored(), "z": stored()}, "no input is named z", id="one-too-many"),
        pytest.param({}, "'x' is missing", id="missing"),
        pytest.param({"x": stored()[:, :4]}, "the model takes", id="shape"),
        pytest.param({"x": stored().astype(np.int64)}, "int64", id="type"),
        pytest.param({"x": stored(0)}, "the model takes", id="no-rows"),
    ],
)
def test_session_refuses_what_does_not_fit(feeds, told, session):
    """With what came and what is taken."""
    with pytest.raises(SampleError, match=told):
        session.run(None, feeds)


def test_session_refuses_an_output_that_is_not_there(session):
    """By its name."""
    with pytest.raises(UsageError, match="no output is named 'z'"):
        session.run(["z"], {"x": stored()})


def test_session_refuses_too_many_arrays(session):
    """Called with two arrays for one input."""
    with pytest.raises(SampleError, match="2 arrays for 1 inputs"):
        session(stored(), stored())


@pytest.mark.parametrize("rounding", ["tflite_double", "tflite_single", "fp32_even", None])
def test_compile_honours_the_rounding(rounding, program):
    """Each way gives the references' integers; None is the Program's own."""
    x = stored()

    made = bw.compile(program, requantization=rounding)(x)

    expected = Reference(replace(program, rounding=rounding or program.rounding)).run({"x": x})["y"]
    np.testing.assert_array_equal(expected, made)


def test_two_threads_give_the_same_integers(program, session):
    """However a layer is divided."""
    x = stored(20)

    np.testing.assert_array_equal(session(x), bw.compile(program, threads=2)(x))


def test_session_may_be_shared_by_threads(session):
    """10 000 calls from eight threads at a time: the outputs of serial ones."""
    inputs = stored(25)
    expected = [session(x[None]).tobytes() for x in inputs]
    wrong: list[int] = []

    def work(first: int) -> None:
        for call in range(1250):
            index = (first + call) % len(inputs)
            if session.run(None, {"x": inputs[index][None]})[0].tobytes() != expected[index]:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_session_with_threads_may_be_shared_by_threads(program):
    """One pool serves several callers."""
    session, inputs = bw.compile(program, threads=2), stored(8)
    expected = [session(x[None]).tobytes() for x in inputs]
    made: list[list[bytes]] = [[] for _ in range(4)]

    def work(found: list[bytes]) -> None:
        found += [session(x[None]).tobytes() for x in inputs for _ in range(10)]

    threads = [threading.Thread(target=work, args=(found,)) for found in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made == [[each for each in expected for _ in range(10)]] * 4


def test_session_does_not_grow(session):
    """A thousand runs leave the process as large as it was."""
    x = stored()
    for _ in range(200):
        session.run(None, {"x": x})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(1000):
        session.run(None, {"x": x})

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024  # KiB


def test_session_tells_its_memory_and_what_it_leaves():
    """A plan reuses bytes: six values in a row take the room of two."""
    layers = " ".join(f"v{i + 1} = Conv(v{i}, w) " for i in range(6))
    model = parse(f"""<ir_version: 10, opset_import: ["": 21]>
        net (float[1, 16, 16, 16] v0, float[16, 16, 1, 1] w) => (float[1, 16, 16, 16] v6) {{ {layers} }}""")
    model = with_constants(model, {"w": np.random.default_rng(0).standard_normal((16, 16, 1, 1)) / 4})
    samples = np.random.default_rng(1).standard_normal((4, 16, 16, 16)).astype(np.float32)

    small = bw.quantize(model, calibration=samples, target="litert", input_type="int8", output_type="int8")
    session = bw.compile(small.to_program())

    assert 16**3 <= session.arena_bytes <= 2 * 16**3
    assert session.left == {}


def test_session_profile_tells_every_step(session, program):
    """Each operator of the Program is some layer's, with its operations."""
    layers = session.profile({"x": stored()})

    assert {op.kind for op in program.operators} <= {layer.operator for layer in layers}
    convolution = 2 * SIDE * SIDE * CHANNELS * 27
    assert convolution in [layer.operations for layer in layers if layer.operator == "CONV_2D"]
    assert all(layer.microseconds >= 0 for layer in layers)


def test_strict_refuses_all_that_the_engine_leaves():
    """Both operators, each with a reason; without strict they run on the references."""
    x = Tensor("x", (1, 4))
    program = Program(
        {"x": x, "s": replace(x, name="s"), "y": replace(x, name="y")},
        (Operator("SIN", ("x",), ("s",)), Operator("COS", ("s",), ("y",))),
        (Port("x", "x"),),
        (Port("y", "y"),),
    )
    given = np.float32([[0, 1, 2, 3]])

    with pytest.raises(UnsupportedOpError) as refused:
        bw.compile(program, strict=True)

    assert "SIN s: " in refused.value.what
    assert "COS y: " in refused.value.what
    session = bw.compile(program)
    assert list(session.left) == ["SIN s", "COS y"]
    np.testing.assert_array_equal(Reference(program).run({"x": given})["y"], session(given))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({"threads": 0}, "threads is 0", id="threads"),
        pytest.param({"requantization": "up"}, "unknown requantization 'up'", id="requantization"),
        pytest.param({"input_shapes": {"x": (2, SIDE, SIDE, 3)}}, "shapes of a .tflite are its own", id="shapes"),
    ],
)
def test_compile_refuses_bad_options(options, told, program):
    """Before anything is compiled."""
    with pytest.raises(UsageError, match=told):
        bw.compile(program, **options)


def test_an_unknown_instruction_set_is_refused(program, monkeypatch):
    """BITWRIGHT_ISA is read when a model is compiled."""
    monkeypatch.setenv("BITWRIGHT_ISA", "neon")

    with pytest.raises(UsageError, match="BITWRIGHT_ISA is 'neon'"):
        bw.compile(program)


def test_the_instruction_set_may_be_capped(program, session, monkeypatch):
    """The same integers on the portable kernels."""
    x = stored(3)
    monkeypatch.setenv("BITWRIGHT_ISA", "scalar")

    capped = bw.compile(program)

    assert _engine.usable_isa() == "scalar"
    np.testing.assert_array_equal(session(x), capped(x))


def test_a_quantized_model_of_either_target_compiles(small):
    """For LiteRT with integer ports; for ONNX Runtime with floats, and a last product that gives its sums as floats."""
    other = bw.quantize(float_network(), calibration=list(images(4)[:, None]))

    assert bw.compile(small).get_inputs()[0].type == "tensor(int8)"
    session = bw.compile(other)
    assert list(session.left) == ["Gemm Gemm_6"]
    assert session(images()).shape == (1, CLASSES)


def test_compile_reads_a_file(small, tmp_path):
    """A .tflite by its path gives what its Model gives, which takes images in the layout of its graph."""
    small.save(tmp_path / "small.tflite")

    from_file = bw.compile(tmp_path / "small.tflite")

    x = stored()
    np.testing.assert_array_equal(bw.compile(small)(x.transpose(0, 3, 1, 2)), from_file(x))


def lstm() -> Program:
    """One LSTM that keeps its state: two steps of three inputs, four cells."""
    rng, cells = np.random.default_rng(0), 4
    operands = [Tensor("x", (1, 2, 3))]
    operands += [
        Tensor(f"{kind}{gate}", (cells, width), data=rng.standard_normal((cells, width)).astype(np.float32))
        for kind, width in (("w", 3), ("r", cells))
        for gate in range(4)
    ]
    biases = [Tensor(f"b{gate}", (cells,), data=np.zeros(cells, np.float32)) for gate in range(4)]
    states = [Tensor(name, (1, cells), variable=True) for name in ("hidden", "cell")]
    held = [*operands, None, None, None, *biases, None, None, *states, None, None, None, None]
    result = Tensor("y", (1, 2, cells))
    names = tuple(None if tensor is None else tensor.name for tensor in held)
    options = UnidirectionalSequenceLSTMOptions(fused_activation_function=Activation.TANH)
    operator = Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", names, ("y",), options)
    tensors = {tensor.name: tensor for tensor in (*held, result) if tensor is not None}
    return Program(tensors, (operator,), (Port("x", "x"),), (Port("y", "y"),))


def test_session_keeps_state_from_run_to_run():
    """As the references do; reset brings the first run again."""
    program, x = lstm(), np.ones((1, 2, 3), np.float32)
    reference, session = Reference(program), bw.compile(program)
    expected = [reference.run({"x": x})["y"] for _ in range(3)]

    made = [session(x) for _ in range(3)]
    session.reset()

    np.testing.assert_array_equal(expected, made)
    np.testing.assert_array_equal(expected[0], session(x))
