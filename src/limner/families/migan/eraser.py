"""Filling holes with MI-GAN on ONNX Runtime.

Sargsyan, Navasardyan, Xu, Shi: MI-GAN, ICCV 2023. The published network brings its input to
512 × 512 by itself; here it is shown only the part of the picture around each hole.
"""

from collections.abc import Sequence

import numpy as np

from limner.domain.errors import InvalidImage, InvalidRequest
from limner.domain.event import Step
from limner.domain.recipe import InputRole
from limner.families import raster
from limner.families.family import Order, Pixels, Watch
from limner.families.migan.holes import Colours, Region, boxes, continue_into
from limner.families.session import OnnxModel

_LEAST = 64
"""The network takes no picture with a side of 1; smaller ones are continued to this."""

_RINGS = 12
"""How far into a hole, in pixels, the network mixes its fill with what was there."""


class Eraser(OnnxModel):
    """The MI-GAN network in memory."""

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Return every order's init picture with what its mask marks filled from around it.

        Pixels outside the mask, and every pixel's alpha, keep their bytes. Raises InvalidImage
        where the mask does not fit or leaves nothing.
        """
        return [self._erase(order, position, watch) for position, order in enumerate(orders)]

    def _erase(self, order: Order, position: int, watch: Watch) -> Pixels:
        pixels, region = _inputs(order)
        erased = pixels.copy()
        known = raster.bleed(pixels)
        left = region.copy()
        found = boxes(region)
        for done, box in enumerate(found, start=1):
            watch.token.check()
            window = box.window(*region.shape).slices
            within = np.zeros_like(left)
            within[box.slices] = left[box.slices]
            if within.any():
                filled = self._fill(known[window], left[window])
                known[window][within[window], :3] = filled[within[window]]
                left &= ~within
            watch.tell(Step(watch.first + position, "erase", done, len(found)))
        erased[region, :3] = known[region, :3]
        return erased

    def _fill(self, pixels: Pixels, hole: Region) -> Colours:
        """Return the window's colours with its hole filled."""
        height, width = hole.shape
        more = ((0, max(0, _LEAST - height)), (0, max(0, _LEAST - width)))
        hole = np.pad(hole, more, mode="edge")
        # The network softens the rim of the hole with what was in it: show it no trace of that.
        blank = np.pad(pixels, (*more, (0, 0)), mode="edge")
        blank[..., 3] = np.where(hole, 0, 255)
        colours = continue_into(raster.bleed(blank)[..., :3], hole, _RINGS)
        image = np.ascontiguousarray(colours.transpose(2, 0, 1)[None])
        mask = np.where(hole, np.uint8(0), np.uint8(255))[None, None]
        (result,) = self._session.run(["result"], {"image": image, "mask": mask})
        filled: Colours = np.asarray(result)[0].transpose(1, 2, 0)[:height, :width]
        return filled


def _inputs(order: Order) -> tuple[Pixels, Region]:
    pixels, mask = order.inputs.get(InputRole.INIT), order.inputs.get(InputRole.MASK)
    if pixels is None or mask is None:
        raise InvalidRequest("Erasing needs a picture as init and a mask.")
    if pixels.shape != mask.shape:
        raise InvalidImage(
            f"The mask is {raster.size_of(mask)} and the picture {raster.size_of(pixels)} pixels. "
            "Make a mask of the picture's size."
        )
    region = raster.region(mask)
    if not region.any():
        raise InvalidImage("The mask marks nothing. Paint white what should be erased.")
    if region.all():
        raise InvalidImage("The mask covers the whole picture: nothing is left to fill it from.")
    return pixels, region
