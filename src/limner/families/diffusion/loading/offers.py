"""Text encoders and autoencoders in single files, and which of them a model can be read with."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.known.facts import architecture_of
from limner.families.diffusion.loading.modules import AUTOENCODERS
from limner.families.diffusion.loading.numbers import UNREAD
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.folders import INDEX, read_table
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.layouts import (
    AUTOENCODER_PREFIXES,
    ENCODER_PREFIXES,
    precision_of,
    recognise_file,
)
from limner.families.diffusion.recognition.parts import text_encoder
from limner.families.diffusion.recognition.tensors import Header, Part

_BITS = {"F64": 64, "F32": 32, "BF16": 16, "F16": 16}

_EMBEDDINGS = ("token_embedding.weight", "shared.weight", "embed_tokens.weight")
"""How the name of a text encoder's embeddings of words ends."""


@dataclass(frozen=True)
class Offer:
    """A part of a model in a file: what its names begin with there, its tensors, what it is.

    `family` is that whose autoencoder it is, empty for a text encoder.
    """

    path: Path
    prefix: str
    tensors: Part
    precision: str
    autoencodes: bool
    family: str = ""

    @property
    def called(self) -> str:
        """What it is, as a sheet of facts calls it."""
        return "autoencoder" if self.autoencodes else text_encoder(self.tensors)

    @property
    def rank(self) -> tuple[int, str]:
        """What comes first is taken: the widest precision, then the first name."""
        scaled = 1 if self.precision.endswith("scaled") else 0
        return -(_BITS.get(self.precision, 8) + scaled), self.path.name


def offers_of(paths: Iterable[Path]) -> tuple[Offer, ...]:
    """Return the parts that lie alone in files, the best of those of one kind first."""
    found = (offer for path in paths if path.is_file() for offer in _alone(path))
    return tuple(sorted(found, key=lambda one: one.rank))


def offers_within(path: Path, found: Finding) -> tuple[Offer, ...]:
    """Return the parts that lie beside the denoiser in a file of everything."""
    header = read_header(path)
    offers = []
    for prefix in (*ENCODER_PREFIXES, *AUTOENCODER_PREFIXES):
        part = Part(header.tensors).under(prefix)
        autoencodes = prefix in AUTOENCODER_PREFIXES
        if part.tensors and (autoencodes or text_encoder(part)):
            precision = precision_of(Header(header.format, part.tensors))
            family = autoencoder_of(found.family) if autoencodes else ""
            offers.append(Offer(path, prefix, part, precision, autoencodes, family))
    return tuple(offers)


def choose(offers: Iterable[Offer], folder: Path, name: str, family: str) -> Offer | None:
    """Return the first that is the part `name` as a folder describes it; `family` is the model's.

    Text encoders are told by their sizes. Of autoencoders, different ones are of the same size.
    """
    try:
        entry = read_table(folder / INDEX)[name]
        settings = read_table(folder / name / "config.json")
    except WeightsRejected:
        return None
    class_name = str(entry[1]) if isinstance(entry, list) else ""
    if name.startswith("text_encoder"):
        fitting = (one for one in offers if _encodes(one, class_name, settings))
    elif name == "vae":
        wanted = autoencoder_of(family)
        fitting = (one for one in offers if one.family == wanted and _decodes(one, settings))
        if class_name not in AUTOENCODERS:
            return None
    else:
        return None
    return next(fitting, None)


def _alone(path: Path) -> Iterator[Offer]:
    if path.suffix.lower() == ".gguf":
        return
    try:
        found = recognise_file(path)
        header = read_header(path)
    except WeightsRejected:
        return
    if found.kind not in (Kind.TEXT_ENCODER, Kind.AUTOENCODER) or found.precision in UNREAD:
        return
    part = Part(header.tensors)
    if found.kind is Kind.TEXT_ENCODER:
        yield Offer(path, "", part, found.precision, autoencodes=False)
    elif found.family:
        prefix = next((one for one in AUTOENCODER_PREFIXES if part.under(one).tensors), "")
        inner = part.under(prefix) if prefix else part
        family = autoencoder_of(found.family)
        yield Offer(path, prefix, inner, found.precision, autoencodes=True, family=family)


def autoencoder_of(family: str) -> str:
    """Return the family whose autoencoder a family has."""
    return architecture_of(family).autoencoder or family


def _encodes(offer: Offer, class_name: str, settings: Mapping[str, Any]) -> bool:
    if offer.autoencodes:
        return False
    inner = {**settings, **settings.get("text_config", {})}
    width = inner.get("hidden_size", inner.get("d_model"))
    part = offer.tensors
    shapes = {tensor.shape for name, tensor in part.tensors.items() if name.endswith(_EMBEDDINGS)}
    if shapes != {(inner.get("vocab_size"), width)}:
        return False
    if class_name.startswith("CLIP"):
        projected = any(name.endswith("text_projection.weight") for name in part.tensors)
        needed = class_name.endswith("WithProjection") and settings.get("hidden_act") == "gelu"
        return projected or not needed
    return "VL" not in class_name or part.holds(r"(model\.)?visual\.")


def _decodes(offer: Offer, settings: Mapping[str, Any]) -> bool:
    part = offer.tensors
    latents = settings.get("latent_channels", settings.get("z_dim"))
    return latents in (part.inputs("decoder.conv_in"), part.inputs("decoder.conv1"))
