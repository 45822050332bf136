"""ControlNets in memory: from their folders, or from one file alone."""

import inspect
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.companions.control import CONFIG, NETS, SINGLE, WEIGHTS, class_of
from limner.families.diffusion.known.facts import ARCHITECTURES
from limner.families.diffusion.known.stable_parts import PARTS
from limner.families.diffusion.loading.pipelines import Device, libraries, quiet
from limner.families.diffusion.recognition.layouts import recognise_file
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
        path = files[SINGLE]
        if recognise_file(path).family == "z-image":
            net = _of_z_image(path, self._pipeline.transformer)
        else:
            net = _of_unet(path)
        return net.to(self._device.name, self._device.torch_dtype).eval()


def is_union(net: Any) -> bool:
    """Whether a ControlNet takes several pictures of several kinds by itself."""
    return type(net).__name__ in _UNIONS


def _from_folder(files: Mapping[str, Path], device: Device) -> Any:
    folder = files[CONFIG].parent
    kind = class_of(folder)
    if kind not in NETS:
        raise WeightsRejected(f"{folder.name} is no ControlNet that Limner knows.")
    half = files[WEIGHTS].name != WEIGHTS
    with _refusing(f"{folder.name} could not be loaded", "Get it again."):
        net = getattr(libraries().diffusers, kind).from_pretrained(
            folder,
            torch_dtype=device.torch_dtype,
            use_safetensors=True,
            local_files_only=True,
            variant="fp16" if half else None,
        )
    return net.to(device.name).eval()


def _of_unet(path: Path) -> Any:
    """Load a ControlNet of Stable Diffusion from one file, under any of its names."""
    diffusers = libraries().diffusers
    utilities = import_module("diffusers.loaders.single_file_utils")
    unet = PARTS[recognise_file(path).family]["unet"]
    with _refusing(
        f"{path.name} does not fit a ControlNet of its family",
        "Get the same ControlNet as a diffusers folder.",
    ):
        tensors = _read(path)
        kinds = tensors.get("task_embedding")
        kind = diffusers.ControlNetModel if kinds is None else diffusers.ControlNetUnionModel
        known = inspect.signature(kind.__init__).parameters
        settings = {name: value for name, value in unet.items() if name in known}
        if kinds is None:
            net = kind(**settings)
            tensors = utilities.convert_controlnet_checkpoint(tensors, config={**net.config})
        else:
            net = kind(**settings, num_control_type=len(kinds))
        net.load_state_dict(tensors)
    return net


def _of_z_image(path: Path, transformer: Any) -> Any:
    """Load a ControlNet of Z-Image, which shares parts of the denoiser that it steers.

    How it is made is told by its tensors: its layers lie evenly among the denoiser's. Where what
    joins its refiners is zero, they were never trained and its layers refine, too (version 2.0).
    """
    tensors = {name.removeprefix("control_model."): one for name, one in _read(path).items()}
    joins = tensors.get("control_noise_refiner.0.after_proj.weight")
    refined = None if joins is None else "control_noise_refiner"
    if joins is not None and not joins.any():
        refined = "control_layers"
        tensors = {
            name: one
            for name, one in tensors.items()
            if not name.startswith("control_noise_refiner.")
        }
    with _refusing(f"{path.name} does not fit a ControlNet of Z-Image", "Get it again."):
        config = transformer.config
        layers = 1 + max(
            int(name.split(".")[1]) for name in tensors if name.startswith("control_layers.")
        )
        patch = config.all_patch_size[0] ** 2 * config.all_f_patch_size[0]
        name = f"control_all_x_embedder.{config.all_patch_size[0]}-{config.all_f_patch_size[0]}"
        net = libraries().diffusers.ZImageControlNetModel(
            control_layers_places=list(range(0, config.n_layers, config.n_layers // layers))[
                :layers
            ],
            control_refiner_layers_places=list(range(config.n_refiner_layers)),
            control_in_dim=tensors[f"{name}.weight"].shape[1] // patch,
            add_control_noise_refiner=refined,
            **{
                one: config[one]
                for one in (
                    "all_patch_size",
                    "all_f_patch_size",
                    "dim",
                    "n_refiner_layers",
                    "n_heads",
                    "n_kv_heads",
                    "norm_eps",
                    "qk_norm",
                )
            },
        )
        net.load_state_dict(tensors)
    return net


def _read(path: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = import_module("safetensors.torch").load_file(path)
    return tensors


@contextmanager
def _refusing(what: str, remedy: str) -> Iterator[None]:
    """Turn what the libraries raise for bad weights into WeightsRejected, saying what and why."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ZeroDivisionError) as error:
        said = str(error).strip().split("\n")[-1].strip()[:200]
        raise WeightsRejected(f"{what}: {said} {remedy}") from error
