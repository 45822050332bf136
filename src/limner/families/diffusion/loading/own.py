"""What a denoiser of one variant needs that is not as the folder of another describes it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from limner.families.diffusion.known.facts import facts_of
from limner.families.diffusion.known.stable_parts import noise_of
from limner.families.diffusion.loading.pipelines import libraries
from limner.families.diffusion.loading.single import Single
from limner.families.diffusion.recognition.finding import Finding
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.tensors import Part

Settings: TypeAlias = Mapping[str, object]

_STEADY = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}

_FLUX_1: Mapping[bool, Settings] = {
    True: {
        **_STEADY,
        "base_image_seq_len": 256,
        "base_shift": 0.5,
        "max_image_seq_len": 4096,
        "max_shift": 1.15,
        "shift": 3.0,
        "use_dynamic_shifting": True,
    },
    False: {**_STEADY, "shift": 1.0, "use_dynamic_shifting": False},
}
"""How the noise of FLUX.1 falls, by whether it was distilled no further than [dev]."""

_Z_IMAGE = {"base": 6.0, "turbo": 3.0}
"""The shift of the noise of Z-Image, by variant, as published."""


def as_its_own(single: Single, name: str, found: Finding, folder: Path) -> Single:
    """Return a denoiser, called `name`, with its own settings instead of those of the folder.

    The folder is that of another variant of the family, which has the same other parts.
    """
    header = read_header(single.path)
    part = Part(header.tensors).under(found.prefix) if found.prefix else Part(header.tensors)
    described = json.loads((folder / name / "config.json").read_bytes())
    settings = _SETTINGS[found.family](part, found, described)
    schedule = _schedule(part, found, "ztsnr" in header.tensors)
    beside = {}
    if schedule is not None:
        kind = getattr(libraries().diffusers, str(schedule["_class_name"]))
        beside["scheduler"] = kind.from_config(dict(schedule))
    return replace(single, settings={name: settings}, beside=beside)


def _schedule(part: Part, found: Finding, zero_snr: bool) -> Settings | None:
    """Return how the noise of a variant falls; None where it does as that of the others."""
    if found.family == "flux1":
        return _FLUX_1[_guided(part) or found.variant == "de-distilled"]
    if found.family == "z-image" and found.variant in _Z_IMAGE:
        return {**_STEADY, "shift": _Z_IMAGE[found.variant], "use_dynamic_shifting": False}
    if found.family in ("sd1", "sd2", "sdxl"):
        predicted = found.prediction or facts_of(found.family, found.variant).prediction
        return noise_of(found.family, found.variant, predicted, zero_snr)
    return None


def _guided(part: Part) -> bool:
    return part.holds(r"guidance_in\.|time_text_embed\.guidance_embedder\.")


def _flux1(part: Part, _: Finding, __: Settings) -> dict[str, Any]:
    inputs = part.inputs("img_in") or part.inputs("x_embedder")
    return {"guidance_embeds": _guided(part), "in_channels": inputs, "out_channels": 64}


def _sd3(part: Part, _: Finding, described: Settings) -> dict[str, Any]:
    """Return how large it is: the variants are of different heights and widths."""
    blocks = "joint_blocks" if part.has("joint_blocks.0.x_block.attn.qkv.weight") else ""
    name = blocks or "transformer_blocks"
    layers = part.count(name)
    second = "x_block.attn2." if blocks else "attn2."
    width = part.rows("x_embedder.proj.weight") or part.rows("pos_embed.proj.weight")
    places = part.tensors.get("pos_embed") or part.tensors["pos_embed.pos_embed"]
    normed = part.holds(rf"{name}\.0\.(x_block\.attn\.ln_q|attn\.norm_q)\.")
    return {
        "num_layers": layers,
        "num_attention_heads": width // int(str(described["attention_head_dim"])),
        "caption_projection_dim": part.rows("context_embedder.weight"),
        "pos_embed_max_size": math.isqrt(places.shape[1]),
        "dual_attention_layers": [
            number
            for number in range(layers)
            if part.holds(rf"{name}\.{number}\.{second.replace('.', '[.]')}")
        ],
        "qk_norm": "rms_norm" if normed else None,
    }


def _qwen_image(_: Part, found: Finding, __: Settings) -> dict[str, Any]:
    return {"zero_cond_t": found.variant == "edit-2511"}


def _unet(part: Part, _: Finding, __: Settings) -> dict[str, Any]:
    inputs = part.inputs("input_blocks.0.0") or part.inputs("conv_in")
    embedded = part.inputs("time_embedding.cond_proj") or None
    return {"in_channels": inputs, "time_cond_proj_dim": embedded}


def _same(_: Part, __: Finding, ___: Settings) -> dict[str, Any]:
    return {}


_SETTINGS: Mapping[str, Callable[[Part, Finding, Settings], dict[str, Any]]] = MappingProxyType(
    {
        "flux1": _flux1,
        "sd3": _sd3,
        "qwen-image": _qwen_image,
        "sd1": _unet,
        "sd2": _unet,
        "sdxl": _unet,
        "chroma": _same,
        "z-image": _same,
    }
)
"""The settings of a denoiser that differ between variants, by family: told by its tensors."""
