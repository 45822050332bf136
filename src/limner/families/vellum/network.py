"""Vellum's network: a pixel transformer that predicts the clean picture.

After JiT (arXiv 2511.13720): no autoencoder, large patches, the clean picture as target, noise
that grows with the resolution. Words enter as tokens in context and, pooled, through adaptive
normalisation; a small convolutional head draws the edges that patches are too coarse for.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user reads
from torch import Tensor, nn

_TIME_FEATURES = 64

CELL = 4
"""Pixels a side of the cells in which the head works."""


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a Vellum network. `styles` counts the named styles, without “none”.

    `noise` is the standard deviation of the noise that pictures in [-1, 1] are mixed with: 1 at
    64 pixels, 2 at 128, so that what can be seen of the whole stays the same.
    """

    pixels: int = 128
    patch: int = 16
    noise: float = 2.0
    channels: int = 4
    width: int = 192
    depth: int = 6
    heads: int = 3
    bottleneck: int = 128
    text_width: int = 384
    styles: int = 9
    detail_width: int = 48
    detail_dots: int = 16
    layout_width: int = 512
    layout_dots: int = 32
    gist_width: int = 192

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.pixels // self.patch


class Block(nn.Module):
    """Attention and a feed-forward layer, both modulated by time, words and style."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.modulation = nn.Parameter(torch.zeros(6, width))
        self.query_scale = nn.Parameter(torch.ones(width // heads))
        self.key_scale = nn.Parameter(torch.ones(width // heads))

    def forward(
        self, x: Tensor, condition: Tensor, mask: Tensor, turn: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Map tokens B × T × width to the same shape; `condition` is B × 6 × width."""
        batch, tokens, width = x.shape
        scale_a, shift_a, gate_a, scale_f, shift_f, gate_f = (
            (condition + self.modulation).unsqueeze(2).unbind(1)
        )
        y = _evened(x) * (1 + scale_a) + shift_a
        q, k, v = (
            self.qkv(y).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        )
        q = _turned(_evened(q) * self.query_scale, turn)
        k = _turned(_evened(k) * self.key_scale, turn)
        attended = _attended(q, k, v, mask)
        x = x + gate_a * self.out(attended.transpose(1, 2).reshape(batch, tokens, width))
        y = _evened(x) * (1 + scale_f) + shift_f
        fed: Tensor = self.down(F.gelu(self.up(y), approximate="tanh"))
        return x + gate_f * fed


class Layout(nn.Module):
    """From gist and style straight to what belongs where: a few numbers per patch.

    Attention finds the layout of a thing only slowly from words alone; a feed-forward net from
    the whitened sentence vector learns it many times sooner, and attention refines it.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        inner, self.dots = config.layout_width, config.layout_dots
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", torch.zeros(config.text_width))
        self.register_buffer("whitening", torch.zeros(config.text_width, config.gist_width))
        self.style = nn.Embedding(config.styles + 1, inner)
        self.enter = nn.Linear(config.gist_width, inner)
        self.inner = nn.Linear(inner, inner)
        self.spread = nn.Linear(inner, config.grid**2 * self.dots)
        self.leave = nn.Linear(self.dots, config.width)
        self.overall = nn.Linear(inner, config.width)

    def forward(self, pooled: Tensor, spoken: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to add to the patches (B × patches × width) and to the condition.

        `pooled` is B × text_width, `spoken` B × 1: 1 where there are words, else 0.
        """
        gist = ((pooled - self.mean) @ self.whitening) * spoken
        x = F.gelu(self.enter(gist) + self.style(style), approximate="tanh")
        x = x + F.gelu(self.inner(x), approximate="tanh")
        patches = self.spread(x).view(x.shape[0], -1, self.dots)
        return self.leave(patches), self.overall(x)


