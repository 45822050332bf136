"""Vellum with the weights that ship: what it promises, whatever it has learned."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.domain.card import Installed, ModelCard
from limner.domain.composition import Box, Region
from limner.domain.errors import Cancelled
from limner.domain.event import Notice, Preview, Step
from limner.domain.recipe import Draft, InputRole, RecipeInput, Size, Task
from limner.families.family import LoadedModel, Order, Pixels, Placement
from limner.families.raster import to_planes
from limner.families.vellum import FAMILY
from limner.families.vellum.model import to_pixels
from tests.families.pictures import Witness, mask_of, sticker

STEPS = 4


@pytest.fixture
def orders(card: ModelCard) -> "Orders":
    return Orders(card)


class Orders:
    """Makes orders at the native size, quick to draw."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        [self.native] = card.capability.sizes.native

    def words(self, prompt: str = "a red fox", seed: int = 1, **options: Any) -> Order:
        draft = Draft(prompt=prompt, seed=seed, **{"size": self.native, "steps": STEPS, **options})
        return Order(self.card.capability.resolve(draft, self.card.ref, seed))

    def redraw(self, init: Pixels, strength: float, seed: int = 1, **options: Any) -> Order:
        given = RecipeInput(asset="a" * 64, role=InputRole.INIT, strength=strength)
        options = {"task": Task.IMAGE_TO_IMAGE, "inputs": (given,), **options}
        return Order(self.words(seed=seed, **options).recipe, {InputRole.INIT: init})

    def inpaint(self, init: Pixels, mask: Pixels, seed: int = 1) -> Order:
        inputs = tuple(RecipeInput(asset="a" * 64, role=role) for role in InputRole)
        recipe = self.words(seed=seed, task=Task.INPAINT, inputs=inputs).recipe
        return Order(recipe, {InputRole.INIT: init, InputRole.MASK: mask})

    def card_style(self, number: int) -> str:
        [spec] = self.card.capability.extras
        assert spec.kind == "choice"
        return spec.choices[number]

    @property
    def side(self) -> int:
        return self.native.width


def draw(model: LoadedModel, *orders: Order, witness: Witness | None = None) -> list[Pixels]:
    return model.perform(orders, (witness or Witness()).watch())


def differ(one: Pixels, other: Pixels) -> bool:
    return not np.array_equal(one, other)


def test_a_picture_is_rgba_of_the_native_size(model: LoadedModel, orders: Orders) -> None:
    [pixels] = draw(model, orders.words())
    assert pixels.shape == (orders.side, orders.side, 4)
    assert pixels.dtype == np.uint8


def mixed(orders: Orders) -> Iterator[Order]:
    """Orders as different from each other as one batch may hold."""
    yield orders.words("a red fox", 1)
    yield orders.words("a slice of pizza with cheese and olives on a wooden table", 2, guidance=1.0)
    yield orders.words("rocket", 3, negative_prompt="blue and green and many other colours")
    yield orders.words("🦊", 4, guidance=7.5, extras=(("style", orders.card_style(-1)),))
    yield orders.words("x" * 3_000, 2**53 - 1)
    yield orders.words("лиса", 6, guidance=1.0)
    yield orders.words("a cat and two dogs", 7)


def test_a_seed_is_a_picture_whatever_the_batch(model: LoadedModel, orders: Orders) -> None:
    asked = list(mixed(orders))
    alone = [draw(model, one)[0] for one in asked]
    for number in (2, 3, len(asked)):
        batches = (asked[start : start + number] for start in range(0, len(asked), number))
        together = [pixels for batch in batches for pixels in draw(model, *batch)]
        for one, other in zip(alone, together, strict=True):
            assert np.array_equal(one, other)
    for one, other in zip(alone, reversed(draw(model, *reversed(asked))), strict=True):
        assert np.array_equal(one, other)


def test_a_seed_is_a_picture_whatever_the_threads(
    model: LoadedModel, installed: Installed, orders: Orders
) -> None:
    wider = FAMILY.load(installed, Placement(threads=2))
    asked = [orders.words(seed=1), orders.words("a castle", seed=2, sampler="heun")]
    for one, other in zip(draw(model, *asked), draw(wider, *asked), strict=False):
        assert np.array_equal(one, other)
    wider.close()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"prompt": "a slice of pizza"},
        {"negative_prompt": "red"},
        {"guidance": 1.0},
        {"guidance": 6.0},
        {"sampler": "heun"},
        {"steps": STEPS + 1},
    ],
    ids=str,
)
def test_what_a_recipe_says_changes_the_picture(
    model: LoadedModel, orders: Orders, other: dict[str, Any]
) -> None:
    assert differ(draw(model, orders.words())[0], draw(model, orders.words(**other))[0])


