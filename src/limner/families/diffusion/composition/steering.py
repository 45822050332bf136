"""ControlNets beside a model: loaded, and given to the pipelines that take them."""

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.domain.composition import Control, ControlKind
from limner.domain.errors import WeightsRejected
from limner.families.diffusion.calls.arguments import takes, to_image
from limner.families.diffusion.companions.control import CONFIG, NETS, SINGLE, WEIGHTS, class_of
from limner.families.diffusion.composition.maps import lines_of
from limner.families.diffusion.composition.seeing import Eyes
from limner.families.diffusion.known.stable_parts import PARTS
from limner.families.diffusion.loading.pipelines import Device, bytes_in, libraries, quiet
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.family import Order, Pixels

_MOST = 4
"""ControlNets that stay in memory after they were used."""

_UNION = {
    ControlKind.CANNY: 0,
    ControlKind.TILE: 1,
    ControlKind.DEPTH: 2,
    ControlKind.BLUR: 3,
    ControlKind.POSE: 4,
    ControlKind.GREY: 5,
}
"""The number of each kind for ControlNets of FLUX.1 that were taught several."""


class Nets:
    """ControlNets in memory, the last used ones."""

    def __init__(self, device: Device) -> None:
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
    def bytes(self) -> int:
        """The bytes that their weights take."""
        return bytes_in(self._held.values())

    def close(self) -> None:
        """Let all go."""
        self._held.clear()

    def _net(self, digest: str, files: Mapping[str, Path]) -> Any:
        if digest not in self._held:
            self._held[digest] = _loaded(files, self._device)
        self._held.move_to_end(digest)
        return self._held[digest]


def _loaded(files: Mapping[str, Path], device: Device) -> Any:
    if SINGLE in files:
        return _loaded_alone(files[SINGLE], device)
    used = libraries()
    folder = files[CONFIG].parent
    kind = class_of(folder)
    if kind not in NETS:
        raise WeightsRejected(f"{folder.name} is no ControlNet that Limner knows.")
    half = files[WEIGHTS].name != WEIGHTS
    try:
        with quiet():
            net = getattr(used.diffusers, kind).from_pretrained(
                folder,
                torch_dtype=device.torch_dtype,
                use_safetensors=True,
                local_files_only=True,
                variant="fp16" if half else None,
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        said = str(error).strip().split("\n")[0][:200]
        raise WeightsRejected(
            f"{folder.name} could not be loaded: {said}. Get it again."
        ) from error
    return net.to(device.name).eval()


def _loaded_alone(path: Path, device: Device) -> Any:
    """Load a ControlNet of Stable Diffusion from one file, under any of its names."""
    used = libraries()
    utilities = import_module("diffusers.loaders.single_file_utils")
    reading = import_module("safetensors.torch")
    unet = PARTS[recognise_file(path).family]["unet"]
    kind = used.diffusers.ControlNetModel
    known = inspect.signature(kind.__init__).parameters
    settings = {name: value for name, value in unet.items() if name in known}
    try:
        with quiet():
            net = kind(**settings)
            tensors = utilities.convert_controlnet_checkpoint(
                reading.load_file(path), config={**net.config}
            )
            net.load_state_dict(tensors)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        said = str(error).strip().split("\n")[-1].strip()[:200]
        raise WeightsRejected(
            f"{path.name} does not fit a ControlNet of its family: {said} Get the same ControlNet "
            "as a diffusers folder."
        ) from error
    return net.to(device.name, device.torch_dtype).eval()


@dataclass(frozen=True)
class Steering:
    """How the controls of an order reach a pipeline."""

    controls: Sequence[Control]
    maps: Sequence[Pixels]
    nets: Sequence[Any]

    def arguments(self, pipeline: Any) -> dict[str, Any]:
        """Return the arguments of a pipeline's call: maps, weights, and from when to when."""
        if not self.controls:
            return {}
        taken = takes(pipeline)
        name = "control_image" if "control_image" in taken else "image"
        given: dict[str, list[Any]] = {
            name: [to_image(one) for one in self.maps],
            "controlnet_conditioning_scale": [one.weight for one in self.controls],
            "control_guidance_start": [one.start for one in self.controls],
            "control_guidance_end": [one.end for one in self.controls],
        }
        if "control_mode" in taken and all(_is_union(net) for net in self.nets):
            given["control_mode"] = [_UNION.get(one.kind, 0) for one in self.controls]
        known = {key: value for key, value in given.items() if key in taken}
        if len(self.controls) > 1:
            return known
        return {key: value[0] for key, value in known.items()}


def steering_of(order: Order, nets: Nets, eyes: Eyes) -> Steering:
    """Return the steering of an order: its pictures as maps, and its ControlNets."""
    maps = []
    for control, picture in zip(order.recipe.controls, order.controls, strict=True):
        if control.prepared:
            maps.append(picture)
        elif control.preparer is not None:
            maps.append(eyes.see(control, picture, order.parts[control.preparer.sha256]))
        else:
            maps.append(lines_of(control.kind, picture))
    return Steering(order.recipe.controls, maps, nets.of(order))


def _is_union(net: Any) -> bool:
    return bool(getattr(net.config, "num_mode", None))
