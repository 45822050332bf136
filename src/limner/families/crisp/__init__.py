"""Crisp: Limner's own small network that enlarges flat art by 4, with transparency."""

from functools import cache
from pathlib import Path

from limner.domain.capability import Capability, Sizes, TaskInputs
from limner.domain.card import NOT_STATED, Installed, Licence, ModelCard, PackagedSource, WeightFile
from limner.domain.errors import ModelUnavailable
from limner.domain.recipe import InputRole, Task
from limner.families.crisp.facts import NETWORK, WEIGHTS, Facts, read_facts
from limner.families.family import Hash, LoadedModel, Placement

SCALE = 4

_LICENCE = Licence(
    spdx="Apache-2.0",
    commercial=True,
    attribution="Limner authors; trained on pictures listed in models/vellum/CREDITS.md",
    url="https://www.apache.org/licenses/LICENSE-2.0",
)
"""That of the weights inside the package; what others trained is theirs to state."""


class Crisp:
    """The family of upscalers that learned on Vellum's pictures."""

    name = "crisp"

    def cards(self) -> tuple[ModelCard, ...]:
        """The network inside the package."""
        return (_packaged_card(),)

    def recognise(self, path: Path, _sha256_of: Hash) -> ModelCard | None:
        """Return the card of a folder that holds an export of this upscaler, or None."""
        try:
            facts = read_facts(path)
        except (OSError, ValueError, RecursionError):
            return None
        name = path.absolute().name.encode("utf-8", "replace").decode()
        return _card(name, facts, packaged=False)

    def load(self, installed: Installed, placement: Placement) -> LoadedModel:
        """Load the network into ONNX Runtime."""
        from limner.families.crisp.upscaler import CrispUpscaler

        return CrispUpscaler(installed.files[NETWORK], placement.threads)


@cache
def _packaged_card() -> ModelCard:
    try:
        facts = read_facts(WEIGHTS)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            "Crisp is missing from the installed package, or damaged there. Install limner again."
        ) from error
    return _card("crisp", facts, packaged=True)


def _card(name: str, facts: Facts, *, packaged: bool) -> ModelCard:
    source = PackagedSource(path=f"families/crisp/weights/{NETWORK}")
    file = WeightFile(
        name=NETWORK,
        sha256=facts.sha256,
        bytes=facts.bytes,
        sources=(source,) if packaged else (),
    )
    return ModelCard(
        name=name,
        title="Crisp",
        summary="Enlarges icons, emoji and stickers by 4 with clean edges, transparency included.",
        family="crisp",
        variant="4x",
        files=(file,),
        licence=_LICENCE if packaged or _is_ours(facts) else NOT_STATED,
        homepage="models/vellum/README.md",
        capability=Capability(
            tasks=(TaskInputs(task=Task.UPSCALE, required=(InputRole.INIT,)),),
            sizes=Sizes(smallest=1, largest=16_384, most_pixels=64_000_000),
            alpha=True,
            scale=SCALE,
        ),
    )


def _is_ours(facts: Facts) -> bool:
    try:
        return facts.sha256 == read_facts(WEIGHTS).sha256
    except (OSError, ValueError):
        return False


FAMILY = Crisp()
