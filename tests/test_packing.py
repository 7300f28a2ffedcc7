"""pack and unpack: what goes in comes out, and a packed model is a model wherever one is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

import bitwright as bw
from bitwright.errors import ModelError, UsageError
from bitwright.packing import packed_stages

MODEL = """<ir_version: 10, opset_import: ["": 21]>
net (float[N, 3, 8, 8] x) => (float[N, 10] y)
<float[1] cw = {0}, float[1] fw = {0}>
{
  c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, cw)
  r = Relu(c)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  y = Gemm(f, fw)
}"""
SAMPLE = np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A convolution whose weights are pruned to a tenth and share 15 values, and a dense matrix product."""
    proto = onnx.parser.parse_model(MODEL)
    rng = np.random.default_rng(0)
    shared = rng.choice(np.linspace(-1, 1, 15).astype(np.float32), (256, 3, 3, 3))
    weights = {
        "cw": np.where(rng.random(shared.shape) < 0.1, shared, np.float32(0)),
        "fw": rng.standard_normal((256, 10)).astype(np.float32),
    }
    for initializer in proto.graph.initializer:
        initializer.CopyFrom(onnx.numpy_helper.from_array(weights[initializer.name], initializer.name))
    onnx.save(proto, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def tflite(model: Path, tmp_path: Path) -> Path:
    """The same in integers."""
    bw.quantize(model, "int8", calibration=SAMPLE, target="litert").save(tmp_path / "model.tflite")
    return tmp_path / "model.tflite"


@pytest.mark.parametrize("kind", ["model", "tflite"])
def test_unpack_gives_back_the_file(kind, tmp_path, request):
    """Byte for byte, of both formats."""
    path = request.getfixturevalue(kind)
    bw.pack(path, tmp_path / "m.bwz")

    assert [tmp_path / f"back{path.suffix}"] == bw.unpack(tmp_path / "m.bwz", tmp_path / f"back{path.suffix}")
    assert path.read_bytes() == (tmp_path / f"back{path.suffix}").read_bytes()
    assert (tmp_path / "m.bwz").stat().st_size < path.stat().st_size


@pytest.mark.parametrize("kind", ["model", "tflite"])
def test_a_packed_model_is_a_model_everywhere(kind, tmp_path, request):
    """load, run, compile, inspect, compare, benchmark, transform: as with the file it was packed from."""
    path, packed = request.getfixturevalue(kind), tmp_path / "m.bwz"
    bw.pack(path, packed)
    x = SAMPLE if kind == "model" else np.ascontiguousarray(SAMPLE.transpose(0, 2, 3, 1))

    for run in (bw.run, lambda m, x: {"y": bw.compile(m)(x)}, lambda m, x: bw.run(bw.load(m), x)):
        expected, made = run(path, x), run(packed, x)
        np.testing.assert_array_equal(*(np.asarray(next(iter(r.values()))) for r in (expected, made)))
    there, here = bw.inspect(path).to_dict(), bw.inspect(packed).to_dict()
    assert there | {"source": None} == here | {"source": None}
    assert bw.compare(path, packed, runs=1).to_dict()["a"] is not None
    assert bw.benchmark(packed, runs=1).to_dict()
    assert bw.transform(packed, "fold_constants").graph.graph.num_nodes() > 0
    assert bw.load(packed).is_lowered == bw.load(path).is_lowered


def test_a_packed_model_is_quantized_as_its_file(model, tmp_path):
    """Quantize reads it; the result is the same."""
    bw.pack(model, tmp_path / "m.bwz")

    expected, made = (bw.quantize(m, "int8", calibration=SAMPLE) for m in (model, tmp_path / "m.bwz"))

    assert expected.to_proto().SerializeToString() == made.to_proto().SerializeToString()


def test_unpack_converts_to_the_other_format(model, tflite, tmp_path):
    """.onnx to .tflite, .tflite to .onnx, as convert does."""
    bw.pack(model, tmp_path / "a.bwz")
    bw.pack(tflite, tmp_path / "b.bwz")

    bw.unpack(tmp_path / "a.bwz", tmp_path / "a.tflite")
    bw.unpack(tmp_path / "b.bwz", tmp_path / "b.onnx")

    assert bw.load(model).to_tflite() == (tmp_path / "a.tflite").read_bytes()
    assert onnx.load(tmp_path / "b.onnx").graph.node


def test_pack_takes_a_model_that_has_no_file(model, tmp_path):
    """As save would write it: .onnx for ONNX Runtime, .tflite for LiteRT."""
    small = bw.quantize(model, "int8", calibration=SAMPLE)
    lowered = bw.quantize(model, "int8", calibration=SAMPLE, target="litert")
    bw.pack(small, tmp_path / "a.bwz")
    bw.pack(lowered, tmp_path / "b.bwz")

    bw.unpack(tmp_path / "a.bwz", tmp_path / "a.onnx")
    bw.unpack(tmp_path / "b.bwz", tmp_path / "b.tflite")

    small.save(tmp_path / "expected.onnx")
    assert (tmp_path / "expected.onnx").read_bytes() == (tmp_path / "a.onnx").read_bytes()
    assert lowered.to_tflite() == (tmp_path / "b.tflite").read_bytes()


def test_pack_takes_constants_in_files_beside_the_model(model, tmp_path):
    """They are in the packed file, and in the one that it gives back."""
    (tmp_path / "out").mkdir()
    onnx.save(onnx.load(model), tmp_path / "out" / "m.onnx", save_as_external_data=True, size_threshold=100)
    bw.pack(tmp_path / "out" / "m.onnx", tmp_path / "m.bwz")

    bw.unpack(tmp_path / "m.bwz", tmp_path / "back.onnx")

    before, after = (onnx.load(path).graph.initializer for path in (model, tmp_path / "back.onnx"))
    for expected, made in zip(before, after, strict=True):
        np.testing.assert_array_equal(*map(onnx.numpy_helper.to_array, (expected, made)))


def test_stages_say_what_pruning_sharing_and_coding_saved(model, tmp_path):
    """Bytes of each tensor, in order; what is coded is what lies in the file."""
    stages = bw.pack(model, tmp_path / "m.bwz")

    first = stages.tensors[0]
    weights = onnx.numpy_helper.to_array(onnx.load(model).graph.initializer[0])
    nonzeros = int(np.count_nonzero(weights))
    assert (first.name, first.weights, first.nonzeros, first.distinct) == (
        "cw",
        6912,
        nonzeros,
        np.unique(weights).size,
    )
    assert first.float32_bytes > first.pruned_bytes > first.shared_bytes > first.coded_bytes
    assert first.pruned_bytes >= nonzeros * 4
    assert stages.packed_bytes == (tmp_path / "m.bwz").stat().st_size
    assert stages.graph_bytes + sum(tensor.coded_bytes for tensor in stages.tensors) == stages.packed_bytes
    assert stages.float32_bytes == 4 * (6912 + 2560)
    assert "cw" in str(stages)
    assert stages.to_dict() == packed_stages(tmp_path / "m.bwz").to_dict()


def test_stages_count_positions_as_the_paper_does(tmp_path):
    """One weight of eight, evenly: 3 bits of position, 32 of weight; 2 bits of index when there are 3 values."""
    weights = np.zeros(8000, np.float32)
    weights[7::8] = np.resize(np.float32([1, 2, 3]), 1000)
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[1] x) => (float[1] y) <float[1] w = {0}> {y = Mul(x, w)}'
    )
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(proto, tmp_path / "m.onnx")

    (stage,) = bw.pack(tmp_path / "m.onnx", tmp_path / "m.bwz").tensors

    assert stage.pruned_bytes == 1000 * (32 + 3) // 8
    assert stage.distinct == 4
    assert stage.shared_bytes == (4 * 32 + 1000 * (2 + 3)) // 8


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        pytest.param(lambda m, t: bw.pack(m, t / "m.onnx"), UsageError, "ends in .bwz", id="another-suffix"),
        pytest.param(lambda m, t: bw.pack(t / "p.bwz", t / "q.bwz"), UsageError, "packed already", id="packed-twice"),
        pytest.param(lambda m, t: bw.pack(t / "none.onnx", t / "q.bwz"), ModelError, "does not exist", id="no-onnx"),
        pytest.param(lambda m, t: bw.pack(t / "none.tflite", t / "q.bwz"), ModelError, "be read", id="no-tflite"),
        pytest.param(lambda m, t: bw.unpack(m, t / "m.onnx"), UsageError, "not a .bwz file", id="unpack-of-a-model"),
        pytest.param(lambda m, t: bw.unpack(t / "p.bwz", t / "m.h5"), UsageError, "not written", id="no-format"),
        pytest.param(lambda m, t: bw.unpack(t / "none.bwz", t / "m.onnx"), ModelError, "cannot be read", id="no-file"),
        pytest.param(lambda m, t: bw.load(t / "none.bwz"), ModelError, "cannot be read", id="load-no-file"),
        pytest.param(lambda m, t: bw.load(t / "cut.bwz"), ModelError, "damaged", id="load-a-cut-file"),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_to_do(call, error, said, model, tmp_path):
    """With a place and a next step; no file is left behind."""
    bw.pack(model, tmp_path / "p.bwz")
    (tmp_path / "cut.bwz").write_bytes((tmp_path / "p.bwz").read_bytes()[:-100])
    before = sorted(tmp_path.iterdir())

    with pytest.raises(error, match=said) as caught:
        call(model, tmp_path)

    assert caught.value.where
    assert caught.value.next
    assert before == sorted(tmp_path.iterdir())
