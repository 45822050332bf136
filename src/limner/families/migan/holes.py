"""Where to look to fill the holes of a mask: few windows, each around holes that lie together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

Region = npt.NDArray[np.bool_]
"""Height × width: which pixels are to be filled."""

Colours = npt.NDArray[np.uint8]
"""Height × width × 3."""

_AROUND = tuple(step for step in product((-1, 0, 1), repeat=2) if step != (0, 0))

_CELL = 32
_NEIGHBOURHOOD = 384
_LEAST_SIDE = 512
_LEAST_CONTEXT = 160


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture, in pixels; `bottom` and `right` are just outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rectangle as an index into height × width arrays."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def extent(self) -> int:
        """The longer side."""
        return max(self.bottom - self.top, self.right - self.left)

    def joined(self, other: "Box") -> "Box":
        """Return the smallest rectangle around both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def window(self, height: int, width: int) -> "Box":
        """Return the rectangle with what is around it, within a picture of this size."""
        context = max(_LEAST_CONTEXT, self.extent // 2)
        top, bottom = _span(self.top, self.bottom, context, height)
        left, right = _span(self.left, self.right, context, width)
        return Box(top, left, bottom, right)


def boxes(region: Region) -> list[Box]:
    """Return rectangles that together cover every pixel of a region.

    Pixels within about 32 of each other share one; small ones whose centres fall into the same
    square of 384 pixels are joined, so that even a sprinkled mask needs few.
    """
    apart: list[Box] = []
    near: dict[tuple[int, int], Box] = {}
    for box in _connected(region):
        if box.extent > _NEIGHBOURHOOD:
            apart.append(box)
            continue
        place = (
            (box.top + box.bottom) // (2 * _NEIGHBOURHOOD),
            (box.left + box.right) // (2 * _NEIGHBOURHOOD),
        )
        near[place] = near[place].joined(box) if place in near else box
    return sorted((*apart, *near.values()), key=lambda box: (box.top, box.left))


def continue_into(colours: Colours, region: Region, rings: int) -> Colours:
    """Return the colours (height × width × 3) carried over into a region from its rim.

    Ring after ring, each pixel becomes the mean of its neighbours that are known by then.
    """
    carried = colours.copy()
    known = ~region
    height, width = region.shape
    for _ in range(rings):
        rows, columns = np.nonzero(_grown(known) & ~known)
        total = np.zeros((len(rows), 3), dtype=np.float32)
        count = np.zeros((len(rows), 1), dtype=np.float32)
        for down, right in _AROUND:
            beside = (np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1))
            share = known[beside][:, None]
            total += carried[beside] * share
            count += share
        carried[rows, columns] = total / count + 0.5
        known[rows, columns] = True
    return carried


def _grown(region: Region) -> Region:
    height, width = region.shape
    padded = np.pad(region, 1)
    grown = region.copy()
    for down, right in _AROUND:
        grown |= padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
    return grown


def _span(start: int, end: int, context: int, length: int) -> tuple[int, int]:
    context = max(context, (_LEAST_SIDE - (end - start) + 1) // 2)
    return max(0, start - context), min(length, end + context)


def _connected(region: Region) -> Iterator[Box]:
    """Yield a box around each group of touching cells that hold any of the region."""
    waiting = _cells(region)
    height, width = region.shape
    while waiting:
        row, column = waiting.pop()
        found = Box(row, column, row + 1, column + 1)
        edge = [(row, column)]
        while edge:
            row, column = edge.pop()
            found = found.joined(Box(row, column, row + 1, column + 1))
            beside = {(row + down, column + right) for down, right in _AROUND}
            reached = beside & waiting
            waiting -= reached
            edge.extend(reached)
        yield Box(
            found.top * _CELL,
            found.left * _CELL,
            min(found.bottom * _CELL, height),
            min(found.right * _CELL, width),
        )


def _cells(region: Region) -> set[tuple[int, int]]:
    height, width = region.shape
    padded = np.pad(region, ((0, -height % _CELL), (0, -width % _CELL)))
    rows, columns = padded.shape[0] // _CELL, padded.shape[1] // _CELL
    any_in = padded.reshape(rows, _CELL, columns, _CELL).any(axis=(1, 3))
    return {(int(row), int(column)) for row, column in np.argwhere(any_in)}
