"""Finding the subject with U²-Net on ONNX Runtime.

Qin et al.: U²-Net, 2020, https://arxiv.org/abs/2005.09007
"""

from collections.abc import Sequence

import numpy as np

from limner.domain.errors import InvalidImage, InvalidRequest
from limner.domain.event import Step
from limner.domain.recipe import InputRole, Size
from limner.families import raster
from limner.families.family import Order, Pixels, Watch
from limner.families.session import OnnxModel
from limner.families.u2net.matte import Plane, cut

_SIDE = 320
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_LEAST_SURE = 0.3
"""A map that reaches no higher than this found nothing; real subjects reach 0.8 and more."""


class Cutter(OnnxModel):
    """A U²-Net network in memory."""

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Return the subject of every order's init picture on a transparent ground.

        Raises InvalidImage for a picture in which nothing stands out.
        """
        return [self._cutout(order, position, watch) for position, order in enumerate(orders)]

    def _cutout(self, order: Order, position: int, watch: Watch) -> Pixels:
        pixels = order.inputs.get(InputRole.INIT)
        if pixels is None:
            raise InvalidRequest("Cutting out needs a picture as init.")
        watch.token.check()
        found = self._find(pixels)
        watch.tell(Step(watch.first + position, "cutout", 1, 2))
        finished = cut(pixels, found, watch.token.check)
        watch.tell(Step(watch.first + position, "cutout", 2, 2))
        return finished

    def _find(self, pixels: Pixels) -> Plane:
        """Return the map of the subject, 320 × 320, 0 to 1."""
        small = raster.resize(pixels, Size(width=_SIDE, height=_SIDE))
        colours = raster.over(small)[..., :3].astype(np.float32)
        colours /= max(float(colours.max()), 1.0)
        values = ((colours - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None]
        session = self._session
        (result,) = session.run(session.outputs[:1], {session.inputs[0]: values})
        found = np.asarray(result, dtype=np.float32)[0, 0]
        low, high = float(found.min()), float(found.max())
        if high < _LEAST_SURE:
            raise InvalidImage(
                "Nothing in this picture stands out from its background, so there is nothing to "
                "cut out. Use a picture with one clear subject."
            )
        stretched: Plane = (found - np.float32(low)) / np.float32(high - low)
        return stretched
