"""Settings as SwarmUI writes them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.recipe import Draft, Size
from limner.provenance.foreign.reading import read_settings
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings
from limner.provenance.foreign.swarmui import read_swarmui

from .containers import deep_json, json_values, png, with_comment

PLAIN: dict[str, Any] = {
    "prompt": "a red fox",
    "negativeprompt": "blurry",
    "model": "sdxl/dream",
    "seed": 1755497345,
    "steps": 16,
    "cfgscale": 2.0,
    "aspectratio": "Custom",
    "width": 1248,
    "height": 1824,
    "sampler": "euler_ancestral",
    "scheduler": "sgm_uniform",
    "loras": ["styles/ink", "turbo-v0.2"],
    "loraweights": ["0.4", "1"],
    "automaticvae": True,
    "initimagecreativity": 0.6,
    "swarm_version": "0.9.8.1",
}
MODELS = [
    {"name": "sdxl/dream.safetensors", "param": "model", "hash": "0x84fc41ea"},
    {"name": "styles/ink.safetensors", "param": "loras", "hash": "0xe8055d97"},
]


def text_of(extra: Any = None, **changes: Any) -> str:
    return json.dumps(
        {"sui_image_params": {**PLAIN, **changes}, "sui_models": MODELS, "sui_extra_data": extra}
    )


def read(extra: Any = None, **changes: Any) -> ForeignSettings:
    found = read_swarmui(text_of(extra, **changes))
    assert found is not None
    return found


def test_everything_that_has_a_place_is_read() -> None:
    found = read()
    assert found.tool == "SwarmUI"
    assert found.draft == Draft(
        literal=True,
        prompt="a red fox",
        negative_prompt="blurry",
        seed=1755497345,
        size=Size(width=1248, height=1824),
        steps=16,
        guidance=2,
        sampler="euler_ancestral",
        schedule="sgm_uniform",
    )
    assert found.model == ForeignModel("sdxl/dream", "0x84fc41ea")
    assert found.adapters == (
        ForeignModel("styles/ink", "0xe8055d97", 0.4),
        ForeignModel("turbo-v0.2", None, 1),
    )
    assert found.unmapped == ()


def test_older_lists_are_read() -> None:
    found = read(loras="a,b", loraweights="0.5,2")
    assert [(one.name, one.weight) for one in found.adapters] == [("a", 0.5), ("b", 2)]


def test_it_is_read_from_every_format() -> None:
    expected = read()
    files = [png(parameters=text_of()), png(packed=True, parameters=text_of())]
    files += [with_comment(kind, text_of()) for kind in ("JPEG", "WEBP", "AVIF")]
    for file in files:
        assert read_settings(file) == expected


def test_what_has_no_place_is_reported_with_a_reason() -> None:
    found = read(sampler="spiral", clipstopatlayer=-2, refinermethod="PostApply", seed=-1)
    assert found.draft.seed is None
    assert {one.name for one in found.unmapped} == {
        "sampler",
        "clipstopatlayer",
        "refinermethod",
        "seed",
    }
    assert all(one.reason for one in found.unmapped)


def test_a_picture_drawn_from_another_says_which() -> None:
    found = read({"initimage_filename": "raw/dog.png"})
    assert found.strength == 0.6
    assert "raw/dog.png" in found.unmapped[0].reason


@pytest.mark.parametrize(
    "text", ["", "{}", '{"sui_image_params": 3}', '{"sui_image_params": {}}', deep_json()]
)
def test_other_texts_are_no_metadata(text: str) -> None:
    assert read_swarmui(text) is None


@settings(max_examples=300, deadline=None)
@given(json_values, st.dictionaries(st.sampled_from(sorted(PLAIN)), json_values))
def test_no_metadata_makes_it_fall(extra: Any, changes: dict[str, Any]) -> None:
    read(extra, **changes).draft.model_dump_json()
