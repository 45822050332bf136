"""The poses of people: found, seen and drawn as ControlNets for poses expect them.

Each person is cut out and shown to ViTPose, which answers with a map of heat for each of COCO's 17
points. They are drawn as OpenPose (arXiv 1812.08008) draws its 18, in its colours on black; the
one that COCO lacks, the neck, lies between the shoulders.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from limner.domain.errors import InvalidImage
from limner.domain.recipe import Size
from limner.families import raster
from limner.families.diffusion.companions.sight import Sight
from limner.families.diffusion.loading.pipelines import Device, libraries, memory_told
from limner.families.family import Pixels

Floats = npt.NDArray[np.float32]

_WIDTH, _HEIGHT = 192, 256
"""The size in pixels at which ViTPose is shown a person."""

_ROOM = 1.25
"""How much more than a person's box it is shown."""

_SHOWN = 640
"""The side of the square at which pictures are searched for people."""

_SURE_PERSON, _SURE_POINT = 0.5, 0.3
_MOST_PEOPLE = 12

_OF_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""COCO's number for each of OpenPose's points; None for the neck."""

_LEFT, _RIGHT = 5, 6
"""COCO's shoulders."""

_LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
"""Which points OpenPose joins, in the order in which it draws them."""

_COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
_LIMB_STRENGTH = 0.6
"""Limbs are darker than points."""

_DRAWN_AT = 512
"""The side at which points are 4 pixels in radius."""


@dataclass(frozen=True)
class PoseNetworks:
    """A ViTPose, and a network that finds people, if there is one."""

    points: Any
    finder: Any | None = None


@dataclass(frozen=True)
class Box:
    """Where a person is, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def roomy(self) -> "Box":
        """The box with room around it, in the shape at which a person is shown."""
        width = max(self.width, self.height * _WIDTH / _HEIGHT) * _ROOM
        height = width * _HEIGHT / _WIDTH
        left = self.left + (self.width - width) / 2
        return Box(left, self.top + (self.height - height) / 2, width, height)


def people_of(networks: PoseNetworks, sight: Sight, picture: Pixels, device: Device) -> Pixels:
    """Return the poses in a picture as ControlNets expect them: opaque, at its size.

    Where nothing finds people, the whole picture counts as one. Raises InvalidImage where nobody
    is seen.
    """
    plain = raster.over(picture)
    boxes = _boxes(networks.finder, plain, device)
    people = [_points(networks.points, sight, plain, box.roomy, device) for box in boxes]
    seen = [one for one in people if np.isfinite(one).any()]
    if not seen:
        raise InvalidImage(
            "Nobody is seen in the picture whose pose is to be followed. Take one that shows "
            "people clearly, or give a drawn pose as pose-map=FILE."
        )
    return drawn(seen, raster.size_of(picture))


def drawn(people: Sequence[Floats], size: Size) -> Pixels:
    """Draw people, each 18 × 2 pixels (left, top) in OpenPose's order, NaN where not seen."""
    scale = max(1.0, max(size.width, size.height) / _DRAWN_AT)
    made = Image.new("RGB", (size.width, size.height))
    for points in people:
        limbs = Image.new("RGB", made.size)
        pen = ImageDraw.Draw(limbs)
        for (start, end), colour in zip(_LIMBS, _COLOURS, strict=False):
            _draw_limb(pen, points[start], points[end], colour, 4 * scale)
        lit = np.asarray(limbs) * np.float32(_LIMB_STRENGTH)
        made = Image.fromarray(np.maximum(np.asarray(made), lit.astype(np.uint8)))
        pen = ImageDraw.Draw(made)
        for (left, top), colour in zip(points.tolist(), _COLOURS, strict=True):
            if math.isfinite(left):
                radius = 4 * scale
                pen.ellipse((left - radius, top - radius, left + radius, top + radius), colour)
    return np.array(made.convert("RGBA"))


