"""Options that several verbs share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Method = Literal["minmax", "ema", "percentile", "entropy", "mse"]

ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="The model: .onnx, .tflite, .bwz, .pt2, .keras, .h5, .pb, or a SavedModel's folder."
    ),
]
InputsOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Of a .pb: nodes that are fed, with commas; what lies before is left out."),
]
OutputsOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Of a .pb: nodes that are wanted, with commas; of a SavedModel: its outputs."),
]
SignatureOption = Annotated[
    str | None, typer.Option(metavar="KEY", help="Of a SavedModel: which signature; serving_default by default.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and only that, on standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors alone.")]
CalibrationOption = Annotated[
    str | None,
    typer.Option(
        metavar="DATA", help="Sample inputs: .npy, .npz, a folder or .zip of images or arrays, or file.py:function."
    ),
]
SamplesOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Use so many, drawn evenly over the whole data; all by default.")
]
SeedOption = Annotated[int, typer.Option(metavar="N", help="Seed of that draw.")]
PreprocessOption = Annotated[
    str | None,
    typer.Option(metavar="STEPS", help='For images: "scale=1/255 mean=.485,.456,.406 std=... size=224 layout=NCHW".'),
]
MethodOption = Annotated[
    Method | None,
    typer.Option(
        help="How a range is chosen from what calibration saw; minmax for onnxruntime and mse for litert by default."
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The runtime that the model is for: onnxruntime or litert; by default the format's own."
    ),
]
PortType = Literal["float32", "int8", "uint8", "int16"]
InputTypeOption = Annotated[PortType | None, typer.Option(help="What inputs of a .tflite hold; float32 by default.")]
OutputTypeOption = Annotated[PortType | None, typer.Option(help="What outputs of a .tflite hold; float32 by default.")]


def reading(inputs: str | None, outputs: str | None, signature: str | None) -> dict[str, Any]:
    """What `bitwright.load` takes of the three options above.

    >>> reading("Mfcc", "softmax, logits", None)
    {'inputs': ('Mfcc',), 'outputs': ('softmax', 'logits'), 'signature': None}
    """
    return {"inputs": names(inputs or ""), "outputs": names(outputs or ""), "signature": signature}


def names(text: str) -> tuple[str, ...]:
    """The names of a text with commas between."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
