r"""The prompt rules of a workspace: words that no prompt may hold.

A rule is a regular expression, matched without regard to case anywhere in the prompt and in the
negative prompt: names that a workspace does not want stand in its files either way, and below a
guidance of 1 a model draws what the negative prompt says. Each is matched as it was written and
as it reads: compatible letters made plain (NFKC), what cannot be seen taken out, emoji as their
names, spaces made one.

Matching is bounded in time, whatever the pattern; a rule that takes too long refuses. The pattern
`\\b` must know the letters of every script, which rules out engines that are linear but know
ASCII only.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

from limner.domain.errors import InvalidOption, PromptRefused
from limner.domain.policy import PromptRule
from limner.domain.recipe import Recipe
from limner.domain.words import PROMPT_LIMIT
from limner.domain.workspace import Workspace

if TYPE_CHECKING:
    import regex

MOST_RULES = 100
"""The most rules a workspace may have."""

_SECONDS = 0.25
_MOST_REPEATS = 1_000
_REPEATS = re.compile(r"\{(\d+)")
_PROBED_LETTERS = 10


def check_rules(rules: Sequence[PromptRule], known: Sequence[PromptRule] = ()) -> None:
    """Raise InvalidOption for too many rules, or one that cannot work.

    That is one that is no pattern, fits everything or takes too long; those `known` were checked
    before.
    """
    if len(rules) > MOST_RULES:
        raise InvalidOption(
            f"A workspace may have {MOST_RULES} prompt rules, not {len(rules)}. Join some with |."
        )
    for rule in rules:
        if rule in known:
            continue
        pattern = _read_pattern(rule.pattern)
        if pattern.search("", timeout=_SECONDS):
            raise InvalidOption(
                f"The rule “{rule.pattern}” fits every prompt, so that nothing could be drawn. "
                "Write it so that it needs at least one letter."
            )
        if any(_fits(pattern, text) is None for text in _probes(rule.pattern)):
            raise InvalidOption(
                f"The rule “{rule.pattern}” takes too long on some prompts. Write it without a "
                "repeat inside of a repeat, such as (a+)+."
            )


def find_broken(recipe: Recipe, rules: Sequence[PromptRule]) -> tuple[PromptRule, str] | None:
    """Return the first rule that a Recipe breaks and what breaks it, in words; None if none.

    A rule that takes too long on the words counts as broken.
    """
    regions = (("prompt of a region", one.prompt) for one in recipe.layout)
    said = (("prompt", recipe.prompt), ("negative prompt", recipe.negative_prompt), *regions)
    for where, words in said:
        texts = tuple(dict.fromkeys((words, _as_it_reads(words)))) if words else ()
        for rule in rules:
            pattern = _read_pattern(rule.pattern)
            if any(_fits(pattern, text) is not False for text in texts):
                return rule, where
    return None


def prompt_refusal(rule: PromptRule, where: str, workspace: Workspace) -> PromptRefused:
    """Return the error that says which rule was broken."""
    said = rule.message or f"it holds what the rule “{rule.pattern}” names"
    return PromptRefused(
        f"The workspace “{workspace.name}” does not allow this {where}: {said.rstrip('.')}. "
        "Use other words, or ask an owner of the workspace."
    )


def _read_pattern(text: str) -> "regex.Pattern[str]":
    import regex

    # Counted repeats are written out when a pattern is compiled, and nested ones multiply.
    if prod(max(1, int(count)) for count in _REPEATS.findall(text)) > _MOST_REPEATS:
        raise InvalidOption(
            f"The rule “{text}” repeats too often. The numbers in its braces may multiply to "
            f"{_MOST_REPEATS:,} at most."
        )
    try:
        return regex.compile(text, regex.IGNORECASE | regex.FULLCASE | regex.VERSION0)
    except (regex.error, RecursionError) as error:
        raise InvalidOption(
            f"The rule “{text}” is no regular expression: {error}. Put a \\ before a sign that "
            "stands for itself."
        ) from error


def _fits(pattern: "regex.Pattern[str]", text: str) -> bool | None:
    """Whether a pattern is found in a text; None where that takes too long to say."""
    try:
        return pattern.search(text, timeout=_SECONDS) is not None
    except TimeoutError:
        return None


def _probes(pattern: str) -> Iterator[str]:
    """Yield long texts that patterns which are too slow are slow on."""
    letters = dict.fromkeys(letter for letter in f"a{pattern}" if letter.isalnum())
    for letter in list(letters)[:_PROBED_LETTERS]:
        yield letter * (PROMPT_LIMIT - 1) + "!"
        yield f"{letter} " * (PROMPT_LIMIT // 2 - 1) + "!"


def _as_it_reads(text: str) -> str:
    return " ".join("".join(map(_plain, unicodedata.normalize("NFKC", text))).split())


def _plain(letter: str) -> str:
    kind = unicodedata.category(letter)
    if kind == "So":
        return f" {unicodedata.name(letter, '').lower()} "
    unseen = kind == "Cf" or "\N{VARIATION SELECTOR-1}" <= letter <= "\N{VARIATION SELECTOR-16}"
    return "" if unseen else letter
