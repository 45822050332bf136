"""Colours in the profile of the picture that was edited.

Pictures are drawn and edited in sRGB. Where the picture that was edited was in another RGB
profile, the finished one goes back to it, and every pixel that the edit left alone gets its own
bytes back, unrounded.
"""

import io

import numpy as np
from PIL import Image, ImageCms

from limner.families.family import Pixels
from limner.provenance.intake import Picture


def restored(pixels: Pixels, base: Picture | None) -> tuple[Pixels, bytes | None]:
    """Return pixels in the profile of the picture they were made from, and that profile.

    Without such a picture, where it was in sRGB, or where its profile leads only one way, as
    those of scanners do, they stay as they are and there is none.
    """
    if base is None or base.own is None:
        return pixels, None
    source = ImageCms.ImageCmsProfile(io.BytesIO(base.own.profile))
    try:
        colours = ImageCms.profileToProfile(
            Image.fromarray(pixels[..., :3]),
            ImageCms.createProfile("sRGB"),
            source,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError:
        return pixels, None
    finished = pixels.copy()
    finished[..., :3] = np.asarray(colours)
    if base.pixels.shape == pixels.shape:
        same = (base.pixels[..., :3] == pixels[..., :3]).all(-1)
        finished[same, :3] = base.own.pixels[same, :3]
    return finished, base.own.profile
