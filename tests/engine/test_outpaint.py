"""More around a picture is the hole around it: the picture itself stays, byte for byte."""

from collections.abc import Sequence

import numpy as np
import pytest

from limner.domain.recipe import InputRole, ModelRef, Offset, Recipe, Size, Task
from limner.engine import framing
from limner.families.family import Order, Pixels

MODEL = ModelRef(name="any", sha256="0" * 64)


def picture(alpha: int) -> Pixels:
    pixels = np.random.default_rng(3).integers(0, 255, (20, 30, 4), np.uint8)
    pixels[..., 3] = alpha
    return pixels


def order_of(init: Pixels) -> Order:
    recipe = Recipe(
        task=Task.OUTPAINT,
        model=MODEL,
        prompt="a field",
        size=Size(width=70, height=40),
        offset=Offset(left=25, top=5),
        native_size=Size(width=64, height=64),
    )
    return Order(recipe, {InputRole.INIT: init})


def drawn(order: Order, colour: Sequence[int]) -> Pixels:
    inner = framing.inward(framing.laid_out(order))
    assert inner.inputs[InputRole.INIT].shape == (64, 64, 4)
    made = np.broadcast_to(np.array(colour, np.uint8), (64, 64, 4)).copy()

    def enlarge(pixels: Pixels, _: Size) -> Pixels:
        return pixels

    return framing.outward(framing.laid_out(order), made, enlarge)


@pytest.mark.parametrize("alpha", [255, 90])
def test_the_picture_stays_and_the_rest_is_drawn(alpha: int) -> None:
    init = picture(alpha)
    finished = drawn(order_of(init), (10, 200, 30, 255))
    assert finished.shape == (40, 70, 4)
    assert np.array_equal(finished[5:25, 25:55], init)
    assert framing.drift(framing.laid_out(order_of(init)), finished) == 0
    assert finished[0, 0, 3] == 255


def test_the_edges_of_an_opaque_picture_go_on() -> None:
    init = picture(255)
    laid = framing.laid_out(order_of(init))
    canvas, mask = laid.inputs[InputRole.INIT], laid.inputs[InputRole.MASK]
    assert (laid.recipe.task, laid.recipe.offset) == (Task.INPAINT, None)
    assert np.array_equal(canvas[0, 25:55], init[0])
    assert np.array_equal(canvas[5:25, 69], init[:, -1])
    assert (mask[5:25, 25:55, 0] == 0).all()
    assert (mask[..., 0] == 255).sum() == 70 * 40 - 20 * 30


def test_a_clear_picture_has_nothing_around_it() -> None:
    laid = framing.laid_out(order_of(picture(90)))
    assert (laid.inputs[InputRole.INIT][0, 0] == 0).all()


def test_what_is_drawn_clear_lets_an_opaque_picture_show_through() -> None:
    finished = drawn(order_of(picture(255)), (10, 200, 30, 0))
    assert (finished[..., 3] == 255).all()


def test_other_orders_stay_as_they_are() -> None:
    order = order_of(picture(255))
    other = Order(order.recipe.model_copy(update={"task": Task.IMAGE_TO_IMAGE}), order.inputs)
    assert framing.laid_out(other) is other
