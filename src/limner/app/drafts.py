"""Drafts from loose options: keyword arguments, command-line options, rows of a table."""

import unicodedata
from collections.abc import Mapping

from pydantic import ValidationError

from limner.domain.errors import InvalidOption, InvalidPrompt
from limner.domain.recipe import Draft, FileFormat, Size

_ALIASES = {"jpg": "jpeg"}


def make_draft(options: Mapping[str, object]) -> Draft:
    """Return a Draft from named options; None leaves one to the model's default.

    `size` may be a text (`512x512`), `format` a word. Options that are no field of `Draft`
    become options of the model's own. Raises InvalidRequest (or a kind of it) naming the option
    and the value that does not fit.
    """
    given = {name: value for name, value in options.items() if value is not None}
    fields = {name: value for name, value in given.items() if name in Draft.model_fields}
    fields["extras"] = tuple((name, value) for name, value in given.items() if name not in fields)
    if isinstance(fields.get("size"), str):
        fields["size"] = Size.parse(str(fields["size"]))
    if isinstance(fields.get("format"), str):
        fields["format"] = read_format(str(fields["format"]))
    for name in ("prompt", "negative_prompt"):
        _check_text(str(fields.get(name, "")))
    try:
        return Draft.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if isinstance(part, str)) or "option"
        raise InvalidOption(
            f"{name} cannot be “{str(first['input'])[:60]}”: {first['msg'].lower()}."
        ) from error


def read_format(text: str) -> FileFormat:
    """Return the file format a text names; raise InvalidOption listing those there are."""
    word = text.lower().lstrip(".")
    try:
        return FileFormat(_ALIASES.get(word, word))
    except ValueError:
        listed = ", ".join(one.value for one in FileFormat)
        raise InvalidOption(f"“{text}” is no format. Choose from: {listed}.") from None


def _check_text(text: str) -> None:
    """Refuse control characters, and the halves that a broken byte of a command line becomes."""
    if any(unicodedata.category(one) in ("Cc", "Cs") and one not in "\t\n\r" for one in text):
        raise InvalidPrompt(
            "The prompt holds control characters or broken ones. Write it as plain words."
        )
