"""Training: for a number of minutes, interruptible anywhere, going on where it stopped.

Each worker trains alone for a slice of wall-clock time; then weights are averaged by the steps
each one took (local SGD, arXiv 1805.09767), so a busy core only contributes less.
"""

import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from limner.families.vellum.network import NetworkConfig, VellumNetwork
from limner.training.vellum.captions import Easel
from limner.training.vellum.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
    write_whole,
)
from limner.training.vellum.corpus import read_corpus
from limner.training.vellum.listening import Listener
from limner.training.vellum.optimiser import Optimiser, Rates, scale_at

CHECKPOINT, BEFORE_DECAY, LOG = "ck.pt", "before-decay.pt", "log.jsonl"
_SAVE_EVERY, _LOOK_EVERY = 120.0, 300.0
_MEMORY = 0.98
"""How much of the mean stays at a step. A long memory lags: with 0.9985 the mean network drew
shapeless blobs for an hour while the trained one already knew its words."""
_CAPTIONS = 6000
"""How many captions the whitening is measured on."""
_NEAREST = 0.05
"""The smallest 1 - t that the loss divides by."""
_EDGES = 0.3
"""How much the error of edges counts beside that of the velocity."""


@dataclass(frozen=True)
class TrainConfig:
    """A training run. `run` keeps its checkpoint; `encoder` holds minilm.onnx.

    `length` is how many tokens of a caption are read, `slice_seconds` how long workers train
    apart, `nice` what is added to the processes' niceness: 8 more for every worker but one.
    """

    corpus: Path
    encoder: Path
    run: Path
    minutes: float
    workers: int = 1
    batch: int = 32
    length: int = 18
    slice_seconds: float = 30.0
    compiled: bool = True
    nice: int = 5
    rates: Rates = field(default_factory=Rates)
    network: NetworkConfig = field(default_factory=NetworkConfig)


@dataclass(frozen=True)
class _Shared:
    """What workers have in common: their weights side by side, what they tell, the signals.

    `told` is workers × 3: the steps of the last slice, the part of the budget that is over,
    and whether to stop. What is decided from it after the barrier, all decide alike.
    """

    raw: Tensor
    mean: Tensor
    told: Tensor
    barrier: Any
    stop: Any


