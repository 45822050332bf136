"""Adapters that see references (IP-Adapters), recognised so that a Recipe can name them."""

import json
from pathlib import Path

from limner.domain.capability import Capability
from limner.domain.card import Installed, ModelCard, WeightFile
from limner.domain.errors import InvalidRequest, WeightsRejected
from limner.families.checkpoint import local_file, own_name
from limner.families.diffusion.known.facts import ARCHITECTURES, facts_of, title_of
from limner.families.diffusion.recognition.finding import Kind
from limner.families.diffusion.recognition.folders import INDEX
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.diffusion.recognition.licences import stated
from limner.families.diffusion.recognition.tensors import Header
from limner.families.family import Hash, LoadedModel, Placement

ENCODER = "image_encoder"
ENCODER_CONFIG, ENCODER_WEIGHTS = f"{ENCODER}/config.json", f"{ENCODER}/model.safetensors"

REDUX = (
    "image_embedder/config.json",
    "image_embedder/diffusion_pytorch_model.safetensors",
    ENCODER_CONFIG,
    ENCODER_WEIGHTS,
    "feature_extractor/preprocessor_config.json",
)
"""The files of FLUX.1 Redux that see, in its diffusers folder."""

_WIDTHS = (
    ("image_proj.proj.weight", "projection_dim"),
    ("image_proj.proj_in.weight", "hidden_size"),
)
"""The tensor that reads what the encoder saw, and what of the encoder is as wide."""

_LONGEST = 1_000_000


class ReferenceFamily:
    """Knows IP-Adapters by their headers; the encoder that looks lies beside them."""

    name = "reference"

    def cards(self) -> tuple[ModelCard, ...]:
        """None: these adapters are the user's own."""
        return ()

    def recognise(self, path: Path, sha256_of: Hash, /) -> ModelCard | None:
        """Return the card of an IP-Adapter's file or of the folder of FLUX.1 Redux, or None.

        Raises WeightsRejected where the folder `image_encoder` beside it is missing or belongs to
        another adapter.
        """
        if path.is_dir():
            return _redux(path, sha256_of)
        if path.suffix.lower() != ".safetensors" or not path.is_file():
            return None
        found = recognise_file(path)
        shared = ARCHITECTURES.get(found.family)
        if found.kind is not Kind.REFERENCE or shared is None or not shared.ip_adapter:
            return None
        _check_encoder(path, read_header(path))
        name = own_name(path)
        named = {path.name: path, ENCODER_CONFIG: None, ENCODER_WEIGHTS: None}
        files = []
        for called, at in named.items():
            file = at or path.parent / called
            size = file.stat().st_size
            files.append(WeightFile(name=called, sha256=sha256_of(file), bytes=size, sources=()))
        return ModelCard(
            name=name,
            title=name,
            summary=found.reason,
            family=self.name,
            variant=found.family,
            files=tuple(files),
            licence=stated(path),
            homepage="",
            capability=Capability(tasks=(), refers=found.family),
        )

    def load(self, installed: Installed, _placement: Placement) -> LoadedModel:
        """Raise InvalidRequest: it sees for a model, and draws nothing by itself."""
        family = title_of(installed.card.capability.refers)
        raise InvalidRequest(
            f"{installed.card.name} sees references for a model of {family}. Give both: "
            "--model MODEL --reference FILE."
        )


def _redux(path: Path, sha256_of: Hash) -> ModelCard | None:
    if _config(path / INDEX).get("_class_name") != "FluxPriorReduxPipeline":
        return None
    absent = [name for name in REDUX if not (path / name).is_file()]
    if absent:
        raise WeightsRejected(f"{path.name} has no {absent[0]}. Get FLUX.1 Redux again.")
    name, facts = own_name(path), facts_of("flux1", "dev")
    return ModelCard(
        name=name,
        title="FLUX.1 Redux [dev]",
        summary="Turns pictures into words for FLUX.1.",
        family=FAMILY.name,
        variant="flux1",
        files=tuple(
            local_file(path / one, sha256_of).model_copy(update={"name": one}) for one in REDUX
        ),
        licence=facts.licence,
        homepage=facts.homepage,
        capability=Capability(tasks=(), refers="flux1"),
    )


def _check_encoder(path: Path, header: Header) -> None:
    said = _config(path.parent / ENCODER_CONFIG)
    if not said or not (path.parent / ENCODER_WEIGHTS).is_file():
        raise WeightsRejected(
            f"{path.name} looks at pictures through an encoder, and the folder {ENCODER} beside it "
            "is missing. Get it from where the adapter came from: config.json and "
            "model.safetensors."
        )
    for tensor, width in _WIDTHS:
        if tensor in header.tensors:
            reads, sees = header.tensors[tensor].shape[-1], said.get(width)
            if reads != sees:
                raise WeightsRejected(
                    f"{path.name} reads {reads} numbers of a picture, and the encoder in "
                    f"{ENCODER} gives {sees}: it belongs to another adapter."
                )


def _config(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > _LONGEST:
            return {}
        described = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return described if isinstance(described, dict) else {}


FAMILY = ReferenceFamily()
