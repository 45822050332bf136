"""How a picture looks so far: a linear map from latents to colours.

Latents of the autoencoders in use are nearly linear in colour. Which map it is, the model's own
autoencoder tells: a chart of colours is encoded once, and colours are fitted to its latents by
least squares.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.domain.recipe import Size
from limner.families.diffusion.loading.pipelines import check_numbers
from limner.families.family import Pixels

Floats = npt.NDArray[np.float32]

_CELLS = 12
"""Fields of the chart, each way."""
_FIELD = 2
"""Latents of a field, each way: the autoencoder blurs the edges of fields."""
_PIECES = 2
"""Pieces of the chart, each way, that are encoded one by one: it takes less memory."""
_COARSE = 16
"""Pixels of a latent, each way, above which a field is one latent: charts stay small."""


class LatentMap:
    """Turns latents, channels × height × width, into a small RGBA picture."""

    def __init__(self, latents: Floats, colours: Floats) -> None:
        """Fit to latents, channels × height × width, that show colours, 3 × height × width."""
        flat = latents.reshape(len(latents), -1).T
        known = np.concatenate([flat, np.ones((len(flat), 1), np.float32)], axis=1)
        self._weights, *_ = np.linalg.lstsq(known, colours.reshape(3, -1).T, rcond=None)

    def look(self, latents: Floats) -> Pixels:
        """Return a picture of the latents' own size."""
        channels, height, width = latents.shape
        known = latents.reshape(channels, -1).T
        rgb = known @ self._weights[:channels] + self._weights[channels]
        picture = np.full((height, width, 4), 255, np.uint8)
        picture[..., :3] = np.rint(np.clip(rgb, 0, 1) * 255).reshape(height, width, 3)
        return picture


def chart() -> Floats:
    """Return a chart of colours, 3 × fields × fields in [0, 1]: every hue, light to dark."""
    generator = np.random.default_rng(7)
    colours = generator.random((3, _CELLS, _CELLS), dtype=np.float32)
    colours[:, 0] = np.linspace(0, 1, _CELLS, dtype=np.float32)
    return colours


def fit_map(pipeline: Any, torch: Any) -> LatentMap:
    """Return the map of a pipeline's autoencoder. Encodes small pictures.

    Raises WeightsRejected where it answers with what is no number because its weights are none.
    """
    scale = int(getattr(pipeline, "vae_scale_factor", 8))
    field = 1 if scale > _COARSE else _FIELD
    fields = np.repeat(np.repeat(chart(), field, axis=1), field, axis=2)
    seen, shown = [], []
    for row in np.split(fields, _PIECES, axis=1):
        for piece in np.split(row, _PIECES, axis=2):
            picture = np.repeat(np.repeat(piece, scale, axis=1), scale, axis=2)
            latents = _encoded(pipeline, picture, torch)
            if not np.isfinite(latents).all():
                check_numbers("the model", pipeline)
                latents = np.nan_to_num(latents)
            seen.append(latents.reshape(len(latents), -1))
            shown.append(piece[:, : latents.shape[1], : latents.shape[2]].reshape(3, -1))
    return LatentMap(np.concatenate(seen, axis=1), np.concatenate(shown, axis=1))


def _encoded(pipeline: Any, picture: Floats, torch: Any) -> Floats:
    """Return the latents of a picture, 3 × height × width in [0, 1], as denoisers see them."""
    autoencoder = pipeline.vae
    # Not the autoencoder's own device: it may wait elsewhere until it is called.
    place = pipeline._execution_device  # noqa: SLF001 - none is public
    image = torch.from_numpy(picture[None] * 2 - 1).to(place, autoencoder.dtype)
    video = "causal" in type(autoencoder).__name__.lower() or _is_video(autoencoder)
    with torch.no_grad():
        encoded = autoencoder.encode(image[:, :, None] if video else image)
    latents = encoded.latent if hasattr(encoded, "latent") else encoded.latent_dist.mode()
    latents = latents[:, :, 0] if video else latents
    values: Floats = _scaled(autoencoder, latents).float().cpu().numpy()[0]
    return values


def spread(pipeline: Any, latents: Any, size: Size) -> Floats:
    """Return the first picture's latents as channels × height × width, of a picture of a size.

    Pipelines of transformers keep them as a row of patches.
    """
    one = latents[:1].float().cpu()
    if one.ndim == 3:
        height, width = _grid(one.shape[1], size)
        patches = one.transpose(1, 2).reshape(1, -1, height, width)
        if hasattr(pipeline.vae, "bn"):
            patches = _unnormed(pipeline.vae, patches)
        # A patch of 2 × 2 latents: their channels first, then their rows and columns.
        parts = patches.reshape(-1, 2, 2, height, width).permute(0, 3, 1, 4, 2)
        one = parts.reshape(1, -1, 2 * height, 2 * width)
    one = one[:, :, 0] if one.ndim == 5 else one
    values: Floats = one[0].numpy()
    return values


def _grid(count: int, size: Size) -> tuple[int, int]:
    """Return rows and columns of so many patches, as near to a size's shape as can be."""
    shape = size.height / size.width
    rows = [rows for rows in range(1, count + 1) if count % rows == 0]
    best = min(rows, key=lambda one: abs(math.log(one * one / count / shape)))
    return best, count // best


def _unnormed(autoencoder: Any, patches: Any) -> Any:
    """Return patches of FLUX.2 as they were before each of their channels was normed."""
    norm, shape = autoencoder.bn, (1, -1, 1, 1)
    mean, variance = norm.running_mean.float().cpu(), norm.running_var.float().cpu()
    deviation = (variance + autoencoder.config.batch_norm_eps).sqrt()
    return patches * deviation.view(shape) + mean.view(shape)


def _is_video(autoencoder: Any) -> bool:
    return "qwenimage" in type(autoencoder).__name__.lower()


def _scaled(autoencoder: Any, latents: Any) -> Any:
    """Return latents on the scale that denoisers see."""
    config = autoencoder.config
    means = getattr(config, "latents_mean", None)
    if means is not None:
        shape = (1, -1, *[1] * (latents.ndim - 2))
        mean = latents.new_tensor(means).view(shape)
        return (latents - mean) / latents.new_tensor(config.latents_std).view(shape)
    shift = getattr(config, "shift_factor", None) or 0.0
    return (latents - shift) * (getattr(config, "scaling_factor", None) or 1.0)
