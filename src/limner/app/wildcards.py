r"""Prompts that stand for many: expanded before anything is drawn, so Recipes hold final words.

    {red|green|blue}       one of them
    {3::red|0.5::green}    the first six times as often as the second
    {2$$a|b|c}  {1-2$$…}   two of them, one or two of them, joined by “, ”
    {2-$$…}  {-2$$…}       two or more of them, two at the most
    {2$$ and $$a|b|c}      joined by “ and ”
    __animals__            a line of the file animals.txt in the folder of wildcards
    __clothes/hats__       a line of clothes/hats.txt, or of the list hats in clothes of a YAML file
    __clothes/*__          a line of any of them
    {2$$__animals__}       two lines
    \{ \| \} \__           the character itself

All of these may stand inside each other and in the files. Braces around a single thing stay
as they are, so that prompts in JSON do. Variables, as sd-dynamic-prompts has them, there are none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from random import Random
from typing import TypeAlias

from limner.app.wildcard_files import WildcardFiles
from limner.domain.errors import InvalidPrompt
from limner.domain.words import PROMPT_LIMIT

_WRITTEN = 10 * PROMPT_LIMIT
_DEEPEST = 40
_STEPS = 100_000
_PART = r"(?:[^\W_]|\*)(?:[\w*-]*?(?:[^\W_]|\*))?"
"""A part of a wildcard's name: underscores stand inside only, stars anywhere."""
_TOKEN = re.compile(
    rf"\\\\|(?P<escaped>\\(?:[{{}}|]|__))|__(?P<name>{_PART}(?:/{_PART})*)__"
    r"|[{}|\\_]|[^{}|\\_]+"
)
_COUNT = re.compile(r"\s*(\d{1,4})?(-)?(\d{1,4})?\$\$(?:([^$]*)\$\$)?")
_VARIABLE = re.compile(r"\$\{\s*[A-Za-z_]\w*\s*[=:}]")
_PARAMETERS = re.compile(rf"__{_PART}(?:/{_PART})*\(\s*\w+\s*=[^()]{{0,200}}\)__")
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")


@dataclass(frozen=True)
class _Wildcard:
    name: str


@dataclass(frozen=True)
class _Option:
    weight: float
    nodes: tuple["_Node", ...]


@dataclass(frozen=True)
class _Choice:
    """So many of the options, from `least` to `most`; no separator where exactly one is meant.

    None as most is all that there are.
    """

    options: tuple[_Option, ...]
    least: int = 1
    most: int | None = 1
    separator: str | None = None

    def counts(self, options: tuple[_Option, ...]) -> range:
        """Return how many may be chosen from what there is."""
        return range(self.least, (len(options) if self.most is None else self.most) + 1)


_Node: TypeAlias = "str | _Wildcard | _Choice"


def expand(prompt: str, seed: int, files: WildcardFiles) -> str:
    """Return one of the prompts that a dynamic prompt stands for, the same for the same seed.

    Raises InvalidPrompt for a wildcard without a file or that leads to itself, for variables, and
    for a prompt or result that is too long.
    """
    return _Expansion(files).one(prompt, seed)


def expand_all(prompt: str, files: WildcardFiles, most: int = 1000) -> tuple[str, ...]:
    """Return every prompt that a dynamic prompt stands for, in the order they are written.

    Raises InvalidPrompt as `expand` does, and where there would be more than `most`.
    """
    return _Expansion(files, most).every(prompt)


def _parse(text: str) -> tuple[_Node, ...]:
    """Return the nodes of a text; braces that do not close are characters like any other."""
    frames: list[list[list[_Node]]] = [[[]]]
    for match in _TOKEN.finditer(text):
        sign, current = match.group(), frames[-1][-1]
        if match["name"]:
            current.append(_Wildcard(match["name"]))
        elif sign == "{":
            frames.append([[]])
            if len(frames) > _DEEPEST:
                raise _too_deep()
        elif sign == "|" and len(frames) > 1:
            frames[-1].append([])
        elif sign == "}" and len(frames) > 1:
            closed = frames.pop()
            frames[-1][-1].extend(_choice(closed))
        else:
            _add(current, sign[1:] if match["escaped"] else sign)
    while len(frames) > 1:
        unclosed = frames.pop()
        frames[-1][-1].extend(["{", *_written(unclosed)])
    return tuple(frames[0][0])


