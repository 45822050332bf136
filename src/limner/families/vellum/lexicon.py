"""What Vellum was not taught, read as what it was: a vixen is drawn as a fox."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from limner.domain.errors import WeightsRejected

_TOKEN = re.compile(r"[^\W_]+")
_WITHIN_A_NAME = re.compile(r"\s+|[-'’]")
_BEFORE_A_NOUN = re.compile(r"\s+of\s+(?:(?:an?|the)\s+)?|\s+|-", re.IGNORECASE)
_ARTICLE = re.compile(r"(?i)\b(a)n?(\s+)$")
_PLACING = re.compile(
    r"\b(?:in|on|at|by|near|under|over|behind|inside|beside|through|across|against|into|onto)\s+"
    r"(?:(?:an?|the|its|his|her|their|my|your|this|that)\s+(?:\w+\s+)?)?$",
    re.IGNORECASE,
)
"""Before a noun it says where something is; the noun is scenery then."""
_MOST_WORDS = 3
_DESCRIBING = frozenset(
    [
        "red",
        "orange",
        "yellow",
        "green",
        "blue",
        "purple",
        "pink",
        "brown",
        "black",
        "white",
        "grey",
        "gray",
        "gold",
        "golden",
        "silver",
        "color",
        "colour",
        "colored",
        "coloured",
        "shaped",
        "themed",
    ]
)
"""After a noun they make an adjective of it: emerald green, cottage-shaped."""
_MANY_OF = {
    "mouse": "mice",
    "fish": "fish",
    "sheep": "sheep",
    "leaf": "leaves",
    "wolf": "wolves",
    "elf": "elves",
    "knife": "knives",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "man": "men",
    "woman": "women",
}
_ONE_OF = {many: one for one, many in _MANY_OF.items()} | {"lice": "louse"}
_ENDINGS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("s", ""), ("es", ""))
_SINGULAR = ("ss", "us", "is")


@dataclass(frozen=True)
class Reading:
    """A prompt as Vellum hears it, and the words that were replaced, each with what by."""

    text: str
    replaced: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Named:
    """A thing that a prompt names: its words from `start` to `end`, and what it is drawn as.

    `many` tells a plural; `name` is the singular then, if there is one. `read_as` tells that the
    words are no name, and `name` what they are read as.
    """

    start: int
    end: int
    name: str
    many: bool
    read_as: bool


@dataclass(frozen=True)
class _Span:
    """Some words of a prompt: from, to, and what to put in their place; `name` None: known."""

    start: int
    end: int
    name: str | None = None


@dataclass(frozen=True)
class Lexicon:
    """The names of what Vellum draws, and other words with the name that each is read as."""

    names: tuple[str, ...]
    words: Mapping[str, str]
    _known: frozenset[str] = field(init=False, repr=False)
    _one_of: Mapping[str, str] = field(init=False, repr=False)
    _longest: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = frozenset(plain(form) for name in self.names for form in (name, plural(name)))
        object.__setattr__(self, "_known", known)
        plurals = {plain(plural(name)): name for name in self.names}
        singular = {plain(name) for name in self.names}
        ones = {many: one for many, one in plurals.items() if many not in singular}
        object.__setattr__(self, "_one_of", ones)
        longest = max((name.count(" ") + 1 for name in known), default=1)
        object.__setattr__(self, "_longest", max(longest, _MOST_WORDS))

    def read(self, prompt: str) -> Reading:
        """Put the name of what Vellum can draw in the place of every noun that it can place.

        Names that it was taught stay, and so do nouns that only describe the next word, and
        those that say where the things before them are.
        """
        spans = list(self._spans(prompt))
        chosen = [
            span
            for number, span in enumerate(spans)
            if span.name is not None
            and not _describes(prompt, span, next(iter(spans[number + 1 :]), None))
            and not (number and _PLACING.search(prompt, 0, span.start))
        ]
        if not chosen:
            return Reading(prompt)
        parts: list[str] = []
        end = 0
        for span in chosen:
            name = str(span.name)
            parts += [_with_article(prompt[end : span.start], name), name]
            end = span.end
        parts.append(prompt[end:])
        replaced = tuple((prompt[span.start : span.end], str(span.name)) for span in chosen)
        return Reading("".join(parts), tuple(dict.fromkeys(replaced)))

    def named(self, prompt: str) -> tuple[Named, ...]:
        """Return the things that a prompt names, in its order; not nouns that describe others."""
        spans = list(self._spans(prompt))
        followers: list[_Span | None] = [*spans[1:], None] if spans else []
        return tuple(
            self._named(prompt, span)
            for span, after in zip(spans, followers, strict=True)
            if not _describes(prompt, span, after)
        )

    def _named(self, prompt: str, span: _Span) -> Named:
        words = plain(span.name if span.name is not None else prompt[span.start : span.end])
        one = self._one_of.get(words)
        return Named(span.start, span.end, one or words, one is not None, span.name is not None)

    def _spans(self, prompt: str) -> Iterator[_Span]:
        tokens = list(_TOKEN.finditer(prompt))
        place = 0
        while place < len(tokens):
            span, length = self._longest_at(prompt, tokens[place : place + self._longest])
            if span is not None:
                yield span
            place += length

    def _longest_at(self, prompt: str, tokens: Sequence[re.Match[str]]) -> tuple[_Span | None, int]:
        """Return the longest known words at the first token, and how many tokens to go on by."""
        for length in range(_joined(prompt, tokens), 0, -1):
            words = [token.group().lower() for token in tokens[:length]]
            start, end = tokens[0].start(), tokens[length - 1].end()
            forms = list(_forms(words))
            if any(form in self._known for form, _ in forms):
                return _Span(start, end), length
            for form, many in forms if length <= _MOST_WORDS else ():
                name = self.words.get(form)
                if name is not None:
                    return _Span(start, end, plural(name) if many else name), length
        return None, 1


def read_lexicon(path: Path) -> Lexicon:
    """Read a `lexicon.json`; raise WeightsRejected where it is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
        words = {
            word: str(name)
            for name, listed in content["words"].items()
            for word in listed.split(", ")
        }
        return Lexicon(tuple(map(str, content["names"])), words)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsRejected(
            f"{path.name} is no list of words for Vellum. Make it again with limner vellum lexicon."
        ) from error


