"""Adapter files, recognised so that a Recipe can name them; the model they change loads them."""

from pathlib import Path

from limner.domain.capability import Capability
from limner.domain.card import Installed, ModelCard, WeightFile
from limner.domain.errors import InvalidRequest
from limner.families.checkpoint import own_name
from limner.families.diffusion.known.facts import title_of
from limner.families.diffusion.recognition.finding import Kind
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.diffusion.recognition.licences import stated
from limner.families.family import Hash, LoadedModel, Placement

_FILE = "adapter.safetensors"
"""What the file is called in its card: an adapter stays the same when its file is renamed."""


class AdapterFamily:
    """Knows LoRA and its kin for any family by their headers."""

    name = "adapter"

    def cards(self) -> tuple[ModelCard, ...]:
        """None: adapters are the user's own."""
        return ()

    def recognise(self, path: Path, sha256_of: Hash, /) -> ModelCard | None:
        """Return the card of a safetensors file that changes a model, or None.

        Raises WeightsRejected with the reason for a kind of adapter that is not put on.
        """
        if path.suffix.lower() != ".safetensors" or not path.is_file():
            return None
        found = recognise_file(path)
        if found.kind is not Kind.ADAPTER:
            return None
        said = read_header(path).metadata
        size = path.stat().st_size
        name = own_name(path)
        return ModelCard(
            name=name,
            title=said.get("modelspec.title", "")[:80] or name,
            summary=found.reason,
            family=self.name,
            variant=found.family,
            files=(WeightFile(name=_FILE, sha256=sha256_of(path), bytes=size, sources=()),),
            licence=stated(path),
            homepage="",
            capability=Capability(
                tasks=(), adapts=found.family, may_adapt=() if found.family else found.fits
            ),
        )

    def load(self, installed: Installed, _placement: Placement) -> LoadedModel:
        """Raise InvalidRequest: an adapter draws only together with a model."""
        fitting = installed.card.capability.adapting
        family = title_of(fitting[0]) if len(fitting) == 1 else "its family"
        raise InvalidRequest(
            f"{installed.card.name} is an adapter: it draws with a model of {family}. Give both: "
            "--model MODEL --adapter FILE."
        )


FAMILY = AdapterFamily()