def _add(nodes: list[_Node], words: str) -> None:
    last = nodes[-1] if nodes else None
    if isinstance(last, str):
        nodes[-1] = last + words
    else:
        nodes.append(words)


def _written(options: list[list[_Node]]) -> Iterator[_Node]:
    for number, nodes in enumerate(options):
        if number:
            yield "|"
        yield from nodes


def _choice(options: list[list[_Node]]) -> list[_Node]:
    """Return what stands in braces: a choice, or the braces themselves around a single thing."""
    count = _count_of(options[0])
    if count is None:
        if len(options) == 1:
            return ["{", *options[0], "}"]
        return [_Choice(tuple(_option(nodes) for nodes in options))]
    options[0][0] = count.string[count.end() :]
    separator = ", " if count[4] is None else count[4]
    return [_Choice(tuple(_option(nodes) for nodes in options), *_bounds(count), separator)]


def _count_of(nodes: list[_Node]) -> re.Match[str] | None:
    """Return how many of the options are meant, where the first says so."""
    first = nodes[0] if nodes else ""
    count = _COUNT.match(first) if isinstance(first, str) else None
    return count if count and (count[1] or count[3]) else None


def _bounds(count: re.Match[str]) -> tuple[int, int | None]:
    if count[2] and not count[3]:
        return int(count[1]), None
    least, most = int(count[1] or 1), int(count[3] or count[1])
    return min(least, most), max(least, most)


def _option(nodes: list[_Node]) -> _Option:
    first = nodes[0] if nodes else ""
    weight = _WEIGHT.match(first) if isinstance(first, str) else None
    if weight is None:
        return _Option(1.0, tuple(nodes))
    return _Option(float(weight[1]), (weight.string[weight.end() :], *nodes[1:]))


