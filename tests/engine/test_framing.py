"""Between native and finished pictures: shapes are kept, and what the mask leaves is untouched."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from limner.domain.errors import InvalidImage
from limner.domain.recipe import InputRole, ModelRef, RecipeInput, Size, Task
from limner.engine import framing
from limner.engine.colour import differences
from limner.families.family import Order, Pixels
from tests.engine.stand_ins import plain, recipe, ref, size

NATIVE = size(64, 64)
GREEN = (0, 200, 0, 255)


def untouched(pixels: Pixels, _: Size) -> Pixels:
    return pixels


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    """Return a picture in which no pixel is like its neighbours, alpha included."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


def marked(width: int, height: int, *boxes: tuple[int, int, int, int]) -> Pixels:
    """Return a mask that is white in the boxes (left, top, right, bottom)."""
    mask = plain(width, height, (0, 0, 0, 255))
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 255
    return mask


def inpainting(picture: Pixels, mask: Pixels, *, transparent: bool = True) -> Order:
    height, width = picture.shape[:2]
    asked = recipe(
        task=Task.INPAINT,
        size=size(width, height),
        native_size=NATIVE,
        upscaler=ref(2),
        transparent=transparent,
    )
    return Order(asked, {InputRole.INIT: picture, InputRole.MASK: mask})


def redrawing(picture: Pixels, finished: Size, upscaler: ModelRef | None = None) -> Order:
    asked = recipe(
        task=Task.IMAGE_TO_IMAGE,
        size=finished,
        native_size=NATIVE,
        upscaler=upscaler,
        inputs=(RecipeInput(asset="0" * 64, role=InputRole.INIT),),
    )
    return Order(asked, {InputRole.INIT: picture})


@pytest.mark.parametrize("sides", [(300, 200), (200, 300), (64, 64), (64, 16), (1000, 10), (1, 1)])
def test_a_picture_to_redraw_is_brought_to_the_native_size(sides: tuple[int, int]) -> None:
    order = redrawing(plain(*sides, GREEN), size(*sides))
    brought = framing.inward(order).inputs[InputRole.INIT]
    assert brought.shape == (64, 64, 4)
    assert (brought == GREEN).all()


