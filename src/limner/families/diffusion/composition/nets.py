"""ControlNets in memory: from their folders, or from one file alone."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.companions.control import CONFIG, NETS, SINGLE, WEIGHTS, class_of
from limner.families.diffusion.composition.alone import read_alone
from limner.families.diffusion.known.facts import ARCHITECTURES
from limner.families.diffusion.loading.pipelines import (
    Device,
    libraries,
    memory_told,
    placed,
    refusals,
)
from limner.families.family import Order

_MOST = 4
"""ControlNets that stay in memory after they were used."""

_UNIONS = frozenset(one.union for one in ARCHITECTURES.values() if one.union)


class Nets:
    """ControlNets in memory, the last used ones, beside the model that they steer."""

    def __init__(self, pipeline: Any, device: Device) -> None:
        self._pipeline = pipeline
        self._device = device
        self._held: OrderedDict[str, Any] = OrderedDict()

    def of(self, order: Order) -> tuple[Any, ...]:
        """Return the ControlNets of an order, in the order of its controls.

        Raises WeightsRejected for one that does not fit its description.
        """
        refs = [one.model for one in order.recipe.controls if one.model is not None]
        nets = tuple(self._net(ref.sha256, order.parts[ref.sha256]) for ref in refs)
        while len(self._held) > max(_MOST, len(refs)):
            self._held.popitem(last=False)
        return nets

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of those in memory."""
        return tuple(self._held)

    @property
    def held(self) -> tuple[Any, ...]:
        """Those in memory."""
        return tuple(self._held.values())

    def close(self) -> None:
        """Let all go."""
        self._held.clear()
        self._pipeline = None

    def _net(self, digest: str, files: Mapping[str, Path]) -> Any:
        if digest not in self._held:
            self._held[digest] = self._loaded(files)
        self._held.move_to_end(digest)
        return self._held[digest]

    def _loaded(self, files: Mapping[str, Path]) -> Any:
        if SINGLE not in files:
            return _from_folder(files, self._device)
        net = read_alone(files[SINGLE], self._pipeline)
        with memory_told():
            return net.to(self._device.name, self._device.torch_dtype).eval()


def is_union(net: Any) -> bool:
    """Whether a ControlNet takes several pictures of several kinds by itself."""
    return type(net).__name__ in _UNIONS


def _from_folder(files: Mapping[str, Path], device: Device) -> Any:
    folder = files[CONFIG].parent
    kind = class_of(folder)
    if kind not in NETS:
        raise WeightsRejected(f"{folder.name} is no ControlNet that Limner knows.")
    half = WEIGHTS not in files
    with refusals(f"{folder.name} could not be loaded", "Get it again."):
        net = getattr(libraries().diffusers, kind).from_pretrained(
            folder,
            torch_dtype=device.torch_dtype,
            use_safetensors=True,
            local_files_only=True,
            variant="fp16" if half else None,
        )
    return placed(net, device).eval()
