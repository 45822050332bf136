"""Upscaling by a model that redraws: enlarged first, then drawn anew a little, tile by tile.

Tiles overlap and their rims fade into each other, so that a model sees no more than it draws well
at once, and nobody sees where one ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from limner.domain.event import Happening, Preview, Step
from limner.domain.recipe import InputRole, Recipe, Size, Task
from limner.families import raster
from limner.families.family import LoadedModel, Order, Pixels, Watch

_OVERLAP = 0.25
"""How much of a tile lies under its neighbours, at least."""

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """A part of a picture: left, top, width and height in pixels."""

    left: int
    top: int
    size: Size

    @property
    def place(self) -> tuple[slice, slice]:
        """Where it lies, as rows and columns."""
        return (
            slice(self.top, self.top + self.size.height),
            slice(self.left, self.left + self.size.width),
        )


def refines(recipe: Recipe) -> bool:
    """Whether a Recipe is to be redrawn tile by tile after it was enlarged."""
    return recipe.task is Task.UPSCALE and recipe.upscaler is not None


def tiles(whole: Size, native: Size) -> tuple[Tile, ...]:
    """Return overlapping tiles of one size that cover a picture, from the left top on."""
    size = Size(width=min(native.width, whole.width), height=min(native.height, whole.height))
    return tuple(
        Tile(left, top, size)
        for top in _starts(whole.height, size.height)
        for left in _starts(whole.width, size.width)
    )


def refine(model: LoadedModel, order: Order, enlarged: Pixels, watch: Watch) -> Pixels:
    """Return an enlarged picture, at the size of the Recipe, redrawn tile by tile."""
    recipe = order.recipe
    whole = raster.size_of(enlarged)
    every = tiles(whole, recipe.native_size)
    shown = raster.bleed(enlarged)
    colours = np.zeros((whole.height, whole.width, 3), np.float32)
    weights = np.zeros((whole.height, whole.width, 1), np.float32)
    for number, tile in enumerate(every):
        watch.token.check()
        seen = shown[tile.place].copy()
        seen[..., 3] = 255
        part = replace(
            order,
            recipe=_drawn_anew(recipe, tile),
            inputs={InputRole.INIT: raster.resize(seen, recipe.native_size)},
        )
        own = Watch(_counted(watch.tell, number, len(every)), watch.token, watch.first)
        drawn = raster.resize(model.perform([part], own)[0], tile.size)
        share = _share(tile, whole)
        colours[tile.place] += drawn[..., :3] * share
        weights[tile.place] += share
    finished = enlarged.copy()
    finished[..., :3] = np.rint(colours / weights)
    return finished


def _drawn_anew(recipe: Recipe, tile: Tile) -> Recipe:
    changes = {"task": Task.IMAGE_TO_IMAGE, "size": tile.size, "upscaler": None}
    return recipe.model_copy(update=changes)


def _starts(length: int, part: int) -> Iterator[int]:
    """Yield where parts begin that cover a length evenly and overlap enough."""
    count = 1 if part >= length else int(np.ceil((length - part) / (part * (1 - _OVERLAP)))) + 1
    for number in range(count):
        yield round(number * (length - part) / max(count - 1, 1))


def _share(tile: Tile, whole: Size) -> Weights:
    """Return how much each pixel of a tile counts: less towards rims inside the picture."""
    across = _ramp(tile.size.width, tile.left > 0, tile.left + tile.size.width < whole.width)
    down = _ramp(tile.size.height, tile.top > 0, tile.top + tile.size.height < whole.height)
    return (down[:, None] * across[None, :])[..., None]


def _ramp(length: int, rises: bool, falls: bool) -> Weights:
    ramp = np.ones(length, np.float32)
    rim = max(1, round(length * _OVERLAP))
    slope = (np.arange(rim, dtype=np.float32) + 1) / (rim + 1)
    if rises:
        ramp[:rim] = slope
    if falls:
        ramp[-rim:] = np.minimum(ramp[-rim:], slope[::-1])
    return ramp


def _counted(
    tell: Callable[[Happening], None], number: int, count: int
) -> Callable[[Happening], None]:
    """Return `tell` with the steps of one tile told as steps of the whole; previews are not."""

    def told(event: Happening) -> None:
        if isinstance(event, Step):
            steps = event.steps * count
            event = replace(event, step=event.steps * number + event.step, steps=steps)
        if not isinstance(event, Preview):
            tell(event)

    return told
