"""Captions to token states in batches, each caption heard once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from limner.families.vellum.facts import ENCODER, TOKENIZER
from limner.families.vellum.text import Floats, TextStates, load_tokenizer, read_tokens

_WIDTH = 384
_REMEMBERED = 60_000


class Listener:
    """Hears captions with the encoder that ships, `length` tokens at most."""

    def __init__(self, weights: Path, length: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(weights / ENCODER), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = load_tokenizer(weights / TOKENIZER)
        self._length = length
        self._heard: dict[str, tuple[Floats, Floats]] = {}

    def hear(self, captions: Sequence[str]) -> TextStates:
        """Return states padded to the fixed length; an empty caption counts no token."""
        fresh = [caption for caption in dict.fromkeys(captions) if caption not in self._heard]
        if len(self._heard) + len(fresh) > _REMEMBERED:
            self._heard.clear()
            fresh = list(dict.fromkeys(captions))
        self._listen([caption for caption in fresh if caption])
        states = np.zeros((len(captions), self._length, _WIDTH), np.float32)
        mask = np.zeros((len(captions), self._length), np.float32)
        pooled = np.zeros((len(captions), _WIDTH), np.float32)
        for row, caption in enumerate(captions):
            if caption:
                tokens, gist = self._heard[caption]
                states[row, : len(tokens)] = tokens
                mask[row, : len(tokens)] = 1
                pooled[row] = gist
        return TextStates(states, mask, pooled)

    def _listen(self, captions: Sequence[str]) -> None:
        if not captions:
            return
        rows = [read_tokens(self._tokenizer, caption) for caption in captions]
        longest = max(map(len, rows))
        ids = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros((len(rows), longest), np.float32)
        for row, found in enumerate(rows):
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        states, pooled = self._session.run(["states", "pooled"], {"ids": ids, "mask": mask})
        for row, caption in enumerate(captions):
            kept = states[row, : min(len(rows[row]), self._length)].astype(np.float16)
            self._heard[caption] = (kept, pooled[row])
