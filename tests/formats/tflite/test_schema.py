"""The schema's numbers and fields that are written out here are those of the published classes."""

from __future__ import annotations

from typing import Any

import pytest
import tflite

from bitwright.formats.tflite.attributes import fields_of
from bitwright.formats.tflite.operators import ROWS
from bitwright.formats.tflite.schema import BUILTINS, CHOICES, TENSOR_TYPE_NAMES, UNION_MEMBERS, schema_name
from bitwright.program.operator import Activation, MirrorPadMode, Options, Padding

KINDS = sorted({row.options for row in ROWS.values()} - {Options}, key=lambda kind: kind.__name__)
#: Fields that the classes have and the options have not: they must be 0.
UNREAD = {("FullyConnectedOptions", "WeightsFormat")}


class Recorder:
    """Stands for a builder, and keeps the last call."""

    def __getattr__(self, name: str) -> Any:
        def keep(*arguments: Any) -> None:
            self.call = (name, *arguments)

        return keep


def published(enum: Any) -> dict[str, int]:
    """Names and numbers of an enum."""
    return {name: number for name, number in vars(enum).items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("enum", "ours"),
    [
        pytest.param("BuiltinOperator", BUILTINS, id="operators"),
        pytest.param("BuiltinOptions", UNION_MEMBERS, id="options"),
        pytest.param("TensorType", {name: number for number, name in TENSOR_TYPE_NAMES.items()}, id="types"),
        pytest.param("Padding", CHOICES[Padding], id="padding"),
        pytest.param("ActivationFunctionType", CHOICES[Activation], id="activation"),
        pytest.param("MirrorPadMode", CHOICES[MirrorPadMode], id="mirror"),
    ],
)
def test_numbers_are_those_of_the_published_classes(enum: str, ours: dict[str, int]) -> None:
    """Each by its name, and none is missing: the classes may be older, or newer by what comes after."""
    theirs = published(getattr(tflite, enum))
    both = theirs.keys() & ours.keys()

    assert {name: ours[name] for name in both} == {name: theirs[name] for name in both}
    assert max(ours.values()) < len(ours)
    assert len(both) == min(len(ours), len(theirs))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_fields_have_the_numbers_of_the_published_classes(kind: type[Options]) -> None:
    """Number, width and default of each field, as the classes write it."""
    formats = {"Bool": "?", "Int8": "b", "Int32": "i", "Float32": "f"}
    theirs = {}
    for name in dir(tflite):
        prefix = f"{kind.__name__}Add"
        if name.startswith(prefix) and (kind.__name__, name.removeprefix(prefix)) not in UNREAD:
            recorder = Recorder()
            getattr(tflite, name)(recorder, 1)
            method, number, _, default = recorder.call
            code = None if "UOffset" in method else formats[method.removeprefix("Prepend").removesuffix("Slot")]
            theirs[name.removeprefix(prefix)] = (number, code, default)

    ours = {schema_name(field.name): (field.number, field.code, field.default) for field in fields_of(kind)}

    assert ours == theirs


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_vector_is_the_only_field_of_its_table(kind: type[Options]) -> None:
    """What tables hold besides is compared by their own bytes."""
    codes = [field.code for field in fields_of(kind)]

    assert None not in codes or len(codes) == 1
