"""bitwright qat, prune, cluster: from files to files, for those without code."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bitwright as bw
from bitwright.cli.main import run
from bitwright.demo.digits import MODEL_PATH, load_digits

torch = pytest.importorskip("torch", reason="torch is not installed")

FAST = ("--epochs", "2", "--batch-size", "32", "--threads", "1", "--json")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images without labels, as a file."""
    path = tmp_path_factory.mktemp("data") / "digits.npy"
    np.save(path, load_digits().calibration)
    return str(path)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Images in folders that are their classes."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("classes")
    digits = load_digits()
    for index, (image, label) in enumerate(zip(digits.images[:200], digits.labels[:200], strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray((image[0] * 255).astype(np.uint8)).save(folder / str(label) / f"{index}.png")
    return str(folder)


def done(capsys, *arguments):
    assert run(arguments) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def top1(path):
    digits = load_digits()
    (scores,) = bw.run(str(path), {"image": digits.images}).values()
    return float((scores.argmax(1) == digits.labels).mean())


def integers(path):
    values = bw.load(str(path)).graph.graph.initializers.values()
    held = [v.const_value for v in values if hasattr(v.const_value, "integers")]
    return [tensor.integers for tensor in held if tensor.integers.ndim > 1]


def test_qat_writes_a_quantized_model(capsys, tmp_path, data):
    """Without labels: 2-bit weights that post-training quantization cannot give."""
    out = tmp_path / "m.onnx"
    told = done(
        capsys, "qat", str(MODEL_PATH), "-o", str(out), "--data", data, "--weight-bits", "2",
        "--epochs", "12", "--batch-size", "32", "--learning-rate", "3e-3", "--threads", "1", "--json",
    )  # fmt: skip
    assert told["output"] == [str(out)] and len(told["training"]["epochs"]) == 12
    assert told["training"]["epochs"][0]["held_out"] is not None
    assert top1(out) > 0.9
    assert all(set(np.unique(array)) <= {-1, 0, 1} for array in integers(out))


def test_labels_of_folders_are_used(capsys, tmp_path, labelled):
    """Accuracy on what was held out is told; the suffix chooses the format."""
    out = tmp_path / "m.tflite"
    told = done(
        capsys, "qat", str(MODEL_PATH), "-o", str(out), "--data", labelled, "--preprocess", "scale=1/255 layout=NCHW",
        "--holdout", "0.25", *FAST,
    )  # fmt: skip
    assert told["training"]["epochs"][-1]["accuracy"] > 0.9
    assert out.read_bytes()[4:8] == b"TFL3"


def test_prune_cluster_and_qat_follow_one_another(capsys, tmp_path, data):
    """Zeros and shared values last from file to file, into the integers and the packed file."""
    pruned, clustered, small, packed = (tmp_path / n for n in ("p.onnx", "c.onnx", "q.onnx", "q.bwz"))
    told = done(capsys, "prune", str(MODEL_PATH), "-o", str(pruned), "--data", data, "--sparsity", "0.6", *FAST)
    assert told["sparsity"] == pytest.approx(0.6, abs=1e-3)
    done(capsys, "cluster", str(pruned), "-o", str(clustered), "--data", data, "--clusters", "16", *FAST)
    done(capsys, "qat", str(clustered), "-o", str(small), "--data", data, *FAST)
    arrays = integers(small)
    assert all(len(np.unique(array)) <= 16 for array in arrays)
    assert sum((a == 0).sum() for a in arrays) / sum(a.size for a in arrays) >= 0.6
    done(capsys, "pack", str(small), "-o", str(packed), "--json")
    assert top1(packed) == top1(small) > 0.9
    assert packed.stat().st_size < 0.12 * MODEL_PATH.stat().st_size


def test_channels_are_removed(capsys, tmp_path, data):
    """Half of the multiplications: a smaller float model."""
    out = tmp_path / "m.onnx"
    done(capsys, "prune", str(MODEL_PATH), "-o", str(out), "--data", data, "--keep-operations", "0.5", *FAST)
    assert out.stat().st_size < 0.8 * MODEL_PATH.stat().st_size
    assert top1(out) > 0.8


def test_an_interrupted_verb_goes_on_from_its_checkpoint(capsys, tmp_path, data, monkeypatch):
    """Nothing is written before the end; the same command again gives the bytes of one that was not stopped."""
    arguments = (
        "qat",
        str(MODEL_PATH),
        "--data",
        data,
        "--epochs",
        "3",
        "--batch-size",
        "64",
        "--threads",
        "1",
        "--quiet",
    )
    whole, out, checkpoint = (tmp_path / n for n in ("whole.onnx", "m.onnx", "t.ckpt"))
    assert run([*arguments, "-o", str(whole)]) == 0
    from bitwright.training import fit

    kept = fit._Training._step

    def interrupted(self, batch, step):
        if step == 4:
            raise KeyboardInterrupt
        return kept(self, batch, step)

    monkeypatch.setattr(fit._Training, "_step", interrupted)
    assert run([*arguments, "-o", str(out), "--checkpoint", str(checkpoint)]) == 1
    assert not out.exists() and checkpoint.exists()
    monkeypatch.setattr(fit._Training, "_step", kept)
    assert run([*arguments, "-o", str(out), "--checkpoint", str(checkpoint)]) == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prune", "--data", "x.npy"), "--sparsity"),
        (("prune", "--data", "x.npy", "--sparsity", "0.5", "--n-m", "2:4"), "--sparsity"),
        (("prune", "--data", "x.npy", "--n-m", "2-4"), "--n-m"),
        (("prune", "--data", "x.npy", "--sparsity", "0.5", "--block", "4"), "--block"),
        (("cluster", "--data", "x.npy", "--clusters", "1"), "clusters"),
        (("qat", "--data", "x.npy", "--patience", "2", "--holdout", "0"), "--holdout"),
        (("qat", "--data", "x.npy", "--weight-bits", "3"), "weight-bits"),
        (("qat",), "--data"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_read(capsys, tmp_path, arguments, said):
    """Exit code 2, and what to do."""
    verb, *rest = arguments
    assert run([verb, str(MODEL_PATH), "-o", str(tmp_path / "m.onnx"), *rest]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
