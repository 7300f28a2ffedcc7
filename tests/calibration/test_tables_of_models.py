"""Tables of whole models: written from statistics, read back, and quantized with."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import bitwright as bw
from bitwright.calibration.statistics import TensorStatistics
from bitwright.calibration.tables import lines
from bitwright.cli.main import run
from bitwright.demo.digits import MODEL_PATH, load_digits
from bitwright.errors import OutputError, StatisticsError, UsageError
from bitwright.graph.text import parse
from bitwright.quantization.plan import Compute
from bitwright.tables import read_table, write_table

GOLDEN = Path(__file__).parents[1] / "golden" / "tables"
SHARED = Path(__file__).parents[2].parent / "shared"

NET = """<ir_version: 10, opset_import: ["": 21]>
net (float[1, 2, 4, 4] x) => (float[1, 3] y)
<float[3, 2, 3, 3] w = {0}, float[12, 3] d = {0}>
{
  [conv] c = Conv <pads = [1, 1, 1, 1]> (x, w)
  r = Relu(c)
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  f = Flatten(p)
  [dense] y = Gemm(f, d)
}"""

#: A residual block: the sum's operands are no layer's input.
RESIDUAL = """<ir_version: 10, opset_import: ["": 21]>
net (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y)
<float[2, 2, 3, 3] w = {0}, float[2, 2, 1, 1] v = {0}>
{
  [first] c = Conv <pads = [1, 1, 1, 1]> (x, w)
  r = Relu(c)
  [second] s = Conv <pads = [1, 1, 1, 1]> (r, w)
  a = Add(s, r)
  [third] y = Conv(a, v)
}"""


def filled(text: str) -> bw.Model:
    """A model of this text with numbers of a fixed kind for its constants: the same on any machine."""
    model = parse(text)
    for value in model.graph.initializers.values():
        shape = tuple(value.shape)
        array = ((np.arange(np.prod(shape), dtype=np.float32) * 7 % 64 - 24) / 16).reshape(shape)
        value.const_value = ir.Tensor(array, name=value.name)
    return bw.load(model)


def ranges(**bounds: tuple[float, float]) -> bw.Statistics:
    return bw.Statistics({name: TensorStatistics(1, low, high) for name, (low, high) in bounds.items()})


SEEN = ranges(x=(-1.0, 0.5), r=(0.0, 6.35), y=(-12.7, 3.0))


@pytest.mark.parametrize("suffix", ["cache", "table"])
def test_table_of_a_model_is_the_golden_text(suffix, tmp_path):
    """Whatever is pooled or flattened has the range of where it comes from; weights are the prepared graph's."""
    write_table(SEEN, tmp_path / f"small.{suffix}", filled(NET))

    assert (GOLDEN / f"small.{suffix}").read_text() == (tmp_path / f"small.{suffix}").read_text()


def test_table_says_what_is_in_it(tmp_path):
    """Tensors of a cache, layers of a table."""
    net = filled(NET)

    assert write_table(SEEN, tmp_path / "a.cache", net) == ("x", "r", "p", "f", "y")
    assert write_table(SEEN, tmp_path / "a.table", net) == ("conv", "dense")


def test_cache_is_for_the_tensorrt_that_was_asked(tmp_path):
    """Its version, and the calibrator nearest to the method."""
    data = [np.ones((1, 2, 4, 4), np.float32)]
    net = filled(NET)
    seen = bw.calibrate(net, data, method="entropy", every_value=True)
    heads = []
    for method in (None, "percentile", "minmax"):
        write_table(seen, tmp_path / "a.cache", net, method=method, tensorrt_version="10.3.0")
        heads.append((tmp_path / "a.cache").read_text().splitlines()[0])

    assert heads == ["TRT-100300-EntropyCalibration2"] * 2 + ["TRT-100300-MinMaxCalibration"]


def test_every_value_of_the_graph_is_in_a_cache_that_watched_them(tmp_path):
    """What a plan would not measure too: TensorRT runs in float what has no scale."""
    net, data = filled(RESIDUAL), [np.ones((1, 2, 4, 4), np.float32)]
    few = bw.calibrate(net, data)
    all_of_them = bw.calibrate(net, data, every_value=True)

    assert "c" not in write_table(few, tmp_path / "a.cache", net)
    assert write_table(all_of_them, tmp_path / "a.cache", net) == ("x", "c", "r", "s", "a", "y")


