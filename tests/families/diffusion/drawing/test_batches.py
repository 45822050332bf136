"""Pictures of fast profiles are drawn at once on a GPU, and each is nearly what it is alone."""

from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np
import pytest

from limner.domain.errors import Cancelled
from limner.domain.event import Notice, Preview, Step
from limner.domain.recipe import Recipe, Task
from limner.families.diffusion.drawing.batches import batches
from limner.families.diffusion.known.facts import facts_of
from limner.families.family import Order, Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import Model, Witness, order_of  # noqa: E402
from tests.families.diffusion.drawing.test_profiles import KINDS  # noqa: E402

FAST = (("profile", "fast"),)
WORDS = ("a red fox", "an owl on a very old tree, at night", "a red fox")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> DiffusionModel:
    make, family, variant = KINDS[request.param]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Model(facts_of(family, variant), pipeline=make()).load()


@pytest.fixture
def small() -> DiffusionModel:
    torch.manual_seed(0)
    return Model(facts_of("sd1", "base"), pipeline=tiny.sd1()).load()


def orders(words: tuple[str, ...] = WORDS, **changes: object) -> list[Order]:
    given = {"extras": FAST, **changes}
    return [
        order_of(Task.TEXT_TO_IMAGE, prompt=prompt, seed=seed, **given)
        for seed, prompt in enumerate(words)
    ]


def alone(model: DiffusionModel, asked: list[Order]) -> list[Pixels]:
    model._at_once = False
    return model.perform(asked, Witness().watch)


def together(model: DiffusionModel, asked: list[Order]) -> list[Pixels]:
    model._at_once = True
    return model.perform(asked, Witness().watch)


def check_near(some: list[Pixels], others: list[Pixels]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        apart = np.abs(one.astype(int) - other)
        assert apart.max() <= 16
        assert apart.mean() < 1


@pytest.mark.parametrize("words", [WORDS, ("a red fox",) * 3], ids=["words", "seeds"])
def test_each_is_nearly_what_it_is_alone(model: DiffusionModel, words: tuple[str, ...]) -> None:
    asked = orders(words)
    singly = alone(model, asked)
    assert "at once" not in model.fitting
    check_near(together(model, asked), singly)
    assert "up to 3 pictures at once" in model.fitting
    assert not np.array_equal(singly[0], singly[2])


@pytest.mark.parametrize("changes", [
    {"sampler": "euler_ancestral"},
    {"sampler": "dpmpp_2m_sde", "schedule": "karras"},
    {"negative_prompt": "blue"},
    {"prompt": "a (red:1.4) fox"},
    {"extras": (*FAST, ("clip_skip", 1.0))},
])  # fmt: skip
def test_noise_weights_and_negative_words_are_each_picture_s_own(
    small: DiffusionModel, changes: dict[str, Any]
) -> None:
    asked = [replace(one, recipe=one.recipe.model_copy(update=changes)) for one in orders()]
    check_near(together(small, asked), alone(small, asked))


def test_the_pipeline_is_called_once(
    small: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[Any] = []
    kind = type(small._first)
    plain = kind.__call__

    @wraps(plain)
    def counted(*given: Any, **named: Any) -> Any:
        called.append(named)
        return plain(*given, **named)

    monkeypatch.setattr(kind, "__call__", counted)
    together(small, orders())
    assert len(called) == 1
    together(small, orders(extras=()))
    assert len(called) == 4


@pytest.mark.parametrize("changes", [
    {"guidance": 5.0}, {"steps": 3}, {"negative_prompt": "blue"}, {"extras": ()},
])  # fmt: skip
def test_what_differs_in_more_is_drawn_apart(changes: dict[str, Any]) -> None:
    asked = orders()
    asked[1] = replace(asked[1], recipe=asked[1].recipe.model_copy(update=changes))
    assert [len(some) for _, some in batches(asked, at_once=lambda: True)] == [1, 1, 1]


def test_only_pictures_from_words_alone_are_drawn_at_once() -> None:
    redrawn = [order_of(Task.IMAGE_TO_IMAGE, extras=FAST)] * 2
    assert [len(some) for _, some in batches(redrawn, at_once=lambda: True)] == [1, 1]
    assert [start for start, _ in batches(orders(), at_once=lambda: False)] == [0, 1, 2]
    assert [start for start, _ in batches(orders(), at_once=lambda: True)] == [0]


def test_every_picture_tells_of_its_steps(small: DiffusionModel) -> None:
    small._at_once, witness = True, Witness()
    small.perform(orders(), witness.watch)
    steps = [one for one in witness.heard if isinstance(one, Step)]
    assert {one.index for one in steps} == {0, 1, 2}
    assert len(steps) == 3 * steps[0].steps
    seen = {one.index: one.rgba for one in witness.heard if isinstance(one, Preview)}
    assert len(set(seen.values())) == 3


def test_stopping_stops_all_of_them(small: DiffusionModel) -> None:
    small._at_once, witness = True, Witness(stop_at=2)
    with pytest.raises(Cancelled):
        small.perform(orders(), witness.watch)
    assert max(one.step for one in witness.heard if isinstance(one, Step)) == 2


def test_without_the_memory_for_several_they_are_drawn_one_by_one(
    small: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    singly = alone(small, orders())
    kind = type(small._first)
    plain = kind.__call__

    @wraps(plain)
    def full(*given: Any, **named: Any) -> Any:
        if isinstance(named["generator"], list):
            raise RuntimeError("CUDA out of memory")
        return plain(*given, **named)

    monkeypatch.setattr(kind, "__call__", full)
    small._at_once, witness = True, Witness()
    drawn = small.perform(orders(), witness.watch)
    assert all(np.array_equal(one, other) for one, other in zip(drawn, singly, strict=True))
    assert [one.code for one in witness.heard if isinstance(one, Notice)] == ["less_memory"]
    assert "at once" not in small.fitting


def test_a_likeness_forgets_nothing_but_words_and_seed() -> None:
    """A new field of Recipes must be thought about here."""
    told = {"prompt", "negative_prompt", "seed"}
    one = Recipe(**{**orders()[0].recipe.model_dump(), "upscaler": None})
    for name in set(Recipe.model_fields) - told:
        changed = one.model_copy(update={name: object()})
        pair = [replace(orders()[0], recipe=recipe) for recipe in (one, changed)]
        if name in ("task", "extras", "controls", "references", "layout"):
            continue
        assert [len(some) for _, some in batches(pair, at_once=lambda: True)] == [1, 1], name
