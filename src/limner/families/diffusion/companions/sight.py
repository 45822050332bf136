"""Networks that see structure, recognised so that a Recipe can name the one its map came from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from limner.domain.capability import Capability
from limner.domain.card import Installed, ModelCard
from limner.domain.composition import ControlKind
from limner.domain.errors import InvalidRequest, WeightsRejected
from limner.families.checkpoint import local_file, own_name
from limner.families.diffusion.recognition.licences import stated
from limner.families.family import Hash, LoadedModel, Placement

CONFIG, WEIGHTS, SIGHT = "config.json", "model.safetensors", "preprocessor_config.json"
FINDER = "detector"
"""The folder inside a network for poses in which one that finds people may lie."""


@dataclass(frozen=True)
class _Kind:
    """What a kind of network sees, and the short side and patch, in pixels, of its pictures.

    `square` tells that every picture is shown as a square, whatever its shape.
    """

    control: ControlKind
    summary: str
    side: int
    patch: int
    square: bool = False


_DEPTH = "Sees how far away things in a picture are."
_POSE = "Sees the poses of people in a picture."
_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "depth_anything": _Kind(ControlKind.DEPTH, _DEPTH, 518, 14),
        "dpt": _Kind(ControlKind.DEPTH, _DEPTH, 384, 32, square=True),
        "vitpose": _Kind(ControlKind.POSE, _POSE, 192, 16),
    }
)
"""Depth Anything and DPT (MiDaS) answer with disparity, ViTPose (arXiv 2204.12484) with heat."""

FINDERS = ("rt_detr", "rt_detr_v2", "d_fine")
"""Networks that find people, all shown pictures alike (arXiv 2304.08069)."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LONGEST = 1_000_000


@dataclass(frozen=True)
class Sight:
    """How pictures are shown to a network: short side and patch in pixels, colours normed."""

    side: int
    patch: int
    square: bool
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class SightFamily:
    """Knows networks of transformers that see depths or poses by their descriptions."""

    name = "sight"

    def cards(self) -> tuple[ModelCard, ...]:
        """None: these networks are the user's own."""
        return ()

    def recognise(self, path: Path, sha256_of: Hash, /) -> ModelCard | None:
        """Return the card of a folder that holds such a network, or None.

        Raises WeightsRejected for one without safetensors.
        """
        said = str(_read(path / CONFIG).get("model_type"))
        kind = _KINDS.get(said)
        if kind is None:
            return None
        names = [CONFIG, WEIGHTS, SIGHT]
        if kind.control is ControlKind.POSE and (path / FINDER).is_dir():
            _check_finder(path / FINDER)
            names += [f"{FINDER}/{CONFIG}", f"{FINDER}/{WEIGHTS}"]
        for one in (WEIGHTS, f"{FINDER}/{WEIGHTS}"):
            if (one == WEIGHTS or one in names) and not (path / one).is_file():
                raise WeightsRejected(
                    f"{path.name} has no {one}. Get the model as safetensors; pickled files are "
                    "not opened."
                )
        name = own_name(path)
        files = (
            local_file(path / one, sha256_of).model_copy(update={"name": one})
            for one in names
            if (path / one).is_file()
        )
        return ModelCard(
            name=name,
            title=name,
            summary=kind.summary,
            family=self.name,
            variant=said,
            files=tuple(files),
            licence=stated(path),
            homepage="",
            capability=Capability(tasks=(), prepares=(kind.control,)),
        )

    def load(self, installed: Installed, _placement: Placement) -> LoadedModel:
        """Raise InvalidRequest: it sees for ControlNets, and draws nothing."""
        [kind] = installed.card.capability.prepares
        raise InvalidRequest(
            f"{installed.card.name} sees {kind}s and draws nothing. It is used by itself for "
            f"--control {kind}=FILE."
        )


def _check_finder(folder: Path) -> None:
    kind = _read(folder / CONFIG).get("model_type")
    if kind not in FINDERS:
        raise WeightsRejected(
            f"{folder.parent.name}/{FINDER} is no network that finds people for it. Put an RT-DETR "
            "or D-FINE there, or take the folder away: then a picture counts as one person."
        )


def sight_of(files: Mapping[str, Path]) -> Sight:
    """Return how a network is shown pictures, by what its folder says."""
    kind = _KINDS[str(_read(files[CONFIG]).get("model_type"))]
    said = _read(files[SIGHT]) if SIGHT in files else {}
    mean, deviation = (
        _colours(said.get(key), usual)
        for key, usual in zip(("image_mean", "image_std"), _IMAGENET, strict=True)
    )
    return Sight(kind.side, kind.patch, kind.square, mean, deviation)


def _colours(said: object, usual: tuple[float, ...]) -> tuple[float, ...]:
    colours = said if isinstance(said, list) else []
    numbers = [float(one) for one in colours if isinstance(one, int | float) and 0 < one <= 1]
    return tuple(numbers) if len(colours) == len(numbers) == len(usual) else usual


def _read(path: Path) -> dict[str, object]:
    try:
        if not path.is_file() or path.stat().st_size > _LONGEST:
            return {}
        described = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return described if isinstance(described, dict) else {}


FAMILY = SightFamily()
