"""Makes Vellum's lexicon: English nouns, and the name of what Vellum draws for each.

Only what was shown in training counts: the names of things that were held out are words as others.
A name is anchored to a meaning in WordNet. The words of that meaning and of every kind of it are
read as the name, unless another name lies nearer. `senses.toml` holds what a person decided.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.domain.errors import InvalidRequest
from limner.families.vellum.facts import FACTS, LEXICON, fact_of, read_facts
from limner.families.vellum.lexicon import Lexicon, plain, read_lexicon, singulars
from limner.training.vellum.corpus import Concept, read_concepts
from limner.training.vellum.emoji import read_emoji
from limner.training.vellum.sources import Shelf, Sources, read_sources
from limner.training.vellum.wordnet import (
    ANIMAL,
    ARTIFACT,
    BODY,
    FOOD,
    OBJECT,
    PERSON,
    PHENOMENON,
    PLANT,
    SUBSTANCE,
    Meaning,
    Use,
    WordNet,
    read_wordnet,
)

SENSES = "senses.toml"

_VISIBLE = {ANIMAL, ARTIFACT, BODY, FOOD, OBJECT, PERSON, PHENOMENON, PLANT, SUBSTANCE}
_LIKELY = {
    "Animals & Nature": {ANIMAL, PLANT},
    "Food & Drink": {FOOD},
    "Objects": {ARTIFACT},
    "Activities": {ARTIFACT},
    "Travel & Places": {ARTIFACT, OBJECT, PHENOMENON},
    "People & Body": {PERSON, BODY},
    "Smileys & Emotion": {PERSON, BODY},
    "Symbols": {ARTIFACT},
}
"""In which of WordNet's files the things of Unicode's groups of emoji stand."""
_GROUP, _ALIAS, _MOST_HINTS = 3, 2, 3
"""What speaks for a meaning: its file suits the group; it has another name; words in common."""
_NOISE = 2
"""What WordNet's counts of meanings differ by at least where they mean something."""
_BEFORE = {ANIMAL: 0, FOOD: 1}
_MATERIALS = {"wood", "animal skin", "meat", "seafood", "textile"}
"""Of what is so called after a plant or animal, it is the plant or animal that is drawn."""
_MOST_WORDS = 3
_FEWEST_LETTERS = 3
_RUDE = re.compile(
    r"\b(offensive|derogatory|disparag\w*|slurs?|vulgar|obscene|insult\w*|pejorative|contempt\w*"
    r"|prostitut\w*|genital\w*|penis|vagina|buttocks|breasts|narcotic|marijuana|drug)\b"
)
_NOT_SAID = {"ethnic slur", "disparagement", "obscenity", "trade name", "trademark"}
"""Usages of words that are left out."""


@dataclass(frozen=True)
class Decisions:
    """What a person decided, in `senses.toml`.

    `senses` are the meanings of a name, as `word number`, in place of those found; `alone` are
    names with no kinds; `words` are read as a name; `never` are words that are not read at all.
    """

    senses: Mapping[str, tuple[str, ...]]
    alone: frozenset[str]
    words: Mapping[str, str]
    never: frozenset[str]


@dataclass(frozen=True)
class LexiconConfig:
    """What to make a lexicon of: lists, archives, a corpus; it goes beside `weights`."""

    recipe: Path
    archives: Path
    corpus: Path
    weights: Path


def make_lexicon(config: LexiconConfig) -> Lexicon:
    """Write `lexicon.json` beside a set of weights and pin it in their facts.

    The same lists give the same bytes. Raises WeightsRejected where an archive is not the one
    that is listed, InvalidRequest where `senses.toml` names what there is not, or where there
    are no weights; nothing is written then.
    """
    try:
        facts = read_facts(config.weights)
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"There are no weights in {config.weights}. Run limner vellum export first."
        ) from error
    sources = read_sources(config.recipe / "sources.toml")
    shelf = Shelf(config.archives)
    held = json.loads((config.recipe / "held_out.json").read_text("utf-8"))
    concepts = [one for one in read_concepts(config.corpus) if one.slug not in held["concepts"]]
    groups = {emoji.slug: emoji.group for emoji in reversed(read_emoji(shelf, sources))}
    words = Builder(
        read_wordnet(shelf, sources), read_decisions(config.recipe / SENSES), _looks(sources)
    ).words(concepts, groups)
    names = tuple(dict.fromkeys(name.lower() for one in concepts for name in one.names))
    target = config.weights / LEXICON
    write_lexicon(target, names, words)
    kept = [file for file in facts.files if file.name != LEXICON]
    pinned = facts.model_copy(update={"files": (*kept, fact_of(target))})
    (config.weights / FACTS).write_text(pinned.model_dump_json(indent=2) + "\n", "utf-8")
    return read_lexicon(target)


