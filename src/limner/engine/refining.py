"""Upscaling by a model that redraws: enlarged first, then drawn anew a little, tile by tile.

Tiles overlap and their rims fade into each other, so that a model sees no more than it draws well
at once, and nobody sees where one ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from limner.domain.event import Happening, Preview, Step
from limner.domain.recipe import InputRole, Recipe, Size, Task
from limner.families import raster
from limner.families.family import LoadedModel, Order, Pixels, Watch

_OVERLAP = 0.25
"""How much of a tile lies under its neighbours, at least."""

_LARGEST_VIEW = 1024
"""The longest side of what is shown of the whole picture meanwhile."""

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
    """Return an enlarged picture, at the size of the Recipe, redrawn tile by tile.

    The pictures that controls follow are of that size, too: each tile follows its part of them.
    """
    recipe = order.recipe
    whole = raster.size_of(enlarged)
    every = tiles(whole, recipe.native_size)
    shown = raster.bleed(enlarged)
    view = _View(enlarged)
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
            controls=tuple(
                raster.resize(one[tile.place], recipe.native_size) for one in order.controls
            ),
        )
        tell = _counted(watch.tell, number, len(every), partial(view.preview, tile))
        own = Watch(tell, watch.token, watch.first)
        drawn = raster.resize(model.perform([part], own)[0], tile.size)
        view.lay_in(tile, drawn)
        share = _share(tile, whole)
        colours[tile.place] += drawn[..., :3] * share
        weights[tile.place] += share
    finished = enlarged.copy()
    finished[..., :3] = np.rint(colours / weights)
    return finished


class _View:
    """The whole picture as it is shown while tiles are drawn; it is small, and made when needed."""

    def __init__(self, enlarged: Pixels) -> None:
        self._enlarged = enlarged
        self._small: Pixels | None = None
        self._scale = 0.0

    def preview(self, tile: Tile, event: Preview) -> Preview:
        """Return the preview of a tile as one of the whole picture."""
        if self._small is None:
            whole = raster.size_of(self._enlarged)
            most = _LARGEST_VIEW / max(whole.width, whole.height)
            self._scale = min(event.width / tile.size.width, most)
            self._small = raster.resize(self._enlarged, self._scaled(whole))
        seen = np.frombuffer(event.rgba, np.uint8).reshape(event.height, event.width, 4)
        shown = self._with(self._small.copy(), tile, seen)
        size = raster.size_of(shown)
        return Preview(event.index, size.width, size.height, shown.tobytes())

    def lay_in(self, tile: Tile, drawn: Pixels) -> None:
        """Show a finished tile from now on."""
        if self._small is not None:
            self._with(self._small, tile, drawn)

    def _with(self, small: Pixels, tile: Tile, drawn: Pixels) -> Pixels:
        left, top = round(tile.left * self._scale), round(tile.top * self._scale)
        part = small[top:, left:][: self._scaled(tile.size).height, : self._scaled(tile.size).width]
        part[..., :3] = raster.resize(drawn, raster.size_of(part))[..., :3]
        return small

    def _scaled(self, size: Size) -> Size:
        width, height = (max(1, round(side * self._scale)) for side in (size.width, size.height))
        return Size(width=width, height=height)


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
    tell: Callable[[Happening], None],
    number: int,
    count: int,
    preview: Callable[[Preview], Preview],
) -> Callable[[Happening], None]:
    """Return `tell` with the steps and previews of one tile told as those of the whole."""

    def told(event: Happening) -> None:
        if isinstance(event, Step):
            steps = event.steps * count
            event = replace(event, step=event.steps * number + event.step, steps=steps)
        tell(preview(event) if isinstance(event, Preview) else event)

    return told
