"""A studio that draws without a model: gradients made from each Recipe's digest."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from limner.app.desk import Desk
from limner.app.keys import Keyring
from limner.app.models import Models
from limner.app.settings import Settings
from limner.app.studio import Studio
from limner.catalog.catalog import Catalog
from limner.domain.asset import Environment
from limner.domain.capability import Capability, ChoiceExtra, Range, Sizes, TaskInputs
from limner.domain.card import (
    HubSource,
    Installed,
    Licence,
    ModelCard,
    ModelStatus,
    PackagedSource,
    WeightFile,
)
from limner.domain.event import Loading, Notice, Step
from limner.domain.policy import Policy
from limner.domain.recipe import InputRole, ModelRef, Recipe, Size, Task
from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE, Workspace
from limner.engine.engine import Drawn, Resident
from limner.families.family import Hash, LoadedModel, Order, Pixels, Placement, Watch
from limner.families.raster import pixel_digest
from limner.store.library import Library

FAKE_STEPS = 4
NATIVE = Size(width=64, height=64)
WEIGHTS = b"not much of a model\n"
"""The one file of the fake model that can be pulled."""

_EMPTY = hashlib.sha256(b"").hexdigest()
_LICENCE = Licence(
    spdx="Apache-2.0",
    commercial=True,
    attribution="Copyright A. Painter.",
    url="https://example.org/licence",
)


def _card(name: str, capability: Capability, status: ModelStatus = ModelStatus.STABLE) -> ModelCard:
    """A card whose one weight file is an empty file of the package: always here and verified."""
    return ModelCard(
        name=name,
        title=name.title(),
        summary=f"The fake {name}.",
        family="fake",
        variant="small",
        status=status,
        files=(
            WeightFile(
                name=f"{name}.onnx",
                sha256=_EMPTY,
                bytes=0,
                sources=(PackagedSource(path="py.typed"),),
            ),
        ),
        licence=_LICENCE,
        homepage="https://example.org",
        capability=capability,
    )


PAINTER = _card(
    "vellum",
    Capability(
        tasks=(
            TaskInputs(task=Task.TEXT_TO_IMAGE),
            TaskInputs(task=Task.IMAGE_TO_IMAGE, required=(InputRole.INIT,)),
            TaskInputs(task=Task.INPAINT, required=(InputRole.INIT, InputRole.MASK)),
        ),
        sizes=Sizes(native=(NATIVE,), default=NATIVE),
        steps=Range[int](low=1, high=200, default=FAKE_STEPS),
        guidance=Range[float](low=1, high=10, default=3),
        strength=Range[float](low=0, high=1, default=0.5),
        samplers=("euler", "heun"),
        negative_prompt=True,
        alpha=True,
        extras=(ChoiceExtra(name="style", summary="How it looks.", choices=("flat", "sticker")),),
    ),
    ModelStatus.DEMO,
)
UPSCALER = _card(
    "realesr-fast",
    Capability(tasks=(TaskInputs(task=Task.UPSCALE, required=(InputRole.INIT,)),), scale=4),
)
ERASER = _card(
    "migan",
    Capability(
        tasks=(TaskInputs(task=Task.ERASE, required=(InputRole.INIT, InputRole.MASK)),),
    ),
)
CUTTER = _card(
    "u2netp",
    Capability(tasks=(TaskInputs(task=Task.CUTOUT, required=(InputRole.INIT,)),), alpha=True),
)
JUDGE = _card("open-nsfw", Capability(tasks=(), judges=True))
ABSENT = _card(
    "brush",
    Capability(tasks=(TaskInputs(task=Task.TEXT_TO_IMAGE),), sizes=PAINTER.capability.sizes),
).model_copy(
    update={
        "licence": _LICENCE.model_copy(update={"spdx": "CC-BY-NC-4.0", "commercial": False}),
        "files": (
            WeightFile(
                name="brush.onnx",
                sha256=hashlib.sha256(WEIGHTS).hexdigest(),
                bytes=len(WEIGHTS),
                sources=(HubSource(repository="some/brush", revision="abc", path="brush.onnx"),),
            ),
        ),
    }
)
"""A card whose weights are not here: a hub at `Settings.hub` may have them."""


class FakeFamily:
    """Knows the fake cards; recognises and loads nothing, since the fake engine needs neither."""

    name = "fake"

    def cards(self) -> tuple[ModelCard, ...]:
        return (PAINTER, UPSCALER, ERASER, CUTTER, JUDGE, ABSENT)

    def recognise(self, path: Path, _: Hash) -> ModelCard | None:
        return None

    def load(self, installed: Installed, placement: Placement) -> LoadedModel:
        raise AssertionError("the fake engine loads nothing")


ENVIRONMENT = Environment(
    limner="0",
    python="3",
    platform="test",
    processor="test",
    device="cpu",
    dtype="uint8",
    threads=1,
)


@dataclass
class FakeEngine:
    """Draws a gradient for each Recipe: same Recipe, same pixels, and no two alike.

    Each step takes `delay` seconds. The word “unheard” in a prompt gives a notice, “crash” an
    error that nobody expected. Pictures are `lighter` than usual, drawn in an `environment`. Every
    picture is found `unsafe`, or by `scores` of its digest.
    """

    delay: float = 0.0
    performed: list[Recipe] = field(default_factory=list)
    unsafe: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    judged: list[str] = field(default_factory=list)
    closed: bool = False
    environment: Environment = ENVIRONMENT
    lighter: int = 0

    def perform(self, orders: Sequence[Order], watch: Watch) -> Iterator[Drawn]:
        for position, order in enumerate(orders):
            began = time.perf_counter()
            index = watch.first + position
            if position == 0:
                watch.tell(Loading(order.recipe.model.name))
            self._tell_words(order.recipe, watch)
            steps = order.recipe.steps or FAKE_STEPS
            for step in range(steps):
                watch.token.check()
                time.sleep(self.delay)
                watch.tell(Step(index, "draw", step + 1, steps))
            watch.token.check()
            self.performed.append(order.recipe)
            pixels = gradient(order.recipe).copy()
            pixels[..., :3] = np.clip(pixels[..., :3].astype(int) + self.lighter, 0, 255)
            yield Drawn(index, pixels, self.environment, time.perf_counter() - began)

    def judge(self, model: ModelRef, pixels: Pixels, watch: Watch) -> float:
        watch.token.check()
        self.judged.append(pixel_digest(pixels))
        return self.scores.get(self.judged[-1], self.unsafe)

    def residents(self) -> tuple[Resident, ...]:
        return tuple(Resident(name, 0) for name in {one.model.name for one in self.performed})

    def close(self) -> None:
        self.closed = True

    def _tell_words(self, recipe: Recipe, watch: Watch) -> None:
        if "unheard" in recipe.prompt:
            watch.tell(Notice("unheard", "The word “unheard” is not known to this model."))
        if "crash" in recipe.prompt:
            raise ZeroDivisionError("the prompt said so")


def gradient(recipe: Recipe) -> Pixels:
    """Return the picture that the fake engine draws of a Recipe, at its finished size."""
    corners = np.frombuffer(bytes.fromhex(recipe.digest[:24]), np.uint8).reshape(2, 2, 3)
    down = np.linspace(0, 1, recipe.size.height)[:, None, None]
    across = np.linspace(0, 1, recipe.size.width)[None, :, None]
    left = corners[0, 0] * (1 - down) + corners[1, 0] * down
    right = corners[0, 1] * (1 - down) + corners[1, 1] * down
    pixels = np.full((recipe.size.height, recipe.size.width, 4), 255, np.uint8)
    pixels[..., :3] = np.rint(left * (1 - across) + right * across)
    if recipe.transparent:
        pixels[: recipe.size.height // 4, :, 3] = 0
    return pixels


def fake_models(settings: Settings) -> Models:
    """Return the fake cards in a real catalog."""
    family = FakeFamily()
    catalog = Catalog(
        settings.home / "models",
        {family.name: family},
        hub=settings.hub,
        offline=settings.offline,
    )
    return Models(catalog, offline=settings.offline)


def fake_desk(settings: Settings, engine: FakeEngine | None = None) -> Desk:
    """Return a desk on a real library whose pictures come from the fake engine."""
    library = Library.open(settings.home)
    keyring = Keyring(settings)
    keyring.signer(lambda _: None)  # the first one makes keys and says so
    wildcards = settings.home / "wildcards"
    studio = Studio(library, fake_models(settings), engine or FakeEngine(), keyring, wildcards)
    return Desk(studio, LOCAL_ACTOR, LOCAL_WORKSPACE)


def set_policy(library: Library, workspace: Workspace, policy: Policy) -> None:
    """Set the rules of a workspace, whatever they were."""
    library.change_policy(workspace, lambda _: (policy, None))
