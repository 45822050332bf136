"""Ways to take less memory once it ran out, the cheapest first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from limner.families.diffusion.demand import TILE


@dataclass(frozen=True)
class Ease:
    """A way to take less memory: its name for the record, its name in words, how it is done."""

    name: str
    what: str
    apply: Callable[[Any], None]


def eases(device: str) -> tuple[Ease, ...]:
    """Return what can be tried on a device, in order; each is added to those before it."""
    return (_TILED, _PARTS, _LAYERS) if device in ("cuda", "xpu") else (_TILED,)


def _tile(pipeline: Any) -> None:
    """Let the autoencoder work on tiles; other kinds than KL choose the tiles' size themselves."""
    autoencoder = pipeline.vae
    if hasattr(autoencoder, "enable_slicing"):
        autoencoder.enable_slicing()
    if not hasattr(autoencoder, "enable_tiling"):
        return
    autoencoder.enable_tiling()
    if hasattr(autoencoder, "tile_latent_min_size"):
        scale = 2 ** (len(autoencoder.config.block_out_channels) - 1)
        autoencoder.tile_sample_min_size = TILE
        autoencoder.tile_latent_min_size = max(1, TILE // scale)


def _wait_by_parts(pipeline: Any) -> None:
    pipeline.enable_model_cpu_offload()


def _wait_by_layers(pipeline: Any) -> None:
    pipeline.remove_all_hooks()
    pipeline.enable_sequential_cpu_offload()


_TILED = Ease("tiled decoder", "the picture decoded in tiles", _tile)
_PARTS = Ease(
    "parts wait in the machine's memory",
    "parts of the model waiting in the machine's memory, which takes longer",
    _wait_by_parts,
)
_LAYERS = Ease(
    "layers wait in the machine's memory",
    "layers of the model waiting in the machine's memory, which takes much longer",
    _wait_by_layers,
)
