"""The visible label: a small badge in the corner that says a picture was made with AI."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from limner.domain.disclosure import disclosure
from limner.domain.errors import InvalidSize
from limner.families.family import Pixels

SMALLEST = 96
"""The shortest side, in pixels, on which a label can still be read."""

_FONT = Path(__file__).parent / "label.ttf"
_HEIGHT, _LEAST = 0.034, 11
"""The height of the letters in parts of the shorter side, and the least in pixels."""
_GROUND, _INK = (18, 18, 20, 178), (255, 255, 255, 255)
_FINER = 4
"""How many times larger the badge is drawn, for smooth edges."""


def labelled(pixels: Pixels, language: str) -> Pixels:
    """Return the picture with the label of a language in its bottom right corner.

    The same pixels and language give the same bytes. Raises InvalidOption for an unknown
    language, InvalidSize for a picture too small to carry a label that can be read.
    """
    height, width = pixels.shape[:2]
    badge = _badge(disclosure(language), max(_LEAST, round(_HEIGHT * min(width, height))))
    margin = max(3, round(0.018 * min(width, height)))
    if badge.shape[1] + 2 * margin > width or min(width, height) < SMALLEST:
        raise InvalidSize(
            f"A picture of {width}x{height} pixels is too small for a label that can be read. "
            f"Ask for {SMALLEST * 2}x{SMALLEST * 2} or more, or for no label."
        )
    top, left = height - margin - badge.shape[0], width - margin - badge.shape[1]
    finished = pixels.copy()
    place = finished[top : top + badge.shape[0], left : left + badge.shape[1]]
    place[...] = _over(place, badge)
    return finished


def _badge(text: str, letters: int) -> Pixels:
    """Return a dark pill with the text in white."""
    font = ImageFont.truetype(str(_FONT), letters * _FINER, layout_engine=ImageFont.Layout.BASIC)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    padding = round(0.55 * letters) * _FINER
    width = -(-(round(right - left) + 2 * padding) // _FINER) * _FINER
    height = -(-(ascent + descent + padding // 2) // _FINER) * _FINER
    image = Image.new("RGBA", (width, height), (*_GROUND[:3], 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, width - 1, height - 1), height // 2, fill=_GROUND)
    ink = Image.new("L", image.size, 0)
    ImageDraw.Draw(ink).text((padding - left, padding // 4), text, 255, font)
    image.paste(_INK, (0, 0), ink)
    return np.array(image.resize((width // _FINER, height // _FINER), Image.Resampling.BOX))


def _over(below: Pixels, above: Pixels) -> Pixels:
    """Lay straight RGBA over straight RGBA."""
    share = above[..., 3:].astype(np.float32) / 255
    under = below[..., 3:].astype(np.float32) / 255 * (1 - share)
    alpha = share + under
    colour = (above[..., :3] * share + below[..., :3] * under) / np.maximum(alpha, 1e-6)
    mixed = np.rint(np.concatenate([colour, alpha * 255], axis=-1)).clip(0, 255).astype(np.uint8)
    return np.where(above[..., 3:] > 0, mixed, below)
