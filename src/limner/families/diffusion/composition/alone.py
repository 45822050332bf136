"""ControlNets in memory from one file alone: its tensors tell how it is made."""

import inspect
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from limner.families.diffusion.known.facts import architecture_of
from limner.families.diffusion.known.stable_parts import PARTS
from limner.families.diffusion.loading.pipelines import libraries, refusals
from limner.families.diffusion.recognition.layouts import recognise_file

_Tensors: TypeAlias = Mapping[str, Any]
_PREFIX = "control_model."


def read_alone(path: Path, pipeline: Any) -> Any:
    """Return the ControlNet of a file, for the model of a pipeline.

    Raises WeightsRejected for one that does not fit its family, or that model.
    """
    family = recognise_file(path).family
    if family == "z-image":
        return _of_z_image(path, pipeline.transformer)
    if family in _SHAPES:
        return _of_transformer(path, family, pipeline.transformer)
    return _of_unet(path, family)


def _of_unet(path: Path, family: str) -> Any:
    """Load a ControlNet of Stable Diffusion, under any of its names."""
    diffusers = libraries().diffusers
    utilities = import_module("diffusers.loaders.single_file_utils")
    unet = PARTS[family]["unet"]
    with refusals(
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


def _of_transformer(path: Path, family: str, transformer: Any) -> Any:
    """Load a ControlNet whose blocks are those of the denoiser that it steers.

    How wide its heads are and how places turn them, no tensor tells: as in the denoiser.
    """
    shared = architecture_of(family)
    with refusals(
        f"{path.name} does not fit a ControlNet of {shared.title}",
        "Get the same ControlNet as a diffusers folder.",
    ):
        tensors = {name.removeprefix(_PREFIX): one for name, one in _read(path).items()}
        head = transformer.config.attention_head_dim
        settings = {
            **_SHAPES[family](tensors),
            "num_layers": _count(tensors, "transformer_blocks."),
            "attention_head_dim": head,
            "num_attention_heads": len(tensors["controlnet_x_embedder.weight"]) // head,
            "axes_dims_rope": transformer.config.axes_dims_rope,
        }
        with import_module("accelerate").init_empty_weights():
            net = getattr(libraries().diffusers, shared.controlnet)(**settings)
        net.load_state_dict(tensors, assign=True)
    return net


def _flux_shape(tensors: _Tensors) -> dict[str, Any]:
    """Return what a ControlNet of FLUX.1 was made with; XLabs' reads its pictures by a net."""
    modes = tensors.get("controlnet_mode_embedder.weight")
    channels = _width(tensors, "x_embedder")
    hint = tensors.get("input_hint_block.conv_out.weight")
    return {
        "in_channels": channels,
        "num_single_layers": _count(tensors, "single_transformer_blocks."),
        "joint_attention_dim": _width(tensors, "context_embedder"),
        "pooled_projection_dim": _width(tensors, "time_text_embed.text_embedder.linear_1"),
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in tensors,
        "num_mode": None if modes is None else len(modes),
        "conditioning_embedding_channels": None if hint is None else len(hint),
        "patch_size": 1 if hint is None else math.isqrt(channels // len(hint)),
    }


def _qwen_shape(tensors: _Tensors) -> dict[str, Any]:
    """Return what a ControlNet of Qwen-Image was made with."""
    return {
        "in_channels": _width(tensors, "img_in"),
        "joint_attention_dim": _width(tensors, "txt_in"),
    }


_SHAPES: Mapping[str, Callable[[_Tensors], dict[str, Any]]] = MappingProxyType(
    {"flux1": _flux_shape, "qwen-image": _qwen_shape}
)


def _count(tensors: _Tensors, prefix: str) -> int:
    return len({name.split(".")[1] for name in tensors if name.startswith(prefix)})


def _width(tensors: _Tensors, layer: str) -> int:
    """Return how many numbers a layer reads."""
    return int(tensors[f"{layer}.weight"].shape[1])


def _of_z_image(path: Path, transformer: Any) -> Any:
    """Load a ControlNet of Z-Image, which shares parts of the denoiser that it steers.

    How it is made is told by its tensors: its layers lie evenly among the denoiser's. Where what
    joins its refiners is zero, they were never trained and its layers refine, too (version 2.0).
    """
    tensors = {name.removeprefix(_PREFIX): one for name, one in _read(path).items()}
    joins = tensors.get("control_noise_refiner.0.after_proj.weight")
    refined = None if joins is None else "control_noise_refiner"
    if joins is not None and not joins.any():
        refined = "control_layers"
        tensors = {
            name: one
            for name, one in tensors.items()
            if not name.startswith("control_noise_refiner.")
        }
    with refusals(f"{path.name} does not fit a ControlNet of Z-Image", "Get it again."):
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
