"""Tiny decoders, that show a picture at every step nearly as it will be.

TAESD and its kin (Ollin Boer Bohan, MIT) lie in a folder as diffusers keeps them, beside or inside
that of a model, under the name that they are published by.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.families.diffusion.known.facts import ARCHITECTURES
from limner.families.diffusion.loading.pipelines import Device, libraries, quiet
from limner.families.family import Pixels

Floats = npt.NDArray[np.float32]

_CONFIG, _WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


def tiny_decoder_of(family: str, place: Path) -> Path | None:
    """Return the folder of the tiny decoder in or beside a model's folder or file, or None."""
    shared = ARCHITECTURES.get(family)
    if shared is None or not shared.tiny_decoder:
        return None
    name = shared.tiny_decoder
    folders = (place / name, place.parent / name)
    return next(
        (one for one in folders if (one / _CONFIG).is_file() and (one / _WEIGHTS).is_file()), None
    )


class TinyDecoder:
    """Turns latents into a picture of full size."""

    def __init__(self, network: Any, device: Device) -> None:
        self._network = network
        self._device = device

    def look(self, latents: Floats) -> Pixels:
        """Return the picture of latents, channels × height × width, as denoisers see them."""
        torch = libraries().torch
        given = torch.from_numpy(np.ascontiguousarray(latents))[None]
        with torch.no_grad():
            seen = self._network.decode(given.to(self._device.name, self._device.torch_dtype))
        rgb = seen.sample[0].float().clamp(-1, 1).add(1).mul(127.5).round().byte()
        plain = rgb.permute(1, 2, 0).cpu().numpy()
        picture = np.full((*plain.shape[:2], 4), 255, np.uint8)
        picture[..., :3] = plain
        return picture


def read_tiny_decoder(folder: Path, device: Device) -> TinyDecoder | None:
    """Return the decoder in a folder; None where it cannot be read: a map does as well then."""
    try:
        with quiet():
            network = libraries().diffusers.AutoencoderTiny.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, torch_dtype=device.torch_dtype
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError):
        return None
    return TinyDecoder(network.to(device.name).eval(), device)
