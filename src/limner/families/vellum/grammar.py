"""The words by which prompts tell of several things; see `grammar.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files


class Relation(StrEnum):
    """How the first thing stands to the second."""

    BESIDE = "beside"
    LEFT_OF = "left_of"
    RIGHT_OF = "right_of"
    ABOVE = "above"
    BELOW = "below"
    ON = "on"
    IN = "in"
    BEHIND = "behind"
    IN_FRONT_OF = "in_front_of"
    BETWEEN = "between"
    HOLDING = "holding"
    WEARING_ON_HEAD = "wearing_on_head"
    WEARING_ON_EYES = "wearing_on_eyes"


@dataclass(frozen=True)
class Grammar:
    """Phrases by the relation they tell, words by the number or size, and sets of names."""

    relations: Mapping[str, Relation]
    numbers: Mapping[str, int]
    scales: Mapping[str, float]
    silent: frozenset[str]
    hats: frozenset[str]
    on_head: frozenset[str]
    on_eyes: frozenset[str]
    containers: frozenset[str]
    flat: frozenset[str]

    @property
    def longest(self) -> int:
        """How many words the longest phrase of a relation has."""
        return max(phrase.count(" ") + 1 for phrase in self.relations)


@cache
def grammar() -> Grammar:
    """Return the grammar that ships with Vellum."""
    content = tomllib.loads((files(__package__) / "grammar.toml").read_text("utf-8"))
    relations = {
        phrase: Relation(name)
        for name, phrases in content["relations"].items()
        for phrase in phrases
    }
    words = {name: frozenset(listed) for name, listed in content["words"].items()}
    return Grammar(relations, content["numbers"], content["scales"], **words)
