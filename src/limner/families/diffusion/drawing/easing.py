"""Ways to take less memory once it ran out, the cheapest first."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from limner.families.diffusion.planning.demand import TILE, Way


@dataclass(frozen=True)
class Ease:
    """A way to take less memory: its name for the record, its name in words, how it is done."""

    name: str
    what: str
    apply: Callable[[Any], None]


def eases(device: str, done: Collection[str] = ()) -> tuple[Ease, ...]:
    """Return what can still be tried on a device, in order; each is added to what is done."""
    if device != "cuda":
        every: tuple[Ease, ...] = (_TILED,)
    elif _BLOCKS.name in done:
        every = (_TILED,)
    else:
        every = (_TILED, _LAYERS) if _LAYERS.name in done else (_TILED, _PARTS, _LAYERS)
    return tuple(one for one in every if one.name not in done)


def named(names: Collection[str]) -> tuple[Ease, ...]:
    """Return ways to take less memory by their names, in the order they are done."""
    return tuple(one for one in (_TILED, _PARTS, _BLOCKS, _LAYERS) if one.name in names)


def eased(way: Way) -> tuple[str, ...]:
    """Return the names of what a planned way does to a pipeline once it is loaded."""
    waiting = {"model": _PARTS, "group": _BLOCKS, "sequential": _LAYERS}.get(way.offload)
    chosen = (_TILED if way.tiling else None, waiting)
    return tuple(one.name for one in chosen if one is not None)


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


def _wait_by_blocks(pipeline: Any) -> None:
    """Let blocks of layers wait; a part that does so already, of another pipeline, stays so.

    Not the autoencoder's: it is small, and some are called by other doors than the one at which
    waiting blocks are fetched.
    """
    torch: Any = import_module("torch")
    offloading: Any = import_module("diffusers.hooks.group_offloading")
    pipeline.vae.to("cuda")
    for part in pipeline.components.values():
        if part is pipeline.vae or not isinstance(part, torch.nn.Module):
            continue
        if not offloading._is_group_offload_enabled(part):  # noqa: SLF001 - none is public
            offloading.apply_group_offloading(
                part,
                onload_device=torch.device("cuda"),
                offload_device=torch.device("cpu"),
                offload_type="block_level",
                num_blocks_per_group=1,
                use_stream=True,
            )


def _wait_by_layers(pipeline: Any) -> None:
    pipeline.remove_all_hooks()
    pipeline.enable_sequential_cpu_offload()


_TILED = Ease("tiled decoder", "the picture decoded in tiles", _tile)
_PARTS = Ease(
    "parts wait in the machine's memory",
    "parts of the model waiting in the machine's memory, which takes longer",
    _wait_by_parts,
)
_BLOCKS = Ease(
    "blocks wait in the machine's memory",
    "blocks of the model waiting in the machine's memory, which takes longer",
    _wait_by_blocks,
)
_LAYERS = Ease(
    "layers wait in the machine's memory",
    "layers of the model waiting in the machine's memory, which takes much longer",
    _wait_by_layers,
)
