"""Matching the colours of a drawn patch to the picture that it is set into.

A model that redraws a picture's surroundings, too, shows there how far off its colours are. Just
outside the mask, original and patch are compared, and what they differ by is spread over the
inside as a membrane, smooth and without hills of its own: the seam of Pérez, Gangnet and Blake,
Poisson image editing, 2003.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from limner.families.family import Pixels

Region = npt.NDArray[np.bool_]
"""Rows × columns: which pixels may change."""

Grid = npt.NDArray[np.float64]
"""Rows × columns × channels of coarse cells."""

_CELLS = 64
"""The membrane is computed in so many cells along the longer side."""

_REACH = 32
"""The rim that is compared is this part of the longer side wide."""

_CAST, _CONTENT = 24.0, 48.0
"""A mean difference (of 255) up to the first is a cast of colour; from the second on, another
content, which is meant and stays."""

_ROUNDS = 60


def matched(patch: Pixels, original: Pixels, hole: Region) -> Pixels:
    """Return a patch with its colours inside the hole matched to the original around it.

    All three are of one size. Alpha stays, and so does everything outside the hole; where patch
    and original show different things beside each other, nothing is changed.
    """
    height, width = hole.shape
    cell = -(-max(height, width) // _CELLS)
    sums, weight = _compared(
        patch, original, _rim(hole, max(2, max(height, width) // _REACH)), cell
    )
    if not weight.any():
        return patch
    around, known = _blurred(sums), _blurred(weight)
    means = around / np.maximum(known, 1e-9)
    far = np.abs(means).max(axis=2, keepdims=True)
    means *= np.clip((_CONTENT - far) / (_CONTENT - _CAST), 0, 1)
    if not means.any():
        return patch
    finished = patch.copy()
    spread = _enlarged(_membrane(means, weight > 0), cell)[:height, :width]
    colours = patch[hole, :3] + spread[hole]
    finished[hole, :3] = np.rint(colours).clip(0, 255).astype(np.uint8)
    return finished


def _rim(hole: Region, reach: int) -> Region:
    """Return the pixels outside a hole that are near it."""
    image = Image.fromarray(hole.astype(np.uint8) * 255)
    near = np.asarray(image.filter(ImageFilter.BoxBlur(reach))) > 0
    rim: Region = near & ~hole
    return rim


def _compared(patch: Pixels, original: Pixels, rim: Region, cell: int) -> tuple[Grid, Grid]:
    """Return per cell the sum of original minus patch along the rim, and the weight of it.

    What is transparent in either weighs nothing.
    """
    rows, columns = np.nonzero(rim)
    shape = tuple(-(-length // cell) for length in rim.shape)
    places = rows // cell * shape[1] + columns // cell
    one, other = original[rim].astype(np.float64), patch[rim].astype(np.float64)
    share = one[:, 3] * other[:, 3] / 255**2
    apart = (one[:, :3] - other[:, :3]) * share[:, None]
    planes = [
        np.bincount(places, values, shape[0] * shape[1]).reshape(shape)
        for values in (*apart.T, share)
    ]
    return np.stack(planes[:3], axis=-1), planes[3][..., None]


def _blurred(grid: Grid) -> Grid:
    """Return the sums over each cell and its neighbours."""
    rows, columns = grid.shape[:2]
    padded = np.pad(grid, ((1, 1), (1, 1), (0, 0)))
    total = np.zeros_like(grid)
    for down in range(3):
        for right in range(3):
            total += padded[down : down + rows, right : right + columns]
    return total


def _membrane(values: Grid, known: npt.NDArray[np.bool_]) -> Grid:
    """Return a grid that has the values where they are known and is harmonic elsewhere.

    From coarse to fine, each unknown cell is brought to the mean of its neighbours; beyond the
    edges, the edge goes on.
    """
    rows, columns = values.shape[:2]
    if known.all() or max(rows, columns) == 1:
        return values
    share = known.astype(np.float64)
    weight = _halved(share)
    coarse = _membrane(_halved(values * share) / np.maximum(weight, 1e-9), weight > 0)
    grid = np.where(known, values, _enlarged(coarse, 2)[:rows, :columns])
    for _ in range(_ROUNDS):
        padded = np.pad(grid, ((1, 1), (1, 1), (0, 0)), mode="edge")
        beside = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        grid = np.where(known, values, beside / 4)
    return grid


def _halved(grid: Grid) -> Grid:
    """Return the sums over squares of two by two cells."""
    even = np.pad(grid, ((0, grid.shape[0] % 2), (0, grid.shape[1] % 2), (0, 0)))
    halved: Grid = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return halved


def _enlarged(grid: Grid, times: int) -> npt.NDArray[np.float32]:
    """Return a grid so many times larger on each side, straight lines between the cells."""
    size = grid.shape[1] * times, grid.shape[0] * times
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR))
        for plane in np.moveaxis(grid.astype(np.float32), -1, 0)
    ]
    return np.stack(planes, axis=-1)