@pytest.mark.parametrize("suffix", ["cache", "table"])
def test_table_read_and_written_is_the_same_file(suffix, tmp_path):
    """Through statistics, and through their .npz file, nothing is lost."""
    net = filled(NET)
    write_table(SEEN, tmp_path / f"one.{suffix}", net)
    read_table(tmp_path / f"one.{suffix}", net).save(tmp_path / "s.npz")

    write_table(bw.Statistics.load(tmp_path / "s.npz"), tmp_path / f"two.{suffix}", net)

    assert (tmp_path / f"one.{suffix}").read_text() == (tmp_path / f"two.{suffix}").read_text()


@pytest.mark.parametrize("suffix", ["cache", "table"])
def test_table_quantizes_as_statistics_of_its_ranges(suffix, tmp_path):
    """The same nodes, and the scales that max|x| / 127 gives at 8 symmetric bits."""
    net = filled(NET)
    write_table(SEEN, tmp_path / f"a.{suffix}", net)

    small = bw.quantize(net, statistics=read_table(tmp_path / f"a.{suffix}", net), activation_type="i8")

    assert {node.compute for node in small.plan.nodes.values()} == {Compute.INTEGER}
    scales = {name: small.plan.tensors[name].qparams.scale[0] for name in ("x", "r", "f")}
    # i8 in an asymmetric recipe: 255 steps over [-t, t], and over [0, t] behind a Relu
    assert scales == pytest.approx({"x": 2 / 255, "r": 6.35 / 255, "f": 6.35 / 255}, rel=1e-6)


def test_table_that_lacks_ranges_leaves_float_what_needs_them(tmp_path):
    """The table of ncnn knows inputs of layers: a sum's operands stay float, with a reason; strict refuses."""
    net = filled(RESIDUAL)
    data = [np.random.default_rng(i).standard_normal((1, 2, 4, 4)).astype(np.float32) for i in range(4)]
    seen = bw.calibrate(net, data, every_value=True)
    write_table(seen, tmp_path / "a.table", net)
    statistics = read_table(tmp_path / "a.table", net)

    small = bw.quantize(net, statistics=statistics)

    computes = {name: node.compute for name, node in small.plan.nodes.items()}
    assert set(statistics.tensors) == {"x", "r", "a"}
    assert computes["first"] is Compute.INTEGER
    assert computes["second"] is not Compute.INTEGER
    assert "no range" in small.plan.nodes["second"].reason
    with pytest.raises(bw.BitwrightError, match="would stay float"):
        bw.quantize(net, statistics=statistics, strict=True)


def test_statistics_without_a_range_that_are_whole_are_still_refused():
    """Only a table may lack ranges."""
    with pytest.raises(StatisticsError, match="have nothing on 'r'"):
        bw.quantize(filled(NET), statistics=ranges(x=(-1.0, 1.0)))


def test_cache_of_tensorrts_own_names_is_read_with_a_warning(tmp_path):
    """Constants and shuffles that only TensorRT knows are named, and left out."""
    (tmp_path / "a.cache").write_text(
        "TRT-8601-EntropyCalibration2\nx: 3c010204\n(Unnamed Layer* 4) [Shuffle]_output: 0\nr: 3d4ccccd\nc: 3d4ccccd\n"
    )

    with pytest.warns(UserWarning, match=r"has no '\(Unnamed Layer\* 4\) \[Shuffle\]_output'; their scales"):
        statistics = read_table(tmp_path / "a.cache", filled(NET))

    assert set(statistics.tensors) == {"x", "c", "r"}
    assert statistics.tensors["x"].maximum == pytest.approx(1.0, rel=1e-6)


def test_table_of_another_model_is_refused_by_its_names(tmp_path):
    """Nothing fits: says what the model does not have."""
    (tmp_path / "a.cache").write_text("TRT-8601-MinMaxCalibration\nimages: 3c010204\n")
    (tmp_path / "a.table").write_text("stem_param_0 1 \nstem 1 \n")
    for suffix, name in (("cache", "images"), ("table", "stem")):
        with pytest.raises(StatisticsError, match=f"another model: this one has no '{name}'"):
            read_table(tmp_path / f"a.{suffix}", filled(NET))


def test_table_with_another_number_of_channels_is_refused(tmp_path):
    """A truncated line of weights, or a table of another width."""
    (tmp_path / "a.table").write_text("conv_param_0 1 2\nconv 1\n")

    with pytest.raises(StatisticsError, match="'conv' has 2 weight scales in the table, 3 output channels here"):
        read_table(tmp_path / "a.table", filled(NET))


