"""Maps: what ControlNets are shown of a picture. Lines by OpenCV, depths and poses by models.

Lines are white on black. ControlNets for `canny` learnt from OpenCV's detector with thresholds of
100 and 200 (arXiv 2302.05543); those for line art and soft edges learnt from networks, to whose
maps differences of blurred pictures come near, not equal.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.domain.composition import ControlKind
from limner.domain.errors import InvalidOption, ModelUnavailable
from limner.families import raster
from limner.families.family import Pixels

Plane = npt.NDArray[np.uint8]

_CANNY = (100, 200)
"""Gradients below the first are no edge, above the second they are; between, beside an edge."""


def lines_of(kind: ControlKind, pixels: Pixels) -> Pixels:
    """Return the map of a kind that needs no model, opaque RGBA at the size of the picture.

    Raises ModelUnavailable where OpenCV is not installed, InvalidOption for a kind that takes a
    model to see.
    """
    make = _MAKERS.get(kind)
    if make is None:
        raise InvalidOption(f"{kind} is seen by a model. Give a finished map: {kind}-map=FILE.")
    plain = np.ascontiguousarray(raster.over(pixels)[..., :3])
    return _opaque(make(plain))


def _opaque(drawn: npt.NDArray[np.uint8]) -> Pixels:
    made = np.full((*drawn.shape[:2], 4), 255, np.uint8)
    made[..., :3] = drawn if drawn.ndim == 3 else drawn[..., None]
    return made


def _canny(plain: Plane) -> Plane:
    cv2 = _opencv()
    return np.asarray(cv2.Canny(cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY), *_CANNY))


def _lineart(plain: Plane) -> Plane:
    """Return where a picture is darker than around: pencil lines, thin at any size."""
    cv2 = _opencv()
    grey = cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = max(plain.shape[:2]) / 1024
    near = cv2.GaussianBlur(grey, (0, 0), max(0.7, 1.0 * fine))
    far = cv2.GaussianBlur(grey, (0, 0), max(1.6, 4.0 * fine))
    darker: npt.NDArray[np.float32] = np.clip(far - near, 0, None)
    return _stretched(darker)


def _soft_edge(plain: Plane) -> Plane:
    """Return how much a picture changes at each place, smoothly."""
    cv2 = _opencv()
    fine = max(0.8, 2.0 * max(plain.shape[:2]) / 1024)
    soft = cv2.GaussianBlur(plain.astype(np.float32), (0, 0), fine)
    across, down = (cv2.Scharr(soft, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))
    steep = np.sqrt(across**2 + down**2).max(axis=2)
    return _stretched(np.asarray(cv2.GaussianBlur(steep, (0, 0), fine)))


def _scribble(plain: Plane) -> Plane:
    """Return the strongest edges as strokes of a thick pen."""
    cv2 = _opencv()
    width = max(2, round(max(plain.shape[:2]) / 200))
    strong = (_soft_edge(plain) > 96).astype(np.uint8) * 255
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    thin = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, brush)
    return np.asarray(cv2.dilate(thin, brush))


def _grey(plain: Plane) -> Plane:
    cv2 = _opencv()
    return np.asarray(cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY))


def _blur(plain: Plane) -> Plane:
    cv2 = _opencv()
    return np.asarray(cv2.GaussianBlur(plain, (0, 0), max(plain.shape[:2]) / 100))


def _tile(plain: Plane) -> Plane:
    return plain


def _stretched(values: npt.NDArray[np.float32]) -> Plane:
    """Return values from 0 to their 99.5th percentile as 0 to 255; a plain picture has no lines."""
    most = float(np.percentile(values, 99.5))
    if most < 1:
        return np.zeros(values.shape, np.uint8)
    stretched: Plane = np.rint(np.clip(values / most, 0, 1) * 255).astype(np.uint8)
    return stretched


_MAKERS: Mapping[ControlKind, Callable[[Plane], Plane]] = MappingProxyType(
    {
        ControlKind.CANNY: _canny,
        ControlKind.LINEART: _lineart,
        ControlKind.SOFT_EDGE: _soft_edge,
        ControlKind.SCRIBBLE: _scribble,
        ControlKind.GREY: _grey,
        ControlKind.BLUR: _blur,
        ControlKind.TILE: _tile,
    }
)


def _opencv() -> Any:
    try:
        return import_module("cv2")
    except ImportError as error:
        raise ModelUnavailable(
            "Lines are found with OpenCV, which is not installed. Install it with: pip install "
            "'limner[torch]'"
        ) from error
