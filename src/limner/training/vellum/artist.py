"""Draws with exported weights, as the product does, for sheets and evaluation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from limner.families.family import Pixels
from limner.families.vellum.facts import DENOISER, ENCODER, LEXICON, TOKENIZER, Facts, read_facts
from limner.families.vellum.lexicon import read_lexicon
from limner.families.vellum.model import noise_of, to_pixels
from limner.families.vellum.sampler import Floats, Start, draw_noise, sample
from limner.families.vellum.text import TextEncoder, load_tokenizer

_AT_ONCE = 8


@dataclass(frozen=True)
class Wish:
    """One picture to draw. `style` is an index; the number of styles means none."""

    prompt: str
    style: int
    seed: int = 0


@dataclass(frozen=True)
class Manner:
    """How pictures are drawn."""

    steps: int = 20
    guidance: float = 2.5
    sampler: str = "euler"


class Artist:
    """Exported weights in memory. `folder` holds denoiser, encoder, tokenizer and facts."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        providers = ["CPUExecutionProvider"]
        self.facts: Facts = read_facts(folder)
        self._denoiser = onnxruntime.InferenceSession(
            str(folder / DENOISER), options, providers=providers
        )
        self._noise = noise_of(self._denoiser)
        encoder = onnxruntime.InferenceSession(str(folder / ENCODER), options, providers=providers)
        self.encoder = TextEncoder(encoder, load_tokenizer(folder / TOKENIZER))
        pinned = any(file.name == LEXICON for file in self.facts.files)
        self._lexicon = read_lexicon(folder / LEXICON) if pinned else None

    def draw(self, wishes: Sequence[Wish], manner: Manner | None = None) -> list[Pixels]:
        """Return one picture for each wish."""
        drawn: list[Pixels] = []
        for first in range(0, len(wishes), _AT_ONCE):
            drawn += self._together(wishes[first : first + _AT_ONCE], manner or Manner())
        return drawn

    def _together(self, wishes: Sequence[Wish], manner: Manner) -> Iterator[Pixels]:
        prompts = [wish.prompt for wish in wishes]
        if self._lexicon is not None:
            prompts = [self._lexicon.read(prompt).text for prompt in prompts]
        texts = self.encoder.encode([*prompts, *([""] * len(wishes))])
        condition = {
            "text": texts.states,
            "text_mask": texts.mask,
            "pooled": texts.pooled,
            "style": np.array([wish.style for wish in wishes] * 2, np.int64),
        }

        def denoise(z: Floats, time: float) -> Floats:
            both = np.concatenate([z, z])
            times = np.full(len(both), time, np.float32)
            found = self._denoiser.run(["clean"], {"z": both, "t": times, **condition})[0]
            heard, unheard = np.split(found, 2)
            clean: Floats = unheard + np.float32(manner.guidance) * (heard - unheard)
            return clean

        pixels = self.facts.pixels
        start = Start(np.stack([self._noise * draw_noise(wish.seed, pixels) for wish in wishes]))
        drawn = sample(denoise, start, manner.sampler, manner.steps, lambda *_: None)
        return map(to_pixels, drawn)