class Detail(nn.Module):
    """Edges: what to add to a picture made of patches, seen in cells of a few pixels."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        inner, cell = config.detail_width, config.channels * CELL**2
        self.config = config
        self.patches = nn.Linear(config.width, (config.patch // CELL) ** 2 * config.detail_dots)
        self.enter = nn.Conv2d(2 * cell + config.detail_dots, inner, 1)
        self.first = nn.Conv2d(inner, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, inner, 3, padding=1)
        self.leave = nn.Conv2d(inner, cell, 3, padding=1)

    def forward(self, tokens: Tensor, rough: Tensor, z: Tensor) -> Tensor:
        """Map patches B × grid² × width and two pictures to what to add to the first one."""
        g, per, dots = self.config.grid, self.config.patch // CELL, self.config.detail_dots
        told = self.patches(tokens).view(-1, g, g, dots, per, per).permute(0, 3, 1, 4, 2, 5)
        told = told.reshape(-1, dots, g * per, g * per)
        seen = F.pixel_unshuffle(torch.cat([rough, z.to(rough.dtype)], 1), CELL)
        x = F.gelu(self.enter(torch.cat([seen, told], 1)), approximate="tanh")
        x = x + F.gelu(self.first(x), approximate="tanh")
        x = x + F.gelu(self.second(x), approximate="tanh")
        return F.pixel_shuffle(self.leave(x), CELL)


class VellumNetwork(nn.Module):
    """Predicts the clean picture from a noisy one, a time, words and a style."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, grid = config.width, config.grid
        dots = config.channels * config.patch**2
        self.enter = nn.Sequential(
            nn.Linear(dots, config.bottleneck, bias=False), nn.Linear(config.bottleneck, width)
        )
        self.positions = nn.Parameter(_waves(grid, width) * 0.5)
        self.words = nn.Linear(config.text_width, width)
        self.gist = nn.Linear(config.text_width, width)
        self.nothing = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.style = nn.Embedding(config.styles + 1, width)
        self.time = nn.Sequential(
            nn.Linear(2 * _TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.layout = Layout(config)
        adapt = nn.Linear(width, 6 * width)
        self.adapt = nn.Sequential(nn.SiLU(), adapt)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.depth))
        self.last_adapt = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, dots)
        self.detail = Detail(config)
        self.turn_cosine: Tensor
        self.turn_sine: Tensor
        cosine, sine = _turns(grid, width // config.heads)
        self.register_buffer("turn_cosine", cosine, persistent=False)
        self.register_buffer("turn_sine", sine, persistent=False)
        layout = (self.layout.leave, self.layout.overall)
        _start((self.leave, self.last_adapt, self.detail.leave, *layout), adapt)

    def forward(
        self, z: Tensor, t: Tensor, text: Tensor, text_mask: Tensor, pooled: Tensor, style: Tensor
    ) -> Tensor:
        """Return the clean picture, B × channels × pixels × pixels in [-1, 1].

        `z` is the noisy picture, `t` its time in [0, 1] (0 is noise), `text` B × T × text_width
        token states with `text_mask` B × T (1 where a token counts; all 0 means no words),
        `pooled` B × text_width (zeros for no words), `style` B indices (`styles` means none).
        """
        batch, count = text_mask.shape
        c = self.time(_time_features(t)) + self.style(style) + self.gist(_evened(pooled))
        spoken = text_mask.sum(1, keepdim=True).clamp(max=1)
        laid_out, overall = self.layout(pooled, spoken, style)
        c = c + overall
        image = self.enter(self._patches(z)) + self.positions + laid_out
        words = self.words(_evened(text))
        x = torch.cat([self.nothing.expand(batch, -1, -1), words, image], 1)
        seen = torch.ones(batch, 1 + count + image.shape[1], device=z.device)
        seen = torch.cat([seen[:, :1], text_mask.to(seen.dtype), seen[:, 1 + count :]], 1)
        mask = ((seen - 1) * 1e4)[:, None, None, :]
        condition = self.adapt(c).view(batch, 6, -1)
        turn = self._turn(1 + count)
        mask = mask.to(x.dtype)
        for block in self.blocks:
            x = block(x, condition, mask, turn)
        x = x[:, 1 + count :]
        scale, shift = self.last_adapt(F.silu(c)).unsqueeze(1).chunk(2, -1)
        x = _evened(x) * (1 + scale) + shift
        rough = self._picture(self.leave(x))
        edges: Tensor = self.detail(x, rough, z)
        return rough + edges

    def _turn(self, front: int) -> tuple[Tensor, Tensor]:
        cosine, sine = self.turn_cosine, self.turn_sine
        return F.pad(cosine, (0, 0, front, 0), value=1.0), F.pad(sine, (0, 0, front, 0))

    def _patches(self, x: Tensor) -> Tensor:
        c, p, g = self.config.channels, self.config.patch, self.config.grid
        return x.view(-1, c, g, p, g, p).permute(0, 2, 4, 1, 3, 5).reshape(-1, g * g, c * p * p)

    def _picture(self, x: Tensor) -> Tensor:
        c, p, g = self.config.channels, self.config.patch, self.config.grid
        return x.view(-1, g, g, c, p, p).permute(0, 3, 1, 4, 2, 5).reshape(-1, c, g * p, g * p)


def _start(zeroed: tuple[nn.Linear | nn.Conv2d, ...], adapt: nn.Linear) -> None:
    """Start as the mean picture, with open gates: attention learns from the first step."""
    with torch.no_grad():
        for layer in zeroed:
            layer.weight.zero_()
            if layer.bias is not None:
                layer.bias.zero_()
        adapt.weight.normal_(std=0.02)
        adapt.bias.zero_()
        adapt.bias.view(6, -1)[[2, 5]] = 0.5


def _attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Attend plainly: at under 100 tokens this trains faster on a CPU than the fused kernel."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + mask
    attended: Tensor = scores.softmax(-1).to(value.dtype) @ value
    return attended


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = turn
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


def _evened(x: Tensor) -> Tensor:
    """Return x with a root mean square of 1; written out, as ONNX opset 17 has no such node."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def _time_features(t: Tensor) -> Tensor:
    steps = torch.arange(_TIME_FEATURES, device=t.device, dtype=torch.float32)
    angles = t[:, None] * 1000 * torch.exp(-math.log(1e4) * steps / _TIME_FEATURES)
    return torch.cat([angles.sin(), angles.cos()], 1)


def _waves(grid: int, width: int) -> Tensor:
    """Return sine and cosine positions of a grid × grid field: grid² × width."""
    rates = 1 / (100 ** (torch.arange(width // 4) / (width / 4)))
    rows, columns = _places(grid)
    return torch.cat(
        [
            (rows * rates).sin(),
            (rows * rates).cos(),
            (columns * rates).sin(),
            (columns * rates).cos(),
        ],
        1,
    )


def _turns(grid: int, depth: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of the axial rotations: grid² × depth/2 each."""
    count = depth // 4
    rates = 1 / (10 ** (torch.arange(count) / count))
    rows, columns = _places(grid)
    angles = torch.cat([rows * rates, columns * rates], 1)
    return angles.cos(), angles.sin()


def _places(grid: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(
        torch.arange(grid).float(), torch.arange(grid).float(), indexing="ij"
    )
    return rows.reshape(-1, 1), columns.reshape(-1, 1)
