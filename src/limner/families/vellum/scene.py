"""What a prompt says of several things: which they are, how many, and how they stand.

Vellum draws one thing well and two as a blend. Where a prompt names several things that it
knows, in a relation that it knows, each is drawn by itself and they are put together.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from limner.families.vellum.colours import COLOURS
from limner.families.vellum.grammar import Relation, grammar
from limner.families.vellum.lexicon import Lexicon, Named, is_plural

MOST_THINGS = 24
"""More than these would be specks."""


@dataclass(frozen=True)
class Thing:
    """One thing to draw: the words it is drawn from, its name, and its size beside others."""

    words: str
    name: str
    scale: float = 1.0


@dataclass(frozen=True)
class Group:
    """Things in rows, as they fit: a list, or several of one."""

    members: tuple["Node", ...]


@dataclass(frozen=True)
class Pair:
    """Two things, the first in some relation to the second."""

    first: "Node"
    relation: Relation
    second: "Node"


Node = Thing | Group | Pair


@dataclass(frozen=True)
class Scene:
    """What is drawn: things in a tree, on a ground of one colour or none.

    `replaced` lists words that are drawn as something else; `unread` is what of the prompt says
    nothing that could be drawn.
    """

    root: Node
    ground: str | None = None
    replaced: tuple[tuple[str, str], ...] = ()
    unread: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """What is drawn: the words of each thing, those of several alike once."""
        return tuple(dict.fromkeys(thing.words for thing in self.things))

    @property
    def things(self) -> tuple[Thing, ...]:
        """The things from left to right, as the tree holds them."""
        return tuple(_leaves(self.root))


_CHAIN = (Relation.BESIDE, Relation.LEFT_OF, Relation.RIGHT_OF)
_CLOTHED = (Relation.WEARING_ON_HEAD, Relation.WEARING_ON_EYES)
_WORN = (Relation.HOLDING, Relation.WEARING_ON_HEAD, Relation.WEARING_ON_EYES)

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?|[,&+;.]")
_GROUND = re.compile(
    r",?\s*\b(?:(?:on|with|against|over|in front of|and)\s+)?(?:an?\s+|the\s+)?"
    r"(?:plain\s+|solid\s+)?"
    rf"(?P<colour>{'|'.join(COLOURS)}|gray|transparent)(?:-coloured|-colored)?\s+"
    r"(?:back)?(?:ground|drop)\b",
    re.IGNORECASE,
)
_MOST_ADJECTIVES = 3
_MOST_ACTION = 4


@dataclass(frozen=True)
class _Said:
    """The words before a thing: its relation to what was named, its number, size and adjectives."""

    relation: Relation | None
    phrase: str
    paired: bool
    count: int | None
    scale: float
    adjectives: tuple[str, ...]
    unread: tuple[str, ...] = ()


def read_scene(prompt: str, lexicon: Lexicon, styles: Sequence[str] = ()) -> Scene | None:
    """Return the scene that a prompt describes, or None where it is not one.

    A bare ground is one. So is a prompt of two things or more where everything between two that
    it names is a relation, a number, a size or an adjective. `styles` are words that tell of the
    look alone.
    """
    ground, rest = _grounded(prompt)
    named = lexicon.named(rest)
    looks = frozenset(styles)
    if ground is not None and not named and not _rest(rest, looks):
        return Scene(Group(()), ground)
    said = [
        _before(rest[start : one.start], looks, first=not number)
        for number, (start, one) in enumerate(
            zip([0, *(one.end for one in named)], named, strict=False)
        )
    ]
    heads = [(words, one) for words, one in zip(said, named, strict=True) if words is not None]
    if len(heads) < len(named) or not heads:
        return None
    root: Node | None = None
    fitting: Relation | None = None
    for words, one in heads:
        if _belongs(words, one) and root is not None:
            root = _described(root, f"with {rest[one.start : one.end]}")
            continue
        node = _node(words, one, alone=len(heads) == 1)
        if root is None:
            root = node
            continue
        relation = _sense(words, one.name, fitting)
        root = _joined(root, relation, node)
        fitting = relation
    unread = [word for words, _ in heads for word in words.unread]
    unread += _rest(rest[named[-1].end :], looks)
    replaced = ((rest[one.start : one.end], one.name) for one in named if one.read_as)
    scene = Scene(root or Group(()), ground, tuple(dict.fromkeys(replaced)), " ".join(unread))
    return scene if 2 <= len(scene.things) <= MOST_THINGS else None


def _grounded(prompt: str) -> tuple[str | None, str]:
    found = _GROUND.search(prompt)
    if found is None:
        return None, prompt
    colour = found["colour"].lower().replace("gray", "grey")
    rest = prompt[: found.start()] + prompt[found.end() :]
    return (colour if colour in COLOURS else None), rest


def _before(text: str, looks: frozenset[str], *, first: bool) -> _Said | None:
    """Read the words before a thing; None where they put it in no relation that is known."""
    tokens = [token.lower() for token in _TOKEN.findall(text)]
    phrase, action, told = _split(tokens)
    relation = None if phrase is None else grammar().relations[phrase]
    if not first and (relation is None or len(action) > _MOST_ACTION):
        return None
    if first and relation is not None and relation is not Relation.BESIDE:
        return None
    known = grammar()
    count, scale, adjectives = None, 1.0, list[str]()
    for token in told:
        if token in known.numbers:
            count = known.numbers[token]
        elif token.isdigit() and token.isascii():
            count = int(token[:3])
        elif token in known.scales:
            scale *= known.scales[token]
        elif token not in known.silent and token not in looks:
            adjectives.append(token)
    if first:
        adjectives = adjectives[-_MOST_ADJECTIVES:]
    elif len(adjectives) > _MOST_ADJECTIVES:
        return None
    doing = tuple(word for word in action if word not in known.silent and word not in looks)
    return _Said(
        relation,
        phrase or "",
        "pair" in told,
        count,
        scale,
        tuple(adjectives),
        () if first else doing,
    )


def _split(tokens: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """Part tokens into the last phrase of a relation, the words before it and those after."""
    phrases, longest = grammar().relations, grammar().longest
    last: str | None = None
    action, told = list[str](), list[str]()
    place = 0
    while place < len(tokens):
        parts = (tokens[place : place + length] for length in range(longest, 0, -1))
        found = next((part for part in parts if " ".join(part) in phrases), None)
        if found is None:
            told.append(tokens[place])
            place += 1
            continue
        phrase = " ".join(found)
        joining = last is not None and phrases[phrase] is Relation.BESIDE and not told
        last = last if joining else phrase
        action, told = action + told, []
        place += len(found)
    return last, action, told


def _sense(said: _Said, name: str, before: Relation | None) -> Relation:
    """Return what a relation means for a thing: a hat that one is “with” or “in” is worn."""
    known = grammar()
    relation = said.relation or Relation.BESIDE
    joined = said.phrase in ("and", ",") and before in _CLOTHED
    wearing = relation is Relation.WEARING_ON_HEAD or said.phrase in ("with", "in") or joined
    if name in known.on_eyes and wearing:
        return Relation.WEARING_ON_EYES
    if name in known.hats and wearing:
        return Relation.WEARING_ON_HEAD
    if relation is Relation.WEARING_ON_HEAD and name not in known.on_head:
        return Relation.HOLDING
    if joined and name in known.on_head:
        return Relation.WEARING_ON_HEAD
    return relation


def _belongs(said: _Said, one: Named) -> bool:
    """Whether a thing only tells more of the one before: a cake with candles."""
    return said.phrase == "with" and one.many and said.count is None


def _described(node: Node, words: str) -> Node:
    """Tell more of the thing named last."""
    match node:
        case Thing():
            return replace(node, words=f"{node.words} {words}")
        case Pair():
            return replace(node, second=_described(node.second, words))
        case Group():
            kept = 0 if len(set(node.members)) == 1 else len(node.members) - 1
            told = (_described(one, words) for one in node.members[kept:])
            return Group((*node.members[:kept], *told))


def _node(said: _Said, one: Named, *, alone: bool) -> Node:
    words = " ".join([*said.adjectives, one.name])
    count = said.count or (2 if one.many and not alone else 1)
    if said.paired and not one.many:
        count = 1
    article = "" if is_plural(one.name) else "an " if words[0] in "aeiou" else "a "
    thing = Thing(article + words, one.name, said.scale)
    return thing if count == 1 else Group((thing,) * count)


def _joined(first: Node, relation: Relation, second: Node) -> Node:
    """Put what comes next to what is there: lists grow, other relations nest."""
    if relation is Relation.BESIDE and isinstance(first, Pair):
        if first.relation is Relation.BETWEEN:
            return _between(first.first, first.second, second)
        if first.relation in _CHAIN:
            return Pair(first, relation, second)
    if relation is Relation.BETWEEN and isinstance(second, Group) and len(second.members) == 2:
        return _between(first, *second.members)
    if relation is Relation.BESIDE and isinstance(first, Group):
        return Group((*first.members, *_members(second)))
    if relation is Relation.BESIDE:
        return Group((first, *_members(second)))
    hatted = isinstance(first, Pair) and first.relation is Relation.WEARING_ON_HEAD
    if relation is Relation.WEARING_ON_EYES and isinstance(first, Pair) and hatted:
        return replace(first, first=Pair(first.first, relation, second))
    if relation in _WORN and isinstance(first, Group):
        several = len(set(first.members)) == 1
        kept = () if several else first.members[:-1]
        return Group(
            (*kept, *(Pair(one, relation, _one(second)) for one in first.members[len(kept) :]))
        )
    return Pair(first, relation, second)


def _between(middle: Node, left: Node, right: Node) -> Pair:
    return Pair(Pair(left, Relation.LEFT_OF, middle), Relation.LEFT_OF, right)


def _one(node: Node) -> Node:
    return node.members[0] if isinstance(node, Group) else node


def _members(node: Node) -> tuple[Node, ...]:
    return node.members if isinstance(node, Group) else (node,)


def _rest(text: str, looks: frozenset[str]) -> list[str]:
    tokens = [token.lower() for token in _TOKEN.findall(text)]
    silent = [*grammar().silent, *looks, *",&+;.", "in", "on"]
    return [token for token in tokens if token not in silent]


def _leaves(node: Node) -> Iterator[Thing]:
    if isinstance(node, Thing):
        yield node
    elif isinstance(node, Group):
        for member in node.members:
            yield from _leaves(member)
    else:
        yield from _leaves(node.first)
        yield from _leaves(node.second)
