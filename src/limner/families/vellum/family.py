"""Vellum as a family: its card, how a checkpoint of it is recognised, how it is loaded."""

from functools import cache
from pathlib import Path

from limner.domain.capability import Capability, ChoiceExtra, Range, Sizes, TaskInputs
from limner.domain.card import (
    NOT_STATED,
    Installed,
    Licence,
    ModelCard,
    ModelStatus,
    PackagedSource,
    WeightFile,
)
from limner.domain.errors import ModelUnavailable
from limner.domain.recipe import InputRole, Size, Task
from limner.families.family import Hash, LoadedModel, Placement
from limner.families.vellum.facts import WEIGHTS, Facts, read_facts

SAMPLERS = ("euler", "heun")


_LICENCE = Licence(
    spdx="Apache-2.0",
    commercial=True,
    attribution="Limner authors; trained on pictures listed in models/vellum/CREDITS.md",
    url="https://www.apache.org/licenses/LICENSE-2.0",
)
"""That of the weights inside the package; what others trained is theirs to state."""


class VellumFamily:
    """Draws icons, emoji and stickers from words."""

    name = "vellum"

    def cards(self) -> tuple[ModelCard, ...]:
        """The model inside the package."""
        return (_packaged_card(),)

    def recognise(self, path: Path, _sha256_of: Hash) -> ModelCard | None:
        """Return the card of a folder that holds an export of Vellum, or None."""
        try:
            facts = read_facts(path)
        except (OSError, ValueError, RecursionError):
            return None
        name = path.absolute().name.encode("utf-8", "replace").decode()
        return _card(name, facts, packaged=False)

    def load(self, installed: Installed, placement: Placement) -> LoadedModel:
        """Load the denoiser and the text encoder into ONNX Runtime."""
        from limner.families.vellum.model import load_model

        return load_model(installed, placement)


@cache
def _packaged_card() -> ModelCard:
    try:
        facts = read_facts(WEIGHTS)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            "Vellum is missing from the installed package, or damaged there. Install limner again."
        ) from error
    return _card("vellum", facts, packaged=True)


def _card(name: str, facts: Facts, *, packaged: bool) -> ModelCard:
    native = Size(width=facts.pixels, height=facts.pixels)
    return ModelCard(
        name=name,
        title="Vellum",
        summary="Icons, emoji and stickers of everyday things, transparent, from English words.",
        family="vellum",
        variant=f"{facts.pixels}px",
        status=ModelStatus.DEMO,
        files=tuple(
            WeightFile(
                name=file.name,
                sha256=file.sha256,
                bytes=file.bytes,
                sources=(PackagedSource(path=f"families/vellum/weights/{file.name}"),)
                if packaged
                else (),
            )
            for file in facts.files
        ),
        licence=_LICENCE if packaged or _is_ours(facts) else NOT_STATED,
        homepage="models/vellum/README.md",
        capability=_capability(facts, native),
    )


def _is_ours(facts: Facts) -> bool:
    try:
        return facts.files == read_facts(WEIGHTS).files
    except (OSError, ValueError):
        return False


def _capability(facts: Facts, native: Size) -> Capability:
    return Capability(
        tasks=(
            TaskInputs(task=Task.TEXT_TO_IMAGE),
            TaskInputs(task=Task.IMAGE_TO_IMAGE, required=(InputRole.INIT,)),
            TaskInputs(task=Task.INPAINT, required=(InputRole.INIT, InputRole.MASK)),
            TaskInputs(task=Task.OUTPAINT, required=(InputRole.INIT,)),
        ),
        sizes=Sizes(native=(native,), default=Size(width=512, height=512), largest=4096),
        steps=Range[int](low=1, high=100, default=20),
        guidance=Range[float](low=1.0, high=8.0, default=2.5),
        guidance_meaning="how far to lean from a picture of nothing towards the words; 1 is off",
        strength=Range[float](low=0.0, high=1.0, default=0.6),
        samplers=SAMPLERS,
        negative_prompt=True,
        alpha=True,
        upscaler="crisp",
        layout=(Task.TEXT_TO_IMAGE,),
        extras=(
            ChoiceExtra(
                name="style",
                summary="the look; left out, a word of the prompt decides, else it is flat",
                choices=facts.styles,
            ),
        ),
    )


FAMILY = VellumFamily()
