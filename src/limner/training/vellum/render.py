"""Every set's pictures as the network sees them: N × N, premultiplied, fitted and centred."""

import io
import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image

from limner.training.vellum.emoji import Emoji, plain_code
from limner.training.vellum.sources import Package, Shelf

Bytes = npt.NDArray[np.uint8]

_FILL = 0.92
"""The part of the picture's side that its longer side takes."""

_FAINT, _FEWEST = 8, 20
"""Alpha that counts as ink, and how many such pixels make a picture."""


class PictureSet(Protocol):
    """The pictures of one package."""

    def draw(self, emoji: Emoji, pixels: int) -> Image.Image | None:
        """Return an emoji's picture with transparency, `pixels` or larger, or None."""


class RasterSet:
    """Pictures in files that are named by code points."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {
            plain_code(name.rsplit("/", 1)[-1].partition(".")[0]): content
            for name, content in files.items()
        }

    def draw(self, emoji: Emoji, pixels: int) -> Image.Image | None:  # noqa: ARG002 - as it is
        """Return an emoji's picture as it lies in the package."""
        content = self._files.get(emoji.code)
        return None if content is None else Image.open(io.BytesIO(content)).convert("RGBA")


class VectorSet:
    """Pictures in the JSON of an icon set, named by code points or by slugs."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._set: dict[str, Any] = json.loads(files["icons.json"])
        listed = json.loads(files.get("chars.json", b"{}"))
        self._names = {plain_code(code): name for code, name in listed.items()}

    def draw(self, emoji: Emoji, pixels: int) -> Image.Image | None:
        """Return an emoji's picture at twice the size, to be made smaller."""
        icon = self._named(emoji)
        if icon is None:
            return None
        left, top = self._number(icon, "left", 0), self._number(icon, "top", 0)
        width, height = self._number(icon, "width", 16), self._number(icon, "height", 16)
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            f' viewBox="{left} {top} {width} {height}"'
            f' width="{2 * pixels}" height="{2 * pixels}">{icon["body"]}</svg>'
        )
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg))
        return Image.open(io.BytesIO(png)).convert("RGBA")

    def _named(self, emoji: Emoji) -> dict[str, Any] | None:
        """Return an emoji's icon; sets write names with hyphens, without, or with a number."""
        slug = emoji.slug
        spelled = (self._names.get(emoji.code, slug), slug, slug.replace("-", ""), f"{slug}-1")
        return next((icon for icon in map(self._icon, spelled) if icon is not None), None)

    def _icon(self, name: str) -> dict[str, Any] | None:
        icons: dict[str, dict[str, Any]] = self._set["icons"]
        alias = self._set.get("aliases", {}).get(name)
        return icons.get(name) or (icons.get(alias["parent"]) if alias else None)

    def _number(self, icon: dict[str, Any], name: str, default: int) -> float:
        found: float = icon.get(name, self._set.get(name, default))
        return found


def open_set(shelf: Shelf, package: Package) -> PictureSet:
    """Open the pictures of a package."""
    files = shelf.members(package, ["icons.json", "chars.json", ".webp"])
    return VectorSet(files) if "icons.json" in files else RasterSet(files)


def fit(picture: Image.Image, pixels: int) -> Bytes | None:
    """Trim, fit and centre: 4 × N × N bytes, premultiplied; None where there is nothing."""
    alpha = np.asarray(picture)[..., 3]
    rows, columns = np.where(alpha > _FAINT)
    if len(rows) < _FEWEST:
        return None
    left, right = int(columns.min()), int(columns.max()) + 1
    top, bottom = int(rows.min()), int(rows.max()) + 1
    cut = picture.crop((left, top, right, bottom))
    scale = pixels * _FILL / max(cut.size)
    width, height = (max(1, round(side * scale)) for side in cut.size)
    full = np.array(cut).astype(np.float32)
    full[..., :3] *= full[..., 3:] / 255
    planes = [
        np.asarray(
            Image.fromarray(full[..., plane]).resize((width, height), Image.Resampling.LANCZOS)
        )
        for plane in range(4)
    ]
    fitted = np.zeros((4, pixels, pixels), np.float32)
    above, before = (pixels - height) // 2, (pixels - width) // 2
    fitted[:, above : above + height, before : before + width] = np.clip(np.stack(planes), 0, 255)
    return fitted.round().astype(np.uint8)