def test_every_style_is_another_picture(
    model: LoadedModel, orders: Orders, card: ModelCard
) -> None:
    [spec] = card.capability.extras
    assert spec.kind == "choice"
    assert len(spec.choices) > 1
    asked = [orders.words(extras=(("style", style),)) for style in spec.choices]
    drawn = draw(model, *asked)
    assert len({pixels.tobytes() for pixels in drawn}) == len(spec.choices)
    [unasked] = draw(model, orders.words())
    assert np.array_equal(unasked, drawn[spec.choices.index("flat")])


def test_a_style_named_in_the_prompt_is_heard(model: LoadedModel, orders: Orders) -> None:
    style = orders.card_style(-1)
    for prompt in (f"a fox, {style.upper()}", f"{style} fox"):
        said, chosen = orders.words(prompt), orders.words(prompt, extras=(("style", style),))
        one, other = draw(model, said, chosen)
        assert np.array_equal(one, other)


def test_negative_words_count_for_nothing_without_guidance(
    model: LoadedModel, orders: Orders
) -> None:
    one, other = draw(
        model, orders.words(guidance=1.0), orders.words(guidance=1.0, negative_prompt="red")
    )
    assert np.array_equal(one, other)


def test_every_step_is_told_and_previews_are_pictures(model: LoadedModel, orders: Orders) -> None:
    witness = Witness()
    asked = [orders.words(seed=seed, steps=9) for seed in (1, 2)]
    model.perform(asked, witness.watch(first=5))
    for index in (5, 6):
        steps = [event for event in witness.told if isinstance(event, Step)]
        own = [event for event in steps if event.index == index]
        assert own == [Step(index, "draw", step, 9) for step in range(1, 10)]
    previews = [event for event in witness.told if isinstance(event, Preview)]
    assert [event.index for event in previews] == [5, 6, 5, 6]
    for event in previews:
        assert (event.width, event.height) == (orders.side, orders.side)
        assert len(event.rgba) == orders.side**2 * 4


@pytest.mark.parametrize("sampler", ["euler", "heun"])
@pytest.mark.parametrize("events", [1, 3])
def test_a_stop_takes_hold_within_a_step(
    model: LoadedModel, orders: Orders, sampler: str, events: int
) -> None:
    witness = Witness(stop_after=events)
    with pytest.raises(Cancelled):
        draw(model, orders.words(steps=100, sampler=sampler), witness=witness)
    assert len(witness.told) == events
    assert len(draw(model, orders.words())) == 1


def test_a_stop_before_the_start_draws_nothing(model: LoadedModel, orders: Orders) -> None:
    witness = Witness()
    witness.token.cancel()
    with pytest.raises(Cancelled):
        draw(model, orders.words(), witness=witness)
    assert not any(isinstance(event, Step) for event in witness.told)


def test_things_of_a_scene_are_drawn_as_they_are_alone(model: LoadedModel, orders: Orders) -> None:
    size = Size(width=2 * orders.side, height=2 * orders.side)
    alone, scene = draw(model, orders.words("a star", 3), orders.words("two stars", 3, size=size))
    assert scene.shape == (256, 256, 4)
    rows, columns = np.nonzero(scene[..., 3] > 128)
    assert columns.max() - columns.min() > 1.5 * (rows.max() - rows.min())
    colour = alone[alone[..., 3] > 250][:, :3].mean(0)
    assert np.abs(scene[scene[..., 3] > 250][:, :3].mean(0) - colour).max() < 12


def test_many_scenes_are_drawn_as_each_alone(model: LoadedModel, orders: Orders) -> None:
    words = "a cat, a dog, a fox, a bear, a lion, a tiger, a pig, a cow and a frog"
    asked = [orders.words(words, seed) for seed in (1, 2, 3)]
    witness = Witness()
    together = draw(model, *asked, witness=witness)
    assert np.array_equal(together[2], draw(model, asked[2])[0])
    steps = [(event.index, event.step) for event in witness.told if isinstance(event, Step)]
    assert sorted(steps) == [(index, step) for index in range(3) for step in range(1, STEPS + 1)]


