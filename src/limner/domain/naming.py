"""How files and models are named where it matters that they are the same for ever."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated

from pydantic import StringConstraints

from limner.domain.canonical import Frozen

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ModelRef(Frozen):
    """A model by name and by the digest of its weights (see `ModelCard.weights_digest`)."""

    name: str
    sha256: Sha256


def close_to(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return up to three of the known names that a mistyped one may mean, the nearest first."""
    lowered = {one.lower(): one for one in known}
    close = get_close_matches(name.lower()[:100], lowered, n=3)
    return tuple(lowered[one] for one in close)
