"""Networks that see depths, recognised so that a Recipe can name the one its map came from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from limner.domain.capability import Capability
from limner.domain.card import Installed, Licence, ModelCard
from limner.domain.composition import ControlKind
from limner.domain.errors import InvalidRequest, WeightsRejected
from limner.families.checkpoint import local_file, own_name
from limner.families.family import Hash, LoadedModel, Placement

CONFIG, WEIGHTS, SIGHT = "config.json", "model.safetensors", "preprocessor_config.json"

_KINDS: Mapping[str, int] = MappingProxyType({"depth_anything": 518, "dpt": 384})
"""Networks that answer with disparity → the short side of the pictures they learnt from."""

_PATCHES: Mapping[str, int] = MappingProxyType({"depth_anything": 14, "dpt": 32})

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LONGEST = 1_000_000


@dataclass(frozen=True)
class Sight:
    """How pictures are shown to a network: short side and patch in pixels, colours normed."""

    side: int
    patch: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class DepthFamily:
    """Knows networks of transformers that see depths by their descriptions."""

    name = "depth"

    def cards(self) -> tuple[ModelCard, ...]:
        """None: these networks are the user's own."""
        return ()

    def recognise(self, path: Path, sha256_of: Hash, /) -> ModelCard | None:
        """Return the card of a folder that holds such a network, or None.

        Raises WeightsRejected for one without safetensors.
        """
        kind = _read(path / CONFIG).get("model_type")
        if kind not in _KINDS:
            return None
        if not (path / WEIGHTS).is_file():
            raise WeightsRejected(
                f"{path.name} has no {WEIGHTS}. Get the model as safetensors; pickled files are "
                "not opened."
            )
        name = own_name(path)
        present = [one for one in (CONFIG, WEIGHTS, SIGHT) if (path / one).is_file()]
        return ModelCard(
            name=name,
            title=name,
            summary="Sees how far away things in a picture are.",
            family=self.name,
            variant=str(kind),
            files=tuple(local_file(path / one, sha256_of) for one in present),
            licence=Licence(spdx="NOASSERTION", commercial=False, attribution="", url=""),
            homepage="",
            capability=Capability(tasks=(), prepares=(ControlKind.DEPTH,)),
        )

    def load(self, installed: Installed, _placement: Placement) -> LoadedModel:
        """Raise InvalidRequest: it sees for ControlNets, and draws nothing."""
        raise InvalidRequest(
            f"{installed.card.name} sees depths and draws nothing. It is used by itself for "
            "--control depth=FILE."
        )


def sight_of(files: Mapping[str, Path]) -> Sight:
    """Return how a network is shown pictures, by what its folder says."""
    kind = str(_read(files[CONFIG]).get("model_type"))
    said = _read(files[SIGHT]) if SIGHT in files else {}
    mean, deviation = (
        _colours(said.get(key), usual)
        for key, usual in zip(("image_mean", "image_std"), _IMAGENET, strict=True)
    )
    return Sight(_KINDS.get(kind, 384), _PATCHES.get(kind, 32), mean, deviation)


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


FAMILY = DepthFamily()