@dataclass
class _Expansion:
    """One reading of a prompt and of the files that it leads to."""

    files: WildcardFiles
    most: int = 1
    _files: dict[str, tuple[_Option, ...]] = field(default_factory=dict)
    _every: dict[str, list[str]] = field(default_factory=dict)
    _steps: int = 0
    _depth: int = 0

    def one(self, prompt: str, seed: int) -> str:
        return self._fitting(self._draw(self._read(prompt), Random(seed)))  # noqa: S311 - no secret

    def every(self, prompt: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._all(self._read(prompt))))

    def _read(self, prompt: str) -> tuple[_Node, ...]:
        if len(prompt) > _WRITTEN:
            raise InvalidPrompt(
                f"The prompt has {len(prompt):,} characters; {_WRITTEN:,} are the most. Put long "
                "lists into files of wildcards."
            )
        _check_known(prompt)
        nodes = _parse(prompt)
        for name in _names(nodes):
            self._follow(name, ())
        return nodes

    def _follow(self, name: str, path: tuple[str, ...]) -> None:
        """Read the file of a wildcard and all it leads to, once each."""
        if name in path:
            loop = " → ".join(f"__{one}__" for one in (*path[path.index(name) :], name))
            raise InvalidPrompt(f"These wildcards lead to themselves: {loop}. Change one of them.")
        if name in self._files:
            return
        if len(path) >= _DEEPEST:
            raise _too_deep()
        lines = self.files.lines(name)
        for line in lines:
            _check_known(line)
        options = tuple(_option(list(_parse(line))) for line in lines)
        for option in options:
            for inner in _names(option.nodes):
                self._follow(inner, (*path, name))
        self._files[name] = options

    def _options(self, choice: _Choice) -> tuple[_Option, ...]:
        """Return what is chosen from: the lines of a wildcard where it stands alone."""
        options = choice.options
        if len(options) == 1 and choice.separator is not None:
            alone = [node for node in options[0].nodes if not _is_blank(node)]
            if len(alone) == 1 and isinstance(alone[0], _Wildcard):
                options = self._files[alone[0].name]
        options = tuple(option for option in options if option.weight > 0)
        wanted = max(choice.least, choice.most or 0)
        if len(options) < wanted:
            raise InvalidPrompt(
                f"{wanted} are to be chosen from {len(options)} that are there. Ask for "
                "fewer, or give more."
            )
        return options

    def _draw(self, nodes: tuple[_Node, ...], chance: Random) -> str:
        drawn: list[str] = []
        self._enter()
        for node in nodes:
            self._count()
            if isinstance(node, str):
                drawn.append(node)
            elif isinstance(node, _Wildcard):
                lines = _Choice(self._files[node.name])
                drawn.append(self._draw(self._picks(lines, chance)[0].nodes, chance))
            else:
                texts = [self._draw(one.nodes, chance) for one in self._picks(node, chance)]
                drawn.append(_joined(texts, node.separator))
        self._depth -= 1
        return self._fitting("".join(drawn))

    def _picks(self, choice: _Choice, chance: Random) -> list[_Option]:
        # Random.random alone is promised to be the same in every version of Python.
        options = self._options(choice)
        left, counts = list(options), choice.counts(options)
        count = counts[int(chance.random() * len(counts))]
        picked = []
        for _ in range(count):
            mark = chance.random() * sum(option.weight for option in left)
            position = 0
            while position < len(left) - 1 and mark >= left[position].weight:
                mark -= left[position].weight
                position += 1
            picked.append(left.pop(position))
        return picked

    def _all(self, nodes: tuple[_Node, ...]) -> list[str]:
        made = [""]
        self._enter()
        for node in nodes:
            self._count()
            variants = self._variants(node)
            if len(made) * len(variants) > self.most:
                raise self._too_many()
            made = [self._fitting(before + one) for before in made for one in variants]
        self._depth -= 1
        return made

    def _variants(self, node: _Node) -> list[str]:
        if isinstance(node, str):
            return [node]
        if isinstance(node, _Wildcard):
            if node.name not in self._every:
                self._every[node.name] = self._chosen(_Choice(self._files[node.name]))
            return self._every[node.name]
        return self._chosen(node)

    def _chosen(self, choice: _Choice) -> list[str]:
        chosen: list[str] = []
        options = self._options(choice)
        for count in choice.counts(options):
            for picked in combinations(options, count):
                self._count()
                rows = [""] if not picked else self._rows(picked, choice.separator)
                chosen.extend(rows)
                if len(chosen) > self.most:
                    raise self._too_many()
        return chosen

    def _rows(self, picked: tuple[_Option, ...], separator: str | None) -> list[str]:
        rows: list[list[str]] = [[]]
        for option in picked:
            texts = self._all(option.nodes)
            if len(rows) * len(texts) > self.most:
                raise self._too_many()
            rows = [[*row, text] for row in rows for text in texts]
        return [self._fitting(_joined(row, separator)) for row in rows]

    def _too_many(self) -> InvalidPrompt:
        return InvalidPrompt(
            f"The prompt stands for more than {self.most:,} prompts. Offer fewer choices in it."
        )

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _too_deep()

    def _count(self) -> None:
        self._steps += 1
        if self._steps > _STEPS:
            raise InvalidPrompt("The prompt takes too long to expand. Make it simpler.")

    def _fitting(self, text: str) -> str:
        if len(text) > PROMPT_LIMIT:
            raise InvalidPrompt(
                f"The prompt comes to more than {PROMPT_LIMIT:,} characters. Shorten what it is "
                "made from."
            )
        return text


def _check_known(text: str) -> None:
    """Raise InvalidPrompt for what sd-dynamic-prompts knows and we do not: variables."""
    found = _VARIABLE.search(text) or _PARAMETERS.search(text)
    if found is not None:
        raise InvalidPrompt(
            f"“{found.group()[:60]}” is a variable, and prompts have none here. Write a choice "
            "like {red|blue} or a wildcard in its place, or \\{ and \\__ for signs that are meant."
        )


def _too_deep() -> InvalidPrompt:
    return InvalidPrompt(
        f"Braces and wildcards stand more than {_DEEPEST - 1} deep inside each other. Take some "
        "away, or write \\{ for braces that are meant."
    )


def _names(nodes: tuple[_Node, ...]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, _Wildcard):
            yield node.name
        elif isinstance(node, _Choice):
            for option in node.options:
                yield from _names(option.nodes)


def _is_blank(node: _Node) -> bool:
    return isinstance(node, str) and not node.strip()


def _joined(texts: list[str], separator: str | None) -> str:
    if separator is None:
        return "".join(texts)
    return separator.join(text.strip() for text in texts)
