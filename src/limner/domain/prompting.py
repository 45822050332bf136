r"""Weights in prompts: the grammar that AUTOMATIC1111's web UI made common.

    (word:1.3)       weight 1.3
    (word) ((word))  weight 1.1, 1.1 x 1.1
    [word]           weight 1 / 1.1
    \( \) \[ \] \\   the character itself
    BREAK            what follows is read by itself

Nothing else is special, and a bracket without its partner is a character like any other. That
program's words that change while it draws, `[cat:dog:0.5]` and `[cat|dog]`, are found, not read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

MOST = 10.0
"""The largest weight, either way: what is beyond it counts as it, so that numbers stay finite."""

_STEP = 1.1
_PARTNER = {")": "(", "]": "["}
_BREAK = "BREAK"
_BREAKS = re.compile(r"\bBREAK\b")
_TOKENS = re.compile(r"\\[\\()\[\]]|[()\[\]]|\\|[^\\()\[\]]+")
_SQUARE = re.compile(r"\\.|[\[\]]", re.DOTALL)
_NUMBER = re.compile(r"\s*[+-]?(\d{1,9}(\.\d{0,9})?|\.\d{1,9})\s*")


@dataclass(frozen=True)
class Phrase:
    """Words of one weight; `apart` where a BREAK stands before them."""

    text: str
    weight: float = 1.0
    apart: bool = False


@dataclass
class _Piece:
    """A piece of a prompt: `mark` is a bracket that has a partner, BREAK, or empty for text."""

    mark: str
    text: str
    factor: float = 1.0


def parse(prompt: str) -> tuple[Phrase, ...]:
    """Return the phrases of a prompt in order; neighbours differ in weight or stand apart."""
    phrases: list[Phrase] = []
    for _, part in groupby(_weighed(_pieces(prompt)), key=lambda one: one[0]):
        first = len(phrases)
        for weight, same in groupby(part, key=lambda one: one[1]):
            text = "".join(one[2] for one in same)
            if text:
                phrases.append(Phrase(text, weight, first > 0 and len(phrases) == first))
    return tuple(phrases)


def plain(prompt: str) -> str:
    """Return the words of a prompt without the grammar."""
    return "".join((" " if phrase.apart else "") + phrase.text for phrase in parse(prompt))


def is_weighted(prompt: str) -> bool:
    """Whether some words of a prompt are to weigh more or less than they do by themselves."""
    return any(phrase.weight != 1.0 for phrase in parse(prompt))


def changing(prompt: str) -> Iterator[str]:
    """Yield what AUTOMATIC1111 would change from step to step: `[cat:dog:0.5]`, `[cat|dog]`."""
    opened: list[int] = []
    for sign in _SQUARE.finditer(prompt):
        if sign.group() == "[":
            opened.append(sign.start())
        elif sign.group() == "]" and opened:
            within = prompt[opened.pop() + 1 : sign.start()]
            if "|" in within or _NUMBER.fullmatch(
                within.rpartition(":")[2] if ":" in within else ""
            ):
                yield f"[{within}]"


def _weighed(pieces: list[_Piece]) -> Iterator[tuple[int, float, str]]:
    """Yield texts with the number of BREAKs before each and its weight."""
    outer: list[float] = []
    part, weight = 0, 1.0
    for piece in pieces:
        if piece.mark in _PARTNER:
            weight = outer.pop()
        elif piece.mark == _BREAK:
            part += 1
        elif piece.mark:
            outer.append(weight)
            weight = round(max(-MOST, min(MOST, weight * piece.factor)), 9)
        else:
            yield part, weight, piece.text


def _pieces(prompt: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    unclosed: dict[str, int] = dict.fromkeys(_PARTNER.values(), 0)
    opened: list[int] = []
    for token in _tokens(prompt):
        if token in unclosed:
            unclosed[token] += 1
            opened.append(len(pieces))
            pieces.append(_Piece(token, token))
        elif token in _PARTNER and unclosed[_PARTNER[token]]:
            while pieces[opened[-1]].mark != _PARTNER[token]:
                _make_text(pieces[opened.pop()], unclosed)
            _close(pieces, pieces[opened.pop()], token)
            unclosed[_PARTNER[token]] -= 1
        elif token == _BREAK:
            pieces.append(_Piece(_BREAK, token))
        else:
            pieces.append(_Piece("", token[1:] if token[0] == "\\" and token[1:] else token))
    for position in opened:
        _make_text(pieces[position], unclosed)
    return pieces


def _tokens(prompt: str) -> Iterator[str]:
    parts = _BREAKS.split(prompt)
    for number, part in enumerate(parts):
        if number:
            yield _BREAK
        words = part.lstrip() if number else part
        yield from _TOKENS.findall(words if number == len(parts) - 1 else words.rstrip())


def _make_text(bracket: _Piece, unclosed: dict[str, int]) -> None:
    unclosed[bracket.mark] -= 1
    bracket.mark = ""


def _close(pieces: list[_Piece], opening: _Piece, sign: str) -> None:
    """Add the closing bracket, and give its partner what the words between are weighed by."""
    opening.factor = _STEP if sign == ")" else 1 / _STEP
    last = pieces[-1]
    if sign == ")" and not last.mark:
        words, colon, number = last.text.rpartition(":")
        if colon and _NUMBER.fullmatch(number):
            last.text, opening.factor = words, float(number)
    pieces.append(_Piece(sign, sign))
