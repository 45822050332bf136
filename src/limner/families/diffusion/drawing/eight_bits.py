"""Linear layers that multiply in 8 bits, for GPUs that do so at twice the speed of 16.

Weights are scaled by row and inputs by token, each so that its largest value fits e4m3
(Micikevicius and others, arXiv 2209.05433); sums are kept in more bits.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

LEAST = 256
"""Layers with fewer inputs or outputs than this gain nothing."""

_EVEN = 16
"""What the sizes of a product in 8 bits must be multiples of."""

_LARGEST = torch.finfo(torch.float8_e4m3fn).max


class EightBitLinear(nn.Module):
    """Stands for a linear layer: ... × in → ... × out, within about 4 % of it."""

    narrow: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, like: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = like.in_features, like.out_features
        weight = like.weight.detach()
        scale = _scale_of(weight)
        self.register_buffer("narrow", _narrowed(weight, scale), persistent=False)
        self.register_buffer("scale", scale.t().contiguous(), persistent=False)
        self.register_parameter("bias", like.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return x · weightᵀ + bias in the number format of x."""
        rows = x.reshape(-1, self.in_features)
        scale = _scale_of(rows)
        product = torch._scaled_mm(  # noqa: SLF001 - torch's only door to it
            _narrowed(rows, scale),
            self.narrow.t(),
            scale_a=scale,
            scale_b=self.scale,
            out_dtype=torch.bfloat16,
        )
        out = product.to(x.dtype).reshape(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias


def narrow(denoiser: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Put 8-bit layers in the place of the large ones in a denoiser's blocks.

    Returns what `widen` needs to put the old ones back.
    """
    replaced = []
    for parent, name, layer in list(_large(denoiser)):
        setattr(parent, name, EightBitLinear(layer))
        replaced.append((parent, name, layer))
    return replaced


def widen(replaced: list[tuple[nn.Module, str, nn.Linear]]) -> None:
    """Put the layers back that `narrow` replaced."""
    for parent, name, layer in replaced:
        setattr(parent, name, layer)


def _large(denoiser: Any) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Find plain linear layers in the blocks; what scales and shifts (norms) stays exact."""
    kinds = tuple(getattr(denoiser, "_repeated_blocks", None) or ())
    for block in denoiser.modules():
        if type(block).__name__ not in kinds:
            continue
        for path, layer in block.named_modules():
            if "norm" in path or not _fits(layer):
                continue
            parent_path, _, name = path.rpartition(".")
            yield block.get_submodule(parent_path), name, layer


def _fits(layer: nn.Module) -> bool:
    return (
        type(layer) is nn.Linear
        and layer.weight.dtype in (torch.float32, torch.float16, torch.bfloat16)
        and not hasattr(layer, "_hf_hook")
        and not hasattr(layer, "_diffusers_hook")
        and min(layer.in_features, layer.out_features) >= LEAST
        and layer.in_features % _EVEN == layer.out_features % _EVEN == 0
    )


def _scale_of(rows: Tensor) -> Tensor:
    """Return what each row, n × k, is divided by: n × 1."""
    return rows.abs().amax(-1, keepdim=True).float().clamp_min(1e-12) / _LARGEST


def _narrowed(rows: Tensor, scale: Tensor) -> Tensor:
    return (rows.float() / scale).clamp(-_LARGEST, _LARGEST).to(torch.float8_e4m3fn)
