"""Keys, pictures and claims for tests of signing."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from limner.provenance.keys import make_keys, read_signer
from limner.provenance.manifest import Claim, Ingredient, ModelClaim
from limner.provenance.signing import LocalSigner

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/tiff": "TIFF",
    "image/avif": "AVIF",
}
SVG = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">'
    b'<rect width="40" height="40" fill="#d63"/></svg>'
)


def signer_in(folder: Path, passphrase: str | None = None) -> LocalSigner:
    """Make keys and return their signer."""
    make_keys(folder, "Test studio", passphrase)
    signer = read_signer(folder, passphrase)
    assert signer is not None
    return signer


def picture(media_type: str, seed: int = 0) -> bytes:
    """A small picture that no other format compresses to nothing."""
    if media_type == "image/svg+xml":
        return SVG
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, FORMATS[media_type])
    return file.getvalue()


def claim(*ingredients: Ingredient) -> Claim:
    """A claim of a drawn picture, or of an edited one where there are ingredients."""
    return Claim(
        title="picture",
        composite=bool(ingredients),
        action="c2pa.edited" if ingredients else "c2pa.created",
        recipe_digest="ab" * 32,
        models=(ModelClaim("vellum", "cd" * 32, "Apache-2.0"),),
        ingredients=ingredients,
    )
