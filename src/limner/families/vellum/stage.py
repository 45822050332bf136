"""Puts things that were drawn apart into one picture, as a scene says they stand."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels
from limner.families.vellum.colours import COLOURS
from limner.families.vellum.grammar import Relation, grammar
from limner.families.vellum.scene import Group, Node, Pair, Scene, Thing

Bounds = tuple[float, float, float, float]
"""A place: left, top, right and bottom as parts of width and height."""

_LARGEST = 256
"""The longer side of a scene: two things beside each other keep the detail they were drawn in."""
_FILLED = 0.92
_AREA_SIDE = 112
"""The side of a square as large as what every thing covers, before its own scale."""
_SEEN = 24
"""Alpha from which a pixel belongs to a thing."""
_GAP = 0.08
_UPRIGHT = 0.75
"""Two things stand beside each other unless the frame is this much higher than wide."""


def set_up(scene: Scene, drawn: Sequence[Pixels], size: Size) -> Pixels:
    """Return the picture of a scene: its longer side 256, in the shape of `size`.

    `drawn` holds one picture for each of `scene.words`: transparent around the thing.
    """
    width, height = _shape(size)
    pictures = dict(zip(scene.words, map(_trimmed, drawn), strict=True))
    put = _fitted(_stood(scene.root, pictures, width / height), width, height)
    colour = (0, 0, 0, 0) if scene.ground is None else (*COLOURS[scene.ground], 255)
    canvas = Image.new("RGBA", (width, height), colour)
    canvas.alpha_composite(put, ((width - put.width) // 2, (height - put.height) // 2))
    return np.array(canvas)


def laid_in(below: Pixels, drawn: Sequence[Pixels], bounds: Sequence[Bounds], size: Size) -> Pixels:
    """Return a picture with things set into places, each as large as its place allows.

    The picture is shaped like `size`, its longer side 256.
    """
    width, height = _shape(size)
    canvas = Image.fromarray(raster.fit(below, Size(width=width, height=height)))
    for picture, (left, top, right, bottom) in zip(drawn, bounds, strict=True):
        thing = _trimmed(picture)
        put = _resized(thing, *_within(thing, (right - left) * width, (bottom - top) * height))
        across = round((left + right) / 2 * width - put.width / 2)
        down = round((top + bottom) / 2 * height - put.height / 2)
        canvas.alpha_composite(put, (max(0, across), max(0, down)))
    return np.array(canvas)


def nothing(size: Size) -> Pixels:
    """Return a transparent picture in the shape of `size`."""
    width, height = _shape(size)
    return np.zeros((height, width, 4), np.uint8)


def _shape(size: Size) -> tuple[int, int]:
    scale = _LARGEST / max(size.width, size.height)
    width, height = (max(16, round(side * scale)) for side in (size.width, size.height))
    return width, height


def _stood(node: Node, pictures: Mapping[str, Image.Image], aspect: float) -> Image.Image:
    if isinstance(node, Thing):
        thing = pictures[node.words]
        factor = node.scale * _AREA_SIDE / (thing.width * thing.height) ** 0.5
        return _scaled(thing, min(factor, 1.5 * _AREA_SIDE / max(thing.size)))
    if isinstance(node, Group):
        return _in_rows([_stood(member, pictures, 1) for member in node.members], aspect)
    first, second = _stood(node.first, pictures, aspect), _stood(node.second, pictures, aspect)
    return _paired(node, first, second)


def _paired(node: Pair, first: Image.Image, second: Image.Image) -> Image.Image:
    match node.relation:
        case Relation.RIGHT_OF:
            put = _row([second, first])
        case Relation.ABOVE:
            put = _column([first, second])
        case Relation.BELOW:
            put = _column([second, first])
        case Relation.BEHIND:
            put = _overlapped(second, first)
        case Relation.IN_FRONT_OF:
            put = _overlapped(first, second)
        case Relation.ON:
            put = _on(first, second, flat=_is(node.second, grammar().flat))
        case Relation.IN:
            put = _in(first, second, hidden=_is(node.second, grammar().containers))
        case Relation.HOLDING:
            put = _holding(first, second)
        case Relation.WEARING_ON_HEAD | Relation.WEARING_ON_EYES:
            put = _worn(first, second, eyes=node.relation is Relation.WEARING_ON_EYES)
        case _:
            put = _row([first, second])
    return put


def _is(node: Node, names: frozenset[str]) -> bool:
    return isinstance(node, Thing) and node.name.split()[-1] in names


def _in_rows(pictures: Sequence[Image.Image], aspect: float) -> Image.Image:
    """Lay pictures out in the rows in which they come out largest in a frame of this shape."""

    def shape(rows: int) -> float:
        laid = _parted(pictures, rows)
        width = max(sum(one.width for one in row) for row in laid)
        height = sum(max(one.height for one in row) for row in laid)
        return min(aspect / width, 1 / height)

    if not pictures:
        return Image.new("RGBA", (1, 1))
    if len(pictures) == 2 and aspect > _UPRIGHT:
        return _row(pictures)
    rows = max(range(1, len(pictures) + 1), key=lambda count: (round(shape(count), 4), -count))
    return _column([_row(row) for row in _parted(pictures, rows)])


def _parted(pictures: Sequence[Image.Image], rows: int) -> list[Sequence[Image.Image]]:
    """Part pictures into rows of nearly the same count, the longer rows below."""
    count, over = divmod(len(pictures), rows)
    ends = [0]
    for row in range(rows):
        ends.append(ends[-1] + count + (row >= rows - over))
    return [pictures[start:end] for start, end in pairwise(ends)]


def _row(pictures: Sequence[Image.Image]) -> Image.Image:
    gap = round(_GAP * _AREA_SIDE)
    places, left = [], 0
    height = max(one.height for one in pictures)
    for one in pictures:
        places.append((one, left, height - one.height))
        left += one.width + gap
    return _laid(places)


def _column(pictures: Sequence[Image.Image]) -> Image.Image:
    gap = round(_GAP * _AREA_SIDE)
    places, top = [], 0
    width = max(one.width for one in pictures)
    for one in pictures:
        places.append((one, (width - one.width) // 2, top))
        top += one.height + gap
    return _laid(places)


def _overlapped(front: Image.Image, back: Image.Image) -> Image.Image:
    raised = round(0.22 * back.height)
    aside = round(0.45 * back.width)
    return _laid([(back, aside, 0), (front, 0, back.height - front.height + raised)])


def _on(above: Image.Image, below: Image.Image, *, flat: bool) -> Image.Image:
    above = _scaled(above, 0.85)
    into = (0.5 if flat else 0.16) * min(above.height, below.height)
    left = (below.width - above.width) // 2
    return _laid([(below, 0, 0), (above, left, round(into) - above.height)])


def _in(inner: Image.Image, outer: Image.Image, *, hidden: bool) -> Image.Image:
    if hidden:
        inner = _scaled(inner, 0.75 * outer.width / inner.width)
        left = (outer.width - inner.width) // 2
        top = round(0.28 * outer.height) - round(0.75 * inner.height)
        return _laid([(inner, left, top), (outer, 0, 0)])
    inner = _scaled(inner, 0.5 * min(outer.width / inner.width, outer.height / inner.height))
    left, top = (outer.width - inner.width) // 2, (outer.height - inner.height) // 2
    return _laid([(outer, 0, 0), (inner, left, top)])


def _holding(holder: Image.Image, held: Image.Image) -> Image.Image:
    held = _scaled(held, 0.5 * max(holder.size) / max(held.size))
    left = round(0.85 * holder.width) - held.width // 2
    top = round(0.75 * holder.height) - held.height // 2
    return _laid([(holder, 0, 0), (held, left, top)])


def _worn(wearer: Image.Image, worn: Image.Image, *, eyes: bool) -> Image.Image:
    """Put a hat where the middle of the wearer begins, or glasses a little below."""
    worn = _scaled(worn, (0.75 if eyes else 0.6) * wearer.width / worn.width)
    middle = np.asarray(wearer)[:, round(0.4 * wearer.width) : round(0.6 * wearer.width) + 1, 3]
    rows = np.nonzero((middle > 128).mean(1) > 0.5)[0]
    crown = int(rows[0]) if len(rows) else 0
    left = (wearer.width - worn.width) // 2
    if eyes:
        top = crown + round(0.36 * (wearer.height - crown)) - worn.height // 2
    else:
        top = crown + round(0.1 * wearer.height) - worn.height
    return _laid([(wearer, 0, 0), (worn, left, top)])


def _laid(places: Sequence[tuple[Image.Image, int, int]]) -> Image.Image:
    """Lay pictures over one another at places (left, top), which may be negative."""
    left, top = min(one[1] for one in places), min(one[2] for one in places)
    width = max(place + one.width for one, place, _ in places) - left
    height = max(place + one.height for one, _, place in places) - top
    canvas = Image.new("RGBA", (width, height))
    for one, across, down in places:
        canvas.alpha_composite(one, (across - left, down - top))
    return canvas


def _trimmed(picture: Pixels) -> Image.Image:
    """Return the part of a picture that shows something; all of it where nothing does."""
    return _cropped(Image.fromarray(picture))


def _cropped(picture: Image.Image) -> Image.Image:
    box = picture.getchannel("A").point(lambda alpha: 255 * (alpha >= _SEEN)).getbbox()
    return picture if box is None else picture.crop(box)


def _within(picture: Image.Image, width: float, height: float) -> tuple[int, int]:
    scale = min(width / picture.width, height / picture.height)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    return _resized(picture, *_within(picture, _FILLED * width, _FILLED * height))


def _scaled(picture: Image.Image, factor: float) -> Image.Image:
    return _resized(
        picture, max(1, round(factor * picture.width)), max(1, round(factor * picture.height))
    )


def _resized(picture: Image.Image, width: int, height: int) -> Image.Image:
    # Pillow premultiplies RGBA for the filter and divides again after it.
    return picture.resize((width, height), Image.Resampling.LANCZOS)
