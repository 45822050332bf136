"""Which model a diffusers folder describes, where its weights are not there to tell."""

import re

from limner.families.diffusion.known.facts import FACTS, Facts
from limner.families.diffusion.recognition.finding import Words

_SD2_WIDTH = 1024
"""Width of the text embeddings that Stable Diffusion 2 attends to, and 1 does not."""


def described_by(class_name: str, width: object, words: Words) -> tuple[str, str] | None:
    """Return the family and variant that a pipeline's class is of; None where none is known.

    `width` is that of the text embeddings which a U-Net attends to, `words` name the folder. The
    variant is empty where the class draws several and no word says which.
    """
    drawn = [facts for facts in FACTS.values() if class_name in _classes(facts)]
    families = {facts.family for facts in drawn}
    if families == {"sd1", "sd2"}:
        families = {"sd2" if width == _SD2_WIDTH else "sd1"}
    if len(families) != 1:
        return None
    family = families.pop()
    variants = [facts for facts in drawn if facts.family == family]
    return family, variants[0].variant if len(variants) == 1 else _named(variants, words)


def _classes(facts: Facts) -> tuple[str, ...]:
    return (*facts.pipelines.values(), *facts.controls.values())


def _named(variants: list[Facts], words: Words) -> str:
    """Return the variant whose repository is named, the longest name first."""
    names = {
        re.sub(r"[^a-z0-9]+", "-", one.name.partition("/")[2].lower()).strip("-"): facts.variant
        for facts in variants
        for one in facts.repositories
    }
    return next(
        (names[name] for name in sorted(names, key=len, reverse=True) if words.say(name)), ""
    )
