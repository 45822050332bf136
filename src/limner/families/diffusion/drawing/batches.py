"""Which Recipes are drawn at once: those that differ in their words and seeds alone.

Drawn beside others, the last bits of a picture depend on them; so `exact` draws each by itself. On
a CPU several at once take as long as one after the other, and more memory. What is left are the
fast profiles on a GPU, which one small picture does not fill.
"""

from collections.abc import Callable, Iterator, Sequence

from limner.domain.recipe import Recipe, Task
from limner.families.diffusion.drawing.extras import profile_of
from limner.families.diffusion.drawing.profiles import Profile
from limner.families.family import Order


def batches(
    orders: Sequence[Order], at_once: Callable[[], bool]
) -> Iterator[tuple[int, list[Order]]]:
    """Yield (position of the first, orders): neighbours that are drawn at once, or one alone.

    `at_once` is asked each time whether the device gains by it, and has the memory.
    """
    start = 0
    while start < len(orders):
        end = start + 1
        if at_once() and _shared(orders[start].recipe):
            likeness = _likeness(orders[start].recipe)
            while end < len(orders) and _likeness(orders[end].recipe) == likeness:
                end += 1
        yield start, list(orders[start:end])
        start = end


def _shared(recipe: Recipe) -> bool:
    """Whether a picture is drawn from words alone, by a profile that may change pixels."""
    composed = recipe.controls or recipe.references or recipe.layout
    drawn = recipe.task is Task.TEXT_TO_IMAGE and not composed
    return drawn and profile_of(recipe) is not Profile.EXACT


def _likeness(recipe: Recipe) -> Recipe:
    """Return a Recipe without what may differ among pictures that are drawn at once."""
    told = "said" if recipe.negative_prompt else ""
    return recipe.model_copy(update={"prompt": "", "negative_prompt": told, "seed": 0})
