"""Captions that say exactly what a training picture shows, and the changes they speak of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limner.training.vellum.corpus import Concept, Corpus

Floats = npt.NDArray[np.float32]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 50, 47),
    "orange": (245, 140, 40),
    "yellow": (250, 210, 60),
    "green": (80, 170, 80),
    "blue": (60, 120, 220),
    "purple": (140, 85, 190),
    "pink": (245, 150, 185),
    "brown": (135, 90, 60),
    "black": (35, 35, 40),
    "white": (255, 255, 255),
    "grey": (150, 155, 160),
}


@dataclass(frozen=True)
class Chances:
    """How often a caption or picture is made so."""

    keyword: float = 0.2
    first_name: float = 0.6
    recolour: float = 0.1
    article: float = 0.45
    style: float = 0.25
    ground: float = 0.1
    no_words: float = 0.1
    no_style: float = 0.08
    less_common: float = 0.06


@dataclass(frozen=True)
class Example:
    """A picture, 4 × N × N premultiplied in [0, 1], with its caption and style index."""

    picture: Floats
    caption: str
    style: int


class Easel:
    """Makes training examples out of a corpus, without end; never a held-out picture."""

    def __init__(
        self, corpus: Corpus, generator: np.random.Generator, chances: Chances | None = None
    ) -> None:
        self._corpus = corpus
        self._random = generator
        self._chances = chances or Chances()
        self._colours = tuple(COLOURS)
        weights = np.where(
            corpus.common,
            (1 - self._chances.less_common) / max(corpus.common.sum(), 1),
            self._chances.less_common / max((~corpus.common).sum(), 1),
        )
        weights[corpus.held_out] = 0
        self._sums = np.cumsum(weights / weights.sum())

    def example(self) -> Example:
        """Return one example; changes of colour, ground and place are told in its caption."""
        place = np.searchsorted(self._sums, self._random.random())
        index = min(int(place), len(self._sums) - 1)
        shown = self._corpus.pictures[index]
        look = self._corpus.styles[shown.style]
        picture = self._corpus.pixels[index].astype(np.float32) / 255
        caption = self._named(self._corpus.concepts[shown.concept])
        if self._happens(self._chances.recolour):
            colour = self._any(self._colours)
            picture, caption = recoloured(picture, COLOURS[colour]), f"{colour} {caption}"
        if self._happens(self._chances.article):
            caption = f"{'an' if caption[0] in 'aeiou' else 'a'} {caption}"
        if self._happens(self._chances.style):
            words = self._any((look.word, look.phrase))
            before = self._happens(0.5)
            caption = f"{words} {caption}" if before else f"{caption}, {words} style"
        if self._happens(self._chances.ground):
            colour = self._any(self._colours)
            picture = grounded(picture, COLOURS[colour])
            caption = f"{caption} on a {colour} background"
        if self._happens(self._chances.no_words):
            caption = ""
        moved = np.roll(picture, tuple(self._random.integers(-2, 3, 2)), (1, 2))
        no_style = self._happens(self._chances.no_style)
        return Example(moved, caption, len(self._corpus.styles) if no_style else shown.style)

    def _named(self, concept: Concept) -> str:
        if self._happens(self._chances.keyword):
            hint = self._any(concept.keywords) if concept.keywords else ""
            return f"{concept.names[0]}, {hint}" if hint else concept.names[0]
        if self._happens(self._chances.first_name):
            return concept.names[0]
        return self._any(concept.names)

    def _happens(self, chance: float) -> bool:
        return bool(self._random.random() < chance)

    def _any(self, choices: tuple[str, ...]) -> str:
        return choices[self._random.integers(len(choices))]


def recoloured(picture: Floats, colour: tuple[int, int, int]) -> Floats:
    """Paint a picture's body in shades of a colour: its lightness stays, its hues go."""
    alpha = picture[3]
    light = np.tensordot(np.array([0.3, 0.59, 0.11], np.float32), picture[:3], 1)
    light = light / np.maximum(alpha, 1e-3)
    mean = float((light * alpha).sum() / max(float(alpha.sum()), 1.0))
    shade = np.clip(light / max(mean, 0.15), 0, 1.9)
    base = np.array(colour, np.float32)[:, None, None] / 255
    darker = base * np.minimum(shade, 1)
    lighter = base + (1 - base) * (np.maximum(shade - 1, 0) / 0.9 * 0.75)
    painted = np.clip(np.where(shade <= 1, darker, lighter), 0, 1) * alpha
    return np.concatenate([painted, picture[3:]]).astype(np.float32)


def grounded(picture: Floats, colour: tuple[int, int, int]) -> Floats:
    """Lay a picture on an opaque ground of one colour."""
    base = np.array(colour, np.float32)[:, None, None] / 255
    laid = picture[:3] + (1 - picture[3:]) * base
    return np.concatenate([laid, np.ones_like(picture[3:])]).astype(np.float32)
