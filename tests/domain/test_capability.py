"""How a Draft becomes a Recipe, and every rule by which it does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.capability import (
    Capability,
    ChoiceExtra,
    Company,
    NumberExtra,
    Range,
    Sizes,
    TaskInputs,
)
from limner.domain.errors import (
    InvalidOption,
    InvalidPrompt,
    InvalidRequest,
    InvalidSize,
    LimnerError,
)
from limner.domain.recipe import (
    AdapterRef,
    Draft,
    Extra,
    FileFormat,
    InputRole,
    ModelRef,
    Recipe,
    RecipeInput,
    Size,
    Task,
)
from limner.domain.words import PROMPT_LIMIT, check_words, is_readable
from tests.domain.strategies import DRAFTS, SEEDS

MODEL = ModelRef(name="brush", sha256="1" * 64)
UPSCALER = ModelRef(name="glass", sha256="2" * 64)
NATIVE = Size(width=64, height=64)
PICTURE = RecipeInput(asset="a" * 64, role=InputRole.INIT)
MASK = RecipeInput(asset="b" * 64, role=InputRole.MASK)

PAINTER = Capability(
    tasks=(
        TaskInputs(task=Task.TEXT_TO_IMAGE),
        TaskInputs(task=Task.IMAGE_TO_IMAGE, required=(InputRole.INIT,)),
        TaskInputs(task=Task.INPAINT, required=(InputRole.INIT, InputRole.MASK)),
        TaskInputs(task=Task.ERASE, required=(InputRole.INIT,), optional=(InputRole.MASK,)),
    ),
    sizes=Sizes(native=(NATIVE,), default=Size(width=512, height=512)),
    steps=Range[int](low=1, high=100, default=20),
    guidance=Range[float](low=1, high=8, default=2.5),
    strength=Range[float](low=0.1, high=0.9, default=0.6),
    samplers=("euler", "heun"),
    schedules=("straight", "bent"),
    negative_prompt=True,
    extras=(
        ChoiceExtra(name="style", summary="The look.", choices=("flat", "3d")),
        ChoiceExtra(name="paper", summary="Below.", choices=("smooth", "rough"), default="smooth"),
        NumberExtra(name="border", summary="Around.", low=0, high=10),
    ),
)
PLAIN = Capability(tasks=(TaskInputs(task=Task.TEXT_TO_IMAGE),), sizes=Sizes(default=NATIVE))


def resolve(capability: Capability = PAINTER, /, **asked: Any) -> Recipe:
    draft = Draft.model_validate({"prompt": "a fox", **asked})
    return capability.resolve(draft, MODEL, seed=3, company=Company(upscaler=UPSCALER))


def refused(
    kind: type[InvalidRequest], says: str, capability: Capability = PAINTER, /, **asked: Any
) -> None:
    with pytest.raises(InvalidRequest, match=says) as raised:
        resolve(capability, **asked)
    assert raised.type is kind


def test_what_is_left_open_takes_the_model_s_default() -> None:
    assert resolve() == Recipe(
        task=Task.TEXT_TO_IMAGE,
        model=MODEL,
        prompt="a fox",
        seed=3,
        size=Size(width=512, height=512),
        native_size=NATIVE,
        steps=20,
        guidance=2.5,
        sampler="euler",
        schedule="straight",
        transparent=True,
        format=FileFormat.PNG,
        upscaler=UPSCALER,
        extras=(("paper", "smooth"),),
    )


def test_a_model_without_options_leaves_them_unset() -> None:
    recipe = resolve(PLAIN)
    assert (recipe.steps, recipe.guidance, recipe.sampler, recipe.schedule) == (None,) * 4
    assert (recipe.extras, recipe.upscaler) == ((), None)


def test_what_is_asked_is_what_is_drawn() -> None:
    recipe = resolve(
        prompt="  a fox\n",
        negative_prompt=" text ",
        seed=0,
        size=NATIVE,
        steps=100,
        guidance=1,
        sampler="heun",
        schedule="bent",
        format=FileFormat.WEBP,
        transparent=False,
        extras=(("style", "3d"), ("paper", "rough"), ("border", 0)),
    )
    assert (recipe.prompt, recipe.negative_prompt, recipe.seed) == ("a fox", "text", 0)
    assert (recipe.steps, recipe.guidance) == (100, 1)
    assert (recipe.sampler, recipe.schedule) == ("heun", "bent")
    assert (recipe.format, recipe.transparent) == (FileFormat.WEBP, False)
    assert recipe.extras == (("border", 0), ("paper", "rough"), ("style", "3d"))
    assert recipe.upscaler is None


@pytest.mark.parametrize(
    ("asked", "enlarged"),
    [((64, 64), False), ((32, 64), False), ((65, 64), True), ((16, 65), True)],
)
def test_above_its_native_size_a_picture_is_enlarged(
    asked: tuple[int, int], enlarged: bool
) -> None:
    recipe = resolve(size=Size(width=asked[0], height=asked[1]))
    assert recipe.native_size == NATIVE
    assert (recipe.upscaler is not None) == enlarged


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("steps", value) for value in (0, 101, -1, 10**30)],
        *[("guidance", value) for value in (0.99, 8.01, -1e300)],
    ],
)
def test_numbers_have_ranges(option: str, value: float) -> None:
    refused(InvalidOption, rf"{option} must be 1 to \d+ for brush", **{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [("steps", 5), ("guidance", 2), ("sampler", "euler"), ("schedule", "bent")],
)
def test_a_model_without_an_option_refuses_it(option: str, value: object) -> None:
    refused(InvalidOption, option, PLAIN, **{option: value})


def test_a_model_without_negative_words_refuses_them() -> None:
    refused(InvalidOption, "negative", PLAIN, negative_prompt="text")
    assert resolve(PLAIN, negative_prompt="  ").negative_prompt == ""


@pytest.mark.parametrize(
    ("option", "listed"), [("sampler", "euler, heun"), ("schedule", "straight, bent")]
)
def test_an_unknown_name_lists_the_known(option: str, listed: str) -> None:
    refused(
        InvalidOption, f"{option} “spiral” is not known for brush.*{listed}", **{option: "spiral"}
    )


def test_an_unknown_style_lists_the_known() -> None:
    refused(InvalidOption, "style “cubist” is not known.*flat, 3d", extras=(("style", "cubist"),))


def test_an_unknown_extra_lists_the_known() -> None:
    refused(InvalidOption, "no option “colour”.*style, paper, border", extras=(("colour", "3d"),))
    refused(InvalidOption, "has: none", PLAIN, extras=(("style", "3d"),))


@pytest.mark.parametrize("value", [-0.1, 10.5, "5", True, 10**400])
def test_a_number_extra_takes_numbers_in_its_range(value: Extra) -> None:
    refused(InvalidOption, "border must be 0 to 10", extras=(("border", value),))
    assert resolve(extras=(("border", 2.5),)).extra("border") == 2.5


@pytest.mark.parametrize("task", [Task.IMAGE_TO_IMAGE, Task.INPAINT, Task.ERASE])
def test_a_missing_input_is_named(task: Task) -> None:
    refused(InvalidRequest, f"{task.value} needs a picture as init", task=task)


def test_all_missing_inputs_are_named() -> None:
    refused(InvalidRequest, "init, mask", task=Task.INPAINT)
    refused(InvalidRequest, "as mask", task=Task.INPAINT, inputs=(PICTURE,))


@pytest.mark.parametrize(
    ("task", "inputs"),
    [
        (Task.TEXT_TO_IMAGE, (PICTURE,)),
        (Task.IMAGE_TO_IMAGE, (PICTURE, MASK)),
        (Task.IMAGE_TO_IMAGE, (PICTURE, PICTURE)),
        (Task.INPAINT, (PICTURE, MASK, MASK)),
    ],
)
def test_inputs_too_many_are_refused(task: Task, inputs: tuple[RecipeInput, ...]) -> None:
    refused(InvalidRequest, "takes no", task=task, inputs=inputs)


def test_optional_inputs_may_be_there() -> None:
    alone = resolve(prompt="", task=Task.ERASE, inputs=(PICTURE,), size=NATIVE)
    assert alone.inputs == (PICTURE,)
    both = resolve(prompt="", task=Task.ERASE, inputs=(PICTURE, MASK), size=NATIVE)
    assert both.inputs == (PICTURE, MASK)


def test_a_task_the_model_does_not_do_lists_those_it_does() -> None:
    refused(InvalidRequest, "not do cutout.*text_to_image, image_to_image", task=Task.CUTOUT)
    assert PLAIN.supports(Task.TEXT_TO_IMAGE)
    assert not PLAIN.supports(Task.CUTOUT)


def with_strength(strength: float | None, item: RecipeInput = PICTURE) -> RecipeInput:
    return item.model_copy(update={"strength": strength})


def test_strength_belongs_to_the_picture_that_is_redrawn() -> None:
    [default] = resolve(task=Task.IMAGE_TO_IMAGE, inputs=(PICTURE,)).inputs
    assert default.strength == 0.6
    [given] = resolve(task=Task.IMAGE_TO_IMAGE, inputs=(with_strength(0.9),)).inputs
    assert given.strength == 0.9
    inpainted = resolve(task=Task.INPAINT, inputs=(PICTURE, MASK)).inputs
    assert [item.strength for item in inpainted] == [None, None]


@pytest.mark.parametrize("strength", [0, 0.09, 0.91, 1])
def test_strength_has_a_range(strength: float) -> None:
    refused(
        InvalidOption,
        r"strength must be 0\.1 to 0\.9",
        task=Task.IMAGE_TO_IMAGE,
        inputs=(with_strength(strength),),
    )


def test_strength_where_it_changes_nothing_is_refused() -> None:
    for inputs in ((with_strength(0.5), MASK), (PICTURE, with_strength(0.5, MASK))):
        refused(InvalidOption, "no strength", task=Task.INPAINT, inputs=inputs)
    fixed = PAINTER.model_copy(update={"strength": None})
    asked: dict[str, object] = {"task": Task.IMAGE_TO_IMAGE}
    refused(InvalidOption, "no strength", fixed, **asked, inputs=(with_strength(0.5),))
    assert resolve(fixed, **asked, inputs=(PICTURE,)).inputs == (PICTURE,)


def test_jpeg_has_no_transparency() -> None:
    assert resolve(format=FileFormat.JPEG).transparent is False
    assert resolve(format=FileFormat.JPEG, transparent=False).transparent is False
    refused(InvalidOption, "png or webp", format=FileFormat.JPEG, transparent=True)


@pytest.mark.parametrize("sides", [(1, 1), (65_535, 65_535), (15, 64), (16, 9_000), (8_000, 8_000)])
def test_absurd_sizes_are_refused(sides: tuple[int, int]) -> None:
    refused(InvalidSize, "pixels", size=Size(width=sides[0], height=sides[1]))


def test_a_model_that_takes_its_size_from_its_input_needs_one() -> None:
    unsized = PAINTER.model_copy(update={"sizes": Sizes()})
    refused(InvalidSize, "takes its size from its input", unsized)


@pytest.mark.parametrize("prompt", ["", " ", "\n\t ", "\u3000"])
@pytest.mark.parametrize("task", [Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINT])
def test_an_empty_prompt_is_refused(prompt: str, task: Task) -> None:
    inputs = {Task.IMAGE_TO_IMAGE: (PICTURE,), Task.INPAINT: (PICTURE, MASK)}.get(task, ())
    refused(InvalidPrompt, "empty", prompt=prompt, task=task, inputs=inputs)


def test_a_task_without_words_refuses_them() -> None:
    refused(InvalidOption, "erase takes no prompt", task=Task.ERASE, inputs=(PICTURE,), size=NATIVE)


@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
def test_words_have_a_longest(name: str) -> None:
    assert len(getattr(resolve(**{name: "x" * PROMPT_LIMIT}), name)) == PROMPT_LIMIT
    said = name.replace("_", " ")
    refused(InvalidPrompt, f"{said} has 10,000 characters.*4,000", **{name: "x" * 10_000})


@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("letter", ["\ud800", "\x00", "\x1b", "\x7f", "\x9b"])
def test_words_no_file_could_hold_are_refused(name: str, letter: str) -> None:
    refused(InvalidPrompt, "control characters or broken", **{name: f"a fox{letter}"})


@pytest.mark.parametrize(
    "words",
    [
        "🦊",
        "👩🏽‍🚀 in space",
        "der Fuchs",
        "лиса",
        "キツネ",
        "ثعلب",
        "a\nfox\tand\r\nhen",
        "x" * 500,
        "\ufffe",
    ],
)
def test_words_of_every_script_are_taken_as_they_are(words: str) -> None:
    recipe = resolve(prompt=words)
    assert recipe.prompt == words
    assert Recipe.model_validate_json(recipe.model_dump_json()).digest == recipe.digest


def test_words_are_checked_by_one_rule() -> None:
    assert is_readable("fox\n")
    assert not is_readable("fox\udcff")
    check_words("prompt", "fox")
    with pytest.raises(InvalidPrompt, match="title"):
        check_words("title", "\x00")


@given(DRAFTS)
def test_any_draft_is_a_recipe_or_refused_with_reason(draft: Draft) -> None:
    refusal = None
    try:
        PAINTER.resolve(draft, MODEL, seed=1, company=Company(upscaler=UPSCALER))
    except LimnerError as error:
        refusal = error
    assert refusal is None or (refusal.message and refusal.exit_status == 2)


DRAWABLE = st.builds(
    Draft,
    prompt=st.text("abc é🦊雪\n", min_size=1, max_size=30).filter(str.strip),
    negative_prompt=st.text("abc ", max_size=9),
    seed=st.none() | SEEDS,
    size=st.none() | st.builds(Size, width=st.integers(16, 6_000), height=st.integers(16, 6_000)),
    steps=st.none() | st.integers(1, 100),
    guidance=st.none() | st.floats(1, 8),
    sampler=st.sampled_from([None, "euler", "heun"]),
    transparent=st.none() | st.just(False),
    format=st.sampled_from([None, *FileFormat]),
    extras=st.sampled_from([(), (("style", "3d"),), (("border", 1.5), ("paper", "rough"))]),
)


@given(DRAWABLE)
def test_a_recipe_asked_for_again_is_the_same_recipe(draft: Draft) -> None:
    recipe = PAINTER.resolve(draft, MODEL, seed=1, company=Company(upscaler=UPSCALER))
    assert len(recipe.digest) == 64
    fields = {name: value for name, value in dict(recipe).items() if name in Draft.model_fields}
    again = Draft.model_validate({**fields, "model": None, "upscaler": None})
    assert PAINTER.resolve(again, MODEL, seed=9, company=Company(upscaler=UPSCALER)) == recipe


def test_adapters_go_to_models_that_take_them() -> None:
    adapter = AdapterRef(name="fox", sha256="3" * 64, weight=0.5)
    draft = Draft(prompt="a fox", adapters=("fox:0.5",))
    able = PAINTER.model_copy(update={"adapters": ("LoRA",)})
    recipe = able.resolve(draft, MODEL, 1, Company(upscaler=UPSCALER, adapters=(adapter,)))
    assert recipe.adapters == (adapter,)
    assert (
        recipe.digest
        != able.resolve(Draft(prompt="a fox"), MODEL, 1, Company(upscaler=UPSCALER)).digest
    )
    told = adapter.model_copy(update={"text_weight": 0.0})
    other = able.resolve(draft, MODEL, 1, Company(upscaler=UPSCALER, adapters=(told,)))
    assert other.digest != recipe.digest
    with pytest.raises(InvalidOption, match="brush takes no adapters"):
        PAINTER.resolve(draft, MODEL, 1, Company(upscaler=UPSCALER, adapters=(adapter,)))
    with pytest.raises(InvalidOption, match="given twice"):
        able.resolve(draft, MODEL, 1, Company(upscaler=UPSCALER, adapters=(adapter, adapter)))


def test_samplers_that_there_are_for_no_model_name_the_nearest() -> None:
    able = PAINTER.model_copy(update={"samplers": ("euler", "heun"), "schedules": ("karras",)})

    def told(**asked: str) -> str:
        with pytest.raises(InvalidOption) as caught:
            resolve(able, prompt="a fox", **asked)
        return caught.value.message

    assert told(sampler="restart") == (
        "Limner has no sampler “restart”, for any model. Choose heun, which comes nearest to it."
    )
    assert "dpmpp_sde comes nearest to it; this model has: euler, heun." in told(sampler="seeds_2")
    assert "exponential comes nearest" in told(schedule="polyexponential")
    assert "not known for" in told(sampler="ddim")


def test_a_mistyped_sampler_is_told_what_comes_near() -> None:
    for written in ("Eular", "HEUN+"):
        with pytest.raises(InvalidOption, match=r"Did you mean (euler|heun)\? Choose from"):
            resolve(sampler=written)
