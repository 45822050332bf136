"""Going on at twice the resolution, or with more styles, from a network that was trained before."""

from dataclasses import replace

import torch
from torch import Tensor

from limner.families.vellum.network import NetworkConfig, VellumNetwork
from limner.training.vellum.checkpoint import Checkpoint, Weights


def widen(checkpoint: Checkpoint, styles: tuple[str, ...], *, finer: bool) -> Checkpoint:
    """Return a checkpoint that draws as before, ready for more styles and, if `finer`, more pixels.

    Patches grow with the picture, so there are as many as before: each takes the mean of four
    pixels where it took one, and paints four where it painted one. The noise grows twofold,
    whereby its means over four pixels are what they were. New styles begin as none; the head
    for edges begins anew. Raises ValueError where `styles` does not begin with the old ones.
    """
    old = checkpoint.config
    if styles[: old.styles] != checkpoint.styles:
        raise ValueError("the styles must begin with those of the checkpoint, in their order")
    config = replace(old, styles=len(styles))
    if finer:
        config = replace(config, pixels=2 * old.pixels, patch=2 * old.patch, noise=2 * old.noise)
    return Checkpoint(
        config,
        styles,
        _widened(checkpoint.raw, old, config),
        _widened(checkpoint.mean, old, config),
        checkpoint.samples,
        checkpoint.seconds,
    )


def _widened(weights: Weights, old: NetworkConfig, new: NetworkConfig) -> Weights:
    torch.manual_seed(0)
    fresh = VellumNetwork(new).state_dict()
    added = new.styles - old.styles
    changed = {
        name: _with_more(weights[name], added) for name in ("style.weight", "layout.style.weight")
    }
    if new.pixels != old.pixels:
        changed["enter.0.weight"] = _finer(weights["enter.0.weight"].T, old).T / 4
        changed |= {name: _finer(weights[name], old) for name in ("leave.weight", "leave.bias")}
        changed |= {name: value for name, value in fresh.items() if name.startswith("detail.")}
    return {**weights, **changed}


def _with_more(styles: Tensor, added: int) -> Tensor:
    """Repeat the last row, which stands for no style."""
    return torch.cat([styles, styles[-1:].repeat(added, 1)])


def _finer(rows: Tensor, config: NetworkConfig) -> Tensor:
    """Repeat the rows of a patch's dots (channels · side · side) for the four that replace each."""
    side = config.patch
    dots = rows.reshape(config.channels, side, side, -1)
    dots = dots.repeat_interleave(2, 1).repeat_interleave(2, 2)
    return dots.reshape(config.channels * 4 * side * side, *rows.shape[1:])
