"""Which tool wrote a picture file, and with what settings."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from limner.domain.composition import Control, ControlDraft, Reference, ReferenceDraft
from limner.domain.recipe import Draft, Recipe
from limner.provenance.foreign.a1111 import read_a1111
from limner.provenance.foreign.comfyui import read_comfyui, read_workflow
from limner.provenance.foreign.dream import read_dream, read_sd_metadata
from limner.provenance.foreign.invokeai import read_invokeai
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings, read_table
from limner.provenance.foreign.swarmui import read_swarmui
from limner.provenance.metadata import read_recipe
from limner.provenance.texts import Texts, read_texts

_Reader: TypeAlias = Callable[[str], ForeignSettings | None]

_GRAPH_WORDS = ('"class_type"', '"inputs"', '"nodes"')
_SWARM_WORDS = ("sui_image_params",)
"""What shows whose JSON a text began as."""

_PREFIXED = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)


def read_settings(file: bytes) -> ForeignSettings | None:
    """Return the settings that a picture file carries, or None where it carries none.

    Reads what Limner, AUTOMATIC1111 and its kin, ComfyUI, InvokeAI and SwarmUI write into PNG,
    JPEG, WebP, TIFF, AVIF and (only Limner) SVG. What is read is what the file claims. Never
    raises: damaged settings are settings that are not there; see `find_damaged`.
    """
    recipe = read_recipe(file)
    if recipe is not None:
        return _ours(recipe)
    for read, text in _candidates(read_texts(file)):
        found = read(text)
        if found is not None:
            return found
    return None


def _candidates(texts: Texts) -> Iterator[tuple[_Reader, str]]:
    """Yield which reader is to look at which text, the surest first."""
    chunks = texts.chunks
    settings = [chunks.get("parameters"), texts.comment, *texts.exif]
    prefixed = list(_prefixed(texts.exif))
    yield from ((read_swarmui, text) for text in settings if text)
    yield read_invokeai, chunks.get("invokeai_metadata", "")
    yield read_sd_metadata, chunks.get("sd-metadata", "")
    yield read_dream, chunks.get("Dream", "")
    yield read_comfyui, chunks.get("prompt", "")
    yield from ((read_comfyui, text) for kind, text in prefixed if kind == "prompt")
    yield from ((read_a1111, text) for text in settings if text)
    yield read_workflow, chunks.get("workflow", "")
    yield from ((read_workflow, text) for kind, text in prefixed if kind == "workflow")


def find_damaged(file: bytes) -> str | None:
    """Return the tool whose settings are in a file but damaged; None where there are none such.

    For a file that `read_settings` reads nothing in.
    """
    texts = read_texts(file)
    chunks = texts.chunks
    graphs = [chunks.get("prompt"), chunks.get("workflow"), *dict(_prefixed(texts.exif)).values()]
    tables = [
        *(("ComfyUI", text, _GRAPH_WORDS) for text in graphs),
        ("InvokeAI", chunks.get("invokeai_metadata"), ("",)),
        ("InvokeAI", chunks.get("sd-metadata"), ("",)),
        *(("SwarmUI", text, _SWARM_WORDS) for text in (chunks.get("parameters"), texts.comment)),
    ]
    for tool, text, words in tables:
        begun = text is not None and text.lstrip("\ufeff \t\r\n").startswith("{")
        if text and begun and read_table(text) is None and any(word in text for word in words):
            return tool
    return None


def _prefixed(exif: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what stands in EXIF texts as `prompt:{…}` and `workflow:{…}`."""
    for text in exif:
        match = _PREFIXED.match(text)
        if match:
            yield match[1].lower(), text[match.end() :]


def _ours(recipe: Recipe) -> ForeignSettings:
    fields = {
        name: getattr(recipe, name) for name in Draft.model_fields if name in Recipe.model_fields
    }
    adapters = tuple(
        ForeignModel(one.name, one.sha256, one.weight, one.text_weight) for one in recipe.adapters
    )
    fields["model"] = recipe.model.name
    fields["upscaler"] = recipe.upscaler.name if recipe.upscaler else None
    fields["adapters"] = tuple(one.asked() for one in adapters)
    fields["controls"] = tuple(
        ControlDraft(**_named(one), model=one.model.name if one.model else None)
        for one in recipe.controls
    )
    fields["references"] = tuple(
        ReferenceDraft(**_named(one), model=one.model.name if one.model else None)
        for one in recipe.references
    )
    return ForeignSettings(
        tool="Limner",
        draft=Draft(**fields, literal=True),
        model=ForeignModel(recipe.model.name, recipe.model.sha256),
        adapters=adapters,
        recipe=recipe,
    )


def _named(one: Control | Reference) -> dict[str, Any]:
    """Return what a control or reference says besides its models."""
    return one.model_dump(exclude={"model", "preparer"})
