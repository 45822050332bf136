"""A judge of drawings: a small classifier of things and styles, trained on real renders alone.

It never sees a drawing of Vellum's while it learns, and it sees every real picture, held out or
not: what it says of a drawing is how a real picture of that thing would have to look.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user reads
from torch import Tensor, nn

from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels
from limner.training.vellum.checkpoint import write_whole
from limner.training.vellum.corpus import Corpus

JUDGE = "judge.pt"
_SIDE = 64
_WIDTHS = (48, 96, 160, 256)


class JudgeNetwork(nn.Module):
    """Tells things and styles from B × 3 × 64 × 64 colours in [-1, 1]."""

    def __init__(self, concepts: int, styles: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *_WIDTHS), _WIDTHS, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after)]
            layers += [nn.GELU(), nn.Conv2d(after, after, 3, padding=1, groups=after // 8)]
            layers += [nn.GroupNorm(8, after), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        self.concept = nn.Linear(4 * _WIDTHS[-1], concepts)
        self.style = nn.Linear(4 * _WIDTHS[-1], styles)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores of things and of styles."""
        found = F.adaptive_avg_pool2d(self.layers(x), 2).flatten(1)
        return self.concept(found), self.style(found)


@dataclass(frozen=True)
class Opinion:
    """What the judge takes drawings for: things from likeliest to least, and one style, each."""

    concepts: npt.NDArray[np.int64]
    styles: npt.NDArray[np.int64]


class Judge:
    """A trained classifier."""

    def __init__(self, network: JudgeNetwork) -> None:
        self._network = network.eval().requires_grad_(False)

    def look(self, pictures: Sequence[Pixels]) -> Opinion:
        """Judge straight RGBA pictures of any size, laid on white."""
        sized = Size(width=_SIDE, height=_SIDE)
        laid = [raster.over(raster.resize(one, sized))[..., :3] for one in pictures]
        x = torch.from_numpy(np.stack(laid)).permute(0, 3, 1, 2).float() / 127.5 - 1
        concepts, styles = self._network(x)
        return Opinion(concepts.argsort(1, descending=True).numpy(), styles.argmax(1).numpy())


def trained_judge(corpus: Corpus, run: Path, minutes: float) -> Judge:
    """Return the judge that `run` keeps, or train one for some minutes and keep it."""
    path = run / JUDGE
    torch.manual_seed(0)
    network = JudgeNetwork(len(corpus.concepts), len(corpus.styles))
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
        return Judge(network)
    _train(network, corpus, minutes)
    run.mkdir(parents=True, exist_ok=True)
    write_whole(path, network.state_dict())
    return Judge(network)


def _train(network: JudgeNetwork, corpus: Corpus, minutes: float) -> None:
    pixels = _smaller(corpus)
    concepts = torch.from_numpy(corpus.concept_of)
    styles = torch.from_numpy(corpus.style_of)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    began = time.monotonic()
    while (part := (time.monotonic() - began) / (60 * minutes)) < 1:
        for settings in optimiser.param_groups:
            settings["lr"] = 2e-3 * max(0.01, min(1, 2 * (1 - part)))
        chosen = torch.randint(len(pixels), (64,))
        thing, look = network(_varied(pixels[chosen]))
        loss = F.cross_entropy(thing, concepts[chosen], label_smoothing=0.05)
        loss = loss + 0.3 * F.cross_entropy(look, styles[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def _smaller(corpus: Corpus) -> Tensor:
    """Return every picture at the judge's size: count × 4 × 64 × 64 bytes, premultiplied."""
    count, channels, side, _ = corpus.pixels.shape
    step = side // _SIDE
    rows = [
        corpus.pixels[start : start + 256]
        .reshape(-1, channels, _SIDE, step, _SIDE, step)
        .mean((3, 5))
        .round()
        .astype(np.uint8)
        for start in range(0, count, 256)
    ]
    return torch.from_numpy(np.concatenate(rows))


def _varied(pictures: Tensor) -> Tensor:
    """Return pictures moved, scaled, mirrored, softened, grained and laid on some ground."""
    count = len(pictures)
    x = pictures.float() / 255
    scale = 0.85 + 0.4 * torch.rand(count)
    mirrored = torch.where(torch.rand(count) < 0.3, -1.0, 1.0)
    turn = torch.zeros(count, 2, 3)
    turn[:, 0, 0], turn[:, 1, 1] = scale * mirrored, scale
    turn[:, :, 2] = 0.2 * torch.rand(count, 2) - 0.1
    x = F.grid_sample(x, F.affine_grid(turn, list(x.shape), False), align_corners=False)
    if torch.rand(()) < 0.4:
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    white = torch.rand(count, 1, 1, 1) < 0.7
    ground = torch.where(white, torch.ones(count, 3, 1, 1), torch.rand(count, 3, 1, 1))
    laid = x[:, :3] + (1 - x[:, 3:]) * ground
    return (laid + 0.04 * torch.randn_like(laid)) * 2 - 1
