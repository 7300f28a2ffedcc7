"""Recipes: what is asked, field by field, and what is refused."""

from __future__ import annotations

import json

import pytest

import bitwright as bw
from bitwright.errors import RecipeError, UsageError
from bitwright.quantization.recipe import FLOAT, MODES, Entry, How, Recipe, recipe_for_mode


def recipe(*entries: dict) -> Recipe:
    """A recipe from its JSON form."""
    return Recipe.from_json(json.dumps(entries))


@pytest.mark.parametrize("mode", MODES)
def test_recipe_json_round_trip_keeps_every_entry(mode):
    """What to_json writes, from_json reads back; only fields that were given are written."""
    asked = recipe_for_mode(mode, exclude=["head", "^/tail/.*$"])

    again = Recipe.from_json(asked.to_json())

    assert again.entries == asked.entries
    assert all("activation_symmetric" not in e for e in json.loads(asked.to_json())) or mode == "int16x8"


def test_recipe_later_entries_win_field_by_field():
    """A later entry changes the fields it gives and leaves the others as they were."""
    asked = recipe(
        {"compute": "integer", "weight_storage": "i8", "weight_method": "mse"},
        {"scope": "^deep", "weight_method": "minmax"},
        {"scope": "deep/last$", "compute": "weight-only", "weight_storage": "i4"},
    )

    first, middle, last = (asked.how(name, "Conv") for name in ("a", "deep/1", "deep/last"))

    assert (first.compute, first.weight_storage, first.weight_method) == ("integer", "i8", "mse")
    assert (middle.compute, middle.weight_storage, middle.weight_method) == ("integer", "i8", "minmax")
    assert (last.compute, last.weight_storage, last.weight_method) == ("weight-only", "i4", "minmax")


def test_recipe_false_is_a_value_and_null_operator_fields_are_not():
    """False given later wins over True given before."""
    asked = recipe({"compute": "integer", "activation_symmetric": True}, {"activation_symmetric": False})

    assert asked.how("n", "Conv").activation_symmetric is False


def test_recipe_entry_matches_scope_and_operator():
    """The scope is searched in the node's name, the operator is compared whole."""
    entry = Entry("block[12]/", "Conv", How())

    assert entry.matches("/net/block2/conv", "Conv")
    assert not entry.matches("/net/block3/conv", "Conv")
    assert not entry.matches("/net/block2/conv", "ConvTranspose")
    assert Entry("", "*", How()).matches("anything", "Gemm")


def test_recipe_without_entries_leaves_everything_float():
    """Nothing is quantized unless asked."""
    assert Recipe(()).how("n", "Conv") == FLOAT
    assert not Recipe(()).needs_calibration


@pytest.mark.parametrize(
    "text, told",
    [
        ("not json", "not JSON"),
        ("{}", "list of objects"),
        ("[1]", "list of objects"),
        ('[{"scope": "("}]', "not a regular expression"),
        ('[{"scope": 3}]', "not a regular expression"),
        ('[{"colour": 1}]', "unknown field 'colour'"),
        ('[{"compute": "magic"}]', "compute cannot be 'magic'"),
        ('[{"weight_storage": "i3"}]', "weight_storage cannot be 'i3'"),
        ('[{"activation_storage": "i32"}]', "activation_storage cannot be 'i32'"),
        ('[{"weight_granularity": "per-row"}]', "weight_granularity cannot be"),
        ('[{"weight_method": "best"}]', "weight_method cannot be"),
        ('[{"block_size": 33}]', "block_size cannot be 33"),
        ('[{"block_size": 8}]', "block_size cannot be 8"),
        ('[{"block_size": "32"}]', "block_size cannot be '32'"),
        ('[{"weight_symmetric": "yes"}]', "weight_symmetric cannot be 'yes'"),
        ('[{"operator": 3}]', "operator"),
        ('[{"compute": ["integer"]}]', "compute cannot be"),
        ('[{"block_size": true}]', "block_size cannot be"),
    ],
)
def test_recipe_that_cannot_be_read_is_refused(text, told):
    """Each mistake is named, and the error says what may stand there."""
    with pytest.raises(RecipeError) as caught:
        Recipe.from_json(text)

    assert told in caught.value.what


def test_recipe_error_says_where_and_next():
    """The entry is named, and the fields there are."""
    with pytest.raises(RecipeError) as caught:
        recipe({"scope": "a", "operator": "Conv", "colour": 1})

    assert "scope 'a', operator 'Conv'" in caught.value.where
    assert "weight_storage" in caught.value.next


