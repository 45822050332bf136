"""What the rules of a workspace allow, of every Recipe of a list."""

from types import SimpleNamespace
from typing import Any

import pytest

from limner.app.policy import admit
from limner.domain.composition import Box, Control, ControlKind, Region
from limner.domain.errors import LicenceForbids, PromptRefused
from limner.domain.policy import Policy, PromptRule
from limner.domain.recipe import ModelRef, Recipe, Size, Task
from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE

SIZE = Size(width=64, height=64)
MODEL, NET = ModelRef(name="free", sha256="a" * 64), ModelRef(name="bound", sha256="b" * 64)


def recipe(**more: Any) -> Recipe:
    return Recipe(
        task=Task.TEXT_TO_IMAGE, model=MODEL, prompt="a fox", size=SIZE, native_size=SIZE, **more
    )


def card_of(ref: ModelRef) -> Any:
    licence = SimpleNamespace(commercial=ref.name == "free", spdx="X", url="")
    return SimpleNamespace(name=ref.name, licence=licence)


def let(policy: Policy, *recipes: Recipe) -> list[Any]:
    journal: list[Any] = []
    library: Any = SimpleNamespace(policy=lambda _: policy, record=journal.append)
    models: Any = SimpleNamespace(card_of=card_of)
    admit(library, models, LOCAL_ACTOR, LOCAL_WORKSPACE, recipes)
    return journal


def test_each_recipe_of_a_list_is_looked_at() -> None:
    control = Control(asset="c" * 64, kind=ControlKind.CANNY, model=NET)
    with pytest.raises(LicenceForbids, match="bound"):
        let(Policy(commercial=True), recipe(controls=(control,)), recipe())
    assert let(Policy(commercial=True), recipe(), recipe()) == []
    assert let(Policy(), recipe(controls=(control,)), recipe()) == []


def test_the_words_of_regions_are_looked_at_in_each() -> None:
    rules = (PromptRule(pattern="wolf", message="No wolves."),)
    region = Region(prompt="a wolf", box=Box(left=0, top=0, right=0.5, bottom=1))
    with pytest.raises(PromptRefused, match="No wolves"):
        let(Policy(prompt_rules=rules), recipe(layout=(region,)), recipe())
