"""The facts of every family and variant that recognition names, found by their names."""

from collections.abc import Mapping
from types import MappingProxyType

from limner.families.diffusion.known.flux import FLUX
from limner.families.diffusion.known.others import OTHERS
from limner.families.diffusion.known.sheet import Facts, GuidanceKind, Repository
from limner.families.diffusion.known.stable import STABLE

__all__ = ["FACTS", "Facts", "GuidanceKind", "Repository", "facts_of"]

FACTS: Mapping[tuple[str, str], Facts] = MappingProxyType(
    {(one.family, one.variant): one for one in (*STABLE, *FLUX, *OTHERS)}
)
"""(family, variant) → facts."""


def facts_of(family: str, variant: str) -> Facts:
    """Return the facts of a variant; raises KeyError for one that recognition never names."""
    return FACTS[family, variant]
