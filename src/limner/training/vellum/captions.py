"""Captions that say exactly what a training picture shows, and the changes they speak of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limner.families.vellum.colours import COLOURS
from limner.training.vellum.corpus import Concept, Corpus

Floats = npt.NDArray[np.float32]


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
    less_common: float = 0.6
    two: float = 0.04
    several: float = 0.04


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
        common = corpus.common
        weights = np.where(
            common,
            (1 - self._chances.less_common) / max(common.sum(), 1),
            self._chances.less_common / max((~common).sum(), 1),
        )
        weights[corpus.held_out] = 0
        self._sums = np.cumsum(weights / weights.sum())
        shown = common & ~corpus.held_out
        self._partners = tuple(
            np.nonzero(shown & (corpus.style_of == style))[0] for style in range(len(corpus.styles))
        )

    def example(self) -> Example:
        """Return one example; what is changed or put together is told in its caption."""
        place = np.searchsorted(self._sums, self._random.random())
        index = min(int(place), len(self._sums) - 1)
        style = self._corpus.pictures[index].style
        drawn = self._random.random()
        if drawn < self._chances.two and len(self._partners[style]):
            picture, caption = self._two(index)
        elif drawn < self._chances.two + self._chances.several:
            picture, caption = self._several(index)
        else:
            picture, caption = self._one(index)
        if self._happens(self._chances.style):
            look = self._corpus.styles[style]
            words = self._any((look.word, look.phrase))
            before = self._happens(0.5)
            caption = f"{words} {caption}" if before else f"{caption}, {words} style"
        if self._happens(self._chances.ground):
            colour = self._any(self._colours)
            picture = grounded(picture, COLOURS[colour])
            caption = f"{caption} on a {colour} background"
        if self._happens(self._chances.no_words):
            caption = ""
        reach = picture.shape[1] // 32
        moved = np.roll(picture, tuple(self._random.integers(-reach, reach + 1, 2)), (1, 2))
        no_style = self._happens(self._chances.no_style)
        return Example(moved, caption, len(self._corpus.styles) if no_style else style)

    def _one(self, index: int) -> tuple[Floats, str]:
        picture = self._picture(index)
        caption = self._named(self._corpus.concepts[self._corpus.pictures[index].concept])
        if self._happens(self._chances.recolour):
            colour = self._any(self._colours)
            picture, caption = recoloured(picture, COLOURS[colour]), f"{colour} {caption}"
        if self._happens(self._chances.article):
            caption = with_article(caption)
        return picture, caption

    def _two(self, index: int) -> tuple[Floats, str]:
        """Put a common thing of the same style beside or under a picture's own."""
        partners = self._partners[self._corpus.pictures[index].style]
        other = int(partners[self._random.integers(len(partners))])
        names = [
            with_article(self._corpus.concepts[self._corpus.pictures[one].concept].names[0])
            for one in (index, other)
        ]
        upright = self._happens(0.3)
        arrangement = "above" if upright else self._any(("and", "and", "next to", "left of"))
        pictures = [self._picture(one) for one in (index, other)]
        side = pictures[0].shape[1]
        places = ((0, side // 4), (side // 2, side // 4))
        if not upright:
            places = ((side // 4, 0), (side // 4, side // 2))
        return arranged(pictures, places), f"{names[0]} {arrangement} {names[1]}"

    def _several(self, index: int) -> tuple[Floats, str]:
        """Show a picture two, three or four times."""
        name = self._corpus.concepts[self._corpus.pictures[index].concept].names[0]
        picture = self._picture(index)
        count = self._any(("two", "three", "four"))
        quarter, half = picture.shape[1] // 4, picture.shape[1] // 2
        places = {
            "two": ((quarter, 0), (quarter, half)),
            "three": ((0, quarter), (half, 0), (half, half)),
            "four": ((0, 0), (0, half), (half, 0), (half, half)),
        }[count]
        return arranged([picture] * len(places), places), f"{count} {plural(name)}"

    def _picture(self, index: int) -> Floats:
        picture: Floats = (self._corpus.pixels[index] / 255).astype(np.float32)
        return picture

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


def arranged(pictures: Sequence[Floats], places: Sequence[tuple[int, int]]) -> Floats:
    """Lay pictures on nothing at half their size, each with its top left corner at a place."""
    laid = np.zeros_like(pictures[0])
    for picture, (top, left) in zip(pictures, places, strict=True):
        channels, side, _ = picture.shape
        half = picture.reshape(channels, side // 2, 2, side // 2, 2).mean((2, 4))
        under = laid[:, top : top + side // 2, left : left + side // 2]
        under[:] = half + under * (1 - half[3:])
    return laid


def with_article(name: str) -> str:
    """Return a name with “a” or “an” before it."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


_PLURALS = {"mouse": "mice", "fish": "fish", "sheep": "sheep", "leaf": "leaves", "foot": "feet"}


def plural(name: str) -> str:
    """Return the English plural of a name of one or more words."""
    before, _, last = name.rpartition(" ")
    if last in _PLURALS:
        many = _PLURALS[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        many = f"{last}es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        many = f"{last[:-1]}ies"
    else:
        many = f"{last}s"
    return f"{before} {many}".strip()
