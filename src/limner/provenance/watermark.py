"""The invisible watermark: an id of 48 bits in the luminance of a picture.

It outlives re-encoding, scaling, changes of brightness, and modest crops. The change is the one
that moves the carrier's values (see `carrier`) to the mark's code word, and no further than
needed, knowing the picture that they are hidden in: informed embedding (Miller, Doërr and Cox,
Applying informed coding and embedding to design a robust high-capacity watermark, 2004).
Each point of the picture may change by so much only: little in flat colour, more in texture.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from limner.families import raster
from limner.families.family import Pixels
from limner.provenance import coding
from limner.provenance.carrier import PATTERN, SIDE, Lens, Plane, evened, luminance, resample
from limner.provenance.coding import Values
from limner.provenance.cropping import find_crop

SMALLEST = 128
"""Pictures with a shorter side, in pixels, are not marked: there is too little to hide in."""

_READABLE = 32
"""In pictures with a shorter side no mark is looked for."""

_FLAT = 1.2
"""The largest change, in levels of 255, where a picture is flat."""

_PER_ACTIVITY = 0.2
_LARGEST = 6.0
"""In texture the largest change grows by so much with each level of activity, up to this."""

_CALM_AROUND = 13
"""Side in grid points of the square whose calmest point decides: beside an edge is not texture."""

_NOISIEST = 255**2 / 10**4.1
"""The largest mean squared change: a PSNR of 41 dB."""

_GLARE = 221
"""Brighter luminance saturates in a brightened picture, and carries less."""

_IN_GLARE = 0.6
_MUCH_GLARE = 0.1
_BRIGHTENED = 1.15
_NO_ANSWER = 1e-9

_HEADROOM = 3.0
"""Within so many levels of black and white there is less room, and none at them."""

_VISIBLE = 0.02
"""What is more transparent carries nothing."""

_PATTERN_SHARE = 1.0
"""How strong the known pattern is beside the code word, wave for wave."""

_ROUNDS = 8
_HALVINGS = 30

_CERTAIN = 0.75
"""A mark that is read less surely than this from the very picture it was put in is not kept."""

_SHADES = np.array((0, 0.114, 0.299, 0.413, 0.587, 0.701, 0.886, 1), np.float32)
"""What one level more of blue (bit 0), red (bit 1) and green (bit 2) adds to the luminance."""

_STRIP = 256


@dataclass(frozen=True)
class Detection:
    """A mark that was found.

    `certainty`, from 0 to 1, is how alike the picture's values are to the mark's code word:
    nearly 1 straight after marking, about 0.6 where it is barely readable.
    """

    mark: str
    certainty: float


def embed(pixels: Pixels, mark: str) -> Pixels:
    """Return the picture with the mark of 12 hexadecimal digits in it.

    Alpha stays, and so does whatever is fully transparent. The same pixels and mark give the same
    picture. One that is too small or has too little to hide in comes back as it is, and `detect`
    finds nothing in it: never half a mark.
    """
    size = raster.size_of(pixels)
    if min(size.width, size.height) < SMALLEST:
        return pixels
    plane = resample(luminance(pixels), SIDE, SIDE)
    room = _room(plane, pixels)
    if not room.any():
        return pixels
    marked = _add(pixels, _change(plane, room, coding.encode(mark)))
    found = _detect_whole(luminance(marked))
    if found is None or found.mark != mark or found.certainty < _CERTAIN:
        return pixels
    return marked


def detect(pixels: Pixels) -> Detection | None:
    """Return the mark in a picture, or None. Whatever is transparent counts as white.

    Where the picture as a whole shows none, it is tried as a part of a larger one.
    """
    size = raster.size_of(pixels)
    if min(size.width, size.height) < _READABLE:
        return None
    plane = luminance(pixels)
    found = _detect_whole(plane)
    if found is None:
        found = next(filter(None, map(_read, find_crop(plane))), None)
    return found


def _detect_whole(plane: Plane) -> Detection | None:
    whole = resample(plane, SIDE, SIDE)
    return _read(Lens(whole).gather(whole))


def _read(values: Values) -> Detection | None:
    found = coding.decode(values[:PATTERN])
    return None if found is None else Detection(*found)


def _room(plane: Plane, pixels: Pixels) -> Plane:
    """Return how much each point of the grid may change, in levels."""
    alpha = resample(pixels[..., 3].astype(np.float32) / 255, SIDE, SIDE)
    activity = evened(plane).activity.astype(np.float32)
    calmest = Image.fromarray(activity).filter(ImageFilter.MinFilter(_CALM_AROUND))
    room = np.minimum(_FLAT + _PER_ACTIVITY * np.asarray(calmest), _LARGEST)
    room *= np.clip(np.minimum(plane, 255 - plane) / _HEADROOM, 0, 1)
    room *= np.where(plane > _GLARE, _IN_GLARE, 1)
    return np.where(alpha > _VISIBLE, room * alpha, 0).astype(np.float32)


class _Aim:
    """The values that a change of a plane should bring about, and how to come nearer to them.

    Values that already are on their side and far enough may stay. How far is enough is set so
    that the change would just fill the room if it could exceed it here and there. `shown` is the
    share of a change that is left in the plane: none where the plane is saturated.
    """

    def __init__(self, plane: Plane, room: Plane, shown: Plane, signs: Values) -> None:
        self._lens = Lens(plane)
        self._shown = shown
        self._signs = signs
        able = room * shown
        points = int(np.count_nonzero(able))
        self._ability = able / self._lens.ease
        self._ability *= float(np.sum(able * self._lens.ease)) / max(points, 1)
        power = self._lens.power
        answer = signs @ self._lens.gather(self._ability * self._lens.spread(signs))
        self._strength = power * max(float(answer), _NO_ANSWER) / float(power.sum())
        reach = np.ones_like(signs)
        reach[PATTERN] = _PATTERN_SHARE * power[PATTERN] / power[:PATTERN].mean()
        already = signs * self._lens.gather(plane)
        self._wanted = self._farthest(reach, already, points)

    def step(self, change: Plane) -> Plane:
        """Return what to add to a change to make up for what it still misses."""
        there = self._signs * self._lens.gather(change * self._shown)
        missing = np.maximum(self._wanted - there, 0) / self._strength
        return self._ability * self._lens.spread(self._signs * missing)

    def _farthest(self, reach: Values, already: Values, effort: int) -> Values:
        """Return by how much to move each value so that all come equally far with this effort."""
        near, far = 0.0, float(np.abs(already / reach).max())
        far += float(np.sqrt(effort * self._strength.max()))
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            wanted = np.maximum(middle * reach - already, 0)
            if float((wanted**2 / self._strength).sum()) > effort:
                far = middle
            else:
                near = middle
        return np.maximum(near * reach - already, 0)


def _change(plane: Plane, room: Plane, word: Values) -> Plane:
    """Return the change of luminance that moves a plane's values to the word.

    What exceeds the room is cut off and made up for elsewhere. A bright picture has to keep its
    values when it is brightened further, too.
    """
    signs = np.append(word, np.float32(1))
    aims = [_Aim(plane, room, np.ones_like(plane), signs)]
    if np.mean(plane > _GLARE) > _MUCH_GLARE:
        brighter = np.minimum(plane * _BRIGHTENED, 255)
        aims.append(_Aim(brighter, room, (brighter < 255).astype(np.float32), signs))
    change = np.zeros_like(plane)
    for _ in range(_ROUNDS):
        for aim in aims:
            change = np.clip(change + aim.step(change), -room, room)
    excess = float(np.mean(change**2)) / _NOISIEST
    return change / np.float32(max(excess, 1) ** 0.5)


def _add(pixels: Pixels, change: Plane) -> Pixels:
    """Return a picture with its luminance changed by fractions of a level.

    A fraction is what one level more in some of the channels comes nearest to.
    """
    size = raster.size_of(pixels)
    full = resample(change, size.width, size.height)
    marked = pixels.copy()
    between = (_SHADES[1:] + _SHADES[:-1]) / 2
    for top in range(0, size.height, _STRIP):
        strip = full[top : top + _STRIP]
        whole = np.floor(strip)
        shade = np.searchsorted(between, strip - whole)
        more = np.stack([shade >> 1 & 1, shade >> 2 & 1, shade & 1], axis=-1)
        colours = pixels[top : top + _STRIP, :, :3]
        changed = np.clip(colours + whole[..., None] + more, 0, 255).astype(np.uint8)
        seen = pixels[top : top + _STRIP, :, 3:] > 0
        marked[top : top + _STRIP, :, :3] = np.where(seen, changed, colours)
    return marked
