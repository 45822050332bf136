"""Settings out of ComfyUI's graphs."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.recipe import Draft, Size
from limner.provenance.foreign.comfyui import read_comfyui, read_workflow
from limner.provenance.foreign.reading import find_damaged, read_settings
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings

from .containers import MAKE, MODEL, deep_json, graph_text, json_values, png, with_tags

Node = tuple[str, dict[str, Any]]

PLAIN: dict[str, Node] = {
    "3": (
        "KSampler",
        {
            "seed": 156680208700286,
            "steps": 20,
            "cfg": 8,
            "sampler_name": "dpmpp_2m_sde_gpu",
            "scheduler": "karras",
            "denoise": 1,
            "model": ["10", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    ),
    "4": ("CheckpointLoaderSimple", {"ckpt_name": "sdxl/dream.safetensors"}),
    "5": ("EmptyLatentImage", {"width": 832, "height": 1216, "batch_size": 1}),
    "6": ("CLIPTextEncode", {"text": "a red fox", "clip": ["10", 1]}),
    "7": ("CLIPTextEncode", {"text": "blurry", "clip": ["10", 1]}),
    "8": ("VAEDecode", {"samples": ["3", 0], "vae": ["4", 2]}),
    "9": ("SaveImage", {"filename_prefix": "ComfyUI", "images": ["8", 0]}),
    "10": (
        "LoraLoader",
        {
            "lora_name": "ink.safetensors",
            "strength_model": 0.6,
            "strength_clip": 1,
            "model": ["4", 0],
            "clip": ["4", 1],
        },
    ),
}


def changed(**nodes: Node | dict[str, Any]) -> str:
    """Return the plain graph with nodes added, or (given as inputs) changed."""
    result = dict(PLAIN)
    for name, node in nodes.items():
        key = name.lstrip("n")
        if isinstance(node, dict):
            kind, inputs = result[key]
            result[key] = (kind, {**inputs, **node})
        else:
            result[key] = node
    return graph_text(**result)


def read(text: str) -> ForeignSettings:
    found = read_comfyui(text)
    assert found is not None
    return found


def lost(found: ForeignSettings) -> dict[str, str]:
    return {one.name: one.value for one in found.unmapped}


def test_everything_that_has_a_place_is_read() -> None:
    found = read(changed())
    assert found.tool == "ComfyUI"
    assert found.draft == Draft(
        literal=True,
        prompt="a red fox",
        negative_prompt="blurry",
        seed=156680208700286,
        size=Size(width=832, height=1216),
        steps=20,
        guidance=8,
        sampler="dpmpp_2m_sde",
        schedule="karras",
    )
    assert found.model == ForeignModel("sdxl/dream.safetensors")
    assert found.adapters == (ForeignModel("ink.safetensors", None, 0.6, 1),)
    assert found.unmapped == ()


def test_values_are_followed_through_nodes_that_hold_them() -> None:
    found = read(
        changed(
            n3={"seed": ["20", 0], "steps": ["21", 0]},
            n6={"text": ["22", 0]},
            n20=("Seed (rgthree)", {"seed": 77}),
            n21=("INTConstant", {"value": 33}),
            n22=("StringConcatenate", {"string_a": "a fox", "string_b": ["23", 0]}),
            n23=("PrimitiveString", {"value": "in the snow"}),
        )
    )
    assert (found.draft.seed, found.draft.steps) == (77, 33)
    assert found.draft.prompt == "a fox\nin the snow"


def test_words_are_found_behind_controls_and_combinations() -> None:
    apply = {"positive": ["6", 0], "negative": ["7", 0], "control_net": ["31", 0]}
    found = read(
        changed(
            n3={"positive": ["30", 0], "negative": ["30", 1]},
            n30=("ControlNetApplyAdvanced", apply),
            n31=("ControlNetLoader", {"control_net_name": "depth"}),
        )
    )
    assert (found.draft.prompt, found.draft.negative_prompt) == ("a red fox", "blurry")
    assert lost(found) == {"node": "ControlNetApplyAdvanced"}


def test_a_loader_with_both_prompts_gives_each() -> None:
    loader = {"ckpt_name": "m", "positive": "a fox", "negative": "a dog", "lora_name": "None"}
    found = read(
        changed(
            n3={"positive": ["40", 1], "negative": ["40", 2], "model": ["40", 0]},
            n40=("Efficient Loader", loader),
        )
    )
    assert (found.draft.prompt, found.draft.negative_prompt) == ("a fox", "a dog")


def test_the_parts_of_newer_samplers_are_put_together() -> None:
    nodes: dict[str, Node] = {
        "1": ("SaveImage", {"images": ["2", 0]}),
        "2": ("VAEDecode", {"samples": ["3", 0], "vae": ["12", 0]}),
        "3": (
            "SamplerCustomAdvanced",
            {
                "noise": ["4", 0],
                "guider": ["5", 0],
                "sampler": ["6", 0],
                "sigmas": ["7", 0],
                "latent_image": ["8", 0],
            },
        ),
        "4": ("RandomNoise", {"noise_seed": 5}),
        "5": ("BasicGuider", {"model": ["9", 0], "conditioning": ["10", 0]}),
        "6": ("KSamplerSelect", {"sampler_name": "euler"}),
        "7": ("BasicScheduler", {"scheduler": "simple", "steps": 28, "denoise": 1}),
        "8": ("EmptySD3LatentImage", {"width": 1024, "height": 576}),
        "9": ("UNETLoader", {"unet_name": "flux1-dev.safetensors"}),
        "10": ("FluxGuidance", {"conditioning": ["11", 0], "guidance": 3.5}),
        "11": ("CLIPTextEncodeFlux", {"clip_l": "a fox", "t5xxl": "a fox in snow"}),
        "12": ("VAELoader", {"vae_name": "ae"}),
    }
    found = read(graph_text(**nodes))
    assert found.draft == Draft(
        literal=True,
        prompt="a fox\na fox in snow",
        seed=5,
        size=Size(width=1024, height=576),
        steps=28,
        guidance=3.5,
        sampler="euler",
        schedule="simple",
    )
    assert found.model == ForeignModel("flux1-dev.safetensors")


def test_of_two_passes_the_first_counts() -> None:
    second = {**PLAIN["3"][1], "seed": 2, "denoise": 0.5, "latent_image": ["51", 0]}
    found = read(
        changed(
            n8={"samples": ["50", 0]},
            n50=("KSampler", second),
            n51=("LatentUpscaleBy", {"samples": ["3", 0], "scale_by": 1.5}),
        )
    )
    assert found.draft.seed == 156680208700286
    assert found.draft.size == Size(width=832, height=1216)
    assert lost(found) == {"second pass": "KSampler", "node": "LatentUpscaleBy"}


def test_a_picture_drawn_from_another_says_which() -> None:
    found = read(
        changed(
            n3={"denoise": 0.55, "latent_image": ["60", 0]},
            n60=("VAEEncode", {"pixels": ["61", 0], "vae": ["4", 2]}),
            n61=("LoadImage", {"image": "dog.png"}),
        )
    )
    assert found.strength == 0.55
    assert found.draft.size is None
    assert [one.reason for one in found.unmapped if "dog.png" in one.reason]


def test_loras_given_as_tables_are_read() -> None:
    on = {"on": True, "lora": "a.safetensors", "strength": 0.4}
    off = {"on": False, "lora": "b.safetensors", "strength": 0.4}
    loader = ("Power Lora Loader (rgthree)", {"lora_1": on, "lora_2": off, "model": ["4", 0]})
    found = read(changed(n10=loader))
    assert found.adapters == (ForeignModel("a.safetensors", None, 0.4),)
    assert found.model == ForeignModel("sdxl/dream.safetensors")


def test_a_zeroed_prompt_is_none() -> None:
    zero = ("ConditioningZeroOut", {"conditioning": ["6", 0]})
    assert read(changed(n3={"negative": ["70", 0]}, n70=zero)).draft.negative_prompt == ""


def test_a_seed_beyond_ours_is_reported() -> None:
    found = read(changed(n3={"seed": 2**64 - 1}))
    assert found.draft.seed is None
    assert lost(found) == {"seed": str(2**64 - 1)}


def test_a_graph_without_a_sampler_says_so() -> None:
    found = read(graph_text(a=("LoadImage", {"image": "x.png"})))
    assert found.draft == Draft(literal=True)
    assert "graph" in lost(found)


def test_only_the_editors_form_says_so() -> None:
    text = json.dumps({"nodes": [{"id": 1, "type": "KSampler"}], "links": []})
    found = read_settings(png(workflow=text))
    assert found is not None
    assert "workflow" in lost(found)
    assert read_workflow("{}") is None


def test_it_is_read_from_png_and_from_exif() -> None:
    expected = read(changed())
    tags = {MODEL: f"prompt:{changed()}", MAKE: 'workflow:{"nodes": []}'}
    for file in (png(prompt=changed(), workflow="{}"), with_tags("WEBP", tags)):
        assert read_settings(file) == expected


def test_circles_end() -> None:
    circle = changed(
        n3={"positive": ["6", 0], "latent_image": ["3", 0], "model": ["10", 0], "seed": ["90", 0]},
        n6={"text": ["6", 0]},
        n10={"model": ["10", 0]},
        n90=("Seed", {"seed": ["90", 0]}),
    )
    found = read(circle)
    assert (found.draft.seed, found.draft.prompt) == (None, "")
    assert lost(found).keys() == {"seed", "prompt"}


def test_words_that_are_empty_are_not_lost() -> None:
    assert lost(read(changed(n7={"text": ""}))) == {}


@pytest.mark.parametrize(
    "text", [changed()[:-20], changed().replace('"inputs": {', '"inputs": {{')]
)
def test_damage_is_told_from_nothing(text: str) -> None:
    for file in (png(prompt=text), with_tags("WEBP", {MODEL: f"prompt:{text}"})):
        assert read_settings(file) is None
        assert find_damaged(file) == "ComfyUI"
    assert find_damaged(png(prompt="{a red | a blue} fox")) is None
    assert find_damaged(png(prompt=changed())) is None
    assert find_damaged(png()) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"a": 1}', '{"1": {"class_type": 3}}'])
def test_other_texts_are_no_graph(text: str) -> None:
    assert read_comfyui(text) is None


def test_hostile_graphs_take_no_time() -> None:
    began = time.monotonic()
    wide = {str(n): ("X", {f"text{k}": [str(k), 0] for k in range(200)}) for n in range(1_000)}
    wide["3"] = PLAIN["3"]
    wide["9"] = ("SaveImage", {"images": ["3", 0]})
    assert read(graph_text(**wide)).draft.steps == 20
    assert read_comfyui(deep_json()) is None
    assert time.monotonic() - began < 20


INPUTS = json_values | st.tuples(st.sampled_from(["1", "2", "3"]), st.integers(0, 2)).map(list)
NAMES = st.sampled_from(
    ["positive", "negative", "latent_image", "samples", "seed", "steps", "cfg", "model", "images",
     "width", "height", "lora_name", "ckpt_name", "text", "guider", "sigmas", "lora_1", "pixels"]
)  # fmt: skip
NODES = st.fixed_dictionaries(
    {
        "class_type": st.sampled_from(["KSampler", "SaveImage", "LoadImage", "X", 3, None]),
        "inputs": st.dictionaries(NAMES, INPUTS, max_size=8),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["1", "2", "3"]), NODES))
def test_no_graph_makes_it_fall(graph: dict[str, Any]) -> None:
    found = read_comfyui(json.dumps(graph))
    if found is not None:
        found.draft.model_dump_json()