def write_lexicon(path: Path, names: Sequence[str], words: Mapping[str, str]) -> None:
    """Write a lexicon: the names, then for each the words that are read as it, sorted."""
    read_as: dict[str, list[str]] = {name: [] for name in names}
    for word, name in sorted(words.items()):
        read_as[name].append(word)
    listed = {name: ", ".join(found) for name, found in read_as.items() if found}
    content = json.dumps({"names": names, "words": listed}, indent=0, ensure_ascii=False)
    path.write_text(content + "\n", "utf-8")


def read_decisions(path: Path) -> Decisions:
    """Read `senses.toml`."""
    content = tomllib.loads(path.read_text("utf-8"))
    return Decisions(
        senses={name: tuple(senses) for name, senses in content["senses"].items()},
        alone=frozenset(content["alone"]["names"]),
        words={word: name for name, words in content["words"].items() for word in words},
        never=frozenset(content["never"]["words"]),
    )


@dataclass(frozen=True)
class _Found:
    """The name nearest to a meaning, and how many steps up it is."""

    name: str
    steps: int


class Builder:
    """Maps words to names by what WordNet says, what a person decided, and words of looks."""

    def __init__(self, wordnet: WordNet, decisions: Decisions, looks: Iterable[str]) -> None:
        self._wordnet = wordnet
        self._decisions = decisions
        self._never = decisions.never | frozenset(looks)

    def words(self, concepts: Sequence[Concept], groups: Mapping[str, str]) -> dict[str, str]:
        """Return words with the name that each is read as; no word is itself a name."""
        found = self._spread(self.anchors(concepts, groups))
        known = {name.lower() for concept in concepts for name in concept.names}
        names = {plain(name) for name in known}
        words: dict[str, str] = {}
        for place in found:
            for written in self._wordnet.meanings[place].words:
                word = plain(written)
                name = self._meant(written, found)
                if name is not None and self._may_be_read(written, name, names):
                    words.setdefault(word, name)
        self._check(self._decisions.words.values(), known)
        chosen = {word: name for word, name in self._decisions.words.items() if word not in names}
        return words | chosen

    def anchors(self, concepts: Sequence[Concept], groups: Mapping[str, str]) -> dict[str, str]:
        """Return the places of meanings, each with the name that stands for it.

        Where two names would stand for a meaning, that of the first concept does.
        """
        known = {name.lower() for concept in concepts for name in concept.names}
        self._check(self._decisions.senses, known)
        self._check(self._decisions.alone, known)
        found: dict[str, str] = {}
        for concept in concepts:
            for name in (name.lower() for name in concept.names):
                decided = self._decisions.senses.get(name)
                places = (
                    self._likeliest(concept, name, groups.get(concept.slug, ""))
                    if decided is None
                    else [self._place(sense) for sense in decided]
                )
                for place in places:
                    found.setdefault(place, name)
        return found

    def _likeliest(self, concept: Concept, name: str, group: str) -> list[str]:
        """Return the meaning that a concept's group, names and keywords speak for, if any."""
        likely = _LIKELY.get(group, set[int]())
        aliases = {other.lower() for other in concept.names if other.lower() != name}
        said = " ".join([*concept.keywords, *concept.names, concept.slug])
        hints = _terms(said) - _terms(name)
        best: tuple[int, str] | None = None
        for rank, use in enumerate(self._uses(name)):
            meaning = self._meaning(use)
            if meaning.file not in _VISIBLE or self._is_rude(meaning):
                continue
            score = min(len(hints & self._about(meaning)), _MOST_HINTS) - rank
            score += _GROUP if meaning.file in likely else 0
            score += _ALIAS * len(aliases & {word.lower() for word in meaning.words})
            if best is None or score > best[0]:
                best = score, use.place
        return [] if best is None else [best[1]]

    def _about(self, meaning: Meaning) -> set[str]:
        above = (word for wider in self._wordnet.above(meaning.place) for word in wider.words)
        return _terms(" ".join([meaning.gloss, *meaning.words, *above]))

    def _place(self, sense: str) -> str:
        """Return the place of a meaning written as `word number`."""
        word, _, number = sense.rpartition(" ")
        uses = self._wordnet.uses(word)
        if not number.isdigit() or not 1 <= int(number) <= len(uses):
            raise InvalidRequest(f"{SENSES} names “{sense}”, which WordNet does not have.")
        return uses[int(number) - 1].place

    def _spread(self, anchors: Mapping[str, str]) -> dict[str, _Found]:
        """Return the places of anchors and of all kinds of them, each with the nearest name."""
        found = {place: _Found(name, 0) for place, name in anchors.items()}
        files = _VISIBLE | {self._wordnet.meanings[place].file for place in anchors}
        edge = [place for place, name in anchors.items() if name not in self._decisions.alone]
        while edge:
            reached = []
            for place in edge:
                kind = _Found(found[place].name, found[place].steps + 1)
                for narrower in self._wordnet.meanings[place].narrower:
                    if narrower not in found and self._wordnet.meanings[narrower].file in files:
                        found[narrower] = kind
                        reached.append(narrower)
            edge = reached
        return found

    def _meant(self, written: str, found: Mapping[str, _Found]) -> str | None:
        """Return the name that one of a word's two commonest meanings is read as, if any.

        Where counts do not say which of the two is commoner, an animal comes before food, and
        that before all others; then what lies nearer to its name. A plant that is called as its
        fruit is asks for the fruit.
        """
        uses = self._uses(written)
        if not uses or any(self._is_rude(self._meaning(use)) for use in uses[:2]):
            return None
        most = uses[0].count
        first = [use for use in uses[:2] if use.count * 2 + _NOISE >= most]
        reached = [use for use in first if use.place in found]
        if most <= _NOISE:
            reached.sort(key=lambda use: self._preference(use, found))
        if not reached:
            return None
        fruit = (use for use in uses if self._meaning(use).file == FOOD and use.place in found)
        use = reached[0]
        return found[(next(fruit, use) if self._meaning(use).file == PLANT else use).place].name

    def _preference(self, use: Use, found: Mapping[str, _Found]) -> tuple[int, int]:
        return _BEFORE.get(self._meaning(use).file, len(_BEFORE)), found[use.place].steps

    def _may_be_read(self, written: str, name: str, names: set[str]) -> bool:
        word = plain(written)
        parts = word.split()
        if word in names or len(parts) > _MOST_WORDS or len(word) < _FEWEST_LETTERS:
            return False
        if any(part in self._never for part in (word, *parts)) or not word.isascii():
            return False
        if any(one in names or one in self._never for one in singulars(word)):
            return False
        if len(parts) > 1:
            ends_so = f" {word}".endswith(f" {name}")
            return not ends_so and all(self._wordnet.is_word(part) for part in parts)
        met = sum(use.count for use in self._wordnet.uses(word))
        return self._wordnet.elsewhere(word) <= met + _NOISE

    def _uses(self, word: str) -> list[Use]:
        """Return a noun's meanings, without who and what was only called after something.

        Oak is the tree before it is its wood, a hog an animal before it is a greedy person, and
        a wasp is none of the WASPs.
        """
        uses = [use for use in self._wordnet.uses(word) if self._is_a_kind(word, use)]
        small = [use for use in uses if word.lower() in self._meaning(use).words]
        uses = small or uses
        files = {self._meaning(use).file for use in uses}
        if ANIMAL in files:
            uses = [use for use in uses if use.count > _NOISE or self._meaning(use).file != PERSON]
        if files & {ANIMAL, PLANT}:
            uses = [use for use in uses if not self._is_material(self._meaning(use))]
        return uses

    def _is_a_kind(self, word: str, use: Use) -> bool:
        """Whether a meaning is not one person or place of that name."""
        meaning = self._meaning(use)
        proper = meaning.file in {PERSON, OBJECT} and word.lower() not in meaning.words
        return bool(meaning.wider) and not proper

    def _is_material(self, meaning: Meaning) -> bool:
        return any(_MATERIALS & set(wider.words) for wider in self._wordnet.above(meaning.place))

    def _meaning(self, use: Use) -> Meaning:
        return self._wordnet.meanings[use.place]

    def _is_rude(self, meaning: Meaning) -> bool:
        usages = {word for place in meaning.usages for word in self._wordnet.meanings[place].words}
        return bool(usages & _NOT_SAID or _RUDE.search(meaning.gloss))

    @staticmethod
    def _check(chosen: Iterable[str], names: set[str]) -> None:
        for name in chosen:
            if name not in names:
                raise InvalidRequest(
                    f"{SENSES} names “{name}”, which is nothing that Vellum learned."
                )


def _terms(text: str) -> set[str]:
    return {word for word in re.findall("[a-z]+", text.lower()) if len(word) >= _FEWEST_LETTERS}


def _looks(sources: Sources) -> Iterator[str]:
    """Return the words that say in which style to draw."""
    for style in sources.styles:
        yield from (style.word, *style.phrase.split())
