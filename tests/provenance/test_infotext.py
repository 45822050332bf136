"""Our settings as other tools read them."""

import pytest
from hypothesis import given, settings

from limner.domain.recipe import (
    AdapterRef,
    FileFormat,
    InputRole,
    ModelRef,
    Recipe,
    RecipeInput,
    Size,
    Task,
)
from limner.domain.sampling import (
    common_sampler,
    common_schedule,
    read_sampler,
    read_schedule,
)
from limner.provenance.foreign.a1111 import read_a1111
from limner.provenance.infotext import infotext
from tests.domain.strategies import RECIPES

RECIPE = Recipe(
    task=Task.TEXT_TO_IMAGE,
    model=ModelRef(name="vellum", sha256="ab" * 32),
    prompt="a red fox,\nin the snow",
    negative_prompt="blurry",
    seed=7,
    size=Size(width=512, height=384),
    native_size=Size(width=128, height=96),
    steps=24,
    guidance=3.5,
    sampler="euler_ancestral",
    schedule="sgm_uniform",
    upscaler=ModelRef(name="realesr-fast", sha256="cd" * 32),
    format=FileFormat.PNG,
    extras=(("style", "flat, bold"),),
)


def test_it_is_written_as_others_write_it() -> None:
    prompt, snow, negative, line = infotext(RECIPE).split("\n")
    assert (prompt, snow) == ("a red fox,", "in the snow")
    assert negative == "Negative prompt: blurry"
    settings_of_others, rest = line.split(", Version: ")
    assert settings_of_others == (
        "Steps: 24, Sampler: Euler a, Schedule type: SGM Uniform, CFG scale: 3.5, Seed: 7, "
        "Size: 128x96, Model hash: ababababab, Model: vellum, Hires upscaler: realesr-fast, "
        "Hires resize: 512x384"
    )
    assert rest.startswith("Limner ")
    assert rest.endswith(', Style: "flat, bold"')


def test_it_reads_back() -> None:
    found = read_a1111(infotext(RECIPE))
    assert found is not None
    assert found.tool == "Limner"
    assert found.model is not None
    assert (found.model.name, found.model.hash) == ("vellum", "ab" * 5)
    assert found.draft.prompt == RECIPE.prompt
    assert found.draft.negative_prompt == RECIPE.negative_prompt
    assert found.draft.size == RECIPE.size
    for name in ("seed", "steps", "guidance", "sampler", "schedule"):
        assert getattr(found.draft, name) == getattr(RECIPE, name), name


def test_without_an_upscaler_the_finished_size_stands() -> None:
    text = infotext(RECIPE.model_copy(update={"upscaler": None}))
    assert "Size: 512x384" in text
    assert "Hires" not in text


def test_adapters_and_the_starting_picture_are_named() -> None:
    init = RecipeInput(asset="ef" * 32, role=InputRole.INIT, strength=0.25)
    adapter = AdapterRef(name="ink", sha256="12" * 32, weight=0.5)
    changes = {"inputs": (init,), "adapters": (adapter,), "upscaler": None}
    text = infotext(RECIPE.model_copy(update=changes))
    found = read_a1111(text)
    assert found is not None
    assert found.strength == 0.25
    [read] = found.adapters
    assert (read.name, read.hash, read.weight) == ("ink", "12" * 6, 0.5)


def test_the_weight_in_the_text_encoders_comes_first() -> None:
    adapter = AdapterRef(name="ink", sha256="12" * 32, weight=0.5, text_weight=0.25)
    text = infotext(RECIPE.model_copy(update={"adapters": (adapter,)}))
    assert "<lora:ink:0.25:0.5>" in text
    found = read_a1111(text)
    assert found is not None
    assert [(one.name, one.weight) for one in found.adapters] == [("ink", 0.5)]


def test_without_words_there_is_only_the_line() -> None:
    changes = {"prompt": "", "negative_prompt": "", "steps": None, "guidance": None}
    text = infotext(RECIPE.model_copy(update=changes))
    assert text.startswith("Sampler: Euler a, ")
    assert "\n" not in text


@pytest.mark.parametrize(
    "word", ["euler", "dpmpp_2m", "dpmpp_2s_ancestral", "uni_pc", "lcm", "lms"]
)
def test_samplers_keep_their_word_through_others(word: str) -> None:
    assert read_sampler(common_sampler(word)) == (word, None)
    assert read_sampler(word) == (word, None)
    assert read_sampler(f"{common_sampler(word)} Karras") == (word, "karras")


@pytest.mark.parametrize(
    "word", ["karras", "exponential", "normal", "sgm_uniform", "beta", "simple"]
)
def test_schedules_keep_their_word_through_others(word: str) -> None:
    assert read_schedule(common_schedule(word)) == word
    assert read_schedule(word) == word


def test_a_word_of_ours_alone_stays() -> None:
    assert common_sampler("bespoke") == "bespoke"
    assert common_schedule("bespoke") == "bespoke"


@settings(max_examples=200, deadline=None)
@given(RECIPES.filter(lambda recipe: not recipe.extras))
def test_any_recipe_has_a_line_of_settings(recipe: Recipe) -> None:
    found = read_a1111(infotext(recipe))
    assert found is not None
    if recipe.steps is not None and 1 <= recipe.steps <= 100_000:
        assert found.draft.steps == recipe.steps
    assert found.draft.seed == recipe.seed
