"""The facts of every family and variant that recognition names, found by their names."""

from collections.abc import Mapping
from types import MappingProxyType

from limner.families.diffusion.known import (
    chroma,
    flux1,
    flux2,
    krea2,
    pixart,
    qwen_image,
    sana,
    sd1,
    sd2,
    sd3,
    sdxl,
    z_image,
)
from limner.families.diffusion.known.sheet import Architecture, Facts, Repository

__all__ = [
    "ARCHITECTURES",
    "FACTS",
    "Architecture",
    "Facts",
    "Repository",
    "architecture_of",
    "facts_of",
    "title_of",
]

_KNOWN = (
    sd1, sd2, sdxl, sd3, flux1, flux2, chroma, krea2, qwen_image, z_image, sana, pixart
)  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {one.ARCHITECTURE.family: one.ARCHITECTURE for one in _KNOWN}
)
"""Family → what its variants share."""

FACTS: Mapping[tuple[str, str], Facts] = MappingProxyType(
    {(facts.family, facts.variant): facts for one in _KNOWN for facts in one.VARIANTS}
)
"""(family, variant) → facts."""


def facts_of(family: str, variant: str) -> Facts:
    """Return the facts of a variant; raises KeyError for one that recognition never names."""
    return FACTS[family, variant]


def architecture_of(family: str) -> Architecture:
    """Return what the variants of a family share; raises KeyError for one that is not known."""
    return ARCHITECTURES[family]


def title_of(family: str) -> str:
    """Return the name of a family as its makers write it; one that is not known, as it is."""
    known = ARCHITECTURES.get(family)
    return known.title if known else family
