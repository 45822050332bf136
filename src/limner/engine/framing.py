"""Between the picture a model draws and the picture that was asked for.

A model draws at its native size. Inputs are brought to it (`inward`) and what it drew is
brought back (`outward`): enlarged, fitted, and for inpainting matched in colour and set
into the untouched original, so that every pixel outside the mask stays as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from limner.domain.errors import InvalidImage
from limner.domain.recipe import InputRole, Size, Task
from limner.engine.colour import differences
from limner.engine.seam import matched
from limner.families import raster
from limner.families.family import Order, Pixels

Enlarge = Callable[[Pixels, Size], Pixels]
"""Makes a picture larger until it is at least near a size; one that is already stays as it is."""

_WHOLE = (Task.IMAGE_TO_IMAGE, Task.EDIT)
"""Tasks that redraw a whole picture."""

_MARGIN = 0.35
"""How much of the mask's extent is shown around it, so that the model sees what it joins."""


@dataclass(frozen=True)
class Box:
    """A square of the picture: left, top and side in pixels. It may reach over the edges."""

    left: int
    top: int
    side: int


def laid_out(order: Order) -> Order:
    """Return an order for more around a picture as one for the hole around it; others as they are.

    The picture lies at its offset on the larger one. Beyond it, its edges go on where it is
    opaque, so that the model sees what it joins; else there is nothing.
    """
    recipe, offset = order.recipe, order.recipe.offset
    if recipe.task is not Task.OUTPAINT or offset is None:
        return order
    init = order.inputs[InputRole.INIT]
    height, width = init.shape[:2]
    below = recipe.size.height - height - offset.top
    right = recipe.size.width - width - offset.left
    around = ((offset.top, below), (offset.left, right), (0, 0))
    canvas = np.pad(init, around, mode="edge" if raster.is_opaque(init) else "constant")
    hole = np.pad(np.zeros((height, width), np.uint8), around[:2], constant_values=255)
    mask = np.stack([hole, hole, hole, np.full_like(hole, 255)], axis=-1)
    filling = recipe.model_copy(update={"task": Task.INPAINT, "offset": None})
    return replace(order, recipe=filling, inputs={InputRole.INIT: canvas, InputRole.MASK: mask})


def inward(order: Order) -> Order:
    """Return the order with its input pictures at the model's native size.

    What controls follow while a picture is redrawn in tiles has the size of the finished one.
    """
    recipe = order.recipe
    if recipe.task is Task.INPAINT:
        return _cut_out(order, _box_of(order.inputs[InputRole.MASK]))
    native = recipe.native_size
    followed = recipe.size if recipe.task is Task.UPSCALE else native
    laid = replace(
        order,
        controls=tuple(raster.cover(one, followed) for one in order.controls),
        regions=tuple(one if one is None else raster.resize(one, native) for one in order.regions),
    )
    if recipe.task in _WHOLE:
        init = raster.fit(order.inputs[InputRole.INIT], native)
        return replace(laid, inputs={InputRole.INIT: init})
    return laid


def _cut_out(order: Order, box: Box) -> Order:
    """Return the order for the square part of its picture that is drawn in."""
    whole = raster.size_of(order.inputs[InputRole.INIT])
    native = order.recipe.native_size

    def part(picture: Pixels) -> Pixels:
        return raster.resize(_cut(picture, box), native)

    return replace(
        order,
        inputs={role: part(picture) for role, picture in order.inputs.items()},
        controls=tuple(part(raster.cover(one, whole)) for one in order.controls),
    )


def outward(order: Order, drawn: Pixels, enlarge: Enlarge) -> Pixels:
    """Return the finished picture of an order from what the model drew."""
    finish = _set_in if order.recipe.task is Task.INPAINT else _sized
    finished = finish(order, drawn, enlarge)
    return finished if order.recipe.transparent else raster.over(finished)


def drift(order: Order, finished: Pixels) -> float | None:
    """Return the largest colour difference (CIEDE2000) between input and picture outside the mask.

    0 where every byte stayed; None for an order without a mask. Both are seen on white.
    """
    mask = order.inputs.get(InputRole.MASK)
    if mask is None:
        return None
    original = order.inputs[InputRole.INIT]
    changed = (original != finished).any(axis=-1) & ~raster.region(mask)
    if not changed.any():
        return 0.0
    return float(differences(original[changed], finished[changed]).max())


def _sized(order: Order, drawn: Pixels, enlarge: Enlarge) -> Pixels:
    recipe = order.recipe
    if recipe.task is Task.UPSCALE:
        return raster.resize(enlarge(drawn, recipe.size), recipe.size)
    shape = raster.size_of(drawn)
    if recipe.task in _WHOLE:
        shape = raster.size_of(order.inputs[InputRole.INIT])
        drawn = _without_border(drawn, shape)
    inner = shape.fitted(recipe.size)
    return raster.fit(raster.resize(enlarge(drawn, inner), inner), recipe.size)


