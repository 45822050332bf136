"""Recognising a picture as one that the library knows: by file, pixels, mark or likeness."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np

from limner.app.verdict import Match
from limner.domain.errors import AssetNotFound, InvalidImage, StorageFailed
from limner.domain.recipe import Size
from limner.domain.workspace import Workspace
from limner.families.family import Pixels
from limner.families.raster import over, pixel_digest, resize
from limner.provenance.fingerprint import ALIKE, correlation, distance, fingerprint, is_same
from limner.provenance.intake import is_drawing, read_picture
from limner.provenance.watermark import detect
from limner.store.library import Library
from limner.store.registry import Known

_TRANSPARENT = 8
"""Below this alpha (of 255) what lies behind a picture is seen."""

_MOST_COMPARED = 8
"""The most pictures whose pixels are compared: the nearest by fingerprint."""

_COMPARED_AT = 128
"""Pixels per side at which an original and what was made of it are told apart."""

_CLEARLY = 2
"""How many times nearer a picture must be to what was made of an original than to that."""


@dataclass(frozen=True)
class Recognition:
    """Recognises pictures among those of one workspace."""

    library: Library
    workspace: Workspace

    def matches(self, file: bytes, pixels: Pixels | None, mark: str | None) -> tuple[Match, ...]:
        """Return every asset that a file matches, once, by the strongest of its matches."""
        library, workspace = self.library, self.workspace
        found = list(self._told("file", library.find_file(workspace, sha256(file).hexdigest())))
        if pixels is not None:
            digest = pixel_digest(pixels)
            found += self._told("pixels", library.find_by_pixels(workspace, digest))
        if mark is not None:
            found += self.marked(mark, pixels)
        if pixels is not None:
            found += self._alike(pixels)
        first: dict[str, Match] = {}
        for match in found:
            first.setdefault(match.asset, match)
        return tuple(first.values())

    def _told(self, how: Literal["file", "pixels"], known: tuple[Known, ...]) -> Iterator[Match]:
        for one in known:
            yield Match(
                asset=one.asset,
                by=how,
                made=one.made,
                since=one.since,
                here=one.here,
                sure=one.made,
            )

    def marked(self, mark: str, pixels: Pixels | None) -> Iterator[Match]:
        """Yield what a watermark names; it is sure only where the picture looks alike, too.

        Anyone can put the mark of one picture onto another.
        """
        known = self.library.find_by_mark(self.workspace, mark)
        looks = fingerprint(pixels) if known and pixels is not None else None
        for one in known:
            apart = distance(looks, one.fingerprint) if looks and one.fingerprint else None
            if looks and pixels is not None and apart is not None and apart > ALIKE:
                kept = self._pixels(one)
                grounded = None if kept is None else _grounded(kept, pixels)
                if grounded is not None:
                    apart = min(apart, distance(looks, fingerprint(grounded)))
            yield Match(
                asset=one.asset,
                by="mark",
                made=one.made,
                since=one.since,
                here=one.here,
                sure=one.made and apart is not None and apart <= ALIKE,
                distance=apart,
            )

    def _alike(self, pixels: Pixels) -> Iterator[Match]:
        near = self.library.find_by_fingerprint(self.workspace, fingerprint(pixels), ALIKE)
        stored = {one.asset: self._pixels(one) for one in near[:_MOST_COMPARED]}
        originals = {
            one.asset: correlation(pixels, kept, _COMPARED_AT)
            for one in near
            if not one.made and (kept := stored.get(one.asset)) is not None
        }
        for one in near:
            kept = stored.get(one.asset)
            alike = None if kept is None else correlation(pixels, kept)
            sure = one.made and is_same(one.distance, alike, correlation(pixels, pixels))
            if sure and kept is not None and originals:
                before = originals.keys() & self._ancestors(one.asset)
                away = _CLEARLY * (1 - correlation(pixels, kept, _COMPARED_AT))
                sure = all(away < 1 - originals[name] for name in before)
            yield Match(
                asset=one.asset,
                by="fingerprint",
                made=one.made,
                since=one.since,
                here=one.here,
                sure=sure,
                distance=one.distance,
                correlation=None if alike is None else round(alike, 4),
            )

    def _pixels(self, known: Known) -> Pixels | None:
        """Return the pixels of an asset, or None where it is gone, damaged or a drawing."""
        if not known.here:
            return None
        with suppress(StorageFailed, AssetNotFound, InvalidImage):
            return read_picture(self.library.read(self.workspace, known.asset)).pixels
        return None

    def origin(self, file: bytes) -> Match | None:
        """Return what of this library a file surely comes from, or None; it may be changed.

        Raises InvalidImage for what is no picture.
        """
        picture = None if is_drawing(file) else read_picture(file)
        found = detect(picture.pixels) if picture else None
        matches = self.matches(
            file, picture.pixels if picture else None, found.mark if found else None
        )
        return next((one for one in matches if one.sure), None)

    def _ancestors(self, asset: str) -> set[str]:
        """Return all that an asset was made from, as far as it is known."""
        found: set[str] = set()
        open_ones = [asset]
        while open_ones:
            with suppress(AssetNotFound):
                parents = self.library.get(self.workspace, open_ones.pop()).parents
                fresh = {one.asset for one in parents} - found
                found |= fresh
                open_ones += fresh
        return found


def _grounded(kept: Pixels, pixels: Pixels) -> Pixels | None:
    """Return a transparent picture on the ground that it has in a copy, or None for another.

    A sticker saved without transparency lies on a colour of that program's choice.
    """
    height, width = kept.shape[:2]
    clear = kept[..., 3] < _TRANSPARENT
    if not clear.any():
        return None
    ground = np.median(resize(pixels, Size(width=width, height=height))[clear][:, :3], axis=0)
    red, green, blue = (int(value) for value in ground)
    return over(kept, (red, green, blue))


def known_as(library: Library, workspace: Workspace, file: bytes) -> str:
    """Return the id of the asset that a file is, or surely comes from.

    Raises AssetNotFound where the library knows nothing of it, InvalidImage for no picture.
    """
    digest = sha256(file).hexdigest()
    if any(one.here for one in library.find_file(workspace, digest)):
        return digest
    match = Recognition(library, workspace).origin(file)
    if match is None:
        raise AssetNotFound(
            "The library does not know this picture: not its file, nor a watermark in it, nor one "
            "that it is a copy of. Bring it in with limner import."
        )
    if not match.here:
        raise AssetNotFound(
            f"This picture comes from {match.asset[:12]}, which is no longer in the library."
        )
    return match.asset
