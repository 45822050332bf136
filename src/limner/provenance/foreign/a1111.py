"""The settings text of the AUTOMATIC1111 web UI, Forge, SD.Next and the many that write alike.

The prompt; a line that starts with “Negative prompt:” and those after it; then one line of
“Name: value” pairs with commas between them, values in JSON quotes where they hold a comma.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from limner.provenance.foreign.settings import CLIP_SKIP, Collector, ForeignSettings, number

TOOL = "AUTOMATIC1111"

_NEGATIVE = "Negative prompt:"
_FEWEST_PAIRS = 3
_LONGEST_LINE = 50_000
_MOST_LINES = 20
_MOST_PAIRS = 500
_NAME = re.compile(r"\s*([A-Za-z][A-Za-z0-9_ \-/()]{0,60}):[ \t]*")
_SIZE = re.compile(r"\s*(\d{1,5})\s*[x×]\s*(\d{1,5})\s*")

_TAKEN = frozenset(
    {
        "Steps", "Sampler", "Schedule type", "CFG scale", "Distilled CFG Scale", "Seed", "Size",
        "Model", "Model hash", "Denoising strength", "Hires upscale", "Hires resize",
        "Lora hashes",
    }
)  # fmt: skip
_OF_NO_CONSEQUENCE = frozenset(
    {"Version", "App", "Hashes", "Civitai resources", "Civitai metadata", "User", "Created Date"}
)
_REASONS = {
    "Variation seed": "we have no variations of a seed",
    "Variation seed strength": "we have no variations of a seed",
    "Clip skip": CLIP_SKIP,
    "VAE": "a model brings its own autoencoder",
    "VAE hash": "a model brings its own autoencoder",
    "TI hashes": "we have no textual inversions",
    "Hires upscaler": "the upscaler of this name is not ours; limner enlarges with its own",
    "Hires steps": "limner enlarges without drawing a second time",
}
_UNKNOWN = "we have no setting like it"


def read_a1111(text: str) -> ForeignSettings | None:
    """Return the settings that a text holds; None where it is no such text."""
    split = _split(text)
    if split is None:
        return None
    words, pairs = split
    tool = "Limner" if pairs.get("Version", "").startswith("Limner") else TOOL
    found = Collector(tool)
    prompt, negative = _prompts(words)
    hashes = _hashes(pairs.get("Lora hashes", ""))
    found.words("prompt", prompt)
    found.words("negative_prompt", negative)
    found.adapters = [replace(one, hash=hashes.pop(one.name, None)) for one in found.adapters]
    for name, value in hashes.items():
        found.adapter(name, value)
    found.steps(pairs.get("Steps"))
    found.sampler(pairs.get("Sampler"), pairs.get("Schedule type"))
    found.seed(pairs.get("Seed"))
    found.guidance(pairs.get("Distilled CFG Scale", pairs.get("CFG scale")))
    found.choose_model(pairs.get("Model"), pairs.get("Model hash"))
    _take_size(found, pairs)
    for name, value in pairs.items():
        if name not in _TAKEN | _OF_NO_CONSEQUENCE:
            found.leave(name, value, _REASONS.get(name, _UNKNOWN))
    return found.settings()


def _split(text: str) -> tuple[str, dict[str, str]] | None:
    """Return the words and the pairs of a text: the last line that has pairs enough."""
    lines = text.strip().split("\n")
    for index in range(len(lines) - 1, max(-1, len(lines) - 1 - _MOST_LINES), -1):
        line = lines[index].strip()
        if len(line) > _LONGEST_LINE or ":" not in line:
            continue
        pairs = dict(_pairs(line))
        if len(pairs) >= _FEWEST_PAIRS and ("Steps" in pairs or "Seed" in pairs):
            return "\n".join(lines[:index]), pairs
    return None


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    place = 0
    for _ in range(_MOST_PAIRS):
        named = _NAME.match(line, place)
        if named is None:
            place = line.find(",", place) + 1
            if place == 0:
                return
            continue
        value, place = _value(line, named.end())
        yield named[1].strip(), value


def _value(line: str, start: int) -> tuple[str, int]:
    """Return the value that starts at a place, and the place after the comma behind it."""
    value: object = None
    end = -1
    if line[start : start + 1] in ('"', "{", "["):
        try:
            value, end = json.JSONDecoder().raw_decode(line, start)
        except (ValueError, RecursionError):
            value = None
    comma = line.find(",", max(end, start))
    after = len(line) if comma < 0 else comma
    text = value if isinstance(value, str) else line[start:after].strip()
    return text, after + 1


def _prompts(words: str) -> tuple[str, str]:
    prompt: list[str] = []
    negative: list[str] = []
    into = prompt
    for line in words.split("\n"):
        if line.strip().startswith(_NEGATIVE):
            into = negative
        into.append(line.strip().removeprefix(_NEGATIVE) if into is negative else line)
    return "\n".join(prompt).strip(), "\n".join(negative).strip()


def _hashes(text: str) -> dict[str, str]:
    """Read “name: hash, name: hash”."""
    pairs = (part.rpartition(":") for part in text.split(",")[:_MOST_PAIRS])
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _take_size(found: Collector, pairs: dict[str, str]) -> None:
    drawn = _SIZE.fullmatch(pairs.get("Size", ""))
    resized = _SIZE.fullmatch(pairs.get("Hires resize", ""))
    scale = number(pairs.get("Hires upscale"))
    strength = pairs.get("Denoising strength")
    if resized and resized[1] != "0" and resized[2] != "0":
        found.size(resized[1], resized[2])
    elif drawn and scale is not None and 1 <= scale <= 16:
        found.size(round(int(drawn[1]) * scale), round(int(drawn[2]) * scale))
    elif drawn:
        found.size(drawn[1], drawn[2])
    elif pairs.get("Size"):
        found.leave("size", pairs["Size"], "it is no size that can be read")
    if strength is None:
        return
    if resized or scale is not None:
        found.leave("Denoising strength", strength, _REASONS["Hires steps"])
    else:
        found.start(strength)