def test_previews_of_a_scene_are_scenes(model: LoadedModel, orders: Orders) -> None:
    witness = Witness()
    draw(model, orders.words("two stars on a blue background", steps=5), witness=witness)
    [preview] = [event for event in witness.told if isinstance(event, Preview)]
    assert (preview.width, preview.height) == (256, 256)
    assert preview.rgba[3::4] == bytes([255]) * 256**2


def region(prompt: str, *sides: float, weight: float = 1.0) -> Region:
    left, top, right, bottom = sides
    return Region(
        prompt=prompt, weight=weight, box=Box(left=left, top=top, right=right, bottom=bottom)
    )


def test_a_layout_puts_things_where_it_says(model: LoadedModel, orders: Orders) -> None:
    layout = (region("a red heart", 0, 0, 0.5, 0.5), region("a green apple", 0.5, 0.5, 1, 1))
    [picture] = draw(model, orders.words("", layout=layout))
    alpha = picture[..., 3] > 128
    assert alpha[:128, :128].any()
    assert alpha[128:, 128:].any()
    assert not alpha[:128, 130:].any()
    assert not alpha[130:, :128].any()


def test_a_layout_lies_on_what_the_prompt_says(model: LoadedModel, orders: Orders) -> None:
    layout = (region("a star", 0.7, 0, 1, 0.3),)
    bare, laid = (
        draw(model, orders.words("a house")),
        draw(model, orders.words("a house", layout=layout)),
    )
    assert laid[0].shape == (256, 256, 4)
    own = Image.fromarray(bare[0]).resize((256, 256), Image.Resampling.LANCZOS)
    assert np.array_equal(laid[0][100:], np.array(own)[100:])


def test_a_mask_says_where_too(model: LoadedModel, orders: Orders) -> None:
    mask = np.zeros((64, 64, 4), np.uint8)
    mask[..., 3] = 255
    mask[32:, 32:, :3] = 255
    order = orders.words("", layout=(Region(prompt="a star", mask="a" * 64),))
    [picture] = draw(model, replace(order, regions=(mask,)))
    rows, columns = np.nonzero(picture[..., 3] > 128)
    assert rows.min() >= 127
    assert columns.min() >= 127


def test_the_weight_of_a_region_is_how_far_it_leans(model: LoadedModel, orders: Orders) -> None:
    plain, strong = (
        draw(model, orders.words("", layout=(region("a fox", 0, 0, 1, 1, weight=weight),)))[0]
        for weight in (1.0, 2.0)
    )
    assert differ(plain, strong)


def notices(model: LoadedModel, *asked: Order) -> list[Notice]:
    witness = Witness()
    draw(model, *asked, witness=witness)
    return [event for event in witness.told if isinstance(event, Notice)]


def test_words_in_another_language_are_said(model: LoadedModel, orders: Orders) -> None:
    [notice] = notices(model, orders.words("красная лиса"))
    assert notice.code == "language"
    assert "English" in notice.message


def test_words_beyond_what_is_read_are_said(model: LoadedModel, orders: Orders) -> None:
    [notice] = notices(model, orders.words("a fox, " * 40 + "and a duck"))
    assert notice.code == "unheard"
    assert "fox" in notice.message
    assert len(notice.message) < 200
    [notice] = notices(model, orders.words("a fox called " + "z" * 500))
    assert notice.code == "unheard"


def test_english_and_emoji_need_no_notice(model: LoadedModel, orders: Orders) -> None:
    assert notices(model, orders.words("a red fox"), orders.words("🦊 in the 🌲")) == []


def test_each_prompt_is_told_about_once(model: LoadedModel, orders: Orders) -> None:
    told = notices(
        model, *[orders.words(words, seed) for seed, words in enumerate(("a fox", "лиса", "лиса"))]
    )
    assert [notice.code for notice in told] == ["language"]


def test_an_emoji_is_its_name(model: LoadedModel, orders: Orders) -> None:
    one, other = draw(model, orders.words("🦊"), orders.words("fox face"))
    assert np.array_equal(one, other)


