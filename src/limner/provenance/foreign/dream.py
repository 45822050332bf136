"""The metadata of InvokeAI before version 3: JSON in `sd-metadata`, a command in `Dream`.

Both hold the negative words inside the prompt, in [brackets]. The command is the prompt, mostly
in quotes, and then switches of one letter or a word: `"a fox [blurry]" -s 50 -S 42 -W 512 …`.
"""

import re
from collections.abc import Iterator
from typing import Any

from limner.provenance.foreign.settings import (
    Collector,
    ForeignSettings,
    Table,
    list_in,
    number,
    read_table,
)

TOOL = "InvokeAI"

_LONGEST = 50_000
_MOST_PARTS = 100
_NEGATIVE = re.compile(r"\[([^\[\]]{0,5000})\]")
_SWITCHES = re.compile(r"\s-s ?\d")
_SWITCH = re.compile(r"(?:^|\s)--?(?=[A-Za-z])")
_SHORT = re.compile(r"(ft|cf|tm|[A-Za-z])[ =]?(.*)", re.DOTALL)
_LONG = re.compile(r"([a-z_]{3,})(?:[ =](.*))?", re.DOTALL)

_WORDS = {
    "s": "steps", "S": "seed", "W": "width", "H": "height", "C": "cfg_scale", "A": "sampler",
    "I": "init_img", "f": "strength", "M": "init_mask", "G": "facetool_strength",
    "ft": "facetool", "cf": "codeformer_fidelity", "U": "upscale", "V": "variations",
    "v": "variation_amount", "c": "outcrop", "D": "out_direction", "tm": "text_mask",
    "n": "iterations", "b": "batch_size", "g": "grid",
}  # fmt: skip
_TAKEN = frozenset(
    {
        "prompt", "steps", "seed", "width", "height", "cfg_scale", "sampler", "sampler_name",
        "init_img", "init_image_path", "strength", "strength_steps", "type",
    }
)  # fmt: skip
_OF_NO_CONSEQUENCE = frozenset(
    {"iterations", "batch_size", "grid", "fit", "orig_hash", "mask_hash", "step_number", "extra"}
)
_REASONS = {
    "variations": "we have no variations of a seed",
    "variation_amount": "we have no variations of a seed",
    "upscale": "limner enlarges with its own upscaler; see limner upscale",
    "hires_fix": "limner enlarges with its own upscaler",
    "init_mask": "the mask is not in the file",
}
_UNKNOWN = "we have no setting like it"


def read_sd_metadata(text: str) -> ForeignSettings | None:
    """Return the settings that a text holds; None where it is no such metadata."""
    table = read_table(text)
    if table is None:
        return None
    images = [table.get("image"), *list_in(table, "images")]
    given = next((one for one in images if isinstance(one, dict) and one), None)
    if given is None:
        return None
    found = _collected(given, *_weighed(given.get("prompt")))
    found.choose_model(table.get("model_weights", table.get("model_id")), table.get("model_hash"))
    return found.settings()


def read_dream(text: str) -> ForeignSettings | None:
    """Return the settings that a command holds; None where it is none."""
    if len(text) > _LONGEST:
        return None
    prompt, switches = _split(text.strip())
    given = dict(_switches(switches))
    if not given.keys() & {"steps", "seed"}:
        return None
    return _collected(given, prompt, "").settings()


def _split(text: str) -> tuple[str, str]:
    """Return the prompt of a command and its switches."""
    first = _SWITCHES.search(text) or _SWITCH.search(text)
    quoted = text.find('" -', 1) if text.startswith('"') else -1
    if quoted > 0:
        return text[1:quoted], text[quoted + 1 :]
    return (text[: first.start()], text[first.start() :]) if first else (text, "")


def _switches(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the switches of a command, by their long names; True for one without a value."""
    for part in _SWITCH.split(text)[1:]:
        read = _LONG.fullmatch(part.strip()) or _SHORT.fullmatch(part.strip())
        if read is not None:
            value = (read[2] or "").strip()
            yield _WORDS.get(read[1], read[1]), value or True


def _weighed(prompt: object) -> tuple[str, str]:
    """Return the words, and the negative ones, of a prompt or of a list of weighted ones."""
    if isinstance(prompt, str):
        return prompt, ""
    parts = prompt[:_MOST_PARTS] if isinstance(prompt, list) else []
    wanted: list[str] = []
    unwanted: list[str] = []
    for part in parts:
        words = part.get("prompt") if isinstance(part, dict) else None
        if isinstance(words, str):
            below = (number(part.get("weight")) or 0) < 0
            (unwanted if below else wanted).append(words)
    return ", ".join(wanted), ", ".join(unwanted)


def _collected(given: Table, prompt: str, negative: str) -> Collector:
    found = Collector(TOOL)
    words = prompt[:_LONGEST]
    bracketed = [one.strip() for one in _NEGATIVE.findall(words)]
    found.words("prompt", " ".join(_NEGATIVE.sub(" ", words).split()))
    found.words("negative_prompt", ", ".join(filter(None, (*bracketed, negative))))
    parts = list_in(given, "prompt")
    weights = [number(part.get("weight")) for part in parts if isinstance(part, dict)]
    if len(weights) > 1 and any(one is not None and one > 0 and one != 1 for one in weights):
        found.leave("weights of prompts", weights, "we have one prompt, not several with weights")
    found.steps(given.get("steps"))
    found.seed(given.get("seed"))
    found.size(given.get("width"), given.get("height"))
    found.guidance(given.get("cfg_scale"))
    found.sampler(given.get("sampler", given.get("sampler_name")))
    picture = given.get("init_img", given.get("init_image_path"))
    if picture or given.get("type") == "img2img":
        found.start(given.get("strength", given.get("strength_steps")), picture)
    for name, value in given.items():
        if name in _TAKEN or name in _OF_NO_CONSEQUENCE or value in (None, [], {}, "", 0, False):
            continue
        found.leave(name, value, _REASONS.get(name, _UNKNOWN))
    return found