@pytest.mark.parametrize("sides", [(300, 200), (200, 300), (64, 64), (64, 16), (1000, 10), (1, 1)])
def test_a_picture_redrawn_as_it_was_keeps_its_shape_and_place(sides: tuple[int, int]) -> None:
    picture = plain(*sides, GREEN)
    picture[:, : sides[0] // 2] = (200, 0, 0, 255)
    order = redrawing(picture, size(*sides), ref(2))
    drawn = framing.inward(order).inputs[InputRole.INIT]
    back = framing.outward(order, drawn, untouched)
    assert back.shape == picture.shape
    far = np.abs(back[:, [0, -1]].astype(int) - picture[:, [0, -1]])
    assert far.max() <= 12  # resampling rings a little
    assert np.abs(back.astype(int) - picture).mean() < 3


def test_a_transparent_picture_comes_back_transparent_where_it_was() -> None:
    picture = plain(300, 100, (0, 0, 0, 0))
    picture[20:80, 20:280] = GREEN
    order = redrawing(picture, size(300, 100))
    back = framing.outward(order, framing.inward(order).inputs[InputRole.INIT], untouched)
    assert (back[50, :5, 3] == 0).all()
    assert (back[50, 60:240] == GREEN).all()


def test_a_picture_redrawn_at_another_shape_is_shown_whole() -> None:
    order = redrawing(plain(100, 50, GREEN), size(80, 80))
    drawn = plain(64, 64, GREEN)
    drawn[16:48, :32] = (200, 0, 0, 255)
    back = framing.outward(order, drawn, untouched)
    assert back.shape == (80, 80, 4)
    assert (back[40, 10] == (200, 0, 0, 255)).all()
    assert (back[40, 70] == GREEN).all()
    assert (back[..., 3] == 255).all()


def test_enlarging_is_asked_for_what_is_shown() -> None:
    asked: list[tuple[tuple[int, ...], Size]] = []

    def watch(pixels: Pixels, goal: Size) -> Pixels:
        asked.append((pixels.shape, goal))
        return pixels

    wide = recipe(size=size(1024, 128), native_size=NATIVE, upscaler=ref(2))
    framing.outward(Order(wide), plain(64, 64, GREEN), watch)
    framing.outward(
        redrawing(plain(300, 200, GREEN), size(300, 200), ref(2)), plain(64, 64, GREEN), watch
    )
    assert asked == [((64, 64, 4), size(128, 128)), ((43, 64, 4), size(300, 200))]


@pytest.mark.parametrize("sides", [(64, 64), (128, 32), (16, 300), (63, 65)])
def test_a_drawn_picture_is_centred_whole_in_the_size_asked(sides: tuple[int, int]) -> None:
    sticker = plain(64, 64, (0, 0, 0, 0))
    sticker[8:56, 8:56] = GREEN
    asked = recipe(size=size(*sides), native_size=NATIVE)
    finished = framing.outward(Order(asked), sticker, untouched)
    assert finished.shape == (sides[1], sides[0], 4)
    assert finished[sides[1] // 2, sides[0] // 2].tolist() == list(GREEN)
    assert np.array_equal(finished[..., 3] > 128, (finished[..., 3] > 128)[::-1, ::-1])


def test_an_opaque_picture_lies_on_white() -> None:
    half = plain(64, 64, (200, 0, 0, 128))
    asked = recipe(size=NATIVE, native_size=NATIVE, transparent=False)
    finished = framing.outward(Order(asked), half, untouched)
    assert (finished[..., 3] == 255).all()
    assert finished[0, 0, 1] == 127


MASKS = {
    "inside": (60, 40, 90, 70),
    "left edge": (0, 40, 30, 70),
    "right edge": (270, 40, 300, 70),
    "top edge": (60, 0, 90, 20),
    "bottom right corner": (280, 180, 300, 200),
    "whole width": (0, 90, 300, 110),
    "whole height": (140, 0, 160, 200),
    "one pixel": (150, 100, 151, 101),
    "corner pixel": (0, 0, 1, 1),
    "thin line": (20, 50, 280, 51),
    "all but one row": (0, 0, 300, 199),
    "everything": (0, 0, 300, 200),
}


@pytest.mark.parametrize("box", MASKS.values(), ids=MASKS.keys())
def test_outside_the_mask_every_byte_stays_and_inside_is_drawn(
    box: tuple[int, int, int, int],
) -> None:
    picture, mask = noise(300, 200), marked(300, 200, box)
    before = picture.copy()
    order = inpainting(picture, mask)
    inner = framing.inward(order)
    assert {one.shape for one in inner.inputs.values()} == {(64, 64, 4)}
    finished = framing.outward(order, plain(64, 64, GREEN), untouched)
    hole = mask[..., 0] == 255
    assert np.array_equal(finished[~hole], before[~hole])
    assert np.array_equal(picture, before)
    middle = ((box[1] + box[3]) // 2, (box[0] + box[2]) // 2)
    assert finished[middle].tolist() == list(GREEN)


@pytest.mark.parametrize("sides", [(1, 1), (2, 1), (3, 5), (1, 40), (17, 16), (900, 30), (30, 900)])
def test_pictures_of_any_shape_can_be_inpainted(sides: tuple[int, int]) -> None:
    width, height = sides
    picture = noise(width, height)
    half = (0, 0, max(1, width // 2), height)
    for mask in (marked(width, height, (0, 0, width, height)), marked(width, height, half)):
        order = inpainting(picture, mask)
        framing.inward(order)
        finished = framing.outward(order, plain(64, 64, GREEN), untouched)
        hole = mask[..., 0] == 255
        assert np.array_equal(finished[~hole], picture[~hole])
        assert (finished[0, 0] == GREEN).all()


def test_two_masks_far_apart_are_both_drawn_thin_parts_too() -> None:
    picture = noise(400, 400)
    mask = marked(400, 400, (10, 10, 80, 80), (80, 44, 300, 46), (380, 390, 382, 391))
    finished = framing.outward(inpainting(picture, mask), plain(64, 64, GREEN), untouched)
    for place in ((45, 45), (45, 150), (44, 290), (390, 381)):
        assert finished[place].tolist() == list(GREEN)


def test_the_rim_of_a_mask_is_blended_towards_the_picture() -> None:
    picture = plain(256, 256, (255, 0, 0, 255))
    mask = marked(256, 256, (64, 64, 192, 192))
    finished = framing.outward(inpainting(picture, mask), plain(64, 64, GREEN), untouched)
    green = finished[128, 60:80, 1].astype(int)
    assert (np.diff(green) >= 0).all()
    assert green[3] == 0
    assert 0 < green[4] < 150
    assert green[-1] == 200
    assert (finished[..., 3] == 255).all()


def test_the_model_sees_the_mask_s_surroundings() -> None:
    picture = plain(300, 200, (255, 0, 0, 255))
    picture[80:120, 130:170] = GREEN
    mask = marked(300, 200, (130, 80, 170, 120))
    inner = framing.inward(inpainting(picture, mask)).inputs
    assert (inner[InputRole.INIT][0] == (255, 0, 0, 255)).all()
    assert inner[InputRole.INIT][32, 32].tolist() == list(GREEN)
    assert inner[InputRole.MASK][0, 0, 0] == 0
    assert inner[InputRole.MASK][32, 32, 0] == 255


def test_a_full_mask_is_drawn_anew_to_the_edges() -> None:
    finished = framing.outward(
        inpainting(noise(100, 60), marked(100, 60, (0, 0, 100, 60))),
        plain(64, 64, GREEN),
        untouched,
    )
    assert (finished == GREEN).all()


def test_inpainting_without_transparency_lies_on_white_outside_too() -> None:
    picture = plain(100, 60, (0, 0, 0, 0))
    picture[:, :50] = (10, 20, 30, 255)
    mask = marked(100, 60, (60, 10, 90, 50))
    order = inpainting(picture, mask, transparent=False)
    finished = framing.outward(order, plain(64, 64, GREEN), untouched)
    assert (finished[..., 3] == 255).all()
    assert (finished[:, :50] == (10, 20, 30, 255)).all()
    assert (finished[5, 60:] == 255).all()


def test_transparent_colours_do_not_shine_through_the_seam() -> None:
    picture = plain(100, 100, (255, 0, 255, 0))
    mask = marked(100, 100, (20, 20, 80, 80))
    finished = framing.outward(inpainting(picture, mask), plain(64, 64, GREEN), untouched)
    seen = finished[finished[..., 3] > 0]
    assert (seen[:, :3] == GREEN[:3]).all()


@pytest.mark.parametrize("grey", [0, 127])
def test_a_mask_that_marks_nothing_is_said(grey: int) -> None:
    order = inpainting(noise(30, 20), plain(30, 20, (grey, grey, grey, 255)))
    with pytest.raises(InvalidImage, match="marks nothing"):
        framing.inward(order)
    with pytest.raises(InvalidImage, match="marks nothing"):
        framing.outward(order, plain(64, 64, GREEN), untouched)


def test_other_tasks_get_their_pictures_as_they_are() -> None:
    picture, mask = noise(30, 20), marked(30, 20, (0, 0, 5, 5))
    asked = recipe(task=Task.ERASE, size=size(30, 20), native_size=size(30, 20))
    order = Order(asked, {InputRole.INIT: picture, InputRole.MASK: mask})
    assert framing.inward(order).inputs is order.inputs
    assert np.array_equal(framing.outward(order, picture, untouched), picture)


def ramp(side: int) -> Pixels:
    """Return a smooth ground: brighter to the right, warmer downwards."""
    across, down = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    picture = plain(side, side, (0, 0, 0, 255))
    picture[..., 0] = 90 + 60 * across
    picture[..., 1] = 80 + 50 * across + 20 * down
    picture[..., 2] = 120 - 40 * down
    return picture


def with_cast(picture: Pixels, *cast: float | np.ndarray) -> Pixels:
    """Return a picture with something added to its red, green and blue."""
    shifted = picture.astype(float)
    for channel, more in enumerate(cast):
        shifted[..., channel] += more
    rounded: Pixels = np.rint(shifted).clip(0, 255).astype(np.uint8)
    return rounded


def drawn_again(
    picture: Pixels, mask: Pixels, change: Callable[[Pixels], Pixels]
) -> tuple[Pixels, Order]:
    """Return a picture inpainted by a model that draws what it sees, changed; and the order."""
    side = len(picture)
    asked = inpainting(picture, mask).recipe.model_copy(
        update={"native_size": size(side, side), "upscaler": None}
    )
    order = Order(asked, {InputRole.INIT: picture, InputRole.MASK: mask})
    seen = framing.inward(order).inputs[InputRole.INIT]
    return framing.outward(order, change(seen), untouched), order


@pytest.mark.parametrize("side", [64, 256, 600])
@pytest.mark.parametrize("cast", [(12, -9, 6), (-20, -20, -20), (3, 3, -4)])
def test_a_cast_of_colour_in_what_was_drawn_leaves_no_edge(
    side: int, cast: tuple[int, int, int]
) -> None:
    picture = ramp(side)
    inner = (side // 4, side // 3, side * 3 // 4, side * 2 // 3)
    mask = marked(side, side, inner)
    finished, order = drawn_again(picture, mask, lambda seen: with_cast(seen, *cast))
    true, _ = drawn_again(picture, mask, lambda seen: seen)
    assert differences(with_cast(picture, *cast), picture).max() > 1.5
    assert differences(finished, true).max() < 0.6
    assert differences(finished, picture).max() < 1
    assert framing.drift(order, finished) == 0


def test_a_cast_that_changes_across_the_patch_leaves_no_edge() -> None:
    picture = ramp(256)
    finished, _ = drawn_again(
        picture,
        marked(256, 256, (64, 64, 192, 192)),
        lambda seen: with_cast(seen, np.linspace(-15, 15, 256)[None], 0, 0),
    )
    assert differences(finished, picture).max() < 1.2


def test_a_cast_is_taken_from_what_is_drawn_inside_too() -> None:
    picture = ramp(256)

    def star(seen: Pixels) -> Pixels:
        cast = with_cast(seen, 10, 10, 10)
        cast[108:148, 108:148] = (210, 190, 40, 255)
        return cast

    finished, _ = drawn_again(picture, marked(256, 256, (64, 64, 192, 192)), star)
    assert np.abs(finished[128, 128].astype(int) - (200, 180, 30, 255)).max() <= 1


def test_other_things_beside_the_seam_are_no_cast() -> None:
    picture = plain(256, 256, (230, 40, 40, 255))
    mask = marked(256, 256, (64, 64, 192, 192))
    finished, _ = drawn_again(picture, mask, lambda seen: with_cast(seen, -200, 120, 0))
    assert finished[128, 128].tolist() == [30, 160, 40, 255]


def test_where_one_side_shows_something_else_the_others_still_match() -> None:
    picture = ramp(256)

    def half(seen: Pixels) -> Pixels:
        cast = with_cast(seen, 12, 12, 12)
        cast[:, :100] = (250, 250, 20, 255)
        return cast

    finished, _ = drawn_again(picture, marked(256, 256, (64, 64, 192, 192)), half)
    rim = np.s_[100:156, 184:196]
    assert differences(finished[rim], picture[rim]).max() < 0.8
    assert np.abs(finished[128, 70].astype(int) - (250, 250, 20, 255)).max() <= 4


def test_a_transparent_ground_says_nothing_of_a_cast() -> None:
    picture = plain(128, 128, (10, 20, 30, 0))
    finished, _ = drawn_again(
        picture,
        marked(128, 128, (32, 32, 96, 96)),
        lambda seen: seen * 0 + np.array(GREEN, np.uint8),
    )
    assert (finished[40:88, 40:88] == GREEN).all()
    assert not finished[~(marked(128, 128, (32, 32, 96, 96))[..., 0] > 0), 3].any()


def test_drift_is_what_changed_outside_the_mask() -> None:
    picture, mask = ramp(64), marked(64, 64, (0, 0, 32, 64))
    order = inpainting(picture, mask)
    inside, outside = picture.copy(), picture.copy()
    inside[:, :32] = GREEN
    outside[5, 40, :3] += 9
    outside[6, 40, :3] += 2
    expected = differences(outside[5:6, 40:41], picture[5:6, 40:41]).item()
    assert framing.drift(order, inside) == 0
    assert framing.drift(order, outside) == expected > 2
    assert framing.drift(redrawing(picture, NATIVE), inside) is None


def test_lying_on_white_is_no_drift() -> None:
    picture = plain(100, 60, (50, 60, 70, 90))
    order = inpainting(picture, marked(100, 60, (60, 10, 90, 50)), transparent=False)
    finished = framing.outward(order, plain(64, 64, GREEN), untouched)
    assert not np.array_equal(finished, picture)
    assert framing.drift(order, finished) == 0


def test_what_is_followed_in_tiles_has_the_finished_size() -> None:
    order = redrawing(noise(40, 40), Size(width=200, height=100))
    changed = order.recipe.model_copy(update={"task": Task.UPSCALE})
    laid = framing.inward(replace(order, recipe=changed, controls=(noise(50, 50),)))
    assert laid.controls[0].shape == (100, 200, 4)
