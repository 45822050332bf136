"""Krea 2, from its model cards."""

from dataclasses import replace
from types import MappingProxyType

from limner.domain.recipe import Task
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    Architecture,
    Facts,
    Repository,
    lean,
    square,
    steps,
)

ARCHITECTURE = Architecture(
    family="krea2",
    title="Krea 2",
    denoiser="Krea2Transformer2DModel",
    large_layers=True,
    autoencoder="qwen-image",
)

_RAW = Facts(
    family="krea2",
    variant="raw",
    title="Krea 2 Raw",
    size=square(1024),
    area=(262_144, 1_048_576),
    multiple=16,
    steps=steps(52),
    licence=terms.KREA2,
    text_encoders=("Qwen3-VL 4B",),
    prompt_tokens=512,
    guidance=lean(3.5, 0.0, 15.0),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    guidance_off=0.0,
    negative_prompt=True,
    pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "Krea2Pipeline"}),
    repositories=(Repository("krea/Krea-2-Raw", gated=True),),
)

VARIANTS: tuple[Facts, ...] = (
    _RAW,
    replace(
        _RAW,
        variant="turbo",
        title="Krea 2 Turbo",
        # Its makers say 1024 to 2048 pixels; 832 x 1216 is about as much as the least of it.
        area=(786_432, 4_194_304),
        steps=steps(8, 50),
        guidance=lean(0.0, 0.0, 3.0),
        negative_prompt=False,
        repositories=(Repository("krea/Krea-2-Turbo", gated=True),),
    ),
)
