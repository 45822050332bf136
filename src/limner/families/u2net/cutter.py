"""Finding the subject with U²-Net on ONNX Runtime.

Qin et al.: U²-Net, 2020, https://arxiv.org/abs/2005.09007
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from limner.domain.errors import InvalidImage, InvalidRequest
from limner.domain.event import Step
from limner.domain.recipe import InputRole, Size
from limner.families import raster
from limner.families.family import Order, Pixels, Watch
from limner.families.session import open_session
from limner.families.u2net.matte import Plane, cut

_SIDE = 320
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_LEAST_SURE = 0.3
"""A map that reaches no higher than this found nothing; real subjects reach 0.8 and more."""


class Cutter:
    """A U²-Net network in memory."""

    def __init__(self, weights: Path, threads: int) -> None:
        """Load the network; raises WeightsRejected for a file that is none."""
        self._session: Any = open_session(weights, threads)
        self._bytes = weights.stat().st_size

    @property
    def bytes(self) -> int:
        """Memory the weights take."""
        return self._bytes

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        """The libraries that decide the numbers."""
        return (("numpy", np.__version__), ("onnxruntime", onnxruntime.__version__))

    @property
    def dtype(self) -> str:
        """The number format computed in."""
        return "float32"

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Return the subject of every order's init picture on a transparent ground.

        Raises InvalidImage for a picture in which nothing stands out.
        """
        return [self._cutout(order, position, watch) for position, order in enumerate(orders)]

    def close(self) -> None:
        """Give the memory back."""
        self._session = None

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
        first = session.get_outputs()[0].name
        (result,) = session.run([first], {session.get_inputs()[0].name: values})
        found = np.asarray(result, dtype=np.float32)[0, 0]
        low, high = float(found.min()), float(found.max())
        if high < _LEAST_SURE:
            raise InvalidImage(
                "Nothing in this picture stands out from its background, so there is nothing to "
                "cut out. Use a picture with one clear subject."
            )
        stretched: Plane = (found - np.float32(low)) / np.float32(high - low)
        return stretched
