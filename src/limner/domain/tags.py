"""Adapters named in a prompt, as AUTOMATIC1111's web UI has them: no words, but what is worn.

<lora:NAME>                weight 1
<lora:NAME:0.8>            weight 0.8
<lora:NAME:0.5:0.8>        0.5 in the text encoders, 0.8 in the denoiser
<lora:NAME:te=0.5:unet=1>  the same by name
"""

import re
from dataclasses import dataclass

from limner.domain.errors import InvalidPrompt

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]{1,500})>", re.IGNORECASE)
_BETWEEN = " \t\r\n,"
"""What stands between the parts of a prompt."""


@dataclass(frozen=True)
class Tag:
    """An adapter in a prompt; `text_weight` is None where it is that in the denoiser, too."""

    name: str
    weight: float
    text_weight: float | None = None

    @property
    def asked(self) -> str:
        """The adapter as a Draft names it: `NAME:WEIGHT[:TEXT_WEIGHT]`."""
        in_text = "" if self.text_weight is None else f":{self.text_weight:g}"
        return f"{self.name}:{self.weight:g}{in_text}"


def tags_in(prompt: str) -> tuple[str, ...]:
    """Return the adapters in a prompt, each as it is written there."""
    return tuple(match.group() for match in _TAG.finditer(prompt))


def take_out(prompt: str) -> tuple[str, tuple[str, ...]]:
    """Return a prompt without the adapters in it, and these as a Draft names them.

    Raises InvalidPrompt for one that cannot be read, and for a hypernetwork.
    """
    adapters = tuple(read_tag(written).asked for written in tags_in(prompt))
    return (without(prompt) if adapters else prompt), adapters


def without(prompt: str) -> str:
    """Return a prompt without the adapters in it, nor the commas that stood around them only."""
    ends = [place for match in _TAG.finditer(prompt) for place in match.span()]
    edges = [0, *ends, len(prompt)]
    parts: list[str] = []
    gap = ""
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        words = prompt[start:end].lstrip(_BETWEEN)
        gap += prompt[start : end - len(words)]
        if not words:
            continue
        body = words.rstrip(_BETWEEN)
        parts += [_joint(gap) if parts else "", body]
        gap = words[len(body) :]
    return "".join(parts)


def _joint(gap: str) -> str:
    comma = "," if "," in gap else ""
    return comma + ("\n" if "\n" in gap else " " if gap else "")


def read_tag(written: str) -> Tag:
    """Return the adapter that a tag names; raises InvalidPrompt as `take_out`."""
    match = _TAG.fullmatch(written)
    if match is None or match[1].lower() == "hypernet":
        raise InvalidPrompt(
            f"“{written}”: Limner knows no hypernetworks. Take it out of the prompt."
        )
    name, *given = (part.strip() for part in match[2].split(":"))
    placed = [part for part in given if "=" not in part]
    named = dict(part.split("=", 1) for part in given if "=" in part)
    if not name or len(placed) > 2 or named.keys() - {"te", "unet"}:
        raise InvalidPrompt(
            f"“{written}” is no adapter that can be read. Write it like <lora:NAME:0.8>, or "
            "<lora:NAME:0.5:0.8> with the weight in the text encoders first."
        )
    in_text = _weight(name, named.get("te", placed[0] if placed else "1"))
    weight = _weight(name, named.get("unet", placed[1] if len(placed) > 1 else in_text))
    return Tag(name, weight, None if in_text == weight else in_text)


def _weight(name: str, number: str | float) -> float:
    try:
        return float(number)
    except ValueError as error:
        raise InvalidPrompt(
            f"The weight of {name} must be a number, not “{number}”. Write it like "
            f"<lora:{name}:0.8>."
        ) from error