def test_exclude_of_a_bad_expression_is_refused():
    """What is excluded is given as regular expressions."""
    with pytest.raises(RecipeError, match=r"not a regular expression"):
        recipe_for_mode("int8").exclude("*")


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("float16", {"compute": "float16"}),
        ("weight-only", {"compute": "weight-only", "weight_storage": "i8", "weight_granularity": "per-channel"}),
        ("dynamic", {"compute": "dynamic", "weight_storage": "i8", "weight_granularity": "per-channel"}),
        ("int8", {"compute": "integer", "weight_storage": "i8", "activation_storage": None}),
        (
            "uint8",
            {"compute": "integer", "weight_storage": "u8", "weight_symmetric": False, "activation_storage": "u8",
             "weight_granularity": "per-tensor"},
        ),
        ("int16x8", {"compute": "integer", "weight_storage": "i8", "activation_storage": "i16",
                     "activation_symmetric": True}),
    ],
)  # fmt: skip
def test_mode_stands_for_its_recipe(mode, expected):
    """Each mode's fields, for any node."""
    asked = recipe_for_mode(mode)

    how = asked.how("any", "Conv")

    assert asked.mode == mode
    assert asked.needs_calibration == (expected["compute"] == "integer")
    assert {name: getattr(how, name) for name in expected} == expected


def test_four_bit_weights_come_in_blocks_chosen_by_error():
    """weight-only at 4 bits: blocks of 32 and the scale of least squared error, unless told otherwise."""
    how = recipe_for_mode("weight-only", weight_bits=4).how("n", "MatMul")
    plain = recipe_for_mode("weight-only", weight_bits=4, per_channel=False, weight_method="minmax").how("n", "MatMul")

    assert (how.weight_storage, how.weight_granularity, how.block_size, how.weight_method) == (
        "i4",
        "per-block",
        32,
        "mse",
    )
    assert (plain.weight_granularity, plain.weight_method) == ("per-tensor", "minmax")


@pytest.mark.parametrize(
    "mode, options, told",
    [
        ("int3", {}, "unknown mode 'int3'"),
        ("weight-only", {"weight_bits": 3}, "3 bits"),
        ("uint8", {"weight_bits": 4}, "no 4-bit weights"),
        ("weight-only", {"weight_bits": 2}, "no 2-bit weights"),
        ("float16", {"block_size": 32}, "no blocks"),
        ("int8", {"block_size": 32}, "no blocks"),
        ("weight-only", {"block_size": 33}, "block_size cannot be 33"),
        ("int8", {"activation_storage": "i3"}, "activation_storage cannot be 'i3'"),
        ("int8", {"weight_method": "best"}, "weight_method cannot be 'best'"),
    ],
)
def test_mode_options_that_do_not_exist_are_refused(mode, options, told):
    """Unknown modes and options a mode does not have are usage errors."""
    with pytest.raises(UsageError) as caught:
        recipe_for_mode(mode, **options)

    assert told in caught.value.what
    assert caught.value.next


def test_recipe_mixes_modes_in_one_model(build, samples):
    """One layer integer, one weight-only at 4 bits, one float16, one float."""
    model = build("""g (float[N, 32] x, float[32, 32] a, float[32, 32] b, float[32, 32] c, float[32, 32] d)
        => (float[N, 32] y) { [na] p = MatMul(x, a) [nb] q = MatMul(p, b) [nc] r = MatMul(q, c) [nd] y = MatMul(r, d) }
        """)
    asked = recipe(
        {"compute": "integer"},
        {"scope": "nb", "compute": "weight-only", "weight_storage": "i4", "weight_granularity": "per-block"},
        {"scope": "nc", "compute": "float16"},
        {"scope": "nd", "compute": "float"},
    )

    made = bw.quantize(model, asked, calibration=samples(model))

    assert [str(n.compute) for n in made.plan.nodes.values()] == ["integer", "weight-only", "float16", "float"]
    assert made.plan.qparams_of("b").storage == "i4"
    assert made.plan.tensors["c"].qparams is None
    assert "d" not in made.plan.tensors
    assert min(o.sqnr_db for o in bw.compare(bw.load(model), made, runs=1).outputs) > 15


def test_recipe_activation_storage_reaches_the_plan(build, samples):
    """i8 activations asked for one operator."""
    model = build("g (float[N, 16] x, float[16, 16] w) => (float[N, 16] y) { y = MatMul(x, w) }")

    made = bw.quantize(model, recipe({"compute": "integer", "activation_storage": "i8"}), calibration=samples(model))

    assert made.plan.qparams_of("x").storage == "i8"
    assert made.plan.mode == "recipe"
