"""Settings as InvokeAI writes them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.recipe import Draft, Size
from limner.provenance.foreign.invokeai import read_invokeai
from limner.provenance.foreign.reading import read_settings
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings

from .containers import deep_json, json_values, png

PLAIN: dict[str, Any] = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": "a red fox",
    "negative_prompt": "blurry",
    "width": 1024,
    "height": 768,
    "seed": 1234567,
    "rand_device": "cpu",
    "cfg_scale": 7.5,
    "cfg_rescale_multiplier": 0,
    "steps": 30,
    "scheduler": "dpmpp_2m_k",
    "seamless_x": False,
    "model": {"key": "k", "hash": "blake3:abc", "name": "Juggernaut XL", "base": "sdxl"},
    "loras": [{"model": {"name": "ink", "hash": "blake3:def"}, "weight": 0.75}],
    "controlnets": [],
    "app_version": "5.6.0",
}


def read(**changes: Any) -> ForeignSettings:
    found = read_invokeai(json.dumps({**PLAIN, **changes}))
    assert found is not None
    return found


def lost(found: ForeignSettings) -> dict[str, str]:
    return {one.name: one.value for one in found.unmapped}


def test_everything_that_has_a_place_is_read() -> None:
    found = read()
    assert found.tool == "InvokeAI"
    assert found.draft == Draft(
        literal=True,
        prompt="a red fox",
        negative_prompt="blurry",
        seed=1234567,
        size=Size(width=1024, height=768),
        steps=30,
        guidance=7.5,
        sampler="dpmpp_2m",
        schedule="karras",
    )
    assert found.model == ForeignModel("Juggernaut XL", "blake3:abc")
    assert found.adapters == (ForeignModel("ink", "blake3:def", 0.75),)
    assert found.unmapped == ()
    assert read_settings(png(invokeai_metadata=json.dumps(PLAIN))) == found


def test_older_names_of_models_are_read() -> None:
    found = read(
        model={"model_name": "dreamshaper", "base_model": "sd-1"},
        loras=[{"lora": {"model_name": "detail"}, "weight": 0.8}],
    )
    assert found.model == ForeignModel("dreamshaper")
    assert found.adapters == (ForeignModel("detail", None, 0.8),)


@pytest.mark.parametrize(
    ("name", "sampler", "schedule"),
    [
        ("euler", "euler", None),
        ("euler_a", "euler_ancestral", None),
        ("euler_k", "euler", "karras"),
        ("unipc", "uni_pc", None),
        ("kdpm_2_a", "dpm_2_ancestral", None),
        ("dpmpp_sde_k", "dpmpp_sde", "karras"),
        ("lms_k", "lms", "karras"),
        ("pndm", "plms", None),
    ],
)
def test_samplers_by_their_names(name: str, sampler: str, schedule: str | None) -> None:
    draft = read(scheduler=name).draft
    assert (draft.sampler, draft.schedule) == (sampler, schedule)


def test_what_has_no_place_is_reported_with_a_reason() -> None:
    found = read(
        positive_style_prompt="ink drawing",
        clip_skip=2,
        controlnets=[{"image": {"image_name": "c.png"}}],
        scheduler="quantum",
        hrf_enabled=True,
    )
    names = {"positive_style_prompt", "clip_skip", "controlnets", "sampler", "hrf_enabled"}
    assert lost(found).keys() == names
    assert all(one.reason for one in found.unmapped)


def test_a_picture_drawn_from_another_says_which() -> None:
    found = read(generation_mode="img2img", strength=0.4, init_image="dog.png")
    assert found.strength == 0.4
    assert "dog.png" in found.unmapped[0].reason


def test_distilled_guidance_goes_first() -> None:
    assert read(guidance=3.5, cfg_scale=1).draft.guidance == 3.5


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"a": 1}', "{", deep_json()])
def test_other_texts_are_no_metadata(text: str) -> None:
    assert read_invokeai(text) is None


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(PLAIN)), json_values))
def test_no_metadata_makes_it_fall(changes: dict[str, Any]) -> None:
    read(**changes).draft.model_dump_json()
