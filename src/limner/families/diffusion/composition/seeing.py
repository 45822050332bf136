"""Models that see structure in pictures: depths and poses, by networks of transformers.

Depth Anything and DPT (MiDaS) answer with disparity: what is near is large, as ControlNets for
depth expect it. How poses are seen and drawn: `poses`.
"""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from limner.domain.composition import Control, ControlKind
from limner.domain.recipe import Size
from limner.families import raster
from limner.families.diffusion.companions.sight import CONFIG, FINDER, Sight, sight_of
from limner.families.diffusion.composition.poses import PoseNetworks, people_of
from limner.families.diffusion.loading.pipelines import (
    Device,
    bytes_in,
    libraries,
    memory_told,
    placed,
    refusals,
)
from limner.families.family import Pixels

_MOST = 2


class Eyes:
    """Networks that see, the last used ones in memory."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._held: OrderedDict[str, Any] = OrderedDict()

    def see(self, control: Control, picture: Pixels, files: Mapping[str, Path]) -> Pixels:
        """Return the map of a kind that takes a model to see: opaque, at the picture's size.

        Raises WeightsRejected for a network that does not fit its description, InvalidImage where
        a pose is asked of a picture with nobody in it.
        """
        digest = control.preparer.sha256 if control.preparer else ""
        if digest not in self._held:
            self._held[digest] = _loaded(control.kind, files, self._device)
        self._held.move_to_end(digest)
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        network, sight = self._held[digest], sight_of(files)
        if control.kind is ControlKind.POSE:
            return people_of(network, sight, picture, self._device)
        return _depths(network, sight, picture, self._device)

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of those in memory."""
        return tuple(self._held)

    @property
    def bytes(self) -> int:
        """The bytes that their weights take."""
        held = [
            (one.points, one.finder) if isinstance(one, PoseNetworks) else (one,)
            for one in self._held.values()
        ]
        return bytes_in(each for group in held for each in group if each is not None)

    def close(self) -> None:
        """Let all go."""
        self._held.clear()


def _loaded(kind: ControlKind, files: Mapping[str, Path], device: Device) -> Any:
    folder = files[CONFIG].parent
    made = libraries().transformers
    if kind is ControlKind.DEPTH:
        return _network(made.AutoModelForDepthEstimation, folder, device)
    finder = None
    if f"{FINDER}/{CONFIG}" in files:
        finder = _network(made.AutoModelForObjectDetection, folder / FINDER, device)
    return PoseNetworks(_network(made.VitPoseForPoseEstimation, folder, device), finder)


def _network(kind: Any, folder: Path, device: Device) -> Any:
    with refusals(f"{folder.name} could not be loaded", "Get it again."):
        network = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=device.torch_dtype
        )
    return placed(network, device).eval()


def _depths(network: Any, sight: Sight, picture: Pixels, device: Device) -> Pixels:
    torch = libraries().torch
    whole = raster.size_of(picture)
    seen = raster.resize(raster.over(picture), _seen(whole, sight))
    mean, deviation = (np.array(one, np.float32) for one in (sight.mean, sight.deviation))
    unit = (raster.to_unit(seen[..., :3]) - mean) / deviation
    batch = torch.from_numpy(unit.transpose(2, 0, 1)[None].copy())
    with memory_told(), torch.no_grad():
        near = network(batch.to(device.name, device.torch_dtype)).predicted_depth[0]
        near = torch.nn.functional.interpolate(
            near.float()[None, None],
            size=(whole.height, whole.width),
            mode="bicubic",
            align_corners=False,
        )[0, 0].cpu()
    low, high = float(near.min()), float(near.max())
    grey = ((near - low) / max(high - low, 1e-6) * 255).round().clamp(0, 255).byte().numpy()
    made = np.full_like(picture, 255)
    made[..., :3] = grey[..., None]
    return made


def _seen(whole: Size, sight: Sight) -> Size:
    """Return the size a network sees a picture at: its short side as learnt, in whole patches."""
    if sight.square:
        return Size(width=sight.side, height=sight.side)
    scale = sight.side / min(whole.width, whole.height)
    width, height = (
        max(1, round(side * scale / sight.patch)) * sight.patch
        for side in (whole.width, whole.height)
    )
    return Size(width=width, height=height)