def test_layer_with_one_of_its_lines_stays_float(tmp_path):
    """As ncnn has it of a commented line; said in a warning."""
    net = filled(NET)
    write_table(SEEN, tmp_path / "a.table", net)
    text = (tmp_path / "a.table").read_text().replace("dense_param_0", "#dense_param_0")
    (tmp_path / "a.table").write_text(text)

    with pytest.warns(UserWarning, match="one of their two lines stay float: 'dense'"):
        statistics = read_table(tmp_path / "a.table", net)

    assert set(statistics.tensors) == {"x"}


@pytest.mark.parametrize("suffix", ["cache", "table"])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(b"PK\3\4\xff\xfe", "no text", id="a-zip"),
        pytest.param(b"TRT-8601-X\na\0: 3c010204\n", "no text", id="a-zero-byte"),
        pytest.param(b"#" * 2000, "larger than any", id="huge"),
        pytest.param(None, "cannot be read", id="missing"),
    ],
)
def test_table_that_is_no_text_is_refused(data, what, suffix, tmp_path, monkeypatch):
    """Names the file."""
    monkeypatch.setattr(lines, "LARGEST_BYTES", 1000)
    path = tmp_path / f"a.{suffix}"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(StatisticsError, match=what) as caught:
        read_table(path, filled(NET))

    assert caught.value.where == str(path) and caught.value.next


def test_statistics_of_another_model_make_no_table(tmp_path):
    """The digest of the graph that was watched is another's."""
    seen = bw.calibrate(filled(NET), [np.ones((1, 2, 4, 4), np.float32)])

    with pytest.raises(StatisticsError, match="another model"):
        write_table(seen, tmp_path / "a.cache", filled(RESIDUAL))
    assert not list(tmp_path.iterdir())


def test_statistics_without_histograms_make_no_entropy_table(tmp_path):
    """The method needs what was not collected; without any there is no range."""
    with pytest.raises(StatisticsError, match="histogram"):
        write_table(SEEN, tmp_path / "a.cache", filled(NET), method="entropy")
    with pytest.raises(StatisticsError, match="no range to write"):
        write_table(bw.Statistics(), tmp_path / "a.cache", filled(NET))
    with pytest.raises(StatisticsError, match="no layer that ncnn quantizes"):
        write_table(ranges(y=(0.0, 1.0)), tmp_path / "a.table", filled(NET))


def test_layers_without_a_range_are_named(tmp_path):
    """They run in float there."""
    with pytest.warns(UserWarning, match="stay float: 'dense'"):
        assert write_table(ranges(x=(0.0, 1.0)), tmp_path / "a.table", filled(NET)) == ("conv",)


def test_tables_are_written_and_read_by_their_functions_alone(tmp_path):
    """Neither an .npz under a table's name nor a table of no format."""
    with pytest.raises(UsageError, match="written for a model"):
        SEEN.save(tmp_path / "a.cache")
    with pytest.raises(UsageError, match="read for a model"):
        bw.Statistics.load(tmp_path / "a.table")
    for call in (lambda path: write_table(SEEN, path, filled(NET)), lambda path: read_table(path, filled(NET))):
        with pytest.raises(UsageError, match=r"ends in .cache \(TensorRT\) or .table \(ncnn\), not in .calib"):
            call(tmp_path / "a.calib")
    with pytest.raises(OutputError):
        write_table(SEEN, tmp_path / "nowhere" / "a.cache", filled(NET))


@pytest.mark.parametrize("suffix", ["cache", "table"])
def test_verbs_calibrate_and_quantize_with_tables(suffix, tmp_path, capsys):
    """`calibrate -o FILE.cache`, then `quantize --statistics FILE.cache`: as good as from statistics.

    The cache knows every value; the table does not know what the network's sum reads.
    """
    digits = load_digits()
    np.save(tmp_path / "data.npy", digits.calibration)
    table, made = tmp_path / f"digits.{suffix}", tmp_path / "small.onnx"
    calibrate = ("calibrate", MODEL_PATH, "-o", table, "--calibration", tmp_path / "data.npy", "--json")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert run([str(a) for a in calibrate]) == 0, capsys.readouterr().err
        told = json.loads(capsys.readouterr().out)
        quantize = ("quantize", MODEL_PATH, "-o", made, "--statistics", table, "--json")
        assert run([str(a) for a in quantize]) == 0, capsys.readouterr().err

    report = json.loads(capsys.readouterr().out)
    seen = bw.calibrate(MODEL_PATH, digits.calibration, method="entropy")
    usual = bw.quantize(MODEL_PATH, statistics=seen)
    correct = [accuracy(model, digits.images, digits.labels) for model in (bw.load(made), usual)]
    assert told["tensors"] > 1 and told["samples"] == len(digits.calibration)
    floats = {node["name"] for node in report["float_nodes"]}
    assert floats == ({"block.add", "block.relu", "wide.relu", "pool"} if suffix == "table" else set())
    assert correct[0] >= correct[1] - 0.01


