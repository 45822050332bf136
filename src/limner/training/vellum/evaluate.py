"""How good the weights are, said by a judge that learned on real pictures alone.

Read the figures beside the sheets, never instead of them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from limner.families.family import Pixels
from limner.families.vellum.colours import COLOURS
from limner.training.vellum.artist import Artist, Manner, Wish
from limner.training.vellum.captions import plural, with_article
from limner.training.vellum.corpus import Corpus, read_corpus
from limner.training.vellum.judge import Judge, trained_judge
from limner.training.vellum.sheets import straight

_SIDE = 16
_TRAINED = 90
_COMPOSED = 48
_CORNER, _CLEAR = 8, 0.1
_NEAR = 0.25
"""How far a ground may be from its colour, in parts of the white-to-black range."""
_PAINTED = ("dog", "cat", "octopus", "car", "elephant", "rose", "heart", "rocket", "guitar")


@dataclass(frozen=True)
class EvaluateConfig:
    """Which weights to judge, against which corpus and lists; `run` keeps the judge.

    Everything is drawn in each of the `manners`.
    """

    weights: Path
    corpus: Path
    recipe: Path
    run: Path
    manners: tuple[Manner, ...] = (Manner(), Manner(steps=4))
    threads: int = 1
    judge_minutes: float = 9.0


@dataclass(frozen=True)
class Figures:
    """Shares from 0 to 1. “Top 1” and “top 5” are the judge's likeliest thing or five things.

    `closer_than_siblings` counts drawings of trained pairs that lie nearer to their training
    picture than the nearest real picture of the same thing in another style does.
    """

    real_top_1: float
    common_top_1: float
    common_top_5: float
    trained_top_1: float
    held_out_top_1: float
    held_out_top_5: float
    held_out_style: float
    rare_top_1: float
    rare_top_5: float
    synonym_top_1: float
    synonym_top_5: float
    colour: float
    ground: float
    two_things: float
    counts: float
    clear_corners: float
    closer_than_siblings: float

    nearness: tuple[float, ...] = ()
    """For each trained pair: its drawing's distance to its training picture, as a part of the
    nearest real sibling's distance to it."""

    def rows(self) -> dict[str, float]:
        """Return every share by its name."""
        names = [one.name for one in fields(self) if one.name != "nearness"]
        return {name.replace("_", " "): getattr(self, name) for name in names}