def test_a_picture_has_a_ground_that_is_truly_transparent(
    model: LoadedModel, orders: Orders
) -> None:
    prompts = ("a red fox", "a slice of pizza", "a green apple")
    for pixels in draw(model, *[orders.words(words, 3, steps=20) for words in prompts]):
        clear = pixels[..., 3] == 0
        corners = clear[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.sum() >= 3
        assert 0.05 < clear.mean() < 0.97
        assert (pixels[clear] == 0).all()
        assert (pixels[..., 3] == 255).mean() > 0.02


def test_strength_0_gives_the_picture_back(model: LoadedModel, orders: Orders) -> None:
    init = sticker(orders.side)
    for strength in (0.0, 1e-300):
        [kept] = draw(model, orders.redraw(init, strength))
        assert np.array_equal(kept, init)
        assert kept is not init


def test_strength_1_ignores_the_picture(model: LoadedModel, orders: Orders) -> None:
    white = np.full((orders.side, orders.side, 4), 255, np.uint8)
    one, other = draw(model, orders.redraw(sticker(orders.side), 1), orders.redraw(white, 1))
    assert np.array_equal(one, other)
    assert np.array_equal(one, draw(model, orders.words())[0])


def test_the_less_strength_the_nearer_the_picture(model: LoadedModel, orders: Orders) -> None:
    init = sticker(orders.side)
    asked = [orders.redraw(init, strength, steps=10) for strength in (0.1, 0.5, 0.9)]
    drawn = draw(model, *asked)
    far = [float(np.abs(to_planes(one) - to_planes(init)).mean()) for one in drawn]
    assert far == sorted(far)
    assert far[0] < far[-1] / 2
    for one, order in zip(drawn, asked, strict=True):
        assert np.array_equal(one, draw(model, order)[0])


def test_events_of_several_strengths_keep_their_pictures(
    model: LoadedModel, orders: Orders
) -> None:
    witness = Witness()
    init = sticker(orders.side)
    asked = [orders.redraw(init, strength, steps=10) for strength in (0.5, 1.0)]
    model.perform(asked, witness.watch(first=2))
    steps = [event for event in witness.told if isinstance(event, Step)]
    assert [event.steps for event in steps if event.index == 2] == [5] * 5
    assert [event.steps for event in steps if event.index == 3] == [10] * 10


def test_inpainting_keeps_the_rest(model: LoadedModel, orders: Orders) -> None:
    region = np.zeros((orders.side, orders.side), bool)
    region[:, : orders.side // 2] = True
    init = np.full((orders.side, orders.side, 4), 255, np.uint8)
    init[..., :3] = np.random.default_rng(0).integers(0, 256, 3)
    [drawn] = draw(model, orders.inpaint(init, mask_of(region)))
    assert np.abs(drawn[~region].astype(int) - init[~region]).max() <= 1
    assert differ(drawn[region], init[region])
    [whole] = draw(model, orders.inpaint(init, mask_of(region | True)))
    assert np.array_equal(whole, draw(model, orders.words())[0])


def test_pixels_go_to_floats_and_back() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    picture[..., 3] = 255
    assert np.array_equal(to_pixels(to_planes(picture)), picture)
    clear = picture.copy()
    clear[..., 3] = 0
    assert not to_pixels(to_planes(clear)).any()
    floats = to_planes(picture)
    assert floats.shape == (4, 16, 16)
    assert floats.dtype == np.float32
    assert floats.min() >= -1
    assert floats.max() <= 1
    wild = np.random.default_rng(0).normal(0, 9, (4, 8, 8)).astype(np.float32)
    assert to_pixels(wild).dtype == np.uint8


def test_a_model_says_what_it_is(model: LoadedModel, card: ModelCard) -> None:
    assert model.dtype == "float32"
    assert dict(model.libraries).keys() == {"numpy", "onnxruntime"}
    assert card.bytes < model.bytes < 1_000_000_000


def test_one_step_is_enough_to_run(model: LoadedModel, orders: Orders) -> None:
    for sampler in ("euler", "heun"):
        [drawn] = draw(model, orders.words(steps=1, sampler=sampler))
        assert drawn.shape == (orders.side, orders.side, 4)


def test_sizes_below_native_are_drawn_at_native(card: ModelCard) -> None:
    small = Draft(prompt="a fox", size=Size(width=16, height=16))
    recipe = card.capability.resolve(small, card.ref, 1)
    assert recipe.native_size == card.capability.sizes.native[0]
    assert recipe.upscaler is None
