"""The engine that draws in this process."""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version

from limner.domain.asset import Environment
from limner.domain.errors import InvalidRequest, OutOfMemory
from limner.domain.recipe import InputRole, ModelRef, Recipe, Size, Task
from limner.engine import framing, machine
from limner.engine.engine import Drawn, Resident
from limner.engine.refining import refine, refines
from limner.engine.residency import Locate, Residency
from limner.families.family import Family, Judge, LoadedModel, Order, Outgrown, Pixels, Watch
from limner.families.raster import resize, size_of

_ENOUGH = 1.25
"""An enlargement this near the size asked is left to resampling."""


@dataclass(frozen=True)
class EngineSettings:
    """The engine's slice of the settings.

    `memory` is the budget for held models in bytes, on the machine and on a device each, None for
    half of what is free or what the device has; `threads` the cores to use, None to take
    those that are free when a model is loaded; `batch` the most pictures drawn at once.
    """

    memory: int | None = None
    threads: int | None = None
    batch: int = 4


class LocalEngine:
    """Performs orders with models held in this process."""

    def __init__(
        self, families: Mapping[str, Family], locate: Locate, settings: EngineSettings
    ) -> None:
        self._settings = settings
        budget = settings.memory or machine.free_memory() // 2
        self._locate = locate
        self._residency = Residency(families, locate, budget, settings.memory)
        self._threads: int | None = settings.threads

    def perform(self, orders: Sequence[Order], watch: Watch) -> Iterator[Drawn]:
        """Draw every order; see `Engine.perform`."""
        for start, asked in _batches(orders, self._settings.batch):
            watch.token.check()
            began = time.perf_counter()
            batch = [framing.laid_out(order) for order in asked]
            own = Watch(watch.tell, watch.token, watch.first + start)
            recipe = batch[0].recipe
            was_held = self._residency.holds(recipe.model)
            model = self._model(recipe.model, own, recipe)
            with _enough_memory():
                ready = [self._with_parts(framing.inward(order)) for order in batch]
                try:
                    drawn, model = self._draw(model, ready, own)
                except Outgrown:
                    if not was_held:
                        raise
                    self._residency.forget(recipe.model)
                    model = self._model(recipe.model, own, recipe)
                    drawn, model = self._draw(model, ready, own)
            environment = self._environment(model)
            share = (time.perf_counter() - began) / len(batch)
            for position, (order, pixels) in enumerate(zip(batch, drawn, strict=True)):
                watch.token.check()
                began = time.perf_counter()
                one = Watch(own.tell, own.token, own.first + position)
                with _enough_memory():
                    finished = self._finish(order, pixels, one)
                    drift = framing.drift(order, finished)
                seconds = share + time.perf_counter() - began
                yield Drawn(one.first, finished, environment, seconds, drift)

    def judge(self, model: ModelRef, pixels: Pixels, watch: Watch) -> float:
        """Return how unsafe a model finds a picture; see `Engine.judge`."""
        watch.token.check()
        judge = self._held(model, watch)
        if not isinstance(judge, Judge):
            raise InvalidRequest(f"{model.name} draws; it cannot judge pictures.")
        with _enough_memory():
            return judge.score(pixels)

    def residents(self) -> tuple[Resident, ...]:
        """The models in memory, least recently used first."""
        return self._residency.residents()

    def close(self) -> None:
        """Let every model go."""
        self._residency.close()

    def _draw(
        self, model: LoadedModel, orders: Sequence[Order], watch: Watch
    ) -> tuple[list[Pixels], LoadedModel]:
        """Return the pictures, and the model as it is in memory after them."""
        if not refines(orders[0].recipe):
            return model.perform(orders, watch), model
        drawn = []
        for position, order in enumerate(orders):
            one = Watch(watch.tell, watch.token, watch.first + position)
            recipe = order.recipe
            plain = recipe.model_copy(update={"task": Task.TEXT_TO_IMAGE})
            larger = self._enlarge(order.inputs[InputRole.INIT], recipe.size, plain, one)
            # What enlarged it may have sent the model out of memory.
            model = self._model(recipe.model, one, recipe)
            drawn.append(refine(model, order, resize(larger, recipe.size), one))
        return drawn, model

    def _with_parts(self, order: Order) -> Order:
        recipe = order.recipe
        apart = (recipe.model, recipe.upscaler)
        parts = {ref.sha256: self._locate(ref).files for ref in recipe.models if ref not in apart}
        return replace(order, parts=parts)

    def _model(self, ref: ModelRef, watch: Watch, recipe: Recipe | None = None) -> LoadedModel:
        model = self._held(ref, watch, recipe)
        if not isinstance(model, LoadedModel):
            raise InvalidRequest(f"{ref.name} only judges pictures; it draws none.")
        return model

    def _held(
        self, ref: ModelRef, watch: Watch, recipe: Recipe | None = None
    ) -> LoadedModel | Judge:
        return self._residency.get(ref, self._thread_count, watch, recipe)

    def _thread_count(self) -> int:
        if self._threads is None:
            self._threads = machine.free_cores()
        return self._threads

    def _finish(self, order: Order, drawn: Pixels, watch: Watch) -> Pixels:
        def enlarge(pixels: Pixels, size: Size) -> Pixels:
            return self._enlarge(pixels, size, order.recipe, watch)

        return framing.outward(order, drawn, enlarge)

    def _enlarge(self, pixels: Pixels, size: Size, recipe: Recipe, watch: Watch) -> Pixels:
        ref = recipe.model if recipe.task is Task.UPSCALE else recipe.upscaler
        while ref is not None:
            here = size_of(pixels)
            if max(size.width / here.width, size.height / here.height) <= _ENOUGH:
                break
            order = Order(
                Recipe(task=Task.UPSCALE, model=ref, size=here, native_size=here),
                {InputRole.INIT: pixels},
            )
            pixels = self._model(ref, watch).perform([order], watch)[0]
        return pixels

    def _environment(self, model: LoadedModel) -> Environment:
        return Environment(
            limner=version("limner"),
            python=platform.python_version(),
            platform=platform.platform(),
            processor=machine.processor(),
            device=model.device,
            dtype=model.dtype,
            threads=self._thread_count(),
            libraries=model.libraries,
            fitting=model.fitting,
        )


@contextmanager
def _enough_memory() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(
            "There is not enough free memory for a picture of this size. Ask for a smaller size, "
            "or close other programs."
        ) from error


def _batches(orders: Sequence[Order], most: int) -> Iterator[tuple[int, list[Order]]]:
    """Yield (position of the first, orders) for runs of neighbours that can be drawn together."""
    start = 0
    while start < len(orders):
        end = start + 1
        while (
            end < len(orders)
            and end - start < most
            and _shape(orders[end].recipe) == _shape(orders[start].recipe)
        ):
            end += 1
        yield start, list(orders[start:end])
        start = end


def _shape(recipe: Recipe) -> tuple[object, ...]:
    return (
        recipe.model,
        recipe.adapters,
        recipe.task,
        recipe.native_size,
        recipe.steps,
        recipe.sampler,
        recipe.schedule,
        recipe.controls,
        recipe.references,
        recipe.layout,
    )
