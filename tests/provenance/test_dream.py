"""Settings as InvokeAI wrote them before version 3."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.recipe import Draft, Size
from limner.provenance.foreign.dream import read_dream, read_sd_metadata
from limner.provenance.foreign.reading import find_damaged, read_settings
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings

from .containers import deep_json, json_values, png

IMAGE: dict[str, Any] = {
    "type": "txt2img",
    "prompt": [{"prompt": "a red fox [blurry, text] in the snow", "weight": 1}],
    "steps": 30,
    "cfg_scale": 7.5,
    "threshold": 0,
    "perlin": 0,
    "width": 512,
    "height": 640,
    "seed": 1234567,
    "seamless": False,
    "postprocessing": None,
    "sampler": "k_euler_a",
    "variations": [],
}
TABLE: dict[str, Any] = {
    "model": "stable diffusion",
    "model_weights": "stable-diffusion-1.5",
    "model_hash": "cc6cb27103417325ff94f52b7a5d2dde45a7515b25c255d8e396c90014281516",
    "app_id": "invoke-ai/InvokeAI",
    "app_version": "2.3.5",
    "image": IMAGE,
}
DREAM = '"a red fox [blurry, text] in the snow" -s 30 -S 1234567 -W 512 -H 640 -C 7.5 -A k_euler_a'
UNDERSTOOD = Draft(
    literal=True,
    prompt="a red fox in the snow",
    negative_prompt="blurry, text",
    seed=1234567,
    size=Size(width=512, height=640),
    steps=30,
    guidance=7.5,
    sampler="euler_ancestral",
)


def read(**changes: Any) -> ForeignSettings:
    found = read_sd_metadata(json.dumps({**TABLE, "image": {**IMAGE, **changes}}))
    assert found is not None
    return found


def dream(text: str) -> ForeignSettings:
    found = read_dream(text)
    assert found is not None
    return found


def lost(found: ForeignSettings) -> dict[str, str]:
    return {one.name: one.value for one in found.unmapped}


def test_everything_that_has_a_place_is_read() -> None:
    found = read()
    assert found.tool == "InvokeAI"
    assert found.draft == UNDERSTOOD
    assert found.model == ForeignModel("stable-diffusion-1.5", TABLE["model_hash"])
    assert found.unmapped == ()


def test_a_command_says_the_same() -> None:
    found = dream(DREAM)
    assert found.tool == "InvokeAI"
    assert found.draft == UNDERSTOOD
    assert found.unmapped == ()


@pytest.mark.parametrize(
    "text",
    [
        "a fox's den, mid -century -s 30 -S 7 -W 512 -H 512",
        '"a fox\'s den, mid -century" -s30 -b1 -W512 -H512 -S7',
        "a fox's den, mid -century -s 30 -S 7 -W 512 -H 512 --fit",
    ],
)
def test_commands_of_several_hands_are_read(text: str) -> None:
    found = dream(text)
    assert found.draft.prompt == "a fox's den, mid -century"
    assert (found.draft.steps, found.draft.seed) == (30, 7)
    assert found.draft.size == Size(width=512, height=512)
    assert found.unmapped == ()


def test_the_metadata_goes_before_the_command() -> None:
    file = png(packed=False, Dream=DREAM, **{"sd-metadata": json.dumps(TABLE)})
    assert read_settings(file) == read()
    assert read_settings(png(Dream=DREAM)) == dream(DREAM)


def test_a_grid_and_a_bare_prompt_are_read() -> None:
    table = {**TABLE, "image": None, "images": [{**IMAGE, "prompt": "a red fox"}]}
    found = read_sd_metadata(json.dumps(table))
    assert found is not None
    assert (found.draft.prompt, found.draft.seed) == ("a red fox", 1234567)


def test_weighted_prompts_are_joined_and_told() -> None:
    parts = [
        {"prompt": "a fox", "weight": 1},
        {"prompt": "snow", "weight": 0.4},
        {"prompt": "rain", "weight": -0.5},
    ]
    found = read(prompt=parts)
    assert (found.draft.prompt, found.draft.negative_prompt) == ("a fox, snow", "rain")
    assert "weights of prompts" in lost(found)


def test_what_has_no_place_is_reported_with_a_reason() -> None:
    found = read(
        variations=[{"seed": 3, "weight": 0.2}],
        postprocessing=[{"type": "esrgan", "scale": 2}],
        perlin=0.1,
        sampler="k_quantum",
        steps="many",
    )
    expected = {"variations", "postprocessing", "perlin", "sampler", "steps"}
    assert lost(found).keys() == expected
    assert all(one.reason for one in found.unmapped)
    told = lost(dream(f"{DREAM} --seamless -G 0.8 -ft gfpgan -U 2.0 0.75 -V 3:0.2"))
    assert told == {
        "seamless": "True",
        "facetool_strength": "0.8",
        "facetool": "gfpgan",
        "upscale": "2.0 0.75",
        "variations": "3:0.2",
    }


def test_a_picture_drawn_from_another_says_which() -> None:
    found = read(type="img2img", strength_steps=0.4, orig_hash="ab")
    assert found.strength == 0.4
    assert lost(found) == {"strength": "0.4"}
    found = dream(f"{DREAM} -I dog.png --fit -f 0.6")
    assert found.strength == 0.6
    assert "dog.png" in found.unmapped[0].reason


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"image": 3}', '{"images": [1, {}]}', "{", deep_json()]
)
def test_other_texts_are_no_metadata(text: str) -> None:
    assert read_sd_metadata(text) is None


@pytest.mark.parametrize("text", ["", "a fox", "a -fox", '"', "-", "a fox -q 3", "-s " * 60_000])
def test_other_texts_are_no_command(text: str) -> None:
    assert read_dream(text) is None


def test_damage_is_told_from_nothing() -> None:
    assert find_damaged(png(packed=False, **{"sd-metadata": json.dumps(TABLE)[:-9]})) == "InvokeAI"
    assert find_damaged(png(invokeai_metadata='{"seed": 1')) == "InvokeAI"


def test_hostile_texts_take_no_time() -> None:
    began = time.monotonic()
    for text in ("[" * 49_000, " " * 49_000 + "-s 3", " -s 3" * 9_000, "a " * 24_000 + "-S 3"):
        read_dream(text)
        read(prompt=text)
    assert time.monotonic() - began < 5


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(IMAGE)), json_values))
def test_no_metadata_makes_it_fall(changes: dict[str, Any]) -> None:
    read(**changes).draft.model_dump_json()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab -sSWHAfI[]\"'{}:0123.\n", max_size=60))
def test_no_command_makes_it_fall(text: str) -> None:
    found = read_dream(text)
    if found is not None:
        found.draft.model_dump_json()
