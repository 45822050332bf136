"""The visible label: a small badge in the corner that says a picture was made with AI."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner.domain.disclosure import disclosure
from limner.domain.errors import InvalidSize
from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance.trace import outline

SMALLEST = 96
"""The shortest side, in pixels, on which a label can still be read."""

ROOMY = 192
"""A square of this side has room for the label of every language."""

_FONT = Path(__file__).parent / "label.ttf"
_HEIGHT, _LEAST = 0.034, 11
"""The height of the letters in parts of the shorter side, and the least in pixels."""
_GROUND, _INK = (18, 18, 20, 178), (255, 255, 255, 255)
_FINER = 4
"""How many times larger the badge is drawn, for smooth edges."""


@dataclass(frozen=True)
class _Badge:
    """A badge in its place; in pixels of the picture, but for `padding`, `_FINER` times those."""

    text: str
    font: ImageFont.FreeTypeFont
    left: int
    top: int
    width: int
    height: int
    padding: int

    def ink(self) -> Image.Image:
        """Return the letters in white on black, `_FINER` times larger."""
        image = Image.new("L", (self.width * _FINER, self.height * _FINER), 0)
        left = self.font.getbbox(self.text)[0]
        pen = ImageDraw.Draw(image)
        pen.text((self.padding - left, self.padding // 4), self.text, 255, self.font)
        return image


def check_label(size: Size, language: str) -> None:
    """Raise what `labelled` would raise for a picture of this size, before it is drawn."""
    _planned(size, language)


def labelled(pixels: Pixels, language: str) -> Pixels:
    """Return the picture with the label of a language in its bottom right corner.

    The same pixels and language give the same bytes. Raises InvalidOption for an unknown
    language, InvalidSize for a picture too small to carry a label that can be read.
    """
    badge = _planned(raster.size_of(pixels), language)
    finished = pixels.copy()
    rows = slice(badge.top, badge.top + badge.height)
    place = finished[rows, badge.left : badge.left + badge.width]
    place[...] = _over(place, _painted(badge))
    return finished


def label_drawing(size: Size, language: str) -> str:
    """Return the label as SVG elements, in pixels of a picture of this size; see `labelled`."""
    badge = _planned(size, language)
    red, green, blue, alpha = _GROUND
    return (
        f'<g transform="translate({badge.left} {badge.top})">'
        f'<rect width="{badge.width}" height="{badge.height}" rx="{badge.height / 2:g}"'
        f' fill="#{red:02x}{green:02x}{blue:02x}" fill-opacity="{alpha / 255:.2f}"/>\n'
        f'<g fill="#fff" transform="scale({1 / _FINER:g})">{outline(badge.ink())}</g></g>'
    )


def _planned(size: Size, language: str) -> _Badge:
    text, shorter = disclosure(language), min(size.width, size.height)
    letters = max(_LEAST, round(_HEIGHT * shorter))
    font = ImageFont.truetype(str(_FONT), letters * _FINER, layout_engine=ImageFont.Layout.BASIC)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    padding = round(0.55 * letters) * _FINER
    width = -(-(round(right - left) + 2 * padding) // _FINER)
    height = -(-(ascent + descent + padding // 2) // _FINER)
    margin = max(3, round(0.018 * shorter))
    if width + 2 * margin > size.width or shorter < SMALLEST:
        raise InvalidSize(
            f"A picture of {size} pixels is too small for a label that can be read. "
            f"{ROOMY}x{ROOMY} has room for every language; ask for a larger one, or for no label."
        )
    place = size.width - margin - width, size.height - margin - height
    return _Badge(text, font, *place, width, height, padding)


def _painted(badge: _Badge) -> Pixels:
    """Return a dark pill with the text in white."""
    ink = badge.ink()
    image = Image.new("RGBA", ink.size, (*_GROUND[:3], 0))
    corner = ink.width - 1, ink.height - 1
    ImageDraw.Draw(image).rounded_rectangle((0, 0, *corner), ink.height // 2, fill=_GROUND)
    image.paste(_INK, (0, 0), ink)
    return np.array(image.resize((badge.width, badge.height), Image.Resampling.BOX))


def _over(below: Pixels, above: Pixels) -> Pixels:
    """Lay straight RGBA over straight RGBA."""
    share = above[..., 3:].astype(np.float32) / 255
    under = below[..., 3:].astype(np.float32) / 255 * (1 - share)
    alpha = share + under
    colour = (above[..., :3] * share + below[..., :3] * under) / np.maximum(alpha, 1e-6)
    mixed = np.rint(np.concatenate([colour, alpha * 255], axis=-1)).clip(0, 255).astype(np.uint8)
    return np.where(above[..., 3:] > 0, mixed, below)
