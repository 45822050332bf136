"""ControlNets, recognised so that a Recipe can name them; the model they steer loads them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from limner.domain.capability import Capability
from limner.domain.card import Installed, ModelCard, WeightFile
from limner.domain.composition import ControlKind
from limner.domain.errors import InvalidRequest, WeightsRejected
from limner.families.checkpoint import local_file, own_name
from limner.families.diffusion.known.facts import ARCHITECTURES, title_of
from limner.families.diffusion.recognition.finding import Finding, Kind, Words
from limner.families.diffusion.recognition.headers import PICKLES, read_header
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.diffusion.recognition.licences import stated
from limner.families.diffusion.recognition.tensors import Header, Part
from limner.families.family import Hash, LoadedModel, Placement

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
SINGLE = "controlnet.safetensors"
"""What one file alone is called in its card: it stays the same when it is renamed."""

NETS = frozenset(
    name for one in ARCHITECTURES.values() for name in (one.controlnet, one.union) if name
)
"""Classes of diffusers that are loaded."""

_OF_UNETS = frozenset({"ControlNetModel", "ControlNetUnionModel"})
"""Those of several families, told apart by their widths."""

_PREFIX = "control_model."
_ALONE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "ControlNetModel": frozenset(
            {"input_hint_block.0.weight", "controlnet_cond_embedding.conv_in.weight"}
        ),
        "FluxControlNetModel": frozenset({"controlnet_x_embedder.weight"}),
        "QwenImageControlNetModel": frozenset({"controlnet_x_embedder.weight"}),
        "ZImageControlNetModel": frozenset({"control_layers.0.after_proj.weight"}),
    }
)
"""Those that are read from one file alone, too, and a name that only a whole one has.

Their parts are described by us, told by their tensors, or shared with the denoiser. SD 3 is not
among them: whether it is told the whole prompt, only its description says.
"""

_ENDINGS = frozenset({".safetensors", ".sft", ".gguf"})
_ADAPTER = "T2IAdapter"
"""The class of diffusers that is known, so that it can be refused in words."""

_PICTURE = (("controlnet_x_embedder", 64), ("pos_embed_input.proj", 16))
"""What reads the picture in ControlNets, and how wide one is; those that fill holes read more."""

_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "t2i-adapter": "Limner draws with no T2I-Adapters. Get a ControlNet of the same kind.",
        "control-lora": "Limner draws with no Control-LoRAs. Get the whole ControlNet of the same "
        "kind.",
    }
)

_SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ControlKind.CANNY: ("canny",),
        ControlKind.LINEART: ("lineart", "lineart-anime", "anime-lineart"),
        ControlKind.SOFT_EDGE: ("softedge", "soft-edge", "hed", "pidi"),
        ControlKind.SCRIBBLE: ("scribble", "sketch"),
        ControlKind.DEPTH: ("depth", "zoe"),
        ControlKind.POSE: ("openpose", "pose", "dwpose"),
        ControlKind.TILE: ("tile",),
        ControlKind.BLUR: ("blur",),
        ControlKind.GREY: ("gray", "grey", "recolor", "recolour"),
    }
)

_LONGEST = 1_000_000


class ControlFamily:
    """Knows ControlNets for any family by their headers."""

    name = "control"

    def cards(self) -> tuple[ModelCard, ...]:
        """None: ControlNets are the user's own."""
        return ()

    def recognise(self, path: Path, sha256_of: Hash, /) -> ModelCard | None:
        """Return the card of a ControlNet's folder or file, or None for what is no control.

        What it was taught is told by its name; one whose name says nothing may be shown any map.
        Raises WeightsRejected for one that is pickled or not whole, and for a control of another
        kind, saying what it is and why it cannot be used.
        """
        if path.is_file():
            return self._alone(path, sha256_of)
        kind = class_of(path)
        if kind == _ADAPTER:
            raise WeightsRejected(f"{path.name} is a T2I-Adapter. {_OTHERS['t2i-adapter']}")
        if kind not in NETS:
            return None
        weights = _weights_in(path)
        found = recognise_file(weights)
        family = found.family if kind in _OF_UNETS else _steered(kind)
        if found.kind is Kind.CONTROL and not family:
            raise WeightsRejected(f"{path.name} steers models of a kind that Limner does not know.")
        if found.kind is not Kind.CONTROL:
            raise WeightsRejected(
                f"{path.name} looks like a ControlNet and is none: it is damaged."
            )
        if _fills(Part(read_header(weights).tensors)):
            raise _refused(path, found, _FILLS)
        files = tuple(local_file(one, sha256_of) for one in (path / CONFIG, weights))
        return self._card(path, replace(found, family=family), files)

    def _alone(self, path: Path, sha256_of: Hash) -> ModelCard | None:
        if path.suffix.lower() not in _ENDINGS:
            return None
        found = recognise_file(path)
        if found.kind is not Kind.CONTROL:
            return None
        if class_of(path.parent) in NETS:
            why = f"Its description lies beside it: give the folder, {path.parent}."
            raise _refused(path, found, why)
        why = _why_not(found, read_header(path))
        if why:
            raise _refused(path, found, why)
        file = local_file(path, sha256_of).model_copy(update={"name": SINGLE})
        return self._card(path, found, (file,))

    def _card(self, path: Path, found: Finding, files: tuple[WeightFile, ...]) -> ModelCard:
        name = own_name(path)
        return ModelCard(
            name=name,
            title=name,
            summary=found.reason,
            family=self.name,
            variant=found.family,
            files=files,
            licence=stated(path),
            homepage="",
            capability=Capability(tasks=(), steers=found.family, controls=_taught(path)),
        )

    def load(self, installed: Installed, _placement: Placement) -> LoadedModel:
        """Raise InvalidRequest: a ControlNet draws only together with a model."""
        family = title_of(installed.card.capability.steers)
        raise InvalidRequest(
            f"{installed.card.name} is a ControlNet: it steers a model of {family}. Give both: "
            "--model MODEL --control KIND=FILE."
        )


