"""Words for Vellum: tokens, and MiniLM's states of them."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

MOST_TOKENS = 24
"""The most word pieces Vellum reads, with the two that mark beginning and end."""

_UNKNOWN = "[UNK]"
"""The word piece that stands for anything MiniLM has no piece for."""

_JOINERS = {0x200D, 0xFE0E, 0xFE0F, *range(0x1F3FB, 0x1F400)}
"""Characters that only shape the emoji beside them."""

Floats = npt.NDArray[np.float32]


class Session(Protocol):
    """What we use of an ONNX Runtime session."""

    def run(self, outputs: Sequence[str] | None, inputs: dict[str, object]) -> list[Floats]:
        """Return the named outputs for named inputs."""


@dataclass(frozen=True)
class TextStates:
    """What Vellum reads of B texts.

    `states` B × T × 384 token states, `mask` B × T (1 where a token counts), `pooled` B × 384.
    """

    states: Floats
    mask: Floats
    pooled: Floats


class TextEncoder:
    """Encodes texts with the MiniLM that ships with Vellum."""

    def __init__(self, session: Session, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    def encode(self, texts: Sequence[str]) -> TextStates:
        """Return the states of texts, padded to MOST_TOKENS; an empty text counts nothing.

        Each text is encoded by itself and padded to one length, whatever the others: sums over
        another length round otherwise, and a picture would depend on its batch.
        """
        parts = [self._one(text) for text in texts]
        return TextStates(
            np.concatenate([_padded(part.states) for part in parts]),
            np.concatenate([_padded(part.mask) for part in parts]),
            np.concatenate([part.pooled for part in parts]),
        )

    def unheard(self, text: str) -> str:
        """Return the words of a text that Vellum does not know, and its end left unread."""
        encoding = self._tokenizer.encode(text)
        read = list(zip(encoding.tokens, encoding.offsets, strict=True))[: MOST_TOKENS - 1]
        unread = [text[start:end] for token, (start, end) in read if token == _UNKNOWN]
        if len(encoding.ids) > MOST_TOKENS:
            unread.append(text[read[-1][1][1] :].strip())
        return " ".join(unread)

    def _one(self, text: str) -> TextStates:
        ids = np.array([read_tokens(self._tokenizer, text)], np.int64)
        mask = np.ones(ids.shape, np.float32)
        states, pooled = self._session.run(["states", "pooled"], {"ids": ids, "mask": mask})
        if text:
            return TextStates(states, mask, pooled)
        return TextStates(states * 0, mask * 0, pooled * 0)


def read_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the word pieces of a text, at most MOST_TOKENS, the last always the end mark."""
    ids: list[int] = tokenizer.encode(text).ids
    return ids if len(ids) <= MOST_TOKENS else [*ids[: MOST_TOKENS - 1], ids[-1]]


def load_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer of a `tokenizer.json`, without padding and truncation."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def spell_out(prompt: str) -> str:
    """Return a prompt with every emoji written as its Unicode name: `🦊` → `fox face`."""
    return " ".join("".join(_spelled(letter) for letter in prompt).split())


def is_foreign(prompt: str) -> bool:
    """Whether a prompt is mostly in letters that are not Latin: MiniLM reads English."""
    letters = [letter for letter in prompt if letter.isalpha()]
    latin = sum("LATIN" in unicodedata.name(letter, "") for letter in letters)
    return bool(letters) and latin < len(letters) / 2


def _spelled(letter: str) -> str:
    if ord(letter) in _JOINERS:
        return ""
    if unicodedata.category(letter) == "So":
        return f" {unicodedata.name(letter, '').lower()} "
    return letter


def _padded(values: Floats) -> Floats:
    missing = MOST_TOKENS - values.shape[1]
    edges = [(0, 0), (0, missing)] + [(0, 0)] * (values.ndim - 2)
    return np.pad(values, edges)
