"""What the licences of models allow, and what a commercial workspace may therefore not use."""

from limner.app.models import Models
from limner.domain.asset import Terms
from limner.domain.card import UNSTATED, Licence, ModelCard
from limner.domain.errors import InvalidOption, LicenceForbids
from limner.domain.licensing import named
from limner.domain.recipe import Recipe
from limner.domain.workspace import Workspace

_STATED = "As stated by the owner of this studio."


def terms_of(recipe: Recipe, models: Models) -> tuple[Terms, ...]:
    """Return the licence of every model and adapter of a Recipe, as it stands now.

    Raises ModelNotFound or ModelUnavailable for one that is not known here.
    """
    cards = (models.card_of(ref) for ref in recipe.models)
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
    cards = (models.card_of(ref) for ref in recipe.models)
    return next((card for card in cards if not card.licence.commercial), None)


def licence_refusal(card: ModelCard, workspace: Workspace) -> LicenceForbids:
    """Return the error that says why a commercial workspace does not use a model."""
    licence = card.licence
    if licence.spdx == UNSTATED:
        reason = (
            "nothing is known of its licence (`limner models licence` states one that you know of)"
        )
    else:
        where = f", {licence.url}" if licence.url else ""
        reason = f"its licence ({licence.spdx}{where}) does not allow commercial use"
    return LicenceForbids(
        f"{card.name} may not be used in the workspace “{workspace.name}”, which is commercial: "
        f"{reason}. Choose another model (`limner models list` says which allow it), or have an "
        "owner of the workspace say that it is not commercial."
    )


def read_licence(name: str, commercial: bool | None, url: str = "") -> Licence:
    """Return the terms that a person states; raise InvalidOption where they are not clear.

    Of licences that are known to allow commercial use that need not be said.
    """
    known = named(name)
    if known.spdx == UNSTATED or not name.isprintable():
        raise InvalidOption("Give the name of a licence: its SPDX identifier, or LicenseRef-NAME.")
    if not known.commercial and commercial is None:
        raise InvalidOption(
            f"Limner does not know whether {known.spdx} allows commercial use. Add --commercial "
            "or --no-commercial."
        )
    allowed = known.commercial if commercial is None else commercial
    said = {"commercial": allowed, "attribution": _STATED, "url": url.strip()[:500]}
    return known.model_copy(update=said)
