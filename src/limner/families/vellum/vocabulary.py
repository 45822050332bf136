"""What Vellum can draw, by name: so that it can say when it was asked for something else."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from limner.families.vellum.text import Floats

VOCABULARY = "concepts.json"

Gist = Callable[[Sequence[str]], Floats]
"""Turns texts into sentence vectors, B × width."""


class Vocabulary:
    """The names of the things a model was trained on, the common ones first in `common`."""

    def __init__(self, names: Sequence[str], common: Sequence[str]) -> None:
        self._patterns = [_pattern(name) for name in names]
        self._common = tuple(common)
        self._vectors: Floats | None = None

    def __len__(self) -> int:
        return len(self._patterns)

    def knows(self, prompt: str) -> bool:
        """Whether the prompt names at least one of the things."""
        text = prompt.lower()
        return any(pattern.search(text) for pattern in self._patterns)

    def nearest(self, prompt: str, gist: Gist, count: int = 3) -> tuple[str, ...]:
        """Return the common things whose names mean what comes nearest to the prompt."""
        if self._vectors is None:
            self._vectors = _unit(gist(self._common))
        likeness = self._vectors @ _unit(gist([prompt]))[0]
        return tuple(self._common[place] for place in np.argsort(-likeness)[:count])


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """Return the vocabulary beside a set of weights, or None where there is none to read."""
    try:
        concepts = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))["concepts"]
        names = [str(name) for concept in concepts for name in concept["names"]]
        common = [str(concept["names"][0]) for concept in concepts if concept["common"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return Vocabulary(names, common) if names and common else None


def _pattern(name: str) -> re.Pattern[str]:
    """Match a name as whole words, in the singular or a plain plural."""
    return re.compile(rf"\b{re.escape(name.lower())}(?:s|es)?\b")


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = (vectors / np.maximum(lengths, 1e-6)).astype(np.float32)
    return unit