def test_verbs_make_a_table_of_merged_shards(tmp_path, capsys):
    """Two shards, merged, are the table of all samples in one go."""
    digits = load_digits()
    data, table = tmp_path / "data.npy", tmp_path / "all.cache"
    np.save(data, digits.calibration[:32])
    common = ("--calibration", data, "--quiet")
    shards = [tmp_path / f"{i}.npz" for i in range(2)]
    commands = [
        *(
            ("calibrate", MODEL_PATH, "-o", path, *common, "--method", "entropy", "--every-value", "--shard", f"{i}/2")
            for i, path in enumerate(shards)
        ),
        ("calibrate", "--merge", *shards, "-o", tmp_path / "all.npz"),
        ("calibrate", MODEL_PATH, "--statistics", tmp_path / "all.npz", "-o", table, "--tensorrt", "8.6.1"),
        ("calibrate", MODEL_PATH, "-o", tmp_path / "one.cache", *common),
    ]

    codes = [run([str(a) for a in command]) for command in commands]

    assert codes == [0] * 5, capsys.readouterr().err
    assert table.read_text() == (tmp_path / "one.cache").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("-o", "a.cache"), id="no-samples"),
        pytest.param(("-o", "a.txt", "--calibration", "d.npy"), id="another-suffix"),
        pytest.param(("-o", "a.cache", "--calibration", "d.npy", "--mode", "int16x8"), id="sixteen-bits"),
        pytest.param(("-o", "a.cache", "--calibration", "d.npy", "--shard", "0/2"), id="a-shard"),
        pytest.param(("-o", "a.cache", "--calibration", "d.npy", "--statistics", "s.npz"), id="two-sources"),
        pytest.param(("-o", "a.npz", "--statistics", "s.npz"), id="statistics-of-statistics"),
        pytest.param(("-o", "a.table", "--statistics", "s.npz", "--tensorrt", "8.6.1"), id="version-of-ncnn"),
        pytest.param(("--merge", "-o", "a.cache"), id="merged"),
    ],
)
def test_calibrate_refuses_what_makes_no_table(arguments, tmp_path, monkeypatch, capsys):
    """Wrong usage, exit code 2, nothing written."""
    monkeypatch.chdir(tmp_path)

    assert run(["calibrate", str(MODEL_PATH), *arguments]) == 2
    assert "next:" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared models are not here")
def test_mnist_from_a_cache_is_mnist_from_the_same_ranges(tmp_path):
    """int8 of TensorRT's cache: the outputs of statistics with the same symmetric ranges, within a step."""
    model = bw.load(SHARED / "models" / "mnist_cnn.onnx")
    images, labels = mnist(1256)
    seen = bw.calibrate(model, images[1000:], method="entropy", every_value=True)
    write_table(seen, tmp_path / "a.cache", model)
    read = read_table(tmp_path / "a.cache", model)
    thresholds = {name: max(-t.minimum, t.maximum) for name, t in read.tensors.items()}
    same = ranges(**{name: (-float(np.float32(t)), float(np.float32(t))) for name, t in thresholds.items()})

    small, usual = (bw.quantize(model, statistics=statistics) for statistics in (read, same))

    one, two, exact = (outputs(m, images[:1000]) for m in (small, usual, model))
    step = np.abs(exact).max() / 127
    assert np.abs(one - two).max() <= step
    assert accuracy(small, images[:1000], labels[:1000]) == accuracy(usual, images[:1000], labels[:1000])
    assert accuracy(small, images[:1000], labels[:1000]) >= accuracy(model, images[:1000], labels[:1000]) - 0.002


def mnist(count: int) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(SHARED / "data" / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:count]
    with gzip.open(SHARED / "data" / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[:count]
    return images.astype(np.float32) / 255, labels


def outputs(model: bw.Model, images: np.ndarray) -> np.ndarray:
    name = str(model.graph.graph.inputs[0].name)
    session = bw.compile(model)
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def accuracy(model: bw.Model, images: np.ndarray, labels: np.ndarray) -> float:
    return float((outputs(model, images).argmax(axis=1) == labels).mean())


def test_write_table_names_what_statistics_are(tmp_path):
    """A path of them is none, and nothing is written."""
    with pytest.raises(UsageError, match=r"cannot be str[\s\S]*Statistics\.load"):
        bw.write_table("seen.npz", tmp_path / "t.cache", MODEL_PATH)
    assert not list(tmp_path.iterdir())
