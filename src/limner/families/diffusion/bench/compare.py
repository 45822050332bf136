"""Plain diffusers and Limner side by side: the same weights, size, steps and seed.

`alternate` times both in one process, in turns, on shared weights. `alone` runs one of them in a
process of its own, for what loading costs and the most memory that is held; it is what
`python -m limner.families.diffusion.bench.compare` does with JSON in and out.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limner.domain.errors import ModelNotFound
from limner.domain.event import CancelToken
from limner.domain.recipe import ModelRef, Recipe, Size, Task
from limner.families.diffusion.bench.stand_ins import facts_like, stand_in
from limner.families.diffusion.calls.arguments import (
    Manner,
    arguments_of,
    manner_of,
    negative_of,
    takes,
    to_pixels,
)
from limner.families.diffusion.drawing.model import DiffusionModel
from limner.families.diffusion.drawing.profiles import profiles_of
from limner.families.diffusion.known.facts import Facts, facts_of
from limner.families.diffusion.loading.pipelines import (
    choose_device,
    libraries,
    load_pipeline,
    quiet,
)
from limner.families.diffusion.loading.ways import load_fitting
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.recognition.folders import read_pipeline, recognise_folder
from limner.families.family import Order, Pixels, Placement, Watch

Side = Literal["diffusers", "limner"]


@dataclass(frozen=True)
class Asked:
    """What both sides draw: a diffusers folder, width and height, steps, seed, CPU threads.

    `profile` is the one that Limner draws by; diffusers draws plainly.
    """

    folder: str
    width: int
    height: int
    steps: int
    threads: int
    seed: int = 1
    prompt: str = "a red fox in the snow"
    profile: str = "exact"


@dataclass(frozen=True)
class Turns:
    """Seconds of each turn of both sides, and how far their pictures differ.

    `difference` is the mean over all colours, of 255; 0 where they are equal bit by bit.
    """

    diffusers: tuple[float, ...]
    limner: tuple[float, ...]
    difference: float


@dataclass(frozen=True)
class Alone:
    """Seconds to load and to draw first, and the most bytes of memory held, of one side."""

    load: float
    first: float
    peak: int


def profiles_for(folder: Path) -> tuple[str, ...]:
    """Return the profiles that the model in a folder has; raises ModelNotFound for an unknown."""
    return profiles_of(_facts(folder).family)


def alternate(asked: Asked, rounds: int) -> Turns:
    """Draw on both sides in turns, after a turn of each that is not counted."""
    ours = _Ours(asked)
    # A profile changes the parts it draws with, so plain drawing needs parts of its own.
    plain = Plain(asked, ours.pipeline if asked.profile == "exact" else None)
    first, second = plain.draw(), ours.draw()
    seconds: dict[Side, list[float]] = {"diffusers": [], "limner": []}
    for _ in range(rounds):
        seconds["diffusers"].append(timed(plain.draw))
        seconds["limner"].append(timed(ours.draw))
    difference = float(np.abs(first[..., :3].astype(int) - second[..., :3]).mean())
    return Turns(tuple(seconds["diffusers"]), tuple(seconds["limner"]), difference)


@dataclass(frozen=True)
class Shaped:
    """A stand-in measured: seconds of each picture of both sides, and how far they differ.

    `peak` is the most bytes held, on the device where there is one.
    """

    diffusers: tuple[float, ...]
    limner: tuple[float, ...]
    difference: float
    peak: int


def shaped(name: str, asked: Asked, rounds: int) -> Shaped:
    """Draw with a stand-in, plainly and by the profile asked for; both share its weights."""
    device = choose_device()
    facts = facts_like(name)
    pipeline = stand_in(name, device)
    manner = manner_of(facts, "")
    order = _order_like(facts, asked)
    plain = Plain(asked, pipeline, manner, order)
    first = plain.draw()
    before = tuple(timed(plain.draw) for _ in range(rounds))
    model = DiffusionModel(pipeline, manner, device, asked.threads)
    watch = Watch(lambda _: None, CancelToken())

    def draw() -> Pixels:
        return model.perform([order], watch)[0]

    second = draw()
    after = tuple(timed(draw) for _ in range(rounds))
    difference = float(np.abs(first[..., :3].astype(int) - second[..., :3]).mean())
    return Shaped(before, after, difference, most_held())


def alone(side: Side, asked: Asked) -> Alone:
    """Load and draw on one side; the process should have done nothing before."""
    began = time.perf_counter()
    drawing = _Ours(asked, fitted=True) if side == "limner" else Plain(asked, None)
    loaded = time.perf_counter()
    drawing.draw()
    return Alone(loaded - began, time.perf_counter() - loaded, most_held())


class _Ours:
    """Limner's driver; `fitted`: loaded as users get it, made to fit the memory that is free."""

    def __init__(self, asked: Asked, *, fitted: bool = False) -> None:
        folder = Path(asked.folder)
        self._order = order_of(asked)
        device, way = choose_device(), None
        if fitted:
            work = Work(self._order.recipe.size, guided=True)
            loaded = load_fitting(folder, work, Placement(asked.threads))
            self.pipeline, device, way = loaded.pipeline, loaded.device, loaded.way
        else:
            self.pipeline = load_pipeline(folder, device)
        self._model = DiffusionModel(self.pipeline, _manner(folder), device, asked.threads, way)

    def draw(self) -> Pixels:
        return self._model.perform([self._order], Watch(lambda _: None, CancelToken()))[0]


