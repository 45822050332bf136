"""Which tool wrote a picture file, and with what settings."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from limner.domain.composition import Control, ControlDraft, Reference, ReferenceDraft
from limner.domain.recipe import Draft, Recipe
from limner.provenance.foreign.a1111 import read_a1111
from limner.provenance.foreign.comfyui import read_comfyui, read_workflow
from limner.provenance.foreign.invokeai import read_invokeai
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings
from limner.provenance.foreign.swarmui import read_swarmui
from limner.provenance.metadata import read_recipe
from limner.provenance.texts import Texts, read_texts

_Reader: TypeAlias = Callable[[str], ForeignSettings | None]

_PREFIXED = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)


def read_settings(file: bytes) -> ForeignSettings | None:
    """Return the settings that a picture file carries, or None where it carries none.

    Reads what Limner, AUTOMATIC1111 and its kin, ComfyUI, InvokeAI and SwarmUI write into PNG,
    JPEG, WebP, TIFF, AVIF and (only Limner) SVG. What is read is what the file claims. Never
    raises: damaged settings are settings that are not there.
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
    yield read_comfyui, chunks.get("prompt", "")
    yield from ((read_comfyui, text) for kind, text in prefixed if kind == "prompt")
    yield from ((read_a1111, text) for text in settings if text)
    yield read_workflow, chunks.get("workflow", "")
    yield from ((read_workflow, text) for kind, text in prefixed if kind == "workflow")


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
    fields["model"] = recipe.model.name
    fields["upscaler"] = recipe.upscaler.name if recipe.upscaler else None
    fields["adapters"] = tuple(f"{one.name}:{one.weight:g}" for one in recipe.adapters)
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
        adapters=tuple(ForeignModel(one.name, one.sha256, one.weight) for one in recipe.adapters),
        recipe=recipe,
    )


def _named(one: Control | Reference) -> dict[str, Any]:
    """Return what a control or reference says besides its models."""
    return one.model_dump(exclude={"model", "preparer"})
