"""How a model would be drawn with here, and what it would take: told before it is loaded."""

from limner.catalog.catalog import Catalog
from limner.domain.errors import InvalidOption
from limner.domain.recipe import Size
from limner.families.family import Plans


def plan_for(catalog: Catalog, name: str, size: Size | None) -> tuple[str, ...]:
    """Return the plan for drawing with a model at a size (its default if None), line by line.

    Loads torch, but nothing of the model. Raises ModelNotFound, InvalidSize, InvalidOption for a
    model that needs no plan, and ModelUnavailable for a denoiser without its other parts.
    """
    card = catalog.find(name)
    family = catalog.families.get(card.family)
    if not isinstance(family, Plans):
        raise InvalidOption(
            f"{card.name} takes {card.bytes / 1e6:.0f} MB and fits any machine: it needs no plan."
        )
    sizes = card.capability.sizes
    wanted = size or sizes.default or Size(width=512, height=512)
    sizes.check(wanted)
    return family.plan(catalog.locate(card), sizes.native_for(wanted))
