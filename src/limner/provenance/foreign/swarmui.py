"""The metadata that SwarmUI writes: JSON with `sui_image_params`, as text or user comment."""

from collections.abc import Mapping
from typing import Any

from limner.provenance.foreign.settings import (
    CLIP_SKIP,
    Collector,
    ForeignSettings,
    Table,
    list_in,
    number,
    read_table,
    table_in,
)

TOOL = "SwarmUI"

_PARAMETERS = "sui_image_params"
_TAKEN = frozenset(
    {
        "prompt", "negativeprompt", "seed", "width", "height", "cfgscale", "fluxguidancescale",
        "steps", "sampler", "scheduler", "model", "loras", "loraweights", "initimage",
        "initimagecreativity",
    }
)  # fmt: skip
_OF_NO_CONSEQUENCE = frozenset(
    {"swarm_version", "date", "generation_time", "aspectratio", "automaticvae", "images"}
)
_REASONS = {
    "vae": "a model brings its own autoencoder",
    "clipstopatlayer": CLIP_SKIP,
    "variationseed": "we have no variations of a seed",
    "variationseedstrength": "we have no variations of a seed",
}
_UNKNOWN = "we have no setting like it"


def read_swarmui(text: str) -> ForeignSettings | None:
    """Return the settings that a text holds; None where it is no such metadata."""
    table = read_table(text)
    given = table_in(table, _PARAMETERS) if table is not None else None
    if table is None or not given:
        return None
    found = Collector(TOOL)
    hashes = _hashes(table)
    found.words("prompt", given.get("prompt"))
    found.words("negative_prompt", given.get("negativeprompt"))
    found.seed(given.get("seed"))
    found.size(given.get("width"), given.get("height"))
    found.steps(given.get("steps"))
    scale = given.get("fluxguidancescale")
    found.guidance(given.get("cfgscale") if number(scale) is None else scale)
    found.sampler(given.get("sampler"), given.get("scheduler"))
    found.choose_model(given.get("model"), _hash_of(given.get("model"), hashes))
    weights = _listed(given.get("loraweights"))
    for index, name in enumerate(_listed(given.get("loras"))):
        weight = weights[index] if index < len(weights) else None
        found.adapter(name, _hash_of(name, hashes), weight)
    started = given.get("initimage") or table_in(table, "sui_extra_data").get("initimage_filename")
    if started:
        found.start(given.get("initimagecreativity"), started)
    for name, value in given.items():
        if name in _TAKEN or name in _OF_NO_CONSEQUENCE or value in (None, "", [], {}, False):
            continue
        found.leave(name, value, _REASONS.get(name, _UNKNOWN))
    return found.settings()


def _hashes(table: Table) -> Mapping[str, Any]:
    models = [one for one in list_in(table, "sui_models") if isinstance(one, dict)]
    return {_bare(one.get("name")): one.get("hash") for one in models}


def _hash_of(name: object, hashes: Mapping[str, Any]) -> Any:
    return hashes.get(_bare(name))


def _bare(name: object) -> str:
    return str(name).rpartition("/")[2].removesuffix(".safetensors")


def _listed(value: object) -> list[Any]:
    """Return a list: newer versions write one, older ones a text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if isinstance(value, list) else []
