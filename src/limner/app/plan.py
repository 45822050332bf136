"""How a model would be drawn with here, and what it would take: told before it is loaded."""

from limner.catalog.catalog import Catalog
from limner.domain.card import Installed, ModelCard
from limner.domain.errors import InvalidOption
from limner.domain.recipe import Size, Task
from limner.families.diffusion.files import SINGLE
from limner.families.diffusion.folders import INDEX
from limner.families.diffusion.inventory import Part
from limner.families.diffusion.layouts import recognise_file
from limner.families.diffusion.lending import opened


def plan_for(catalog: Catalog, name: str, size: Size | None) -> tuple[str, ...]:
    """Return the plan for drawing with a model at a size (its default if None), line by line.

    Loads torch, but nothing of the model. Raises ModelNotFound, InvalidSize, InvalidOption for a
    model that needs no plan, and ModelUnavailable for a denoiser without its other parts.
    """
    card = catalog.find(name)
    if not ({INDEX, SINGLE} & {file.name for file in card.files} and _draws(card)):
        raise InvalidOption(
            f"{card.name} takes {card.bytes / 1e6:.0f} MB and fits any machine: it needs no plan."
        )
    from limner.families.diffusion.activations import Work
    from limner.families.diffusion.hardware import machine_here
    from limner.families.diffusion.planner import describe

    sizes = card.capability.sizes
    wanted = size or sizes.default or Size(width=512, height=512)
    sizes.check(wanted)
    drawn = sizes.native_for(wanted)
    return describe(_parts(catalog.locate(card)), Work(drawn), machine_here())


def _draws(card: ModelCard) -> bool:
    return card.capability.supports(Task.TEXT_TO_IMAGE)


def _parts(installed: Installed) -> tuple[Part, ...]:
    """Return what the parts of a model weigh, in a diffusers folder or in one file."""
    from limner.families.diffusion.ways import inventory_of

    if INDEX in installed.files:
        return inventory_of(installed.files[INDEX].parent)
    path = installed.files[SINGLE]
    with opened(path, recognise_file(path), installed.neighbours) as (folder, single):
        return inventory_of(folder, single)
