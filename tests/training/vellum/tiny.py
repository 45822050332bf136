"""A corpus, packages and a network small enough to train in a test."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np

from limner.families.vellum.network import NetworkConfig
from limner.training.vellum.corpus import Concept, Corpus, Picture
from limner.training.vellum.sources import Style

NETWORK = NetworkConfig(
    pixels=16,
    patch=8,
    width=16,
    depth=2,
    heads=2,
    bottleneck=8,
    styles=2,
    detail_width=4,
    detail_dots=2,
    layout_width=8,
    layout_dots=4,
    gist_width=8,
)
STYLES = (Style("flat", "flat vector", "icons"), Style("soft", "soft cartoon", "photos"))


def corpus(pixels: int = 16) -> Corpus:
    """Three concepts in two styles; the last picture is held out."""
    concepts = (
        Concept("fox", ("fox", "red fox"), ("animal",), common=True),
        Concept("star", ("star",), ("night", "sky"), common=True),
        Concept("anvil", ("anvil",), (), common=False),
    )
    pictures = tuple(
        Picture(concept, style, concept == 1 and style == 1, "1f98a", "icons 1.0.0", "MIT")
        for concept in range(3)
        for style in range(2)
    )
    drawn = np.zeros((len(pictures), 4, pixels, pixels), np.uint8)
    for number, picture in enumerate(drawn):
        picture[:, 3:-3, 3:-3] = 40 * number
        picture[3, 3:-3, 3:-3] = 255
    return Corpus(concepts, STYLES, pictures, drawn)


def archive(path: Path, members: dict[str, bytes]) -> str:
    """Write an npm tarball; return its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as opened:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def icon_set(*names: str) -> dict[str, bytes]:
    """Return an icon set whose icons are one red square each, on a larger empty canvas."""
    body = '<rect x="8" y="4" width="16" height="16" fill="#ff0000"/>'
    icons = {"width": 32, "height": 32, "icons": {name: {"body": body} for name in names}}
    return {"icons.json": json.dumps(icons).encode()}
