"""What words may be that any model is given: how long, and of which characters."""

import unicodedata

from limner.domain.errors import InvalidPrompt

PROMPT_LIMIT = 4_000
"""The most characters a prompt or negative prompt may have, for any model."""


def check_words(name: str, text: str) -> None:
    """Raise InvalidPrompt for words too long for any model, or that no file could hold."""
    if len(text) > PROMPT_LIMIT:
        raise InvalidPrompt(
            f"The {name} has {len(text):,} characters; the most is {PROMPT_LIMIT:,}. "
            "Shorten it to what the picture should show."
        )
    if not is_readable(text):
        raise InvalidPrompt(
            f"The {name} holds control characters or broken ones. Write it as plain words."
        )


def is_readable(text: str) -> bool:
    """Whether a text can be written to any file.

    Control characters cannot, nor can the lone surrogates that Python makes of broken bytes.
    """
    return not any(
        unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\t\n\r" for letter in text
    )
