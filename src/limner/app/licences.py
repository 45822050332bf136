"""What the licences of models allow, and what a commercial workspace may therefore not use."""

from limner.app.models import Models
from limner.domain.asset import Terms
from limner.domain.card import ModelCard
from limner.domain.errors import LicenceForbids
from limner.domain.recipe import ModelRef, Recipe
from limner.domain.workspace import Workspace

_UNKNOWN = "NOASSERTION"
"""What SPDX calls a licence that nobody has stated."""


def models_of(recipe: Recipe) -> tuple[ModelRef, ...]:
    """Return every model and adapter that takes part in a Recipe, each once."""
    adapters = (one.ref for one in recipe.adapters)
    named = (recipe.model, recipe.upscaler, *adapters)
    return tuple(dict.fromkeys(ref for ref in named if ref is not None))


def terms_of(recipe: Recipe, models: Models) -> tuple[Terms, ...]:
    """Return the licence of every model and adapter of a Recipe, as it stands now.

    Raises ModelNotFound or ModelUnavailable for one that is not known here.
    """
    cards = (models.card_of(ref) for ref in models_of(recipe))
    return tuple(
        Terms(
            model=card.name,
            spdx=card.licence.spdx,
            commercial=card.licence.commercial,
            attribution=card.licence.attribution,
            url=card.licence.url,
        )
        for card in cards
    )


def find_forbidden(recipe: Recipe, models: Models) -> ModelCard | None:
    """Return the first model or adapter of a Recipe that may not be used commercially."""
    cards = (models.card_of(ref) for ref in models_of(recipe))
    return next((card for card in cards if not card.licence.commercial), None)


def licence_refusal(card: ModelCard, workspace: Workspace) -> LicenceForbids:
    """Return the error that says why a commercial workspace does not use a model."""
    licence = card.licence
    if licence.spdx == _UNKNOWN:
        reason = "nothing is known of its licence"
    else:
        where = f", {licence.url}" if licence.url else ""
        reason = f"its licence ({licence.spdx}{where}) does not allow commercial use"
    return LicenceForbids(
        f"{card.name} may not be used in the workspace “{workspace.name}”, which is commercial: "
        f"{reason}. Choose another model (`limner models list` says which allow it), or have an "
        "owner of the workspace say that it is not commercial."
    )
