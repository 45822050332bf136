"""Drafts from loose options: keyword arguments, command-line options, rows of a table."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from limner.app.wrong import told_of
from limner.domain.errors import InvalidOption
from limner.domain.recipe import Draft, Extra, FileFormat, Size
from limner.domain.sampling import is_left_open, read_sampling, read_schedule
from limner.domain.words import check_words, is_readable

_ALIASES = {"jpg": "jpeg"}


def make_draft(options: Mapping[str, object]) -> Draft:
    """Return a Draft from named options; None leaves one to the model's default.

    `size` may be a text (`512x512`), `format` a word. Options that are no field of `Draft`
    become options of the model's own. Raises InvalidRequest (or a kind of it) naming the option
    and the value that does not fit.
    """
    given = {name: value for name, value in options.items() if value is not None}
    fields = {name: value for name, value in given.items() if name in Draft.model_fields}
    own = tuple((name, value) for name, value in given.items() if name not in fields)
    fields["extras"] = (*_extras(fields.get("extras", ())), *own)
    if isinstance(fields.get("size"), str):
        fields["size"] = Size.parse(str(fields["size"]))
    if isinstance(fields.get("format"), str):
        fields["format"] = read_format(str(fields["format"]))
    for name, value in given.items():
        if isinstance(value, str):
            _check_text(name, value)
    fields |= _sampling(fields)
    try:
        return Draft.model_validate(fields)
    except ValidationError as error:
        raise _refused(error, own) from error


def read_format(text: str) -> FileFormat:
    """Return the file format a text names; raise InvalidOption listing those there are."""
    word = text.lower().lstrip(".")
    try:
        return FileFormat(_ALIASES.get(word, word))
    except ValueError:
        listed = ", ".join(one.value for one in FileFormat)
        raise InvalidOption(f"“{text}” is no format. Choose from: {listed}.") from None


def _sampling(fields: Mapping[str, object]) -> dict[str, object]:
    """Return sampler and schedule in our words where they are given in another tool's.

    “DPM++ 2M Karras” names both. What is not understood stays, for the model to refuse.
    """
    named: dict[str, object] = {}
    schedule = fields.get("schedule")
    if isinstance(schedule, str):
        open_ = is_left_open(schedule)
        named["schedule"] = None if open_ else str(read_schedule(schedule) or schedule)
    sampler = fields.get("sampler")
    if isinstance(sampler, str):
        word, within = read_sampling(sampler)
        named["sampler"] = None if is_left_open(sampler) else str(word or sampler)
        if word and within and schedule is None:
            named["schedule"] = within.value
    return named


def _extras(given: object) -> tuple[object, ...]:
    if not isinstance(given, tuple | list):
        raise InvalidOption("extras must be a list of (name, value) pairs.")
    return tuple(given)


def _check_text(name: str, text: str) -> None:
    if name in ("prompt", "negative_prompt"):
        check_words(name.replace("_", " "), text)
    elif not is_readable(text):
        raise InvalidOption(f"{name} holds control characters or broken ones. Write it anew.")


def _refused(error: ValidationError, own: Sequence[tuple[str, object]]) -> InvalidOption:
    first = error.errors()[0]
    unfit = [(name, value) for name, value in own if not isinstance(value, Extra)]
    if first["loc"][:1] == ("extras",) and unfit:
        name, value = unfit[0]
        return InvalidOption(f"{name} cannot be “{str(value)[:60]}”: give a word or a number.")
    name = ".".join(str(part) for part in first["loc"] if isinstance(part, str)) or "option"
    return InvalidOption(f"{name} cannot be “{str(first['input'])[:60]}”: {told_of(first)}.")
