"""Digests: fixed for all time by these vectors, and the same through any JSON."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from limner.domain.asset import Environment
from limner.domain.canonical import canonical_json, digest
from limner.domain.card import ModelCard
from limner.domain.recipe import Draft, InputRole, ModelRef, Recipe, Size, Task
from tests.domain.strategies import DRAFTS, RECIPES

DRAFT = """
{"task": "text_to_image", "prompt": "a red fox, “smiling”", "seed": 7, "guidance": 2.0,
 "size": {"width": 512, "height": 384}, "format": "webp",
 "extras": [["style", "flat"], ["weight", 0.25]]}
"""
RECIPE = """
{"version": 1, "task": "image_to_image",
 "model": {"name": "vellum",
           "sha256": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"},
 "adapters": [{"name": "ink",
               "sha256": "00000000000000000000000000000000000000000000000000000000000000ff",
               "weight": 0.5}],
 "prompt": "der Fuchs 🦊 im Schnee, 雪", "negative_prompt": "text", "seed": 9007199254740991,
 "size": {"width": 512, "height": 512}, "native_size": {"width": 64, "height": 64},
 "steps": 20, "guidance": 2.5, "sampler": "heun", "schedule": null,
 "inputs": [{"asset": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
             "role": "init", "strength": 0.6}],
 "transparent": true, "format": "png",
 "upscaler": {"name": "realesr-fast",
              "sha256": "1111111111111111111111111111111111111111111111111111111111111111"},
 "extras": [["style", "flat"]]}
"""
CARD = """
{"name": "brush", "title": "Brush", "summary": "Draws.", "family": "vellum", "variant": "64px",
 "files": [{"name": "brush.onnx",
            "sha256": "2222222222222222222222222222222222222222222222222222222222222222",
            "bytes": 12, "sources": []},
           {"name": "words.json",
            "sha256": "3333333333333333333333333333333333333333333333333333333333333333",
            "bytes": 30, "sources": []}],
 "licence": {"spdx": "MIT", "commercial": true, "attribution": "A. Painter", "url": "https://x"},
 "homepage": "https://x", "capability": {"tasks": [{"task": "text_to_image"}]}}
"""
PLAIN = Recipe(
    task=Task.TEXT_TO_IMAGE,
    model=ModelRef(name="vellum", sha256="0" * 64),
    size=Size(width=64, height=64),
    native_size=Size(width=64, height=64),
)


def shuffled(value: Any, order: random.Random) -> Any:
    """Return the same JSON with the fields of every object in another order."""
    if isinstance(value, dict):
        names = list(value)
        order.shuffle(names)
        return {name: shuffled(value[name], order) for name in names}
    return [shuffled(one, order) for one in value] if isinstance(value, list) else value


def draft_digest(draft: Draft) -> str:
    return digest(draft.model_dump(mode="json"))


def test_the_digest_of_a_draft_is_fixed() -> None:
    draft = Draft.model_validate_json(DRAFT)
    assert draft_digest(draft) == "ba5b6bd1ac88b40bd0a5c3a5520d4bb5ccf47d6235db52f7fb0a042fb8771567"


def test_the_digest_of_a_recipe_is_fixed() -> None:
    recipe = Recipe.model_validate_json(RECIPE)
    assert recipe.digest == "826991e0f9f6590d339a3ada6018075b28b49d9917dc150264ca1369682e33cb"


def test_the_digest_of_a_card_s_weights_is_fixed() -> None:
    card = ModelCard.model_validate_json(CARD)
    assert card.weights_digest == "4905c4df63d08e035c4d6b4a3ebf57c4f9252ed3edca21d12359061969824feb"
    assert card.ref == ModelRef(name="brush", sha256=card.weights_digest)
    assert card.bytes == 42


def test_the_weights_decide_the_digest_of_a_card_and_nothing_else_does() -> None:
    card = ModelCard.model_validate_json(CARD)
    told = card.model_copy(update={"title": "Other", "files": card.files[::-1]})
    assert told.weights_digest == card.weights_digest
    changed = card.files[0].model_copy(update={"sha256": "4" * 64})
    other = card.model_copy(update={"files": (changed, card.files[1])})
    assert other.weights_digest != card.weights_digest


def test_canonical_json_is_the_text_it_says() -> None:
    value = {"b": [1.0, 0.5, -0.0, 1e-7, True, None], "a": 'ü🦊\n"', "ab": {"z": 1, "y": (2,)}}
    assert canonical_json(value).decode() == (
        '{"a":"ü🦊\\n\\"","ab":{"y":[2],"z":1},"b":[1,0.5,0,1e-07,true,null]}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_canonical_json_has_no_numbers_that_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"value": value})


@pytest.mark.parametrize("order", range(5))
def test_the_order_of_fields_does_not_matter(order: int) -> None:
    fields = shuffled(json.loads(RECIPE), random.Random(order))
    assert Recipe.model_validate(fields).digest == Recipe.model_validate_json(RECIPE).digest


def test_whole_floats_and_integers_are_one_number() -> None:
    written = RECIPE.replace('"guidance": 2.5', '"guidance": 3')
    decimal = RECIPE.replace('"guidance": 2.5', '"guidance": 3.0')
    assert Recipe.model_validate_json(written).digest == Recipe.model_validate_json(decimal).digest


def test_escaped_and_plain_unicode_are_one_text() -> None:
    escaped = json.dumps(json.loads(RECIPE))
    assert "\\ud83e\\udd8a" in escaped
    assert Recipe.model_validate_json(escaped).digest == Recipe.model_validate_json(RECIPE).digest


def test_texts_that_only_look_alike_are_two() -> None:
    composed, combining = "\u00e9", "e\u0301"
    digests = {PLAIN.model_copy(update={"prompt": text}).digest for text in (composed, combining)}
    assert len(digests) == 2


def test_extras_keep_their_type() -> None:
    values = (True, 1, 0.5, "1", "true", "0.5", False, 0)
    recipes = [Recipe(**{**dict(PLAIN), "extras": (("weight", value),)}) for value in values]
    assert len({recipe.digest for recipe in recipes}) == len(values)
    for recipe, value in zip(recipes, values, strict=True):
        again = Recipe.model_validate_json(recipe.model_dump_json())
        assert type(again.extra("weight")) is type(value)
        assert again.digest == recipe.digest


def test_a_changed_copy_has_a_digest_of_its_own() -> None:
    before = PLAIN.digest
    copy = PLAIN.model_copy(update={"seed": 5})
    assert copy.digest == Recipe(**{**dict(PLAIN), "seed": 5}).digest
    assert copy.digest != before


@pytest.mark.parametrize("name", [name for name in Recipe.model_fields if name != "version"])
def test_every_field_of_a_recipe_counts(name: str) -> None:
    full = Recipe.model_validate_json(RECIPE)
    other: dict[str, object] = {
        "task": Task.INPAINT,
        "model": ModelRef(name="vellum", sha256="9" * 64),
        "size": Size(width=1, height=512),
        "native_size": Size(width=64, height=63),
        "transparent": False,
        "format": "jpeg",
        "schedule": "linear",
        "label": "de",
        "watermark": True,
        "offset": {"left": 0, "top": 0},
        "controls": ({"asset": "a" * 64, "kind": "canny"},),
        "references": ({"asset": "a" * 64},),
        "layout": ({"prompt": "a fox", "mask": "a" * 64},),
        "seed": 1,
    }
    empty: dict[str, object] = {"prompt": "", "negative_prompt": "", "adapters": (), "inputs": ()}
    value = {**other, **empty, "extras": ()}.get(name)
    changed = Recipe.model_validate({**full.model_dump(), name: value})
    assert changed.digest != full.digest


@given(RECIPES)
def test_a_recipe_keeps_its_digest_through_json(recipe: Recipe) -> None:
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.digest == recipe.digest
    through_another = json.loads(canonical_json(recipe.model_dump(mode="json")))
    assert Recipe.model_validate(through_another).digest == recipe.digest


@given(DRAFTS)
def test_a_draft_keeps_its_digest_through_json(draft: Draft) -> None:
    again = Draft.model_validate_json(draft.model_dump_json())
    assert again == draft
    assert draft_digest(again) == draft_digest(draft)


def test_extras_are_kept_in_order_and_once() -> None:
    given = Recipe(**{**dict(PLAIN), "extras": (("style", "flat"), ("border", 2))})
    assert given.extras == (("border", 2), ("style", "flat"))
    assert (given.extra("border"), given.extra("none")) == (2, None)
    with pytest.raises(ValidationError, match="twice"):
        Recipe(**{**dict(PLAIN), "extras": (("style", "flat"), ("style", "3d"))})


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"seed": 2**53},
        {"guidance": float("nan")},
        {"guidance": float("inf")},
        {"extras": (("weight", float("nan")),)},
        {"extras": (("weight", [1]),)},
        {"model": {"name": "vellum", "sha256": "A" * 64}},
        {"model": {"name": "vellum", "sha256": "0" * 63}},
        {"size": {"width": 0, "height": 1}},
        {"size": {"width": 65_536, "height": 1}},
        {"colour": "red"},
        {"inputs": ({"asset": "0" * 64, "role": "init", "strength": 1.01},)},
        {"inputs": ({"asset": "0" * 64, "role": "reference"},)},
    ],
    ids=str,
)
def test_a_recipe_holds_nothing_else(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({**dict(PLAIN), **change})


def test_values_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PLAIN.seed = 3  # type: ignore[misc]  # what mypy forbids must fail at run time too


def test_inputs_are_found_by_their_role() -> None:
    recipe = Recipe.model_validate_json(RECIPE)
    init = recipe.input(InputRole.INIT)
    assert init is not None
    assert init.strength == 0.6
    assert recipe.input(InputRole.MASK) is None


def test_an_environment_has_a_digest_of_all_it_says() -> None:
    one = Environment(
        limner="1",
        python="3",
        platform="p",
        processor="c",
        device="cpu",
        dtype="float32",
        threads=2,
    )
    assert one.digest == Environment.model_validate_json(one.model_dump_json()).digest
    assert one.digest != one.model_copy(update={"threads": 3}).digest
