"""PixArt, from its model cards."""

from dataclasses import replace
from types import MappingProxyType

from limner.domain.recipe import Task
from limner.domain.sampling import Sampler, Schedule
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    ONE_MEGAPIXEL,
    Architecture,
    Facts,
    Repository,
    lean,
    square,
    steps,
)

ARCHITECTURE = Architecture(
    family="pixart",
    title="PixArt",
    denoiser="PixArtTransformer2DModel",
    regions=True,
)

_SIGMA = Facts(
    family="pixart",
    variant="sigma",
    title="PixArt-Σ",
    size=square(1024),
    sides=(256, 512, 1024, 2048),
    area=ONE_MEGAPIXEL,
    multiple=16,
    steps=steps(20),
    licence=terms.PIXART,
    text_encoders=("T5-XXL",),
    prompt_tokens=300,
    prediction="epsilon",
    sampler=Sampler.DPMPP_2M,
    schedule=Schedule.NORMAL,
    guidance=lean(4.5),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "PixArtSigmaPipeline"}),
    repositories=(Repository("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS"),),
)

VARIANTS: tuple[Facts, ...] = (
    _SIGMA,
    replace(
        _SIGMA,
        variant="alpha",
        title="PixArt-α",
        sides=(256, 512, 1024),
        prompt_tokens=120,
        pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "PixArtAlphaPipeline"}),
        repositories=(Repository("PixArt-alpha/PixArt-XL-2-1024-MS"),),
    ),
)
