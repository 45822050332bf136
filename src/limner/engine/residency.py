"""Which models are in memory: loaded on demand, least recently used leave first."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

from limner.domain.card import Installed
from limner.domain.errors import ModelUnavailable, OutOfMemory
from limner.domain.event import Loading
from limner.domain.recipe import ModelRef, Recipe, Task
from limner.engine.engine import Resident
from limner.families.family import Family, Judge, LoadedModel, Placement, Watch

Locate = Callable[[ModelRef], Installed]
"""Finds a model's verified weights, or raises ModelUnavailable or WeightsRejected."""


class Residency:
    """Holds loaded models within a budget of bytes; the one in use always stays."""

    def __init__(self, families: Mapping[str, Family], locate: Locate, budget: int) -> None:
        self._families = families
        self._locate = locate
        self._budget = budget
        self._models: OrderedDict[str, tuple[str, LoadedModel | Judge]] = OrderedDict()

    def get(
        self, ref: ModelRef, threads: Callable[[], int], watch: Watch, recipe: Recipe | None = None
    ) -> LoadedModel | Judge:
        """Return the model in memory, loading it (and letting others go) if need be.

        `recipe` is what it is to draw first, where it draws: room is planned for that.
        """
        held = self._models.get(ref.sha256)
        if held is None:
            watch.tell(Loading(ref.name))
            held = (ref.name, self._load(ref, threads(), watch, recipe))
            self._models[ref.sha256] = held
        self._models.move_to_end(ref.sha256)
        self._make_room()
        return held[1]

    def residents(self) -> tuple[Resident, ...]:
        """Name and bytes of every held model, least recently used first."""
        return tuple(Resident(name, model.bytes) for name, model in self._models.values())

    def close(self) -> None:
        """Let every model go."""
        while self._models:
            self._models.popitem()[1][1].close()

    def _load(
        self, ref: ModelRef, threads: int, watch: Watch, recipe: Recipe | None
    ) -> LoadedModel | Judge:
        installed = self._locate(ref)
        family = self._families.get(installed.card.family)
        if family is None:
            raise ModelUnavailable(
                f"{ref.name} is of the family {installed.card.family}, which is not installed."
            )
        placement = Placement(threads, self._release, tell=watch.tell)
        if recipe is not None:
            placement = replace(
                placement,
                size=recipe.native_size,
                beside=self._beside(recipe),
                shown=len(recipe.references) + (recipe.task is Task.EDIT),
            )
        try:
            return family.load(installed, placement)
        except MemoryError as error:
            raise OutOfMemory(
                f"{ref.name} does not fit into the memory that is free. Close other programs, "
                "or choose a smaller model."
            ) from error

    def _beside(self, recipe: Recipe) -> int:
        """Return the bytes of the weights that take part in a picture besides the model's own."""
        apart = (recipe.model, recipe.upscaler)
        return sum(self._locate(ref).card.bytes for ref in recipe.models if ref not in apart)

    def _release(self, bytes_: int) -> None:
        """Let models go, least recently used first, until they held that much."""
        released = 0
        while self._models and released < bytes_:
            _, (_, model) = self._models.popitem(last=False)
            released += model.bytes
            model.close()

    def _make_room(self) -> None:
        while len(self._models) > 1 and self._held() > self._budget:
            _, (_, model) = self._models.popitem(last=False)
            model.close()

    def _held(self) -> int:
        return sum(model.bytes for _, model in self._models.values())
