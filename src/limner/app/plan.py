"""How a model would be drawn with here, and what it would take: told before it is loaded."""

from pathlib import Path

from limner.catalog.catalog import Catalog
from limner.domain.card import ModelCard
from limner.domain.errors import InvalidOption
from limner.domain.recipe import Size, Task


def plan_for(catalog: Catalog, name: str, size: Size | None) -> tuple[str, ...]:
    """Return the plan for drawing with a model at a size (its default if None), line by line.

    Loads torch, but nothing of the model. Raises ModelNotFound, InvalidSize, and InvalidOption for
    a model that needs no plan.
    """
    card = catalog.find(name)
    folder = _folder(catalog, card)
    from limner.families.diffusion.activations import Work
    from limner.families.diffusion.hardware import machine_here
    from limner.families.diffusion.inventory import take_inventory
    from limner.families.diffusion.planner import describe

    sizes = card.capability.sizes
    wanted = size or sizes.default or Size(width=512, height=512)
    sizes.check(wanted)
    drawn = sizes.native_for(wanted)
    return describe(take_inventory(folder), Work(drawn), machine_here())


def _folder(catalog: Catalog, card: ModelCard) -> Path:
    """Return the diffusers folder that a model lies in."""
    index = next((file for file in card.files if file.name == "model_index.json"), None)
    if index is None or not card.capability.supports(Task.TEXT_TO_IMAGE):
        raise InvalidOption(
            f"{card.name} takes {card.bytes / 1e6:.0f} MB and fits any machine: it needs no plan."
            if card.bytes < 1e9
            else f"{card.name} is a single file; plans are made for diffusers folders."
        )
    return catalog.locate(card).files[index.name].parent
