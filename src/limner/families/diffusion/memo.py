"""What text encoders made of words is kept, so that the same words are read once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

_MOST = 16
"""Encoded prompts that are kept. One of FLUX.1 takes 4 MB."""


class Memo:
    """Stands before a pipeline's `encode_prompt` and answers what it has answered before.

    Only calls with plain words and numbers are kept; one with tensors goes through.
    """

    def __init__(self, encode: Callable[..., Any]) -> None:
        self._encode = encode
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Return what `encode_prompt` returns."""
        key = _key((given, tuple(sorted(named.items()))))
        if key is None:
            return self._encode(*given, **named)
        if key not in self._answers:
            self._answers[key] = self._encode(*given, **named)
        self._answers.move_to_end(key)
        while len(self._answers) > _MOST:
            self._answers.popitem(last=False)
        return self._answers[key]

    def forget(self) -> None:
        """Forget every answer: the encoders have changed."""
        self._answers.clear()


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
