"""Adapters named in a prompt, as AUTOMATIC1111's web UI has them: no words, but what is worn.

<lora:NAME>                weight 1
<lora:NAME:0.8>            weight 0.8
<lora:NAME:0.5:0.8>        0.5 in the text encoders, 0.8 in the denoiser
<lora:NAME:te=0.5:unet=1>  the same by name
"""

import re

from limner.domain.errors import InvalidPrompt

_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]{1,500})>", re.IGNORECASE)
_BETWEEN = " \t\r\n,"
"""What stands between the parts of a prompt."""


def take_out(prompt: str) -> tuple[str, tuple[str, ...]]:
    """Return a prompt without the adapters in it, and these as a Draft names them.

    Raises InvalidPrompt for one that cannot be read, and for a hypernetwork.
    """
    adapters = tuple(_adapter(tag) for tag in _TAG.finditer(prompt))
    return (without(prompt, _TAG) if adapters else prompt), adapters


def first(prompt: str) -> str | None:
    """Return the first adapter in a prompt as it is written, None where there is none."""
    tag = _TAG.search(prompt)
    return tag.group() if tag else None


def without(prompt: str, tags: re.Pattern[str]) -> str:
    """Return a prompt without the tags in it, nor the commas that stood around them only."""
    ends = [place for match in tags.finditer(prompt) for place in match.span()]
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


def _adapter(tag: re.Match[str]) -> str:
    """Return `NAME:WEIGHT[:TEXT_WEIGHT]` for a tag."""
    if tag[1].lower() == "hypernet":
        raise InvalidPrompt(
            f"“{tag[0]}”: Limner knows no hypernetworks. Take it out of the prompt."
        )
    name, *given = (part.strip() for part in tag[2].split(":"))
    placed = [part for part in given if "=" not in part]
    named = dict(part.split("=", 1) for part in given if "=" in part)
    if not name or len(placed) > 2 or named.keys() - {"te", "unet"}:
        raise InvalidPrompt(
            f"“{tag[0]}” is no adapter that can be read. Write it like <lora:NAME:0.8>, or "
            "<lora:NAME:0.5:0.8> with the weight in the text encoders first."
        )
    in_text = _weight(name, named.get("te", placed[0] if placed else "1"))
    weight = _weight(name, named.get("unet", placed[1] if len(placed) > 1 else in_text))
    return f"{name}:{weight:g}" + (f":{in_text:g}" if in_text != weight else "")


def _weight(name: str, number: str | float) -> float:
    try:
        return float(number)
    except ValueError as error:
        raise InvalidPrompt(
            f"The weight of {name} must be a number, not “{number}”. Write it like "
            f"<lora:{name}:0.8>."
        ) from error
