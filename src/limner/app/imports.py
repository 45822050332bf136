"""Bringing in a picture that another tool made, with the settings it was made with."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from limner.app.studio import Made, Progress, Studio
from limner.domain.asset import Asset
from limner.domain.card import ModelCard
from limner.domain.errors import (
    InvalidImage,
    InvalidRequest,
    ModelUnavailable,
    NotFound,
    WeightsRejected,
)
from limner.domain.recipe import Draft
from limner.domain.words import check_words
from limner.domain.workspace import Actor, Workspace
from limner.provenance.foreign.reading import find_damaged, read_settings
from limner.provenance.foreign.settings import ForeignModel, ForeignSettings, Unmapped, shown
from limner.provenance.intake import is_drawing

_FITTED = ("negative_prompt", "seed", "steps", "guidance", "sampler", "schedule")
_TELLING = "limner models add PATH tells Limner of one"
_FEWEST_DIGITS = 8
"""The fewest digits of a hash that name a model: the oldest form still seen has eight."""


@dataclass(frozen=True)
class Imported:
    """A picture that was brought in, and what its file says of how it was made.

    `asset` is None for a drawing (SVG) from outside: it has no pixels to keep it by, and only
    what it says is read. `settings` is None where it says nothing, or where what the tool
    `damaged` wrote cannot be read any more. `card` is the model that would
    draw it again and `draft` what that model would be asked; `unmapped` is all that is lost on
    the way.
    """

    asset: Asset | None
    settings: ForeignSettings | None = None
    card: ModelCard | None = None
    draft: Draft | None = None
    unmapped: tuple[Unmapped, ...] = ()
    damaged: str | None = None


def import_picture(
    studio: Studio, actor: Actor, workspace: Workspace, file: bytes, model: str | None = None
) -> Imported:
    """Keep a picture in the library and read the settings in it.

    `model` is the one that is to draw it again; left out, the one that made it if it is here,
    else our first choice. Raises InvalidImage (also for a drawing that says nothing), or what
    `Models.choose` raises for `model`.
    """
    settings = read_settings(file)
    asset = _kept(studio, actor, workspace, file, spoken=settings is not None)
    if settings is None:
        return Imported(asset, damaged=find_damaged(file))
    draft, unmapped = settings.draft, list(settings.unmapped)
    here = _find(studio, settings)
    card = studio.models.choose(model or (here.name if here else None), draft.task)
    if settings.model is not None and card is not here:
        reason = f"it is not here; {card.name} draws instead"
        if here is not None:
            reason = f"{card.name} was asked for"
        unmapped.insert(0, Unmapped("model", _named(settings.model), reason))
    if settings.recipe is not None and card is here and model is None:
        return Imported(asset, settings, card, draft, tuple(unmapped))
    fitted, refused = _fitted(draft, card)
    adapters, missing = _worn(studio, settings.adapters, card)
    fitted = fitted.model_copy(update={"adapters": adapters})
    if settings.recipe is not None:
        settings = ForeignSettings(settings.tool, draft, settings.model, settings.adapters)
    return Imported(asset, settings, card, fitted, (*unmapped, *missing, *refused))


def _kept(
    studio: Studio, actor: Actor, workspace: Workspace, file: bytes, *, spoken: bool
) -> Asset | None:
    """Keep a file, and return its asset; None for a drawing that at least says how it was made."""
    try:
        return studio.bring(actor, workspace, file)
    except InvalidImage:
        if not (spoken and is_drawing(file)):
            raise
    known = studio.library.find_file(workspace, sha256(file).hexdigest())
    return studio.library.get(workspace, known[0].asset) if known and known[0].here else None


def draw_imported(
    studio: Studio,
    actor: Actor,
    workspace: Workspace,
    imported: Imported,
    progress: Progress | None = None,
) -> Iterator[Made]:
    """Draw an imported picture again: ours from its Recipe, others' from what was understood.

    Raises NotFound where the picture carries no settings, and what drawing raises.
    """
    if imported.settings is None or imported.draft is None or imported.card is None:
        what = "carries no settings that Limner can read"
        if imported.damaged:
            what = f"carries settings of {imported.damaged}, which are damaged"
        raise NotFound(
            f"The picture {what}, so it cannot be drawn again. Say what to draw: limner generate "
            "“…”."
        )
    recipe = imported.settings.recipe
    if recipe is not None:
        return studio.perform(actor, workspace, [recipe], progress)
    draft = imported.draft.model_copy(update={"model": imported.card.name})
    return studio.generate(actor, workspace, draft, 1, progress)


def _find(studio: Studio, settings: ForeignSettings) -> ModelCard | None:
    """Return the model that made a picture, if we know it by its hash, or else by its name.

    A model of the user's own is known by its name; its card is as its headers tell, since reading
    it whole takes long.
    """
    if settings.model is None:
        return None
    task = settings.draft.task
    able = [card for card in studio.models.catalog.cards() if card.capability.supports(task)]
    digits = re.sub(r"^(sha256:|0x)", "", (settings.model.hash or "").lower())
    if len(digits) >= _FEWEST_DIGITS:
        for card in able:
            digests = (card.weights_digest, *(file.sha256 for file in card.files))
            if any(digest.startswith(digits) for digest in digests):
                return card
    if settings.recipe is not None or not settings.model.name:
        return None
    stem = _stem(settings.model.name).lower()
    own = (card for card in studio.models.own() if card.capability.supports(task))
    return next((card for card in (*able, *own) if card.name.lower() == stem), None)


def _worn(
    studio: Studio, adapters: tuple[ForeignModel, ...], card: ModelCard
) -> tuple[tuple[str, ...], list[Unmapped]]:
    """Return the adapters that are here and that the model can wear, as a Draft names them.

    And those that are not. They are known by their names: other tools hash them otherwise.
    """
    known = {name.lower(): name for name in studio.models.names()} if adapters else {}
    worn: dict[str, str] = {}
    missing: list[Unmapped] = []
    for adapter in adapters:
        # Never the text of the file itself, which might be a path on this machine.
        name = known.get(_stem(adapter.name).lower())
        reason = f"no adapter of this name is here; {_TELLING}"
        if not card.capability.adapters:
            reason = f"{card.name} takes no adapters"
        elif name is not None:
            try:
                ref = studio.models.adapter(adapter.asked(name), card)
            except (InvalidRequest, NotFound, WeightsRejected, ModelUnavailable) as error:
                reason = error.message
            else:
                if worn.setdefault(ref.sha256, adapter.asked(name)) == adapter.asked(name):
                    continue
                reason = "it is given already, with another weight"
        missing.append(Unmapped("adapter", _named(adapter), reason))
    return tuple(worn.values()), missing


def _stem(name: str) -> str:
    """Return the name of a model that another tool names by a path or a file."""
    file = PurePosixPath(name.replace("\\", "/")).name
    return re.sub(r"\.(safetensors|sft|ckpt|pt|gguf|onnx)$", "", file, flags=re.IGNORECASE)


def _named(model: ForeignModel) -> str:
    hashed = f" ({model.hash})" if model.hash else ""
    weight = f", weight {model.weight:g}" if model.weight is not None else ""
    if model.text_weight is not None:
        weight += f" ({model.text_weight:g} in the text encoders)"
    return f"{model.name or 'unnamed'}{hashed}{weight}"


def _fitted(draft: Draft, card: ModelCard) -> tuple[Draft, list[Unmapped]]:
    """Return what of a draft a model can do, and what it refuses, in its own words."""
    refused: list[Unmapped] = []
    bare = Draft(task=draft.task, prompt="a picture", inputs=draft.inputs, literal=draft.literal)
    kept = bare

    def offer(name: str, value: object, update: Mapping[str, object]) -> None:
        nonlocal kept
        try:
            # Each setting is tried beside those that fit already.
            tried = kept.model_copy(update=update)
            card.capability.resolve(tried, card.ref, 0)
        except InvalidRequest as error:
            refused.append(Unmapped(name, shown(value), error.message))
        else:
            kept = tried

    if draft.size is not None:
        offer("size", str(draft.size), {"size": draft.size})
    for name in _FITTED:
        value = getattr(draft, name)
        if value not in (None, ""):
            offer(name, value, {name: value})
    for name, value in draft.extras:
        offer(name, value, {"extras": (*kept.extras, (name, value))})
    if draft.transparent is not None or draft.format is not None:
        both = {"transparent": draft.transparent, "format": draft.format}
        offer("format", draft.format.value if draft.format else "", both)
    try:
        check_words("prompt", draft.prompt)
    except InvalidRequest as error:
        refused.append(Unmapped("prompt", shown(draft.prompt), error.message))
        return kept.model_copy(update={"prompt": ""}), refused
    return kept.model_copy(update={"prompt": draft.prompt}), refused