_FILLS = (
    "It fills holes from the picture around them and follows no control. Use `limner inpaint` with "
    "the model alone."
)


def _why_not(found: Finding, header: Header) -> str:
    """Return why a control in one file cannot be used, and what to do; empty if it can."""
    steering = ARCHITECTURES[found.family].controlnet if found.family else ""
    net = Part({name.removeprefix(_PREFIX): one for name, one in header.tensors.items()})
    if found.variant in _OTHERS:
        return _OTHERS[found.variant]
    if not steering:
        return "Limner steers no models of this kind. Choose a ControlNet for another model."
    if _fills(net):
        return _FILLS
    if header.format == "gguf":
        return "Limner reads ControlNets as safetensors. Get that file."
    if steering not in _ALONE:
        return "One file does not say all of how it was made. Get its diffusers folder."
    if not _ALONE[steering] & net.tensors.keys():
        return "Its tensors are not named as diffusers names them. Get it in diffusers' format."
    return ""


def _fills(net: Part) -> bool:
    """Whether a ControlNet reads a mask beside its picture, and nothing else."""
    return any(net.inputs(layer) > width for layer, width in _PICTURE)


def _refused(path: Path, found: Finding, why: str) -> WeightsRejected:
    return WeightsRejected(f"{path.name} is {found.reason[:1].lower()}{found.reason[1:]} {why}")


def _steered(kind: str) -> str:
    """Return the family that ControlNets of a class of its own steer."""
    return next(one.family for one in ARCHITECTURES.values() if one.controlnet == kind)


def class_of(path: Path) -> str:
    """Return the class that the config of a part names; empty where there is none."""
    config = path / CONFIG
    try:
        if not config.is_file() or config.stat().st_size > _LONGEST:
            return ""
        described = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    return str(described.get("_class_name", "")) if isinstance(described, dict) else ""


def _weights_in(folder: Path) -> Path:
    """Return the weights of a part: in plain precision, else in half."""
    whole, half = folder / WEIGHTS, folder / WEIGHTS.replace(".safe", ".fp16.safe")
    for path in (whole, half):
        if path.is_file():
            return path
    pickled = [one.name for one in sorted(folder.iterdir()) if one.suffix in PICKLES]
    if pickled:
        raise WeightsRejected(
            f"{pickled[0]} in {folder.name} is pickled: opening it could run any program. Get the "
            "ControlNet as safetensors."
        )
    raise WeightsRejected(f"{folder.name} has no {WEIGHTS}. Get the ControlNet again.")


def _taught(path: Path) -> tuple[ControlKind, ...]:
    words = Words(own_name(path), own_name(path.absolute().parent))
    said = tuple(ControlKind(kind) for kind, names in _SPELLINGS.items() if words.say(*names))
    return said or tuple(ControlKind)


FAMILY = ControlFamily()
