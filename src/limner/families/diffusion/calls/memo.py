"""What text encoders made of words is kept, so that the same words are read once."""

import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

_MOST = 16
"""Encoded prompts that are kept. One of FLUX.1 takes 4 MB."""


class Answers:
    """What was made of words by the encoders of one model, the last used ones."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what is kept for a key, made now if it is not."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return self._kept[key]

    def forget(self) -> None:
        """Forget every answer: the encoders have changed."""
        self._kept.clear()


class Memo:
    """Stands before a pipeline's `encode_prompt` and answers what was answered before.

    Only calls with plain words and numbers are kept; one with tensors goes through. Pipelines of
    one model share `answers` where they encode by the same code; see `manner_of`.
    """

    def __init__(self, encode: Callable[..., Any], answers: Answers, manner: str = "") -> None:
        self._encode = encode
        self._answers = answers
        self._manner = manner

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Return what `encode_prompt` returns."""
        key = _key((given, tuple(sorted(named.items()))))
        if key is None:
            return self._encode(*given, **named)
        return self._answers.get((self._manner, key), lambda: self._encode(*given, **named))


def manner_of(pipeline: Any) -> str:
    """Return a digest of the code by which a pipeline encodes words.

    diffusers copies it from pipeline to pipeline; where the copies are equal, so are the answers.
    """
    kind = type(pipeline)
    names = sorted(one for one in dir(kind) if "encode_prompt" in one or "prompt_embeds" in one)
    try:
        code = "".join(inspect.getsource(getattr(kind, name)) for name in names)
    except (OSError, TypeError):
        return kind.__qualname__
    return hashlib.sha256(code.encode()).hexdigest()


def _key(value: Any) -> Hashable | None:
    """Return a value as a key, or None where it holds something else than words and numbers."""
    if value is None:
        return "None"
    if isinstance(value, str | int | float | bool):
        return (type(value).__name__, value)
    if isinstance(value, list | tuple):
        keys = tuple(_key(one) for one in value)
        return None if None in keys else (type(value).__name__, keys)
    # A device or number format of torch is told by its name, and needs no import here.
    return str(value) if type(value).__name__ in ("device", "dtype") else None