class Plain:
    """A pipeline of diffusers as its documentation calls it."""

    def __init__(
        self, asked: Asked, shared: Any, manner: Manner | None = None, order: Order | None = None
    ) -> None:
        used = libraries()
        used.torch.set_num_threads(asked.threads)
        folder, device = Path(asked.folder), choose_device()
        manner = manner or _manner(folder)
        name = manner.pipelines[Task.TEXT_TO_IMAGE]
        with quiet():
            wanted = getattr(used.diffusers, name)
            if shared is None:
                made = wanted.from_pretrained(
                    folder,
                    torch_dtype=device.torch_dtype,
                    use_safetensors=True,
                    variant=_variant(folder),
                )
                self.pipeline = made.to(device.name)
            else:
                scheduler = type(shared.scheduler).from_config(shared.scheduler.config)
                self.pipeline = wanted(**{**shared.components, "scheduler": scheduler})
        self.pipeline.set_progress_bar_config(disable=True)
        order, guidance = order or order_of(asked), manner.guidance
        self._arguments = arguments_of(order, self.pipeline, guidance)
        self._arguments["prompt"] = asked.prompt
        limit = manner.limit
        if "max_sequence_length" in takes(self.pipeline):
            self._arguments["max_sequence_length"] = limit
        against = negative_of(order.recipe, self.pipeline, guidance)
        if against:
            self._arguments["negative_prompt"] = against
        self._seed, self._torch = asked.seed, used.torch

    def draw(self) -> Pixels:
        """Return the picture, uint8 [h, w, 3 or 4]; the same each time."""
        generator = self._torch.Generator("cpu").manual_seed(self._seed)
        with quiet():
            return to_pixels(self.pipeline(**self._arguments, generator=generator).images[0])


def _variant(folder: Path) -> str | None:
    """Return the word of diffusers for weights that lie in files of a certain name: `fp16`, say."""
    parts = read_pipeline(folder).components.values()
    names = [path.name.split(".") for part in parts for path in part.weights]
    return min((name[1].partition("-")[0] for name in names if len(name) > 2), default=None)


def _manner(folder: Path) -> Manner:
    return manner_of(_facts(folder), recognise_folder(folder).prediction)


def _facts(folder: Path) -> Facts:
    found = recognise_folder(folder)
    try:
        return facts_of(found.family, found.variant)
    except KeyError:
        raise ModelNotFound(f"{folder} cannot be measured. {found.reason}") from None


def order_of(asked: Asked) -> Order:
    """Return what both sides draw; raises ModelNotFound for a folder of no known family."""
    return _order_like(_facts(Path(asked.folder)), asked)


def _order_like(facts: Facts, asked: Asked) -> Order:
    size = Size(width=asked.width, height=asked.height)
    guidance = facts.guidance
    recipe = Recipe(
        task=Task.TEXT_TO_IMAGE,
        model=ModelRef(name="bench", sha256="0" * 64),
        prompt=asked.prompt,
        seed=asked.seed,
        size=size,
        native_size=size,
        steps=asked.steps,
        guidance=None if guidance is None else guidance.default,
        extras=() if asked.profile == "exact" else (("profile", asked.profile),),
    )
    return Order(recipe)


def timed(draw: Callable[[], object]) -> float:
    """Return the seconds that drawing took, the device's work included."""
    torch = libraries().torch
    began = time.perf_counter()
    draw()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def most_held() -> int:
    """Return the most bytes this process, or the device where there is one, has held."""
    torch = libraries().torch
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Read {"side": …, "asked": …} from standard input, write an `Alone` to standard output."""
    given = json.load(sys.stdin)
    print(json.dumps(asdict(alone(given["side"], Asked(**given["asked"])))))


if __name__ == "__main__":
    main()
