"""Settings as the AUTOMATIC1111 web UI and its kin write them."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.domain.recipe import Draft, Size
from limner.provenance.foreign.a1111 import read_a1111
from limner.provenance.foreign.reading import read_settings
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings

from .containers import bombed_png, deep_json, png, with_comment, with_tags

PLAIN = (
    "a red fox, (masterpiece:1.2) <lora:ink_style:0.7>\nin the snow\n"
    "Negative prompt: blurry, text\nlow quality\n"
    "Steps: 24, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 3141592653, "
    "Size: 512x768, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, "
    'Lora hashes: "ink_style: 0123456789ab, other: fe", VAE: vae-ft-mse.pt, Clip skip: 2, '
    "Version: v1.10.1"
)


def read(text: str) -> ForeignSettings:
    found = read_a1111(text)
    assert found is not None
    return found


def lost(found: ForeignSettings) -> dict[str, str]:
    return {one.name: one.value for one in found.unmapped}


def test_everything_that_has_a_place_is_read() -> None:
    found = read(PLAIN)
    assert found.tool == "AUTOMATIC1111"
    assert found.draft == Draft(
        literal=True,
        prompt="a red fox, (masterpiece:1.2)\nin the snow",
        negative_prompt="blurry, text\nlow quality",
        seed=3141592653,
        size=Size(width=512, height=768),
        steps=24,
        guidance=6.5,
        sampler="dpmpp_2m",
        schedule="karras",
    )
    assert found.model == ForeignModel("v1-5-pruned-emaonly", "6ce0161689")
    assert found.adapters == (
        ForeignModel("ink_style", "0123456789ab", 0.7),
        ForeignModel("other", "fe"),
    )
    assert lost(found) == {"VAE": "vae-ft-mse.pt", "Clip skip": "2"}
    assert all(one.reason for one in found.unmapped)


@pytest.mark.parametrize(
    ("name", "sampler", "schedule"),
    [
        ("Euler a", "euler_ancestral", None),
        ("Euler", "euler", None),
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("DPM++ 2M SDE Exponential", "dpmpp_2m_sde", "exponential"),
        ("DPM++ 3M SDE", "dpmpp_3m_sde", None),
        ("DPM++ SDE Karras", "dpmpp_sde", "karras"),
        ("DPM++ 2M SGMUniform", "dpmpp_2m", "sgm_uniform"),
        ("Heun", "heun", None),
        ("LMS Karras", "lms", "karras"),
        ("DDIM", "ddim", None),
        ("UniPC", "uni_pc", None),
        ("LCM", "lcm", None),
        ("Restart", "restart", None),
    ],
)
def test_samplers_by_their_names(name: str, sampler: str, schedule: str | None) -> None:
    draft = read(f"x\nSteps: 20, Sampler: {name}, Seed: 1").draft
    assert (draft.sampler, draft.schedule) == (sampler, schedule)


def test_an_unknown_sampler_is_named() -> None:
    found = read("x\nSteps: 20, Sampler: Dream Weaver, Schedule type: Odd, Seed: 1")
    assert found.draft.sampler is None
    assert lost(found) == {"sampler": "Dream Weaver", "schedule": "Odd"}


def test_a_sampler_left_to_the_tool_is_not_lost() -> None:
    found = read("x\nSteps: 20, Sampler: Euler, Schedule type: Automatic, Seed: 1")
    assert (found.draft.sampler, found.draft.schedule) == ("euler", None)
    assert found.unmapped == ()


def test_an_enlarged_picture_has_its_finished_size() -> None:
    found = read("x\nSteps: 20, Seed: 1, Size: 512x640, Hires upscale: 1.5, Hires upscaler: Latent")
    assert found.draft.size == Size(width=768, height=960)
    assert lost(found) == {"Hires upscaler": "Latent"}
    resized = read("x\nSteps: 20, Seed: 1, Size: 512x640, Hires resize: 1024x1280")
    assert resized.draft.size == Size(width=1024, height=1280)


def test_a_picture_drawn_from_another_says_what_is_missing() -> None:
    found = read("x\nSteps: 20, Seed: 1, Size: 64x64, Denoising strength: 0.6")
    assert found.strength == 0.6
    assert "strength" in lost(found)


def test_values_in_quotes_may_hold_commas() -> None:
    found = read('x\nSteps: 9, Seed: 1, Style: "a, \\"b\\": c", Size: 8x9')
    assert lost(found) == {"Style": 'a, "b": c'}
    assert found.draft.size == Size(width=8, height=9)


def test_a_json_value_is_passed_over() -> None:
    found = read('x\nSteps: 9, Seed: 1, Civitai resources: [{"Steps": 3, "a": "b, c"}], Size: 8x9')
    assert (found.draft.steps, found.draft.size) == (9, Size(width=8, height=9))
    assert found.unmapped == ()


@pytest.mark.parametrize("text", ["", "a fox", "a: b", "Steps: 20", "a fox\nin the snow: white"])
def test_other_texts_are_no_settings(text: str) -> None:
    assert read_a1111(text) is None


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("Steps: 20, Seed: -5, CFG scale: 7", "seed"),
        ("Steps: 20, Seed: 99999999999999999999, CFG scale: 7", "seed"),
        ("Steps: 0, Seed: 1, CFG scale: 7", "steps"),
        ("Steps: 9, Seed: 1, Size: 0x5", "size"),
        ("Steps: 9, Seed: 1, Size: 99999x5", "size"),
    ],
)
def test_numbers_beyond_ours_are_reported(line: str, missing: str) -> None:
    assert missing in lost(read(f"x\n{line}"))


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "seven", ""])
def test_no_guidance_but_a_number(value: str) -> None:
    found = read(f"x\nSteps: 9, Seed: 1, Size: 8x8, CFG scale: {value}")
    assert found.draft.guidance is None
    assert lost(found) == ({"guidance": value} if value else {})


def test_numbers_that_are_none_are_reported() -> None:
    found = read("x\nSteps: abc, CFG scale: nan, Seed: -1, Size: 8x8")
    assert lost(found) == {"steps": "abc", "guidance": "nan", "seed": "-1"}
    assert all(one.reason for one in found.unmapped)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("(a red fox:1.2), <lora:ink:1>, forest", "(a red fox:1.2), forest"),
        ("a fox <lora:ink:1> in snow", "a fox in snow"),
        ("a fox, <lora:ink:1><lora:oil:1> , <lyco:wax:1>, forest", "a fox, forest"),
        ("<lora:ink:1>, a fox, <lora:oil:1>", "a fox"),
        ("a fox,\n<lora:ink:1>,\nforest", "a fox,\nforest"),
        ("a fox,, forest <lora:ink:1>", "a fox,, forest"),
        ("fox<lora:ink:1>hat", "foxhat"),
        ("<lora:ink:1>", ""),
    ],
)
def test_adapters_leave_no_gap_in_the_words(prompt: str, words: str) -> None:
    found = read(f"{prompt}\nSteps: 9, Seed: 1, Size: 8x8")
    assert found.draft.prompt == words
    assert "ink" in {one.name for one in found.adapters}


def test_an_adapter_may_weigh_otherwise_in_the_text() -> None:
    found = read("a fox <lora:ink:0.5:0.8> <lora:oil:0.4:0.4>\nSteps: 9, Seed: 1, Size: 8x8")
    assert found.adapters == (ForeignModel("ink", None, 0.8, 0.5), ForeignModel("oil", None, 0.4))
    assert [one.asked() for one in found.adapters] == ["ink:0.8:0.5", "oil:0.4"]


def test_many_adapters_take_no_time() -> None:
    began = time.monotonic()
    tags = ", \n" * 200_000 + "<lora:a:1>, x, " * 50_000 + " " * 500_000
    read(f"{tags}\nSteps: 9, Seed: 1, Size: 8x8")
    assert time.monotonic() - began < 5


def test_it_is_read_from_every_format() -> None:
    expected = read(PLAIN)
    files = [png(parameters=PLAIN), png(packed=True, parameters=PLAIN)]
    files += [with_comment(kind, PLAIN) for kind in ("JPEG", "WEBP", "AVIF", "TIFF")]
    files += [with_comment("JPEG", PLAIN, big=False), with_tags("JPEG", {0x010E: PLAIN})]
    for file in files:
        assert read_settings(file) == expected


def test_letters_of_any_script_are_read() -> None:
    text = "ein Fuchs 狐 🦊\nSteps: 9, Seed: 1, Size: 8x8"
    for file in (png(parameters=text), with_comment("WEBP", text, big=False)):
        found = read_settings(file)
        assert found is not None
        assert found.draft.prompt == "ein Fuchs 狐 🦊"


def test_a_picture_without_settings_has_none() -> None:
    assert read_settings(png()) is None
    assert read_settings(png(parameters="a fox", Software="Paint")) is None
    assert read_settings(b"") is None
    assert read_settings(b"not a picture") is None


def test_bombs_take_neither_time_nor_memory() -> None:
    began = time.monotonic()
    assert read_settings(bombed_png("parameters", 50_000_000, count=40)) is None
    assert read_settings(png(parameters=deep_json())) is None
    assert read_settings(png(parameters="Steps: 1, Seed: 2, A: " + "[" * 40_000)) is not None
    assert read_settings(png(parameters="a" * 2_000_000 + "\n" + "b: " * 300_000)) is None
    assert time.monotonic() - began < 30


def test_what_no_file_can_hold_is_taken_out() -> None:
    assert read("a\x00f\x1bo\ud800x\nSteps: 9, Seed: 1, Size: 8x8").draft.prompt == "afox"


PIECES = st.sampled_from(
    ["Steps: ", "Seed: ", "Size: ", "12x9", ", ", "\n", '"', "\\", "[", "{", ":", "Model: ",
     "<lora:", "Negative prompt:", "Hires upscale: ", "1e400", "-1", "9" * 40, ">",
     "Denoising strength: "]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=8), max_size=40).map("".join))
def test_no_text_makes_it_fall(text: str) -> None:
    found = read_a1111(text)
    if found is not None:
        found.draft.model_dump_json()


def test_what_is_no_number_or_size_is_told_and_not_dropped() -> None:
    found = read("a fox\nSteps: 20, Sampler: Euler, Seed: many, Size: wide x high, CFG scale: 7")
    assert (found.draft.seed, found.draft.size) == (None, None)
    assert lost(found) == {"seed": "many", "size": "wide x high"}


def test_words_that_changed_between_steps_are_told() -> None:
    found = read("a [cat:dog:0.5] and [cat|dog]\nSteps: 1, Seed: 1, Size: 8x8")
    assert found.draft.prompt == "a [cat:dog:0.5] and [cat|dog]"
    told = [one.value for one in found.unmapped if one.name == "words"]
    assert told == ["[cat:dog:0.5]", "[cat|dog]"]
