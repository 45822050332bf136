"""Builds the corpus: pictures, the concept and style of each, licence and source."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from limner.training.vellum.emoji import Emoji, read_emoji
from limner.training.vellum.render import Bytes, fit, open_set
from limner.training.vellum.sources import Shelf, Sources, Style, read_sources

PICTURES, MANIFEST = "pictures.safetensors", "corpus.json"
_FEWEST_STYLES = 3
"""A concept that fewer styles show is left out, unless people often ask for it."""
_MOST_KEYWORDS = 6


@dataclass(frozen=True)
class CorpusConfig:
    """What to build: the lists in `recipe` (models/vellum), archives in `archives`, to `target`."""

    recipe: Path
    archives: Path
    target: Path
    pixels: int = 128


@dataclass(frozen=True)
class Concept:
    """Something that can be drawn. `names` mean it, the first most; `keywords` hint at it."""

    slug: str
    names: tuple[str, ...]
    keywords: tuple[str, ...]
    common: bool


@dataclass(frozen=True)
class Picture:
    """One picture: indices of its concept and style, whether it is held out, whose it is."""

    concept: int
    style: int
    held_out: bool
    code: str
    package: str
    licence: str


@dataclass(frozen=True)
class Corpus:
    """Pictures (`pixels`, count × 4 × N × N bytes, premultiplied) and what is known of them."""

    concepts: tuple[Concept, ...]
    styles: tuple[Style, ...]
    pictures: tuple[Picture, ...]
    pixels: Bytes

    @cached_property
    def concept_of(self) -> np.ndarray:
        """Each picture's concept index."""
        return np.array([picture.concept for picture in self.pictures])

    @cached_property
    def style_of(self) -> np.ndarray:
        """Each picture's style index."""
        return np.array([picture.style for picture in self.pictures])

    @cached_property
    def held_out(self) -> np.ndarray:
        """Whether each picture is kept from training."""
        return np.array([picture.held_out for picture in self.pictures])

    @cached_property
    def common(self) -> np.ndarray:
        """Whether each picture shows one of the things people ask for most."""
        return np.array([self.concepts[index].common for index in self.concept_of])


def build_corpus(config: CorpusConfig) -> Corpus:
    """Download, render and write the corpus; the same lists give the same bytes."""
    sources = read_sources(config.recipe / "sources.toml")
    shelf = Shelf(config.archives)
    emoji = {one.slug: one for one in reversed(read_emoji(shelf, sources))}
    wanted = _wanted(config.recipe, emoji)
    drawn = _drawn(shelf, sources, [emoji[concept.slug] for concept in wanted], config.pixels)
    listed = json.loads((config.recipe / "held_out.json").read_text("utf-8"))
    held = {(pair["concept"], pair["style"]) for pair in listed["pairs"]}
    held |= {(slug, look.word) for slug in listed["concepts"] for look in sources.styles}
    concepts: list[Concept] = []
    pictures: list[Picture] = []
    pixels: list[Bytes] = []
    for concept in wanted:
        found = {
            style: drawn[style][concept.slug] for style in drawn if concept.slug in drawn[style]
        }
        if not concept.common and len(found) < _FEWEST_STYLES:
            continue
        for style, picture in found.items():
            look = sources.styles[style]
            package = sources.package(look.package)
            pictures.append(
                Picture(
                    concept=len(concepts),
                    style=style,
                    held_out=(concept.slug, look.word) in held,
                    code=emoji[concept.slug].code,
                    package=f"{package.name} {package.version}",
                    licence=package.licence,
                )
            )
            pixels.append(picture)
        concepts.append(concept)
    corpus = Corpus(tuple(concepts), sources.styles, tuple(pictures), np.stack(pixels))
    _write(config.target, corpus)
    return corpus


def read_corpus(folder: Path) -> Corpus:
    """Read a corpus that `build_corpus` wrote."""
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    return Corpus(
        tuple(_concept(entry) for entry in manifest["concepts"]),
        tuple(Style(**entry) for entry in manifest["styles"]),
        tuple(Picture(**entry) for entry in manifest["pictures"]),
        load_file(folder / PICTURES)["pixels"],
    )


def read_concepts(folder: Path) -> tuple[Concept, ...]:
    """Read the concepts of a corpus, without its pictures."""
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    return tuple(_concept(entry) for entry in manifest["concepts"])


def _wanted(recipe: Path, emoji: Mapping[str, Emoji]) -> list[Concept]:
    lists = tomllib.loads((recipe / "concepts.toml").read_text("utf-8"))
    common = [
        _named(emoji[slug], tuple(names), common=True) for slug, names in lists["common"].items()
    ]
    more = [
        _named(emoji[slug], (emoji[slug].name,), common=False) for slug in lists["more"]["concepts"]
    ]
    return [*common, *more]


def _named(emoji: Emoji, names: tuple[str, ...], *, common: bool) -> Concept:
    keywords = [word.lower() for word in emoji.keywords if word.lower() not in names]
    return Concept(emoji.slug, names, tuple(keywords[:_MOST_KEYWORDS]), common)


def _drawn(
    shelf: Shelf, sources: Sources, wanted: list[Emoji], pixels: int
) -> dict[int, dict[str, Bytes]]:
    """Return every style's pictures by slug."""
    drawn: dict[int, dict[str, Bytes]] = {}
    for style, look in enumerate(sources.styles):
        pictures = open_set(shelf, sources.package(look.package))
        drawn[style] = {}
        for emoji in wanted:
            picture = pictures.draw(emoji, pixels)
            fitted = None if picture is None else fit(picture, pixels)
            if fitted is not None:
                drawn[style][emoji.slug] = fitted
    return drawn


def _write(folder: Path, corpus: Corpus) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"pixels": corpus.pixels}, folder / PICTURES)
    manifest = {
        "concepts": [asdict(concept) for concept in corpus.concepts],
        "styles": [asdict(style) for style in corpus.styles],
        "pictures": [asdict(picture) for picture in corpus.pictures],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), "utf-8")


def _concept(entry: Mapping[str, Any]) -> Concept:
    return Concept(
        entry["slug"], tuple(entry["names"]), tuple(entry["keywords"]), bool(entry["common"])
    )
