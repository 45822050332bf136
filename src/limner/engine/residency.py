"""Which models are in memory: loaded on demand, least recently used leave first."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from limner.domain.card import Installed
from limner.domain.errors import ModelUnavailable, OutOfMemory
from limner.domain.event import Loading
from limner.domain.recipe import ModelRef, Recipe
from limner.engine.engine import Resident
from limner.families.family import (
    Computes,
    Family,
    Judge,
    LoadedModel,
    Placement,
    Watch,
    count_shown,
)

Locate = Callable[[ModelRef], Installed]
"""Finds a model's verified weights, or raises ModelUnavailable or WeightsRejected."""


@dataclass(frozen=True)
class _Held:
    """A model in memory; `apart`: in that of a device, not in the machine's own."""

    name: str
    model: LoadedModel | Judge
    apart: bool


class Residency:
    """Holds loaded models within a budget of bytes; the one in use always stays.

    `budget` is of the machine's own memory, `on_device` of a device's: None is half of it.
    """

    def __init__(
        self,
        families: Mapping[str, Family],
        locate: Locate,
        budget: int,
        on_device: int | None = None,
    ) -> None:
        self._families = families
        self._locate = locate
        self._budgets = {False: budget}
        self._on_device = on_device
        self._models: OrderedDict[str, _Held] = OrderedDict()

    def get(
        self, ref: ModelRef, threads: Callable[[], int], watch: Watch, recipe: Recipe | None = None
    ) -> LoadedModel | Judge:
        """Return the model in memory, loading it (and letting others go) if need be.

        `recipe` is what it is to draw first, where it draws: room is planned for that.
        """
        held = self._models.get(ref.sha256)
        if held is None:
            watch.tell(Loading(ref.name))
            held = self._load(ref, threads(), watch, recipe)
            self._models[ref.sha256] = held
        self._models.move_to_end(ref.sha256)
        self._keep_within(held.apart)
        return held.model

    def holds(self, ref: ModelRef) -> bool:
        """Whether a model is in memory."""
        return ref.sha256 in self._models

    def forget(self, ref: ModelRef) -> None:
        """Let a model go, so that it is loaded anew when it is next asked for."""
        held = self._models.pop(ref.sha256, None)
        if held is not None:
            held.model.close()

    def residents(self) -> tuple[Resident, ...]:
        """Name and bytes of every held model, least recently used first."""
        return tuple(Resident(held.name, held.model.bytes) for held in self._models.values())

    def close(self) -> None:
        """Let every model go."""
        while self._models:
            self._models.popitem()[1].model.close()

    def _load(self, ref: ModelRef, threads: int, watch: Watch, recipe: Recipe | None) -> _Held:
        installed = self._locate(ref)
        family = self._families.get(installed.card.family)
        if family is None:
            raise ModelUnavailable(
                f"{ref.name} is of the family {installed.card.family}, which is not installed."
            )
        apart = self._lies_apart(family)

        def make_room(wanted: int) -> None:
            self._release(wanted, ref.sha256, apart)

        placement = Placement(threads, make_room, tell=watch.tell)
        if recipe is not None:
            placement = replace(
                placement,
                size=recipe.native_size,
                beside=self._beside(recipe),
                shown=count_shown(recipe),
            )
        try:
            return _Held(ref.name, family.load(installed, placement), apart)
        except MemoryError as error:
            raise OutOfMemory(
                f"{ref.name} does not fit into the memory that is free. Close other programs, "
                "or choose a smaller model."
            ) from error

    def _beside(self, recipe: Recipe) -> tuple[Path, ...]:
        """Return the files of what takes part in a picture besides the model itself."""
        apart = (recipe.model, recipe.upscaler)
        others = (self._locate(ref) for ref in recipe.models if ref not in apart)
        return tuple(path for one in others for path in one.files.values())

    def _lies_apart(self, family: Family) -> bool:
        """Return whether models of a family lie in a device's memory, and set its budget."""
        memory = family.device_memory() if isinstance(family, Computes) else None
        if memory is not None:
            self._budgets[True] = self._on_device or memory // 2
        return memory is not None

    def _release(self, wanted: int, keep: str, apart: bool) -> None:
        """Let models go, least recently used first, until they held that many bytes.

        The one whose digest is `keep` stays, and so do those that lie in other memory.
        """
        released = 0
        for digest, held in tuple(self._models.items()):
            if released < wanted and digest != keep and held.apart == apart:
                released += held.model.bytes
                del self._models[digest]
                held.model.close()

    def _keep_within(self, apart: bool) -> None:
        """Let models go until those in one memory are within its budget, or one is left."""
        over = self._held(apart) - self._budgets[apart]
        newest = next(reversed(self._models))
        self._release(over, newest, apart)

    def _held(self, apart: bool) -> int:
        return sum(held.model.bytes for held in self._models.values() if held.apart == apart)
