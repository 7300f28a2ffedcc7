"""Options of the verbs that nothing would read: they are refused, not passed over."""

from __future__ import annotations

import json

import pytest

from bitwright.cli.main import run


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        pytest.param("quantize {m} -o {o} --mode dynamic --samples 5", "--samples", id="quantize"),
        pytest.param("calibrate {m} -o {c} --statistics {s} --preprocess scale=1/255", "--preprocess", id="calibrate"),
        pytest.param("calibrate --merge {s} {s} -o {s} --method mse", "--merge", id="calibrate-merge"),
        pytest.param(
            "transform-graph --in_graph {m} --out_graph {o} --transforms quantize_nodes --preprocess scale=1/255",
            "--preprocess",
            id="transform-graph",
        ),
        pytest.param(
            "quantize-graph --input {m} --output {o} --mode eightbit --preprocess scale=1/255",
            "--preprocess",
            id="quantize-graph",
        ),
    ],
)
def test_verbs_refuse_options_of_data_that_are_not_given(arguments, option, tmp_path, capsys):
    """Exit code 2, and nothing is written."""
    places = {
        name: tmp_path / file for name, file in zip("mosc", ("m.onnx", "o.onnx", "s.npz", "t.cache"), strict=True)
    }

    code = run([word.format(**places) for word in (*arguments.split(), "--json")])

    told = json.loads(capsys.readouterr().out)
    assert code == 2
    assert option in json.dumps(told)
    assert not list(tmp_path.iterdir())
