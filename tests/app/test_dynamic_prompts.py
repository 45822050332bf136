"""Choices and wildcards are made before anything is drawn: Recipes hold the final words."""

from pathlib import Path

import pytest

from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.domain.errors import InvalidOption, InvalidPrompt
from limner.domain.recipe import Draft
from tests.fakes import fake_desk

ANIMALS = ("fox", "owl", "hare")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "wildcards"
    folder.mkdir()
    (folder / "animals.txt").write_text("\n".join(ANIMALS))
    return fake_desk(Settings(home=tmp_path, offline=True))


def resolved(desk: Desk, draft: Draft, count: int = 1) -> list[str]:
    recipes = desk.studio.resolve(desk.actor, desk.workspace, draft, count)
    return [recipe.prompt for recipe in recipes]


def test_each_picture_has_its_own_words_and_the_same_seed_the_same(desk: Desk) -> None:
    draft = Draft(prompt="a {red|blue} __animals__", seed=1)
    words = resolved(desk, draft, 12)
    assert resolved(desk, draft, 12) == words
    assert len(set(words)) > 3
    assert {one.split()[2] for one in words} <= {"fox", "owl", "hare"}
    for number, one in enumerate(words):
        assert resolved(desk, draft.model_copy(update={"seed": 1 + number})) == [one]
    made = desk.generate("a {red|blue} __animals__", seed=1)[0]
    assert made.recipe.prompt == words[0]


def test_every_combination_is_drawn_so_often(desk: Desk) -> None:
    wanted = [f"a {colour} {animal}" for colour in ("red", "blue") for animal in ANIMALS]
    assert desk.combinations("a {red|blue} __animals__") == tuple(wanted)
    made = desk.generate("a {red|blue} __animals__", count=2, every=True, seed=5)
    assert [one.recipe.prompt for one in made] == [one for one in wanted for _ in range(2)]
    assert [one.recipe.seed for one in made] == [5, 6] * 6
    literal = Draft(prompt="{a|b}", literal=True, seed=1)
    assert desk.studio.resolve(desk.actor, desk.workspace, literal, every=True)[0].prompt == "{a|b}"
    with pytest.raises(InvalidOption, match="1 to 1,666"):
        desk.generate("a {red|blue} __animals__", count=1_667, every=True)
    with pytest.raises(InvalidPrompt, match="1,000"):
        desk.generate(" ".join(["__animals__"] * 7), every=True)


def test_negative_words_have_choices_too(desk: Desk) -> None:
    draft = Draft(prompt="a fox", negative_prompt="{snow|rain}", seed=4)
    recipe = desk.studio.resolve(desk.actor, desk.workspace, draft)[0]
    assert recipe.negative_prompt in ("snow", "rain")


def test_what_was_drawn_before_is_taken_as_it_stands(desk: Desk) -> None:
    assert resolved(desk, Draft(prompt="a {red|blue} fox", literal=True)) == ["a {red|blue} fox"]
    made = desk.generate(r"a \{red\|blue\} fox", seed=1)[0]
    assert made.recipe.prompt == "a {red|blue} fox"
    varied = next(iter(desk.vary(made.asset, count=1)))
    assert varied.recipe.prompt == "a {red|blue} fox"


def test_a_missing_wildcard_is_told_before_anything_is_drawn(desk: Desk) -> None:
    with pytest.raises(InvalidPrompt, match="hats"):
        desk.generate("a fox with __hats__")
    assert desk.studio.library.list(desk.workspace) == ()