@dataclass(frozen=True)
class Evaluation:
    """The figures of each manner."""

    manners: tuple[Manner, ...]
    figures: tuple[Figures, ...]

    def table(self) -> str:
        """Return the figures as lines of a Markdown table."""
        heads = [f"{manner.steps} steps" for manner in self.manners]
        lines = [f"| measure | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
        columns = [found.rows() for found in self.figures]
        for name in columns[0]:
            shares = (f"{column[name]:.2f}" for column in columns)
            lines.append(f"| {name} | {' | '.join(shares)} |")
        return "\n".join(lines)


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Draw held-out pairs, trained pairs, common and rare things, synonyms, colours, groups."""
    corpus = read_corpus(config.corpus)
    held = json.loads((config.recipe / "held_out.json").read_text("utf-8"))
    judge = trained_judge(corpus, config.run, config.judge_minutes)
    artist = Artist(config.weights, config.threads)
    figures = (
        _measured(_Trial(artist, corpus, judge, manner), corpus, held["synonyms"])
        for manner in config.manners
    )
    return Evaluation(config.manners, tuple(figures))


def _measured(trial: "_Trial", corpus: Corpus, synonyms: Mapping[str, str]) -> Figures:
    taught = set(corpus.concept_of[~corpus.held_out].tolist())
    held_pairs = np.nonzero(corpus.held_out)[0].tolist()
    pairs = [n for n in held_pairs if int(corpus.concept_of[n]) in taught]
    trained = _some(np.nonzero(corpus.common & ~corpus.held_out)[0], _TRAINED)
    rare = _some(np.nonzero(~corpus.common & ~corpus.held_out)[0], _TRAINED)
    real = _some(np.nonzero(corpus.common)[0], 4 * _TRAINED)
    on_pairs, on_trained, on_rare = (trial.pairs(chosen) for chosen in (pairs, trained, rare))
    common, clear = trial.common()
    unheard = trial.synonyms(synonyms)
    nearness = trial.nearness(trained)
    return Figures(
        real_top_1=trial.real(real),
        common_top_1=common.first,
        common_top_5=common.among_five,
        trained_top_1=on_trained.first,
        held_out_top_1=on_pairs.first,
        held_out_top_5=on_pairs.among_five,
        held_out_style=on_pairs.style,
        rare_top_1=on_rare.first,
        rare_top_5=on_rare.among_five,
        synonym_top_1=unheard.first,
        synonym_top_5=unheard.among_five,
        colour=trial.colours(),
        ground=trial.grounds(),
        two_things=trial.two_things(),
        counts=trial.counts(),
        clear_corners=clear,
        closer_than_siblings=float(np.mean([one < 1 for one in nearness])),
        nearness=nearness,
    )


@dataclass(frozen=True)
class _Found:
    """How often the judge names the right thing first, among its first five, and the style."""

    first: float
    among_five: float
    style: float


class _Trial:
    """Draws in one manner and judges; things of one name (a dog's face, a dog) count as one."""

    def __init__(self, artist: Artist, corpus: Corpus, judge: Judge, manner: Manner) -> None:
        self._artist, self._corpus, self._judge, self._manner = artist, corpus, judge, manner
        self._common = [n for n, concept in enumerate(corpus.concepts) if concept.common]
        names = [concept.names[0] for concept in corpus.concepts]
        self._called = np.array([names.index(name) for name in names])

    def real(self, chosen: Sequence[int]) -> float:
        """Judge real pictures: what no drawing can be expected to exceed."""
        pictures = [straight(self._corpus.pixels[index]) for index in chosen]
        return self._found(pictures, self._corpus.concept_of[chosen]).first

    def pairs(self, chosen: Sequence[int]) -> _Found:
        """Judge drawings of the chosen pictures' things in their styles."""
        drawn = self._draw(self._wish(index) for index in chosen)
        return self._found(drawn, self._corpus.concept_of[chosen], self._corpus.style_of[chosen])

    def common(self) -> tuple[_Found, float]:
        """Judge every common thing by its first name, the styles in turn; and clear corners."""
        styles = len(self._corpus.styles)
        drawn = self._draw(
            Wish(self._name(concept), turn % styles) for turn, concept in enumerate(self._common)
        )
        clear = [_corners(picture)[..., 3].mean() < _CLEAR for picture in drawn]
        return self._found(drawn, np.array(self._common)), float(np.mean(clear))

    def synonyms(self, meant: Mapping[str, str]) -> _Found:
        """Judge words that no training caption holds."""
        numbers = {concept.slug: n for n, concept in enumerate(self._corpus.concepts)}
        drawn = self._draw(Wish(word, turn % 2) for turn, word in enumerate(meant))
        return self._found(drawn, np.array([numbers[slug] for slug in meant.values()]))

    def colours(self) -> float:
        """Judge whether a thing's own colour is nearest to the one asked."""
        asked = [
            (name, colour)
            for turn, colour in enumerate(COLOURS)
            for name in _PAINTED[turn % 3 :: 3]
        ]
        drawn = self._draw(
            Wish(with_article(f"{colour} {name}"), turn % 2)
            for turn, (name, colour) in enumerate(asked)
        )
        return float(
            np.mean([_nearest_colour(one) == c for one, (_, c) in zip(drawn, asked, strict=True)])
        )

    def grounds(self) -> float:
        """Judge whether corners have the colour that the prompt gives the background."""
        asked = [
            (self._name(concept), colour)
            for turn, colour in enumerate(COLOURS)
            for concept in self._common[turn :: 3 * len(COLOURS)]
        ]
        drawn = self._draw(
            Wish(f"{name} on a {colour} background", turn % 2)
            for turn, (name, colour) in enumerate(asked)
        )
        right = [
            _corners(one)[..., 3].mean() > 1 - _CLEAR
            and np.abs(_corners(one)[..., :3].mean((0, 1)) - np.array(COLOURS[colour]) / 255).max()
            < _NEAR
            for one, (_, colour) in zip(drawn, asked, strict=True)
        ]
        return float(np.mean(right))

    def two_things(self) -> float:
        """Judge whether two things are both there, each on the side that the prompt says."""
        random = np.random.default_rng(5)
        pairs = [random.choice(self._common, 2, replace=False) for _ in range(_COMPOSED)]
        words = ("left of", "above")
        drawn = self._draw(
            Wish(
                f"{with_article(self._name(one))} {words[turn % 2]} "
                f"{with_article(self._name(other))}",
                turn % 2,
            )
            for turn, (one, other) in enumerate(pairs)
        )
        halves = [_halves(picture, turn % 2 == 1) for turn, picture in enumerate(drawn)]
        sides = [
            self._judge.look([half[side] for half in halves]).concepts[:, :5] for side in (0, 1)
        ]
        right = [
            one in first and other in second
            for (one, other), first, second in zip(pairs, *sides, strict=True)
        ]
        return float(np.mean(right))

    def counts(self) -> float:
        """Judge how many separate shapes are drawn where two, three or four are asked."""
        words = {"two": 2, "three": 3, "four": 4}
        names = [self._name(concept) for concept in self._common[:: len(self._common) // 12]]
        asked = [(count, name) for name in names for count in words]
        drawn = self._draw(
            Wish(f"{count} {plural(name)}", turn % 2) for turn, (count, name) in enumerate(asked)
        )
        right = [_shapes(one) == words[count] for one, (count, _) in zip(drawn, asked, strict=True)]
        return float(np.mean(right))

    def nearness(self, chosen: Sequence[int]) -> tuple[float, ...]:
        """Measure how near drawings lie to their originals, beside those' nearest siblings."""
        corpus = self._corpus
        drawn = features(self._draw(self._wish(index) for index in chosen))
        found = []
        for picture, index in zip(drawn, chosen, strict=True):
            same = np.nonzero(corpus.concept_of == corpus.concept_of[index])[0]
            real = features([straight(corpus.pixels[one]) for one in same])
            original = real[same.tolist().index(index)]
            siblings = [((one - original) ** 2).mean() for one in real if one is not original]
            apart = [value for value in siblings if value > 0]
            if apart:
                distance = ((picture - original) ** 2).mean()
                found.append(float(np.sqrt(distance / min(apart))))
        return tuple(found)

    def _name(self, concept: int) -> str:
        return self._corpus.concepts[concept].names[0]

    def _wish(self, index: int) -> Wish:
        shown = self._corpus.pictures[index]
        return Wish(self._name(shown.concept), shown.style)

    def _draw(self, wishes: Iterable[Wish]) -> list[Pixels]:
        return self._artist.draw(list(wishes), self._manner)

    def _found(
        self, pictures: list[Pixels], concepts: np.ndarray, styles: np.ndarray | None = None
    ) -> _Found:
        opinion = self._judge.look(pictures)
        right = self._called[opinion.concepts[:, :5]] == self._called[concepts][:, None]
        five = right.any(1)
        return _Found(
            float(right[:, 0].mean()),
            float(five.mean()),
            float("nan") if styles is None else float((opinion.styles == styles).mean()),
        )


def features(pictures: list[Pixels]) -> np.ndarray:
    """Return count × features of straight RGBA pictures laid on white, in [0, 1].

    They are 16 × 16 mean pixels: coarse, and kind to colour and outline.
    """
    stacked = np.stack(pictures).astype(np.float32) / 255
    laid = stacked[..., :3] * stacked[..., 3:] + 1 - stacked[..., 3:]
    count, side = len(laid), laid.shape[1] // _SIDE
    found: np.ndarray = laid.reshape(count, _SIDE, side, _SIDE, side, 3).mean((2, 4))
    return found.reshape(count, -1)


def _some(indices: np.ndarray, most: int) -> list[int]:
    return [int(one) for one in indices[:: max(1, len(indices) // most)][:most]]


def _halves(picture: Pixels, upright: bool) -> tuple[Pixels, Pixels]:
    """Return the two squares in which a pair of things is drawn."""
    turned = picture if not upright else picture.swapaxes(0, 1)
    side = len(picture)
    band = turned[side // 4 : side // 4 + side // 2]
    first, second = band[:, : side // 2], band[:, side // 2 :]
    return (first.swapaxes(0, 1), second.swapaxes(0, 1)) if upright else (first, second)


def _nearest_colour(picture: Pixels) -> str:
    """Return the colour word nearest to the commonest colour of what is drawn."""
    body = picture[picture[..., 3] > 128][:, :3].astype(np.float32)
    if not len(body):
        return ""
    words = list(COLOURS)
    wanted = np.array([COLOURS[word] for word in words], np.float32)
    nearest = ((body[:, None] - wanted[None]) ** 2).sum(-1).argmin(1)
    return words[int(np.bincount(nearest, minlength=len(words)).argmax())]


def _shapes(picture: Pixels) -> int:
    """Return how many separate shapes of some size there are, by flooding their alpha."""
    side = len(picture) // 4
    cells = picture[..., 3].reshape(side, 4, side, 4).mean((1, 3)) > 96
    found = 0
    while cells.any():
        start = np.zeros_like(cells)
        start[tuple(np.argwhere(cells)[0])] = True
        while True:
            grown = start.copy()
            grown[1:] |= start[:-1]
            grown[:-1] |= start[1:]
            grown[:, 1:] |= start[:, :-1]
            grown[:, :-1] |= start[:, 1:]
            grown &= cells
            if (grown == start).all():
                break
            start = grown
        found += int(start.sum() >= 8)
        cells = cells & ~start
    return found


def _corners(picture: Pixels) -> np.ndarray:
    """Return the four corners of a picture, in [0, 1]."""
    rows = np.concatenate([picture[:_CORNER], picture[-_CORNER:]])
    cut = np.concatenate([rows[:, :_CORNER], rows[:, -_CORNER:]], 1)
    return cut.astype(np.float32) / 255
