"""Muon for the matrices of blocks and layout, AdamW for the rest.

Muon: Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/; the step is scaled to
AdamW's (Liu and others, arXiv 2502.16982). Newton-Schulz runs in float32: on CPUs without
16-bit matrix units it is many times faster so.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limner.families.vellum.network import VellumNetwork

_MATRICES = ("qkv", "out", "up", "down")
_LAYOUT = ("enter", "inner", "spread")
_MOMENTUM, _SHRINK, _ITERATIONS = 0.95, 0.02, 4
_QUINTIC = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True)
class Rates:
    """Peak learning rates, and the part of the budget at its end in which they fall to none."""

    matrices: float = 4e-3
    rest: float = 2e-3
    decay: float = 0.45
    warm_up: int = 100


def scale_at(rates: Rates, part: float, step: int) -> float:
    """Return the learning rate relative to its peak, `part` of the budget being over."""
    falling = max(0.02, (1 - part) / rates.decay) if part > 1 - rates.decay else 1.0
    return min(1.0, falling, (step + 1) / rates.warm_up)


class Optimiser:
    """Steps a network's parameters by their gradients."""

    def __init__(self, network: VellumNetwork, rates: Rates) -> None:
        self._rates = rates
        self._groups: list[list[Tensor]] = [
            [block.get_parameter(f"{name}.weight") for block in network.blocks]
            for name in _MATRICES
        ]
        self._groups += [[network.layout.get_parameter(f"{name}.weight")] for name in _LAYOUT]
        held = {id(matrix) for group in self._groups for matrix in group}
        self._rest = [one for one in network.parameters() if id(one) not in held]
        self._adam = torch.optim.AdamW(
            self._rest, lr=rates.rest, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self._momenta = [torch.zeros_like(torch.stack(group)) for group in self._groups]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Take a step; the learning rate is its peak times `scale`."""
        torch.nn.utils.clip_grad_norm_(self._rest, 1.0)
        for settings in self._adam.param_groups:
            settings["lr"] = self._rates.rest * scale
        self._adam.step()
        rate = self._rates.matrices * scale
        for group, momentum in zip(self._groups, self._momenta, strict=True):
            gradient = torch.stack([_gradient(matrix) for matrix in group])
            momentum.lerp_(gradient, 1 - _MOMENTUM)
            update = orthogonal(gradient.lerp(momentum, _MOMENTUM))
            size = rate * 0.2 * math.sqrt(max(gradient.shape[1:]))
            for matrix, direction in zip(group, update, strict=True):
                matrix.mul_(1 - rate * _SHRINK).add_(direction, alpha=-size)

    def state(self) -> dict[str, Any]:
        """Return what `load` needs."""
        return {"adam": self._adam.state_dict(), "bufs": self._momenta}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._adam.load_state_dict(state["adam"])
        for momentum, kept in zip(self._momenta, state["bufs"], strict=True):
            momentum.copy_(kept)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return nearly orthogonal matrices with the same row and column spaces: count × m × n."""
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + 1e-7)
    first, second, third = _QUINTIC
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = first * x + (second * square + third * square @ square) @ x
    return x.mT if tall else x


def _gradient(matrix: Tensor) -> Tensor:
    if matrix.grad is None:
        raise ValueError("a step needs the gradients of a loss")
    return matrix.grad
