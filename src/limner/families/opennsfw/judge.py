"""Judging pictures with open_nsfw on ONNX Runtime.

Mahadeokar, Pesavento: Open Sourcing a Deep Learning Solution for Detecting NSFW Images, Yahoo,
2016. A thin ResNet-50 (He et al., https://arxiv.org/abs/1512.03385).
"""

import io

import numpy as np
from PIL import Image

from limner.families import raster
from limner.families.family import Pixels
from limner.families.session import OnnxModel

_RESIZED = 256
_MIDDLE = (16, 16, 240, 240)
_MEAN = np.array([104, 117, 123], dtype=np.float32)
"""Blue, green and red, as the network wants them."""


class NsfwJudge(OnnxModel):
    """The open_nsfw network in memory."""

    def score(self, pixels: Pixels) -> float:
        """Return how likely a picture is unsafe, from 0 to 1.

        What is transparent is judged over white. The whole picture is squeezed into a square, of
        which the network sees the middle seven eighths.
        """
        (result,) = self._session.run(["outputs"], {"input:0": _as_seen(pixels)[None]})
        return float(result[0, 1])


def _as_seen(pixels: Pixels) -> np.ndarray:
    """Return what the network is shown: 224 × 224 × 3, as its publisher prepared pictures.

    That includes a passage through JPEG: without it, scores differ by up to 0.15.
    """
    image = Image.fromarray(pixels).resize((_RESIZED, _RESIZED), Image.Resampling.BILINEAR)
    stored = io.BytesIO()
    Image.fromarray(raster.over(np.asarray(image))[..., :3]).save(stored, "JPEG", quality=75)
    with Image.open(stored) as opened:
        colours = np.asarray(opened.crop(_MIDDLE), dtype=np.float32)
    shown: np.ndarray = np.ascontiguousarray(colours[..., ::-1] - _MEAN)
    return shown
