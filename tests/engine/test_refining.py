"""Pictures redrawn tile by tile: covered wholly, without seams, stopped when asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from limner.domain.errors import Cancelled
from limner.domain.event import CancelToken, Happening, Preview, Step
from limner.domain.recipe import InputRole, ModelRef, Recipe, RecipeInput, Size, Task
from limner.engine.refining import refine, refines, tiles
from limner.families.family import LoadedModel, Order, Pixels, Watch

MODEL = ModelRef(name="painter", sha256="0" * 64)


@dataclass
class Painter:
    """Draws what it is shown, a little lighter, in two steps."""

    lighter: int = 10
    seen: list[Order] = field(default_factory=list)
    libraries: tuple[tuple[str, str], ...] = ()
    dtype: str = "float32"
    device: str = "cpu"
    fitting: str = ""
    bytes: int = 0

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        self.seen.extend(orders)
        for number in (1, 2):
            watch.token.check()
            watch.tell(Step(watch.first, "draw", number, 2))
            watch.tell(Preview(watch.first, 4, 4, bytes([255, 0, 0, 255] * 16)))
        made = []
        for order in orders:
            picture = order.inputs[InputRole.INIT].copy()
            picture[..., :3] = np.minimum(picture[..., :3].astype(int) + self.lighter, 255)
            made.append(picture)
        return made

    def close(self) -> None:
        return


def recipe(size: Size, native: Size) -> Recipe:
    return Recipe(
        task=Task.UPSCALE,
        model=MODEL,
        prompt="a fox",
        seed=4,
        size=size,
        native_size=native,
        inputs=(RecipeInput(asset="a" * 64, role=InputRole.INIT, strength=0.3),),
        upscaler=MODEL,
    )


def smooth(size: Size) -> Pixels:
    rows, columns = np.mgrid[0 : size.height, 0 : size.width]
    picture = np.full((size.height, size.width, 4), 255, np.uint8)
    picture[..., 0] = columns * 200 // size.width
    picture[..., 1] = rows * 200 // size.height
    return picture


@pytest.mark.parametrize(
    "whole",
    [(64, 64), (65, 64), (640, 200), (50, 700), (333, 257)],
)
def test_tiles_cover_everything_and_overlap(whole: tuple[int, int]) -> None:
    size, native = Size(width=whole[0], height=whole[1]), Size(width=64, height=64)
    covered = np.zeros((size.height, size.width), int)
    every = tiles(size, native)
    for tile in every:
        assert tile.left + tile.size.width <= size.width
        assert tile.top + tile.size.height <= size.height
        covered[tile.place] += 1
    assert covered.min() >= 1
    lefts = sorted({tile.left for tile in every})
    assert all(b - a <= 48 for a, b in pairwise(lefts))
    assert len({tile.size for tile in every}) == 1


def test_no_seam_is_seen() -> None:
    size = Size(width=300, height=200)
    painter, shown = Painter(), smooth(size)
    asked = recipe(size, Size(width=64, height=64))
    heard: list[Happening] = []
    order = Order(asked, {InputRole.INIT: shown})
    made = refine(painter, order, shown, Watch(heard.append, CancelToken()))
    expected = shown.astype(int)
    expected[..., :3] = np.minimum(expected[..., :3] + 10, 255)
    assert np.abs(made.astype(int) - expected).max() <= 1
    steps = [event for event in heard if isinstance(event, Step)]
    assert [one.step for one in steps] == list(range(1, len(painter.seen) * 2 + 1))
    assert {one.steps for one in steps} == {len(painter.seen) * 2}
    for one in painter.seen:
        assert one.recipe.task is Task.IMAGE_TO_IMAGE
        assert (one.recipe.prompt, one.recipe.seed) == ("a fox", 4)
        start = one.recipe.input(InputRole.INIT)
        assert start is not None
        assert start.strength == 0.3


def test_what_is_clear_stays_clear() -> None:
    size = Size(width=128, height=128)
    shown = smooth(size)
    shown[:, :64, 3] = 0
    asked = recipe(size, Size(width=64, height=64))
    painter = Painter()
    made = refine(painter, Order(asked, {}), shown, Watch(lambda _: None, CancelToken()))
    assert np.array_equal(made[..., 3], shown[..., 3])
    assert all((one.inputs[InputRole.INIT][..., 3] == 255).all() for one in painter.seen)


def test_it_stops_between_tiles() -> None:
    size = Size(width=256, height=64)
    token = CancelToken()
    painter = Painter()

    def tell(event: Happening) -> None:
        if isinstance(event, Step) and event.step == 3:
            token.cancel()

    asked = recipe(size, Size(width=64, height=64))
    with pytest.raises(Cancelled):
        refine(painter, Order(asked, {}), smooth(size), Watch(tell, token))
    assert len(painter.seen) == 2


def test_each_tile_follows_its_part_of_what_controls_follow() -> None:
    size, native = Size(width=160, height=96), Size(width=64, height=64)
    shown, painter = smooth(size), Painter()
    order = Order(recipe(size, native), {}, controls=(shown,))
    refine(painter, order, shown, Watch(lambda _: None, CancelToken()))
    assert len(painter.seen) == 6
    for one in painter.seen:
        assert np.array_equal(one.controls[0], one.inputs[InputRole.INIT])


def test_previews_show_the_whole_with_the_tile_laid_in() -> None:
    size, native = Size(width=112, height=64), Size(width=64, height=64)
    shown, heard = smooth(size), list[Happening]()
    watch = Watch(heard.append, CancelToken())
    refine(Painter(), Order(recipe(size, native), {}), shown, watch)
    seen = [
        np.frombuffer(one.rgba, np.uint8).reshape(one.height, one.width, 4)
        for one in heard
        if isinstance(one, Preview)
    ]
    assert [one.shape for one in seen] == [(4, 7, 4)] * 4
    red = [255, 0, 0, 255]
    assert (seen[0][:, :4] == red).all()
    assert not (seen[0][:, 4:] == red).all(axis=-1).any()
    assert (seen[3][:, 3:] == red).all()
    # The first tile is finished, and not red any more.
    assert not (seen[3][:, :3] == red).all(axis=-1).any()


def test_views_of_large_pictures_are_small() -> None:
    size = Size(width=4096, height=64)
    heard: list[Happening] = []
    asked = recipe(size, Size(width=64, height=64))
    watch = Watch(heard.append, CancelToken())

    class Sharp(Painter):
        def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
            watch.tell(Preview(0, 64, 64, bytes(64 * 64 * 4)))
            return super().perform(orders, watch)

    refine(Sharp(), Order(asked, {}), smooth(size), watch)
    views = [one for one in heard if isinstance(one, Preview)]
    assert {(one.width, one.height) for one in views} == {(1024, 16)}


def test_only_recipes_with_both_are_refined() -> None:
    asked = recipe(Size(width=64, height=64), Size(width=64, height=64))
    assert refines(asked)
    assert not refines(asked.model_copy(update={"upscaler": None}))
    assert not refines(asked.model_copy(update={"task": Task.TEXT_TO_IMAGE}))
    assert isinstance(Painter(), LoadedModel)