def from_heat(heat: Floats, box: Box) -> Floats:
    """Return OpenPose's 18 points, 18 × 2 pixels of the picture, of maps of heat, 17 × h × w.

    Each lies where its map is hottest, a quarter of a cell towards the hotter neighbour; one that
    is nowhere hot is NaN.
    """
    count, height, width = heat.shape
    coco = np.full((count, 2), np.nan, np.float32)
    for number, one in enumerate(heat):
        row, column = divmod(int(one.argmax()), width)
        if one[row, column] < _SURE_POINT:
            continue
        aside = _towards(one[row], column)
        down = _towards(one[:, column], row)
        coco[number] = (
            box.left + (column + aside + 0.5) * box.width / width,
            box.top + (row + down + 0.5) * box.height / height,
        )
    neck = (coco[_LEFT] + coco[_RIGHT]) / 2
    return np.stack([neck if place is None else coco[place] for place in _OF_COCO])


def _towards(line: Floats, place: int) -> float:
    if not 0 < place < len(line) - 1:
        return 0.0
    return 0.25 * float(np.sign(line[place + 1] - line[place - 1]))


def _boxes(finder: Any, plain: Pixels, device: Device) -> list[Box]:
    height, width = plain.shape[:2]
    whole = Box(0, 0, width, height)
    if finder is None:
        return [whole]
    torch = libraries().torch
    shown = raster.resize(plain, Size(width=_SHOWN, height=_SHOWN))[..., :3]
    batch = torch.from_numpy(raster.to_unit(shown).transpose(2, 0, 1)[None].copy())
    with memory_told(), torch.no_grad():
        found = finder(batch.to(device.name, device.torch_dtype))
    labels = {str(name): int(number) for number, name in finder.config.id2label.items()}
    sure = found.logits[0, :, labels.get("person", 0)].float().sigmoid().cpu().numpy()
    boxes = found.pred_boxes[0].float().cpu().numpy()
    order = [int(one) for one in np.argsort(-sure) if sure[one] >= _SURE_PERSON]
    return [
        Box((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
        for x, y, w, h in boxes[order[:_MOST_PEOPLE]].tolist()
    ]


def _points(network: Any, sight: Sight, plain: Pixels, box: Box, device: Device) -> Floats:
    torch = libraries().torch
    sides = (box.left, box.top, box.left + box.width, box.top + box.height)
    cut = Image.fromarray(plain[..., :3]).transform(
        (_WIDTH, _HEIGHT), Image.Transform.EXTENT, sides, Image.Resampling.BILINEAR
    )
    mean, deviation = (np.array(one, np.float32) for one in (sight.mean, sight.deviation))
    unit = (raster.to_unit(np.asarray(cut)) - mean) / deviation
    batch = torch.from_numpy(unit.transpose(2, 0, 1)[None].copy())
    experts = getattr(network.config.backbone_config, "num_experts", 1) > 1
    # A network of several experts has the one that learnt from COCO first.
    extra = {"dataset_index": torch.zeros(1, dtype=torch.long)} if experts else {}
    with memory_told(), torch.no_grad():
        heat = network(batch.to(device.name, device.torch_dtype), **extra).heatmaps[0]
    return from_heat(heat.float().cpu().numpy(), box)


def _draw_limb(
    pen: ImageDraw.ImageDraw, start: Floats, end: Floats, colour: tuple[int, int, int], width: float
) -> None:
    """Draw an ellipse from point to point, as thick as a point is wide."""
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        return
    middle, along = (start + end) / 2, (end - start) / 2
    length = float(np.hypot(*along))
    if length == 0:
        return
    unit = along / length
    across = np.array([-unit[1], unit[0]], np.float32) * width
    turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    rim = middle + np.cos(turns)[:, None] * along + np.sin(turns)[:, None] * across
    pen.polygon([(float(x), float(y)) for x, y in rim], colour)
