"""How good the weights are, without a person: whose real picture is a drawn one most like?

Pictures are compared by 16 × 16 mean pixels on white: coarse, and kind to colour and outline.
Read the figures beside the sheets, never instead of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from limner.families.family import Pixels
from limner.training.vellum.artist import Artist, Manner, Wish
from limner.training.vellum.captions import COLOURS
from limner.training.vellum.corpus import Corpus, read_corpus
from limner.training.vellum.sheets import straight

_SIDE = 16
_TRAINED = 60
_CORNER, _CLEAR = 4, 0.1
_NEAR = 0.25
"""How far a ground may be from its colour, in parts of the white-to-black range."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Which weights to judge, against which corpus and lists."""

    weights: Path
    corpus: Path
    recipe: Path
    manner: Manner = field(default_factory=Manner)
    threads: int = 1


@dataclass(frozen=True)
class Figures:
    """Shares from 0 to 1.

    `…_target`: the right picture is the nearest of its style's; `…_concept`: the nearest
    picture of another style shows the right thing. `copied`: drawn pictures of trained pairs
    nearer to their original than a twentieth of a typical distance between pictures.
    """

    held_out_target: float
    held_out_target_of_five: float
    held_out_concept: float
    trained_target: float
    trained_concept: float
    common_concept: float
    synonym_concept: float
    clear_corners: float
    right_ground: float
    copied: float

    def table(self) -> str:
        """Return the figures as lines of a Markdown table."""
        rows = [
            f"| {one.name.replace('_', ' ')} | {getattr(self, one.name):.2f} |"
            for one in fields(self)
        ]
        return "\n".join(["| measure | share |", "|---|---|", *rows])


def evaluate(config: EvaluateConfig) -> Figures:
    """Draw held-out pairs, trained pairs, common things, synonyms and grounds; judge them."""
    corpus = read_corpus(config.corpus)
    held = json.loads((config.recipe / "held_out.json").read_text("utf-8"))
    judge = _Judge(Artist(config.weights, config.threads), corpus, config.manner)
    fresh = np.nonzero(corpus.held_out)[0]
    trained = np.nonzero(corpus.common & ~corpus.held_out)[0]
    trained = trained[:: max(1, len(trained) // _TRAINED)][:_TRAINED]
    on_fresh, on_trained = judge.pairs(fresh), judge.pairs(trained)
    common, clear = judge.common()
    return Figures(
        held_out_target=on_fresh.target,
        held_out_target_of_five=on_fresh.target_of_five,
        held_out_concept=on_fresh.concept,
        trained_target=on_trained.target,
        trained_concept=on_trained.concept,
        common_concept=common,
        synonym_concept=judge.synonyms(held["synonyms"]),
        clear_corners=clear,
        right_ground=judge.grounds(),
        copied=on_trained.copied,
    )


def features(pictures: list[Pixels]) -> np.ndarray:
    """Return count × features of straight RGBA pictures laid on white, in [0, 1]."""
    stacked = np.stack(pictures).astype(np.float32) / 255
    laid = stacked[..., :3] * stacked[..., 3:] + 1 - stacked[..., 3:]
    count, side = len(laid), laid.shape[1] // _SIDE
    found: np.ndarray = laid.reshape(count, _SIDE, side, _SIDE, side, 3).mean((2, 4))
    return found.reshape(count, -1)


@dataclass(frozen=True)
class _OnPairs:
    target: float
    target_of_five: float
    concept: float
    copied: float


class _Judge:
    def __init__(self, artist: Artist, corpus: Corpus, manner: Manner) -> None:
        self._artist, self._corpus, self._manner = artist, corpus, manner
        self._real = features([straight(picture) for picture in corpus.pixels])
        shown = self._real[corpus.common]
        self._typical = float(np.median(_distances(shown[::7], shown[3::7])))

    def pairs(self, chosen: np.ndarray) -> _OnPairs:
        """Judge drawings of the chosen pictures' concepts in their styles."""
        corpus = self._corpus
        wishes = [
            Wish(
                corpus.concepts[corpus.pictures[index].concept].names[0],
                int(corpus.style_of[index]),
            )
            for index in chosen
        ]
        apart = _distances(self._draw(wishes), self._real)
        ranks, same, near = [], [], []
        for row, index in zip(apart, chosen, strict=True):
            rivals = corpus.common & (corpus.style_of == corpus.style_of[index])
            ranks.append(int((row[rivals] < row[index]).sum()))
            others = np.where(corpus.common & (np.arange(len(row)) != index), row, np.inf)
            same.append(corpus.concept_of[others.argmin()] == corpus.concept_of[index])
            near.append(row[index] < self._typical / 20)
        found = np.array(ranks)
        return _OnPairs(
            float((found < 1).mean()),
            float((found < 5).mean()),
            float(np.mean(same)),
            float(np.mean(near)),
        )

    def common(self) -> tuple[float, float]:
        """Judge every common thing by its first name; return concept hits and clear corners."""
        concepts = [n for n, concept in enumerate(self._corpus.concepts) if concept.common]
        styles = len(self._corpus.styles)
        wishes = [
            Wish(self._corpus.concepts[n].names[0], turn % styles)
            for turn, n in enumerate(concepts)
        ]
        drawn = self._artist.draw(wishes, self._manner)
        hits = self._nearest(features(drawn)) == np.array(concepts)
        clear = [_corners(picture)[..., 3].mean() < _CLEAR for picture in drawn]
        return float(hits.mean()), float(np.mean(clear))

    def synonyms(self, meant: Mapping[str, str]) -> float:
        """Judge words that no training caption holds."""
        numbers = {concept.slug: n for n, concept in enumerate(self._corpus.concepts)}
        wishes = [Wish(word, turn % 2) for turn, word in enumerate(meant)]
        hits = self._nearest(self._draw(wishes)) == np.array([numbers[s] for s in meant.values()])
        return float(hits.mean())

    def grounds(self) -> float:
        """Judge whether corners have the colour that the prompt gives the background."""
        names = [concept.names[0] for concept in self._corpus.concepts if concept.common]
        wishes, expected = [], []
        for turn, (colour, value) in enumerate(COLOURS.items()):
            for name in names[turn :: 3 * len(COLOURS)]:
                wishes.append(Wish(f"{name} on a {colour} background", turn % 2))
                expected.append(np.array(value) / 255)
        drawn = self._artist.draw(wishes, self._manner)
        right = [
            _corners(picture)[..., 3].mean() > 1 - _CLEAR
            and np.abs(_corners(picture)[..., :3].mean((0, 1)) - value).max() < _NEAR
            for picture, value in zip(drawn, expected, strict=True)
        ]
        return float(np.mean(right))

    def _draw(self, wishes: list[Wish]) -> np.ndarray:
        return features(self._artist.draw(wishes, self._manner))

    def _nearest(self, drawn: np.ndarray) -> np.ndarray:
        """Return the concept of the nearest common picture."""
        apart = np.where(self._corpus.common, _distances(drawn, self._real), np.inf)
        nearest: np.ndarray = self._corpus.concept_of[apart.argmin(1)]
        return nearest


def _distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return mean squared differences, rows of `left` against rows of `right`."""
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None] - 2 * left @ right.T
    found: np.ndarray = np.maximum(squares, 0) / left.shape[1]
    return found


def _corners(picture: Pixels) -> np.ndarray:
    """Return the four corners of a picture, in [0, 1]."""
    rows = np.concatenate([picture[:_CORNER], picture[-_CORNER:]])
    cut = np.concatenate([rows[:, :_CORNER], rows[:, -_CORNER:]], 1)
    return cut.astype(np.float32) / 255
