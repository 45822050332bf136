"""Pictures and orders to try the finishing families on."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import limner
from limner.domain.card import ModelCard, PackagedSource
from limner.domain.event import CancelToken, Happening
from limner.domain.recipe import InputRole, ModelRef, Recipe, Task
from limner.families import raster
from limner.families.family import Order, Pixels, Watch

PACKAGE = Path(limner.__file__).parent


def photo(width: int, height: int, seed: int = 0) -> Pixels:
    """Return an opaque picture with shading, texture and hard edges."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 220, (6, 8, 3), dtype=np.uint8)
    ground = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for _ in range(12):
        left, top = generator.integers(0, [width, height])
        side = int(generator.integers(8, 50))
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        draw.ellipse((left, top, left + side, top + side // 2 + 4), fill=colour)
    grain = generator.integers(-6, 7, (height, width, 3))
    colours = np.clip(np.asarray(ground).astype(int) + grain, 0, 255).astype(np.uint8)
    return np.dstack([colours, np.full((height, width), 255, np.uint8)])


def sticker(side: int, hidden: tuple[int, int, int] = (0, 0, 0)) -> Pixels:
    """Return a red disc with soft edges on nothing, `hidden` being the colour of the nothing."""
    large = Image.new("L", (side * 8, side * 8))
    ImageDraw.Draw(large).ellipse((side * 2, side * 2, side * 6, side * 6), fill=255)
    alpha = np.asarray(large.resize((side, side), Image.Resampling.BOX))
    pixels = np.empty((side, side, 4), np.uint8)
    pixels[..., :3] = np.where(alpha[..., None] > 0, np.array((220, 40, 30)), np.array(hidden))
    pixels[..., 3] = alpha
    return pixels


def subject(width: int, height: int) -> Pixels:
    """Return a red ball in front of a blurred greenish ground, opaque."""
    ground = Image.fromarray(photo(width, height)[..., :3]).filter(ImageFilter.GaussianBlur(12))
    calm = Image.blend(ground, Image.new("RGB", ground.size, (120, 150, 120)), 0.8)
    draw = ImageDraw.Draw(calm)
    draw.ellipse((width // 4, height // 5, width * 3 // 4, height * 4 // 5), fill=(200, 30, 20))
    draw.ellipse((width * 2 // 5, height // 3, width // 2, height // 2), fill=(250, 120, 110))
    return np.array(calm.convert("RGBA"))


def mask_of(region: np.ndarray) -> Pixels:
    """Return a mask: white where `region` is true, black elsewhere."""
    mask = np.zeros((*region.shape, 4), np.uint8)
    mask[region] = 255
    mask[..., 3] = 255
    return mask


def order(task: Task, pixels: Pixels | None, mask: Pixels | None = None) -> Order:
    """Return an order for a task on a picture."""
    size = raster.size_of(pixels if pixels is not None else photo(1, 1))
    recipe = Recipe(
        task=task, model=ModelRef(name="any", sha256="0" * 64), size=size, native_size=size
    )
    given = {InputRole.INIT: pixels, InputRole.MASK: mask}
    return Order(recipe, {role: one for role, one in given.items() if one is not None})


class Witness:
    """Keeps what is told, and asks for a stop after `stop_after` events."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[Happening] = []
        self.token = CancelToken()
        self._stop_after = stop_after

    def tell(self, happening: Happening) -> None:
        """Keep one event."""
        self.told.append(happening)
        if len(self.told) == self._stop_after:
            self.token.cancel()

    def watch(self, first: int = 0) -> Watch:
        """Return the watch to hand to a model."""
        return Watch(self.tell, self.token, first)


def files_of(card: ModelCard) -> dict[str, Path]:
    """Return the files of a model: packaged ones, or out of the folder LIMNER_TEST_WEIGHTS.

    Skips the test where a pulled file is not there.
    """
    found: dict[str, Path] = {}
    pulled = Path(os.environ.get("LIMNER_TEST_WEIGHTS", "/nowhere"))
    for file in card.files:
        packaged = [source for source in file.sources if isinstance(source, PackagedSource)]
        found[file.name] = PACKAGE / packaged[0].path if packaged else pulled / file.name
        if not found[file.name].exists():
            pytest.skip(f"put {file.name} into the folder LIMNER_TEST_WEIGHTS names")
    return found