def plural(name: str) -> str:
    """Return the English plural of a name; one that is plural already stays."""
    head, joint, rest = _parted(name)
    before, _, last = head.rpartition(" ")
    if last in _MANY_OF:
        many = _MANY_OF[last]
    elif _is_plural(last):
        many = last
    elif last.endswith(("s", "x", "ch", "sh")):
        many = f"{last}es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        many = f"{last[:-1]}ies"
    else:
        many = f"{last}s"
    return f"{before} {many}{joint}{rest}".strip()


def is_plural(name: str) -> bool:
    """Whether a name is a plural, or looks like one: glasses, but not a cactus."""
    return _is_plural(_parted(name)[0])


def plain(name: str) -> str:
    """Return the words of a name in lower case, with nothing but blanks between them."""
    return " ".join(_TOKEN.findall(name.lower()))


def singulars(word: str) -> Iterator[str]:
    """Return what a word may be the plural of."""
    if word in _ONE_OF:
        yield _ONE_OF[word]
    if not word.endswith(_SINGULAR):
        for ending, instead in _ENDINGS:
            if word.endswith(ending) and len(word) > len(ending) + 1:
                yield word.removesuffix(ending) + instead


def _parted(name: str) -> tuple[str, str, str]:
    """Part “glass of wine” before what does not change in the plural."""
    joint = next((joint for joint in (" of ", " with ", " without ") if joint in name), "")
    return name.partition(joint) if joint else (name, "", "")


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(_SINGULAR)


def _forms(words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Return the words as a name, and what they may be the plural of; whether it is that."""
    yield " ".join(words), False
    for one in singulars(words[-1]):
        yield " ".join([*words[:-1], one]), True


def _joined(prompt: str, tokens: Sequence[re.Match[str]]) -> int:
    """Return how many tokens, from the first on, could be words of one name."""
    for number, (token, after) in enumerate(pairwise(tokens), 1):
        if not _WITHIN_A_NAME.fullmatch(prompt, token.end(), after.start()):
            return number
    return len(tokens)


def _describes(prompt: str, span: _Span, after: _Span | None) -> bool:
    """Whether a noun only tells of what kind or colour the next is, or how much there is of it."""
    gap = _BEFORE_A_NOUN.match(prompt, span.end)
    if gap is None:
        return False
    if after is not None and gap.end() == after.start:
        return True
    token = _TOKEN.match(prompt, gap.end())
    return token is not None and token.group().lower() in _DESCRIBING


def _with_article(before: str, name: str) -> str:
    """Let an article at the end of a text suit the name that follows; a plural has none."""
    found = _ARTICLE.search(before)
    if found is None:
        return before
    if is_plural(name):
        return before[: found.start()]
    article = found[1] + ("n" if name[0] in "aeiou" else "")
    return before[: found.start()] + article + found[2]
