"""What is wrong with a value, in words for people, of what pydantic found."""

from collections.abc import Mapping
from typing import Any

_KNOWN = {
    "string_pattern_mismatch": "it is not written as it must be",
    "finite_number": "it must be a number",
    "int_parsing": "it must be a whole number",
    "float_parsing": "it must be a number",
    "int_from_float": "it must be a whole number",
}

_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def told_of(error: Mapping[str, Any]) -> str:
    """Return what is wrong, without a full stop; words to choose from are spelt as they are."""
    expected = (error.get("ctx") or {}).get("expected")
    if expected is not None:
        return f"choose from {str(expected).replace(chr(39), '')}"
    for limit, words in _LIMITS.items():
        if limit in (error.get("ctx") or {}):
            return f"it must be {words} {error['ctx'][limit]:g}"
    if error["type"] in _KNOWN:
        return _KNOWN[error["type"]]
    text = str(error["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