def train(config: TrainConfig) -> Checkpoint:
    """Train for `config.minutes` from the run's checkpoint, or from nothing; return the last one.

    An interrupt or SIGTERM saves and returns within a slice's averaging.
    """
    config.run.mkdir(parents=True, exist_ok=True)
    path = config.run / CHECKPOINT
    if not path.exists():
        write_checkpoint(path, _blank(config))
    start = read_checkpoint(path)
    context = torch.multiprocessing.get_context("spawn")
    count = sum(one.numel() for one in VellumNetwork(start.config).parameters())
    shared = _Shared(
        _common(config.workers, count),
        _common(config.workers, count),
        _common(config.workers, 3),
        context.Barrier(config.workers),
        context.Event(),
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        shared.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        running = spawn(  # type: ignore[no-untyped-call]
            _work, (config, shared), config.workers, join=False
        )
        while not running.join(timeout=1):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return read_checkpoint(path)


def _blank(config: TrainConfig) -> Checkpoint:
    corpus = read_corpus(config.corpus)
    torch.manual_seed(0)
    network = VellumNetwork(config.network)
    easel = Easel(corpus, np.random.default_rng(0))
    captions = [easel.example().caption for _ in range(_CAPTIONS)]
    heard = Listener(config.encoder, config.length).hear([one for one in captions if one])
    whiten(network, torch.from_numpy(heard.pooled))
    weights = network.state_dict()
    words = tuple(style.word for style in corpus.styles)
    return Checkpoint(config.network, words, weights, weights, samples=0, seconds=0.0)


@torch.no_grad()
def whiten(network: VellumNetwork, pooled: Tensor) -> None:
    """Set the layout's whitening from many captions' sentence vectors, count × text_width.

    Directions with little variance are held back instead of being blown up to noise.
    """
    mean = pooled.mean(0)
    variances, directions = torch.linalg.eigh((pooled - mean).T @ (pooled - mean) / len(pooled))
    kept = network.config.gist_width
    variances, directions = variances.flip(0)[:kept], directions.flip(1)[:, :kept]
    network.layout.mean.copy_(mean)
    network.layout.whitening.copy_(directions / (variances + variances[kept // 2]).sqrt())


def _common(*shape: int) -> Tensor:
    """Return numbers in memory that all workers share."""
    shared: Tensor = torch.zeros(shape).share_memory_()  # type: ignore[no-untyped-call]
    return shared


def _work(rank: int, config: TrainConfig, shared: _Shared) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: shared.stop.set())
    os.nice(config.nice + (8 if rank else 0))
    torch.set_num_threads(1)
    _Worker(rank, config, shared).run()


class _Worker:
    """One process: trains in slices, averages with the others; the first one keeps the books."""

    def __init__(self, rank: int, config: TrainConfig, shared: _Shared) -> None:
        self._rank, self._config, self._shared = rank, config, shared
        self._start = read_checkpoint(config.run / CHECKPOINT)
        self._corpus = read_corpus(config.corpus)
        self._listener = Listener(config.encoder, config.length)
        self._easel = Easel(self._corpus, np.random.default_rng([rank, self._start.samples]))
        torch.manual_seed(1000 * rank + self._start.samples)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = VellumNetwork(self._start.config).to(self._device)
        self._mean = VellumNetwork(self._start.config).to(self._device)
        self._network.load_state_dict(self._start.raw)
        self._mean.load_state_dict(self._start.mean)
        self._optimiser = Optimiser(self._network, config.rates)
        kept = config.run / f"opt{rank}.pt"
        kept = kept if kept.exists() else config.run / "opt0.pt"
        if kept.exists():
            self._optimiser.load(torch.load(kept, weights_only=True))
        self._half = self._device.type == "cuda" or half_is_faster()
        self._predict = (
            torch.compile(self._network, dynamic=False) if config.compiled else self._network
        )
        self._samples = self._start.samples
        self._begun = 0.0
        self._part = 0.0
        self._scale = 1.0

    def run(self) -> None:
        """Train until the budget is spent or a signal comes."""
        _descend(self._loss_of(*self._batch()))
        self._network.zero_grad(set_to_none=True)
        self._shared.barrier.wait()
        self._begun = saved = time.monotonic()
        looked = 0.0
        stopping = False
        while self._part < 1 and not stopping:
            started = time.monotonic()
            loss = self._slice(started + self._config.slice_seconds)
            stopping, steps = self._average()
            now = time.monotonic()
            rate = steps * self._config.batch / (now - started)
            look = now - looked > _LOOK_EVERY or self._part >= 1
            looked = now if look else looked
            if self._rank == 0:
                self._note(loss, rate, look=look)
            if stopping or self._part >= 1 or now - saved > _SAVE_EVERY:
                self._save()
                saved = now

    def _slice(self, end: float) -> float:
        """Train alone until `end`; return the mean loss."""
        steps, total = 0, 0.0
        while steps == 0 or (time.monotonic() < end and not self._shared.stop.is_set()):
            self._part = min(1.0, (time.monotonic() - self._begun) / (60 * self._config.minutes))
            done = self._samples // self._config.batch + steps
            self._scale = scale_at(self._config.rates, self._part, done)
            loss = self._loss_of(*self._batch())
            _descend(loss)
            self._optimiser.step(self._scale)
            self._network.zero_grad(set_to_none=True)
            self._follow(min(_MEMORY, 1 - 1 / (done / 6 + 2)))
            steps, total = steps + 1, total + loss.item()
        self._shared.told[self._rank, 0] = steps
        return total / steps

    def _batch(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return clean pictures in [-1, 1] and what the network is told about them."""
        examples = [self._easel.example() for _ in range(self._config.batch)]
        heard = self._listener.hear([example.caption for example in examples])
        told = {
            "text": torch.from_numpy(heard.states),
            "text_mask": torch.from_numpy(heard.mask),
            "pooled": torch.from_numpy(heard.pooled),
            "style": torch.tensor([example.style for example in examples]),
        }
        clean = torch.from_numpy(np.stack([example.picture for example in examples])) * 2 - 1
        return clean.to(self._device), {k: v.to(self._device) for k, v in told.items()}

    def _loss_of(self, clean: Tensor, told: dict[str, Tensor]) -> Tensor:
        """Return the mean squared error of the velocity (arXiv 2511.13720), and that of edges.

        A mean of squares forgives soft edges; the absolute error of differences between
        neighbours does not. Early in time no edge can be known, so it counts with t².
        """
        t = torch.sigmoid(torch.randn(len(clean), device=self._device) - 0.4)
        time_of = t[:, None, None, None]
        noise = torch.randn_like(clean) * self._start.config.noise
        z = time_of * clean + (1 - time_of) * noise
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            found = self._predict(z, t, **told)
        wrong = found.float() - clean
        error = wrong / (1 - time_of).clamp_min(_NEAREST)
        across = (wrong.diff(dim=3).abs() * time_of**2).mean()
        down = (wrong.diff(dim=2).abs() * time_of**2).mean()
        loss: Tensor = error.square().mean() + _EDGES * (across + down)
        return loss

    @torch.no_grad()
    def _follow(self, memory: float) -> None:
        """Move the averaged weights towards the trained ones."""
        for mean, raw in zip(self._mean.parameters(), self._network.parameters(), strict=True):
            mean.lerp_(raw, 1 - memory)

    def _average(self) -> tuple[bool, int]:
        """Share weights with the other workers; return whether to stop, and all their steps."""
        shared = self._shared
        shared.told[self._rank, 1] = self._part
        shared.told[self._rank, 2] = float(shared.stop.is_set())
        shared.raw[self._rank] = _flat(list(self._network.parameters())).cpu()
        shared.mean[self._rank] = _flat(list(self._mean.parameters())).cpu()
        shared.barrier.wait()
        steps = int(shared.told[:, 0].sum())
        shares = shared.told[:, 0] / steps
        self._part = float(shared.told[:, 1].max())
        stopping = bool(shared.told[:, 2].any())
        raw, mean = (shares @ weights for weights in (shared.raw, shared.mean))
        shared.barrier.wait()
        _fill(self._network, raw)
        _fill(self._mean, mean)
        self._samples += steps * self._config.batch
        return stopping, steps

    def _save(self) -> None:
        write_whole(self._config.run / f"opt{self._rank}.pt", self._optimiser.state())
        if self._rank:
            return
        kept = Checkpoint(
            self._start.config,
            self._start.styles,
            self._network.state_dict(),
            self._mean.state_dict(),
            self._samples,
            self._start.seconds + time.monotonic() - self._begun,
        )
        write_checkpoint(self._config.run / CHECKPOINT, kept)
        if self._part <= 1 - self._config.rates.decay:
            write_checkpoint(self._config.run / BEFORE_DECAY, kept)

    def _note(self, loss: float, rate: float, *, look: bool) -> None:
        seconds = self._start.seconds + time.monotonic() - self._begun
        line: dict[str, float] = {
            "minutes": round(seconds / 60, 2),
            "samples": self._samples,
            "loss": round(loss, 4),
            "scale": round(self._scale, 3),
            "rate": round(rate, 1),
        }
        if look:
            line |= self._errors()
        with (self._config.run / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    @torch.no_grad()
    def _errors(self) -> dict[str, float]:
        """Return the averaged network's error on held-out and on some trained pictures."""
        held = self._corpus.held_out
        chosen = {
            "hold": np.nonzero(held)[0],
            "seen": np.nonzero(self._corpus.common & ~held)[0][::16],
        }
        return {name: round(self._error(found), 5) for name, found in chosen.items() if len(found)}

    def _error(self, chosen: np.ndarray) -> float:
        names = [self._corpus.concepts[index].names[0] for index in self._corpus.concept_of[chosen]]
        heard = self._listener.hear(names)
        clean = torch.from_numpy(self._corpus.pixels[chosen]).float() / 127.5 - 1
        count = len(chosen)
        t = ((torch.arange(count) * 37 % count) + 0.5) / count
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
        noise *= self._start.config.noise
        time_of = t[:, None, None, None]
        told = (
            time_of * clean + (1 - time_of) * noise,
            t,
            *(torch.from_numpy(part) for part in (heard.states, heard.mask, heard.pooled)),
            torch.from_numpy(self._corpus.style_of[chosen]),
        )
        found = self._mean(*(part.to(self._device) for part in told)).cpu()
        return float((found - clean).square().mean())


def half_is_faster() -> bool:
    """Measure whether this CPU multiplies bfloat16 matrices faster than float32."""
    times = []
    for kind in (torch.float32, torch.bfloat16):
        left, right = (
            (torch.ones(1024, 256, dtype=kind) @ torch.eye(256, dtype=kind)),
            torch.ones(256, 768, dtype=kind),
        )
        best = float("inf")
        for _ in range(8):
            started = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - started)
        times.append(best)
    return times[1] < 0.8 * times[0]


def _descend(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


def _flat(weights: list[Tensor]) -> Tensor:
    return torch.cat([one.detach().reshape(-1) for one in weights])


@torch.no_grad()
def _fill(network: VellumNetwork, flat: Tensor) -> None:
    start = 0
    for weights in network.parameters():
        weights.copy_(flat[start : start + weights.numel()].view_as(weights))
        start += weights.numel()