def _without_border(drawn: Pixels, shape: Size) -> Pixels:
    """Return the part of a picture that an input of this shape had in it."""
    whole = raster.size_of(drawn)
    inner = shape.fitted(whole)
    top, left = (whole.height - inner.height) // 2, (whole.width - inner.width) // 2
    return drawn[top : top + inner.height, left : left + inner.width]


def _set_in(order: Order, drawn: Pixels, enlarge: Enlarge) -> Pixels:
    original, mask = order.inputs[InputRole.INIT], order.inputs[InputRole.MASK]
    box = _box_of(mask)
    square = Size(width=box.side, height=box.side)
    patch = raster.resize(enlarge(drawn, square), square)
    height, width = original.shape[:2]
    top, left = max(box.top, 0), max(box.left, 0)
    bottom, right = min(box.top + box.side, height), min(box.left + box.side, width)
    inner = (slice(top - box.top, bottom - box.top), slice(left - box.left, right - box.left))
    outer = (slice(top, bottom), slice(left, right))
    finished = original.copy()
    hole = raster.region(mask[outer])
    drawn = patch[inner]
    if raster.is_opaque(original):  # what is drawn clear lets the picture show through
        drawn = _laid_over(original[outer], drawn)
    fitting = matched(drawn, original[outer], hole)
    finished[outer] = _mix(original[outer], fitting, _feathered(hole, box.side))
    return finished


def _laid_over(below: Pixels, above: Pixels) -> Pixels:
    """Return a picture laid over an opaque one."""
    share = above[..., 3:].astype(np.float32) / 255
    colour = above[..., :3] * share + below[..., :3] * (1 - share)
    laid = below.copy()
    laid[..., :3] = np.rint(colour)
    return laid


def _mix(below: Pixels, above: Pixels, share: np.ndarray) -> Pixels:
    """Blend straight RGBA by `share` in [0, 1]; where it is 0, bytes stay as they are."""
    weight = share[..., None].astype(np.float32)
    alpha_below = below[..., 3:].astype(np.float32) * (1 - weight)
    alpha_above = above[..., 3:].astype(np.float32) * weight
    alpha = alpha_below + alpha_above
    colour = (below[..., :3] * alpha_below + above[..., :3] * alpha_above) / np.maximum(alpha, 1e-6)
    mixed = np.concatenate([colour, alpha], axis=-1)
    return np.where(weight > 0, np.rint(mixed), below).clip(0, 255).astype(np.uint8)


def _feathered(hole: np.ndarray, side: int) -> np.ndarray:
    """Return weights that rise from 0 at the mask's rim to 1 inside it; never outside.

    The picture's own edge is no rim. What is too thin for so wide a rim gets a narrower one, or
    none.
    """
    weights, left = hole.astype(np.float32), hole
    radius = max(1, side // 64)
    while radius:
        level = _blurred(hole, radius, radius)
        wide = _opened(hole, radius)
        share = np.clip(level.astype(np.float32) / 127.5 - 1, 1 / 255, 1)
        weights = np.where(left & wide, share, weights)
        left = left & ~wide
        radius //= 2
    return weights


def _opened(hole: np.ndarray, radius: int) -> np.ndarray:
    """Return the parts of a region in which a square of `radius` around a pixel has room."""
    middles = _blurred(np.pad(hole, radius), radius, radius) == 255
    rows = _blurred(middles, radius, 0) > 0
    opened = _blurred(rows, 0, radius) > 0
    return opened[radius:-radius, radius:-radius]


def _blurred(region: np.ndarray, across: int, down: int) -> np.ndarray:
    image = Image.fromarray(region.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.BoxBlur((across, down))))


def _box_of(mask: Pixels) -> Box:
    """Return the square to draw in: the mask's extent with a margin around it."""
    rows, columns = np.nonzero(raster.region(mask))
    if not len(rows):
        raise InvalidImage(
            "The mask marks nothing. Paint white where the picture should change, black elsewhere."
        )
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    extent = max(bottom - top, right - left)
    side = min(int(extent * (1 + 2 * _MARGIN)) + 2, max(mask.shape[:2]))
    side = max(side, extent)
    return Box((left + right - side) // 2, (top + bottom - side) // 2, side)


def _cut(picture: Pixels, box: Box) -> Pixels:
    """Return the box's part of the picture; beyond the edges, the edge is repeated."""
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(box.top, box.top + box.side), 0, height - 1)
    columns = np.clip(np.arange(box.left, box.left + box.side), 0, width - 1)
    return picture[rows][:, columns]
