"""The list of transforms: what it says and how it is refused."""

from __future__ import annotations

import pytest

from bitwright.errors import TransformError
from bitwright.transforms.grammar import Call, parse_transforms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  \n", ()),
        ("a", (Call("a", {}, 0),)),
        ("a b", (Call("a", {}, 0), Call("b", {}, 2))),
        ("\\\na \\\nb\\\n", (Call("a", {}, 2), Call("b", {}, 6))),
        ("a(x=c\\d)", (Call("a", {"x": ("c\\d",)}, 0),)),
        ("a() , b", (Call("a", {}, 0), Call("b", {}, 6))),
        ("a(x=1)", (Call("a", {"x": ("1",)}, 0),)),
        ('a(x=1, y="b, c)", x=3)', (Call("a", {"x": ("1", "3"), "y": ("b, c)",)}, 0),)),
        ("a(x='1',)", (Call("a", {"x": ("1",)}, 0),)),
        ('a(x="")', (Call("a", {"x": ("",)}, 0),)),
        ("a(x=/conv/out:0)", (Call("a", {"x": ("/conv/out:0",)}, 0),)),
    ],
)
def test_parse_transforms_reads(text, expected):
    """Names, arguments, quotes, repeated arguments, white space."""
    assert expected == parse_transforms(text)


@pytest.mark.parametrize(
    ("text", "position", "wanted"),
    [
        ("a(", 2, "name of an argument"),
        ("a(x", 3, "= behind 'x'"),
        ("a(x=", 4, "a value for 'x'"),
        ("a(x=1", 5, ", or )"),
        ("a(x=1 y=2)", 6, ", or )"),
        ("(x)", 0, "name of a transform"),
        ("a)", 1, "name of a transform"),
        ('"a"', 0, "name of a transform"),
        ("a ,", 3, "name of a transform"),
        ('a(x="1', 4, "quote that is not closed"),
        ("a(x==1)", 4, "a value for 'x'"),
    ],
)
def test_parse_transforms_says_where(text, position, wanted):
    """What cannot be read is refused with its position."""
    with pytest.raises(TransformError) as error:
        parse_transforms(text)

    assert f"position {position}," in str(error.value)
    assert wanted in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"), [("a", False), ("a(ignore_errors=true)", True), ("a(ignore_errors=false)", False)]
)
def test_call_ignores_errors_when_asked(text, expected):
    """ignore_errors=true is part of the grammar."""
    assert parse_transforms(text)[0].ignore_errors is expected
