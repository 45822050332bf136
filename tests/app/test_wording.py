"""What A1111's users type into prompts and is no word: worn, or refused before it is drawn."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.app.wiring import open_desk
from limner.domain.composition import Box, Region
from limner.domain.errors import InvalidOption, InvalidPrompt, ModelNotFound
from limner.domain.recipe import Draft, Recipe
from tests.catalog.test_trees import pipeline
from tests.families.diffusion.files import save
from tests.families.diffusion.recognition.test_adapters import SD_TO_K, kohya

TAG = "<lora:ink:0.8>"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Desk]:
    """A desk with a model of Stable Diffusion 1 and two adapters for it."""
    pipeline(tmp_path / "models" / "paint")
    for name, rank in (("ink", 320), ("oil", 640)):
        lora = kohya(f"lora_unet_{SD_TO_K}", rank, 768)
        save(tmp_path / "models" / f"{name}.safetensors", lora)
    with open_desk(Settings(home=tmp_path / "home", offline=True)) as desk:
        desk.studio.models.add(tmp_path / "models")
        yield desk


def resolved(desk: Desk, prompt: str, count: int = 1, **more: object) -> list[Recipe]:
    draft = Draft.model_validate({"model": "paint", "prompt": prompt, "seed": 1, **more})
    return desk.studio.resolve(desk.actor, desk.workspace, draft, count)


def worn(recipe: Recipe) -> list[tuple[str, float, float | None]]:
    return [(one.name, one.weight, one.text_weight) for one in recipe.adapters]


def test_an_adapter_in_the_prompt_is_worn_and_no_word(own: Desk) -> None:
    [recipe] = resolved(own, f"a fox, {TAG}, in snow")
    assert recipe.prompt == "a fox, in snow"
    assert worn(recipe) == [("ink", 0.8, None)]
    [asked] = resolved(own, "a fox, in snow", adapters=("ink:0.8",))
    assert recipe == asked
    [both] = resolved(own, "<lora:ink:0.5:0.8> a fox", adapters=("oil:0.3",))
    assert worn(both) == [("oil", 0.3, None), ("ink", 0.8, 0.5)]


def test_choices_may_choose_adapters(own: Desk) -> None:
    recipes = resolved(own, "a fox {<lora:ink:1>|<lora:oil:0.5>}", 12)
    assert {one.prompt for one in recipes} == {"a fox"}
    assert {worn(one)[0] for one in recipes} == {("ink", 1.0, None), ("oil", 0.5, None)}


def test_the_errors_are_those_of_the_option(own: Desk) -> None:
    for asked, prompt, adapters in (
        ("nothere", "a fox <lora:nothere:1>", ()),
        ("nothere", "a fox", ("nothere",)),
    ):
        with pytest.raises(ModelNotFound, match=f"“{asked}”"):
            resolved(own, prompt, adapters=adapters)
    for prompt, adapters in (("a fox <lora:ink:11>", ()), ("a fox", ("ink:11",))):
        with pytest.raises(InvalidOption, match="must be -10 to 10"):
            resolved(own, prompt, adapters=adapters)
    with pytest.raises(InvalidOption, match="given twice"):
        resolved(own, f"a fox {TAG}", adapters=("ink",))


def test_a_model_without_adapters_says_so(desk: Desk) -> None:
    with pytest.raises(InvalidOption, match=r"vellum takes no adapters\. Take <lora:ink:0.8> out"):
        desk.generate(f"a fox {TAG}")
    assert desk.studio.library.list(desk.workspace) == ()


def test_an_adapter_counts_for_the_whole_picture(own: Desk) -> None:
    region = Region(prompt=f"a fox {TAG}", box=Box(left=0, top=0, right=1, bottom=1))
    for more in ({"negative_prompt": f"snow {TAG}"}, {"layout": (region,)}):
        with pytest.raises(InvalidPrompt, match=r"take <lora:ink:0[.]8> out"):
            resolved(own, "a fox", **more)


@pytest.mark.parametrize("piece", ["[cat:dog:0.5]", "[cat|dog]", "[dog:10]"])
def test_words_that_change_between_steps_are_refused(desk: Desk, piece: str) -> None:
    region = Region(prompt=piece, box=Box(left=0, top=0, right=1, bottom=1))
    for draft in (
        Draft(prompt=f"a {piece}"),
        Draft(prompt="a fox", negative_prompt=piece),
        Draft(prompt="a fox", layout=(region,)),
    ):
        with pytest.raises(InvalidPrompt, match="would change the words from step to step") as told:
            desk.studio.resolve(desk.actor, desk.workspace, draft)
        assert piece in told.value.message
    old = Draft(prompt=f"a {piece} {TAG}", literal=True)
    assert desk.studio.resolve(desk.actor, desk.workspace, old)[0].prompt == f"a {piece} {TAG}"


@pytest.mark.parametrize(
    ("adapter", "error", "message"),
    [
        ("ink:abc", InvalidOption, "The weight of ink must be a number, not “abc”. Write it like"),
        ("ink:abc:0.5", InvalidOption, "The weight of ink must be a number, not “abc”"),
        ("ikn", ModelNotFound, "No adapter is called “ikn”. Did you mean ink?"),
        ("paintt", ModelNotFound, "No adapter is called “paintt”. `limner models list`"),
        ("some/ink.safetensors", ModelNotFound, "There is no file some/ink.safetensors. Give the"),
        ("C:\\\\ink.safetensors", ModelNotFound, "There is no file C:"),
    ],
)
def test_an_adapter_that_is_not_there(
    own: Desk, adapter: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        resolved(own, "a fox", adapters=(adapter,))
