"""Training the upscaler: from Vellum's pictures to the same ones with four times the pixels.

The network learns on what it will meet. Each picture of the corpus is rendered large; made four
times smaller, mixed with noise and cleaned by Vellum, it has Vellum's own faults, and the large
one beside it is what it should have been.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user reads
from onnx import TensorProto
from torch import Tensor, nn

from limner.families.crisp.facts import FACTS, NETWORK, Facts
from limner.families.vellum.network import VellumNetwork
from limner.families.vellum.text import TextStates
from limner.training.vellum.checkpoint import read_checkpoint, write_whole
from limner.training.vellum.corpus import Corpus, read_corpus
from limner.training.vellum.emoji import read_emoji
from limner.training.vellum.graph import Graph
from limner.training.vellum.listening import Listener
from limner.training.vellum.render import Bytes, fit, open_set
from limner.training.vellum.sources import Shelf, read_sources

SCALE = 4
UPSCALER = "upscaler.pt"
_CHANNELS = 4
_EARLIEST, _LATEST = 0.4, 0.95
"""Times at which Vellum meets a picture here: mostly noise, nearly clean."""
_PARTS = ("weight", "bias")
_PLAIN = 0.25
"""The part of the pictures that are only made smaller, not drawn by Vellum."""


class UpscalerNetwork(nn.Module):
    """Enlarges premultiplied RGBA in [-1, 1] by four: B × 4 × H × W → B × 4 × 4H × 4W."""

    def __init__(self, width: int = 48, depth: int = 8) -> None:
        super().__init__()
        self.width, self.depth = width, depth
        self.enter = nn.Conv2d(_CHANNELS, width, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))
        self.leave = nn.Conv2d(width, _CHANNELS * SCALE**2, 3, padding=1)
        with torch.no_grad():
            for layer in self.layers:
                layer.get_parameter("weight").mul_(0.5)
            self.leave.weight.mul_(0.1)
            self.leave.bias.zero_()  # type: ignore[union-attr]

    def forward(self, small: Tensor) -> Tensor:
        """Return the larger picture: every pixel four by four times, and what is drawn on it."""
        x = F.leaky_relu(self.enter(small), 0.1)
        for layer in self.layers:
            x = x + F.leaky_relu(layer(x), 0.1)
        return F.pixel_shuffle(self.leave(x) + small.repeat_interleave(SCALE**2, 1), SCALE)


@dataclass(frozen=True)
class UpscalingConfig:
    """A training run of the upscaler. `vellum` is the checkpoint whose faults it learns to mend.

    `pictures` is how many of the corpus are rendered, `crop` the side of the pieces that are
    learned on, in pixels before enlarging.
    """

    corpus: Path
    recipe: Path
    archives: Path
    encoder: Path
    vellum: Path
    run: Path
    minutes: float
    pictures: int = 900
    crop: int = 32
    batch: int = 16
    rate: float = 1.5e-3
    threads: int = 1


def train_upscaler(config: UpscalingConfig) -> float:
    """Train for some minutes from the run's checkpoint, or from nothing; return the last error."""
    torch.set_num_threads(config.threads)
    config.run.mkdir(parents=True, exist_ok=True)
    small, large = _pairs(config)
    network, seconds = UpscalerNetwork(), 0.0
    path = config.run / UPSCALER
    if path.exists():
        kept = torch.load(path, weights_only=True)
        network.load_state_dict(kept["model"])
        seconds = float(kept["seconds"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=0.0)
    began = saved = time.monotonic()
    error = float("nan")
    for step, (given, wanted) in enumerate(_batches(config, small, large)):
        part = (time.monotonic() - began) / (60 * config.minutes)
        if part >= 1:
            break
        for settings in optimiser.param_groups:
            settings["lr"] = config.rate * min(1.0, (step + 1) / 50, max(0.01, 2 * (1 - part)))
        loss = _error(network(given), wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        error = loss.item() if step == 0 else 0.99 * error + 0.01 * loss.item()
        if time.monotonic() - saved > 60:
            saved = time.monotonic()
            _save(path, network, seconds + saved - began)
    _save(path, network, seconds + time.monotonic() - began)
    return error


def read_upscaler(path: Path) -> tuple[UpscalerNetwork, float]:
    """Return a trained network and the seconds that it was trained."""
    kept = torch.load(path, map_location="cpu", weights_only=True)
    network = UpscalerNetwork()
    network.load_state_dict(kept["model"])
    return network.eval().requires_grad_(False), float(kept["seconds"])


def _save(path: Path, network: UpscalerNetwork, seconds: float) -> None:
    write_whole(path, {"model": network.state_dict(), "seconds": seconds})


def _error(found: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute error of pixels, and of the differences between neighbours."""
    wrong = found - wanted
    edges = wrong.diff(dim=2).abs().mean() + wrong.diff(dim=3).abs().mean()
    total: Tensor = wrong.abs().mean() + edges
    return total


def _batches(
    config: UpscalingConfig, small: Bytes, large: Bytes
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pieces without end, turned, mirrored and with their colours exchanged."""
    random = np.random.default_rng(int(time.time()))
    crop, last = config.crop, small.shape[-1] - config.crop
    while True:
        given: list[Bytes] = []
        wanted: list[Bytes] = []
        for index in random.integers(len(small), size=config.batch):
            top, left = random.integers(0, last + 1, 2)
            piece = small[index, :, top : top + crop, left : left + crop]
            whole = large[
                index,
                :,
                SCALE * top : SCALE * (top + crop),
                SCALE * left : SCALE * (left + crop),
            ]
            order = [*random.permutation(3), 3]
            turns, mirrored = int(random.integers(4)), bool(random.integers(2))
            for pieces, one in ((given, piece), (wanted, whole)):
                turned = np.rot90(one[order], turns, (1, 2))
                pieces.append((turned[:, :, ::-1] if mirrored else turned).copy())
        yield _unit(np.stack(given)), _unit(np.stack(wanted))


def _unit(pictures: Bytes) -> Tensor:
    return torch.from_numpy(pictures).float() / 127.5 - 1


def _pairs(config: UpscalingConfig) -> tuple[Bytes, Bytes]:
    """Return small pictures as Vellum draws them, and large ones as they should be."""
    corpus = read_corpus(config.corpus)
    checkpoint = read_checkpoint(config.vellum)
    network, side = checkpoint.averaged(), checkpoint.config.pixels
    found, large = _rendered(config, corpus, SCALE * side)
    count = len(found)
    small = large.reshape(count, _CHANNELS, side, SCALE, side, SCALE).mean((3, 5))
    listener = Listener(config.encoder, 18)
    random = torch.Generator().manual_seed(0)
    drawn = []
    for first in range(0, count, 32):
        rows = slice(first, first + 32)
        names = [corpus.concepts[corpus.pictures[index].concept].names[0] for index in found[rows]]
        clean = torch.from_numpy(small[rows].astype(np.float32)) / 127.5 - 1
        styles = torch.from_numpy(corpus.style_of[found[rows]])
        drawn.append(_redrawn(network, clean, listener.hear(names), styles, random))
    pixels = ((torch.cat(drawn).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.numpy(), large


def _redrawn(
    network: VellumNetwork,
    clean: Tensor,
    heard: TextStates,
    styles: Tensor,
    random: torch.Generator,
) -> Tensor:
    """Return pictures as Vellum sees them through noise; some are left as they are."""
    count = len(clean)
    span = _LATEST - _EARLIEST
    t = _EARLIEST + span * torch.rand(count, generator=random)
    time_of = t[:, None, None, None]
    noise = torch.randn(clean.shape, generator=random) * network.config.noise
    told = (torch.from_numpy(part) for part in (heard.states, heard.mask, heard.pooled))
    with torch.no_grad():
        seen: Tensor = network(time_of * clean + (1 - time_of) * noise, t, *told, styles)
    plain = torch.rand(count, generator=random) < _PLAIN
    seen[plain] = clean[plain]
    return seen


def _rendered(
    config: UpscalingConfig, corpus: Corpus, pixels: int
) -> tuple[npt.NDArray[np.int64], Bytes]:
    """Return the indices of some pictures, and those pictures rendered at `pixels` a side."""
    shelf, sources = Shelf(config.archives), read_sources(config.recipe / "sources.toml")
    emoji = {one.slug: one for one in reversed(read_emoji(shelf, sources))}
    sets = [open_set(shelf, sources.package(style.package)) for style in corpus.styles]
    order = np.random.default_rng(0).permutation(np.nonzero(~corpus.held_out)[0])
    found: list[int] = []
    large: list[Bytes] = []
    for index in order:
        picture = corpus.pictures[index]
        drawn = sets[picture.style].draw(emoji[corpus.concepts[picture.concept].slug], pixels)
        if drawn is None or max(drawn.size) < pixels:
            continue  # a raster set holds nothing finer
        fitted = fit(drawn, pixels)
        if fitted is not None:
            found.append(int(index))
            large.append(fitted)
        if len(found) == config.pictures:
            break
    return np.array(found), np.stack(large)


def export_upscaler(trained: Path, target: Path) -> float:
    """Write the network that ships and its facts; return how far it is from torch, relative."""
    network, seconds = read_upscaler(trained)
    for weights in network.parameters():
        weights.copy_(weights.half().float())
    target.mkdir(parents=True, exist_ok=True)
    path = target / NETWORK
    onnx.save(_graph_of(network), path)
    probe = torch.randn(2, _CHANNELS, 9, 7, generator=torch.Generator().manual_seed(0))
    expected = network(probe).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(["large"], {"small": probe.numpy()})[0]
    facts = Facts(
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        minutes=round(seconds / 60, 1),
    )
    (target / FACTS).write_text(facts.model_dump_json(indent=2) + "\n", "utf-8")
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _graph_of(network: UpscalerNetwork) -> onnx.ModelProto:
    graph = Graph()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}

    def convolved(x: str, name: str) -> str:
        kept = (graph.half(f"{name}.{part}", weights[f"{name}.{part}"]) for part in _PARTS)
        return graph.op("Conv", x, *kept, pads=[1, 1, 1, 1], kernel_shape=[3, 3])

    x = graph.op("LeakyRelu", convolved("small", "enter"), alpha=0.1)
    for index in range(network.depth):
        drawn = graph.op("LeakyRelu", convolved(x, f"layers.{index}"), alpha=0.1)
        x = graph.op("Add", x, drawn)
    planes = graph.split("small", _CHANNELS, 1)
    base = graph.op("Concat", *(plane for plane in planes for _ in range(SCALE**2)), axis=1)
    full = graph.op("Add", convolved(x, "leave"), base)
    graph.op("DepthToSpace", full, blocksize=SCALE, mode="CRD", result="large")
    return graph.model(
        "crisp",
        {"small": (TensorProto.FLOAT, ("batch", _CHANNELS, "height", "width"))},
        {"large": ("batch", _CHANNELS, "large_height", "large_width")},
    )
