"""Crisp in memory: enlarges premultiplied pictures in strips, so that memory stays small."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from limner.domain.errors import InvalidRequest
from limner.domain.event import Step
from limner.domain.recipe import InputRole
from limner.families import raster
from limner.families.family import Order, Pixels, Watch
from limner.families.session import open_session

SCALE = 4
REACH = 16
"""Pixels of context on each side of a strip: more than ten convolutions of 3 × 3 can see."""

_STRIP = 256 * 512
"""Pixels in a strip, at most: some 25 MB for each layer of the network."""


class CrispUpscaler:
    """The network, ready to enlarge."""

    def __init__(self, weights: Path, threads: int) -> None:
        """Load the network; raises WeightsRejected for a file that is none."""
        self._session = open_session(weights, threads)
        self.bytes = 2 * weights.stat().st_size  # stored in 16 bits, held in 32

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        """The libraries that decide the numbers."""
        return (("numpy", np.__version__), ("onnxruntime", onnxruntime.__version__))

    @property
    def dtype(self) -> str:
        """The number format computed in."""
        return "float32"

    @property
    def device(self) -> str:
        """Where it computes."""
        return "cpu"

    @property
    def fitting(self) -> str:
        """How it was made to fit into memory: it needs little."""
        return ""

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Return every order's init picture, 4 times as wide and as high."""
        return [self._enlarge(order, position, watch) for position, order in enumerate(orders)]

    def close(self) -> None:
        """Give the memory back."""
        del self._session

    def _enlarge(self, order: Order, position: int, watch: Watch) -> Pixels:
        pixels = order.inputs.get(InputRole.INIT)
        if pixels is None:
            raise InvalidRequest("Enlarging needs a picture as init.")
        height, width = pixels.shape[:2]
        rows = max(1, _STRIP // width)
        tops = range(0, height, rows)
        large = np.zeros((height * SCALE, width * SCALE, 4), np.uint8)
        for done, top in enumerate(tops, start=1):
            watch.token.check()
            bottom = min(top + rows, height)
            first, last = max(0, top - REACH), min(bottom + REACH, height)
            planes = raster.to_planes(pixels[first:last])
            strip = raster.from_planes(self._session.run(["large"], {"small": planes[None]})[0][0])
            kept = slice((top - first) * SCALE, (bottom - first) * SCALE)
            large[top * SCALE : bottom * SCALE] = strip[kept]
            watch.tell(Step(watch.first + position, "upscale", done, len(tops)))
        if (pixels[..., 3] == 255).all():
            large[..., 3] = 255
        return large
