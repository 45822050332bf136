"""Contact sheets: what the model draws, to be looked at by a person."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from limner.domain.event import CancelToken
from limner.domain.recipe import InputRole, Recipe, Task
from limner.families import raster
from limner.families.crisp import FAMILY as CRISP
from limner.families.crisp.facts import NETWORK, WEIGHTS
from limner.families.crisp.upscaler import CrispUpscaler
from limner.families.family import Order, Pixels, Watch
from limner.training.vellum.artist import Artist, Manner, Wish, unheard
from limner.training.vellum.corpus import Corpus, read_corpus

_GAP, _LABEL, _BOARD = 6, 14, 8
_COLOURS = ("red", "blue", "green", "yellow", "purple", "pink", "black", "orange")
_FEW = 4
_SHOWN = ("cat", "fox", "rose", "pizza", "rocket", "house", "robot", "star", "guitar", "car")


@dataclass(frozen=True)
class SheetConfig:
    """Which weights draw, with which corpus and lists, and where the sheets go."""

    weights: Path
    corpus: Path
    recipe: Path
    target: Path
    manner: Manner = field(default_factory=Manner)
    threads: int = 1


@dataclass(frozen=True)
class Cell:
    """A picture with what is written above it."""

    picture: Pixels
    label: str


def draw_sheet(config: SheetConfig) -> tuple[Path, ...]:
    """Draw every sheet: common and unheard things, styles, colours, scenes. Returns the files.

    `sixty-four` has numbers in the place of words, for someone to name who has not read them.
    """
    artist = Artist(config.weights, config.threads)
    corpus = read_corpus(config.corpus)
    held = json.loads((config.recipe / "held_out.json").read_text("utf-8"))
    manner = config.manner
    words = list(held["synonyms"])
    sheets = {
        "common": (_common(artist, corpus, manner), 12),
        "styles": (_styles(artist, corpus, manner), len(corpus.styles)),
        "held-out": (_held_out(artist, corpus, manner), 12),
        "colours": (_prompts(artist, held["prompts"], manner), 10),
        "unheard": (_prompts(artist, words, manner), 12),
        "scenes": (_prompts(artist, held["scenes"], manner), 8),
        "steps": (_few_steps(artist, held["sheet"][::4], manner), 8),
        "sixty-four": (_numbered(artist, held["sheet"], manner), 8),
        "enlarged": (_enlarged(artist, held["sheet"][::11], manner), 3),
    }
    config.target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (cells, columns) in sheets.items():
        path = config.target / f"{name}.png"
        contact_sheet(cells, columns).save(path, optimize=True)
        written.append(path)
    return tuple(written)


def contact_sheet(cells: Sequence[Cell], columns: int, zoom: int = 1) -> Image.Image:
    """Lay cells out in rows on white; transparency shows as a chequered board."""
    height, width = (side * zoom for side in cells[0].picture.shape[:2])
    rows = -(-len(cells) // columns)
    size = (columns * (width + _GAP), rows * (height + _GAP + _LABEL))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        left, top = column * (width + _GAP), row * (height + _GAP + _LABEL)
        pen.text((left, top), cell.label[: width // 6], fill="black")
        picture = Image.fromarray(_on_board(cell.picture)).resize((width, height))
        sheet.paste(picture, (left, top + _LABEL))
    return sheet


def _on_board(picture: Pixels) -> np.ndarray:
    rows, columns = np.indices(picture.shape[:2]) // _BOARD
    board = np.where((rows + columns) % 2, 255, 236)[..., None]
    alpha = picture[..., 3:].astype(np.float32) / 255
    mixed: np.ndarray = np.rint(picture[..., :3] * alpha + board * (1 - alpha)).astype(np.uint8)
    return mixed


def _common(artist: Artist, corpus: Corpus, manner: Manner) -> list[Cell]:
    """Every common thing once, the styles in turn."""
    names = [concept.names[0] for concept in corpus.concepts if concept.common]
    wishes = [Wish(name, turn % len(corpus.styles)) for turn, name in enumerate(names)]
    return _cells(artist, wishes, manner)


def _styles(artist: Artist, corpus: Corpus, manner: Manner) -> list[Cell]:
    wishes = [Wish(name, style) for name in _SHOWN for style in range(len(corpus.styles))]
    return _cells(artist, wishes, manner)


def _held_out(artist: Artist, corpus: Corpus, manner: Manner) -> list[Cell]:
    """Real and drawn pictures of the pairs that training never saw, side by side."""
    taught = np.isin(corpus.concept_of, corpus.concept_of[~corpus.held_out])
    chosen = np.nonzero(corpus.held_out & taught)[0]
    pairs = [corpus.pictures[index] for index in chosen]
    wishes = [Wish(corpus.concepts[pair.concept].names[0], pair.style) for pair in pairs]
    drawn = artist.draw(wishes, manner)
    cells: list[Cell] = []
    for index, pair, picture in zip(chosen, pairs, drawn, strict=True):
        cells.append(Cell(straight(corpus.pixels[index]), f"{corpus.styles[pair.style].word} real"))
        cells.append(Cell(picture, corpus.concepts[pair.concept].names[0]))
    return cells


def _prompts(artist: Artist, prompts: Sequence[str], manner: Manner) -> list[Cell]:
    return _cells(artist, [Wish(prompt, turn % 2) for turn, prompt in enumerate(prompts)], manner)


def _few_steps(artist: Artist, prompts: Sequence[str], manner: Manner) -> list[Cell]:
    """Each prompt in four steps and, beside it, in as many as is usual."""
    few = _prompts(artist, prompts, replace(manner, steps=_FEW))
    pairs = zip(few, _prompts(artist, prompts, manner), strict=True)
    return [
        Cell(cell.picture, f"{count}: {cell.label}")
        for pair in pairs
        for cell, count in zip(pair, (_FEW, manner.steps), strict=True)
    ]


def _numbered(artist: Artist, prompts: Sequence[str], manner: Manner) -> list[Cell]:
    cells = _prompts(artist, prompts, manner)
    return [Cell(cell.picture, str(number)) for number, cell in enumerate(cells, 1)]


def _enlarged(artist: Artist, prompts: Sequence[str], manner: Manner) -> list[Cell]:
    """Pictures at four times their size, as Crisp makes them."""
    crisp = CrispUpscaler(WEIGHTS / NETWORK, threads=1)
    [card] = CRISP.cards()
    drawn = []
    for cell in _prompts(artist, prompts, manner):
        size = raster.size_of(cell.picture)
        recipe = Recipe(task=Task.UPSCALE, model=card.ref, size=size, native_size=size)
        order = Order(recipe, {InputRole.INIT: cell.picture})
        [picture] = crisp.perform([order], Watch(unheard, CancelToken()))
        drawn.append(Cell(picture, cell.label))
    return drawn


def _cells(artist: Artist, wishes: Sequence[Wish], manner: Manner) -> list[Cell]:
    drawn = artist.draw(wishes, manner)
    return [Cell(picture, wish.prompt) for picture, wish in zip(drawn, wishes, strict=True)]


def straight(picture: np.ndarray) -> Pixels:
    """Return straight RGBA, N × N × 4, of a corpus picture, 4 × N × N premultiplied."""
    turned = picture.transpose(1, 2, 0).astype(np.float32)
    alpha = np.maximum(turned[..., 3:], 1)
    colour = np.clip(turned[..., :3] * 255 / alpha, 0, 255)
    return np.concatenate([colour, turned[..., 3:]], -1).round().astype(np.uint8)
