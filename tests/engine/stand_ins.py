"""A family whose models draw at once, tell everything, and fail on request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from limner.domain.capability import Capability, TaskInputs
from limner.domain.card import Installed, Licence, ModelCard, WeightFile
from limner.domain.errors import ModelUnavailable
from limner.domain.event import CancelToken, Happening, Step
from limner.domain.recipe import InputRole, ModelRef, Recipe, Size, Task
from limner.families.family import Judge, LoadedModel, Order, Pixels, Placement, Watch

STEPS = 3


def ref(number: int = 1) -> ModelRef:
    return ModelRef(name=f"model-{number}", sha256=f"{number:064x}")


JUDGE = ref(50)


def size(width: int, height: int) -> Size:
    return Size(width=width, height=height)


def recipe(number: int = 1, /, **fields: object) -> Recipe:
    """Return a Recipe for model `number`, drawn at 8x8 unless told otherwise."""
    plain: dict[str, object] = {
        "task": Task.TEXT_TO_IMAGE,
        "model": ref(number),
        "size": size(8, 8),
        "native_size": size(8, 8),
        "steps": STEPS,
    }
    return Recipe.model_validate(plain | fields)


def plain(width: int, height: int, colour: tuple[int, ...]) -> Pixels:
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[...] = colour
    return pixels


@dataclass
class Studio:
    """What the stand-in models did, and how they should behave.

    `events` lists loads, draws and closes in order; `bytes` is what each model holds. `weights` are
    the bytes of a model's file by its name, `beside` for which files each load left room, `shown`
    the pictures that it was planned to read. `before_draw` is told which model draws, and where it
    was placed.
    """

    events: list[str] = field(default_factory=list)
    bytes: int = 100
    before_step: Callable[[int], None] = lambda _: None
    out_of_memory: set[str] = field(default_factory=set)
    threads: list[int] = field(default_factory=list)
    beside: list[tuple[Path, ...]] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)
    before_draw: Callable[[str, Placement], None] = lambda *_: None

    def locate(self, model: ModelRef) -> Installed:
        if model.name == "model-404":
            raise ModelUnavailable("The weights of model-404 are not here.")
        licence = Licence(spdx="MIT", commercial=True, attribution="", url="")
        card = ModelCard(
            name=model.name,
            title=model.name,
            summary="",
            family="strange" if model.name == "model-99" else "stand-in",
            variant="",
            files=(
                WeightFile(
                    name="weights",
                    sha256="0" * 64,
                    bytes=self.weights.get(model.name, 0),
                    sources=(),
                ),
            ),
            licence=licence,
            homepage="",
            capability=Capability(tasks=(TaskInputs(task=Task.TEXT_TO_IMAGE),)),
        )
        return Installed(card, {"weights": Path(model.name)})


@dataclass
class StandIn:
    """Draws each seed as a grey of that value; enlarges by 4 by repeating pixels."""

    name: str
    studio: Studio
    placement: Placement

    @property
    def bytes(self) -> int:
        return self.studio.bytes

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        return (("stand-in", "1"),)

    @property
    def dtype(self) -> str:
        return "uint8"

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def fitting(self) -> str:
        return ""

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        assert "close " + self.name not in self.studio.events[-1:]
        self.studio.events.append(f"draw {self.name} {[one.recipe.seed for one in orders]}")
        if f"draw {self.name}" in self.studio.out_of_memory:
            raise MemoryError
        self.studio.before_draw(self.name, self.placement)
        for step in range(1, STEPS + 1):
            self.studio.before_step(step)
            watch.token.check()
            for position in range(len(orders)):
                watch.tell(Step(watch.first + position, "draw", step, STEPS))
        return [self._draw(order) for order in orders]

    def close(self) -> None:
        self.studio.events.append(f"close {self.name}")

    def _draw(self, order: Order) -> Pixels:
        if order.recipe.task is Task.UPSCALE:
            return order.inputs[InputRole.INIT].repeat(4, axis=0).repeat(4, axis=1)
        native, grey = order.recipe.native_size, order.recipe.seed % 256
        return plain(native.width, native.height, (grey, grey, grey, 255))


@dataclass
class StandInJudge:
    """Finds a picture as unsafe as it is bright."""

    name: str
    studio: Studio

    @property
    def bytes(self) -> int:
        return self.studio.bytes

    def score(self, pixels: Pixels) -> float:
        self.studio.events.append(f"judge {self.name}")
        if f"judge {self.name}" in self.studio.out_of_memory:
            raise MemoryError
        return float(pixels[..., :3].mean() / 255)

    def close(self) -> None:
        self.studio.events.append(f"close {self.name}")


@dataclass
class StandInFamily:
    """Loads stand-ins; model 50 is a judge."""

    studio: Studio
    name: str = "stand-in"

    def cards(self) -> tuple[ModelCard, ...]:
        return ()

    def recognise(self, path: object, _: object) -> ModelCard | None:
        return None

    def load(self, installed: Installed, placement: Placement) -> LoadedModel | Judge:
        name = installed.card.name
        self.studio.events.append(f"load {name}")
        self.studio.threads.append(placement.threads)
        self.studio.beside.append(placement.beside)
        self.studio.shown.append(placement.shown)
        if f"load {name}" in self.studio.out_of_memory:
            raise MemoryError
        if name == JUDGE.name:
            return StandInJudge(name, self.studio)
        return StandIn(name, self.studio, placement)


@dataclass
class FamilyOnDevice(StandInFamily):
    """Loads stand-ins into the memory of a device, as they would have it."""

    memory: int | None = 500

    def device_memory(self) -> int | None:
        return self.memory


class Witness:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.token = CancelToken()

    def watch(self, first: int = 0) -> Watch:
        return Watch(self.told.append, self.token, first)
