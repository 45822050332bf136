"""Stable Diffusion 3, from its model cards."""

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
from limner.families.diffusion.known.unet import classes

ARCHITECTURE = Architecture(
    family="sd3",
    title="SD 3",
    denoiser="SD3Transformer2DModel",
    clip=True,
    controlnet="SD3ControlNetModel",
    regions=True,
    tiny_decoder="taesd3",
    shared_parts=("3-medium", "3.5-medium", "3.5-large", "3.5-large-turbo"),
)

_SD3 = Facts(
    family="sd3",
    variant="3-medium",
    title="Stable Diffusion 3 Medium",
    size=square(1024),
    area=ONE_MEGAPIXEL,
    multiple=16,
    steps=steps(28),
    licence=terms.STABILITY,
    text_encoders=("CLIP-L", "OpenCLIP-G", "T5-XXL"),
    prompt_tokens=256,
    sampler=Sampler.DPMPP_2M,
    schedule=Schedule.SGM_UNIFORM,
    guidance=lean(7.0),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    pipelines=classes("StableDiffusion3"),
    controls=MappingProxyType({Task.TEXT_TO_IMAGE: "StableDiffusion3ControlNetPipeline"}),
    repositories=(Repository("stabilityai/stable-diffusion-3-medium-diffusers", gated=True),),
)

VARIANTS: tuple[Facts, ...] = (
    _SD3,
    replace(
        _SD3,
        variant="3.5-medium",
        title="Stable Diffusion 3.5 Medium",
        area=(262_144, 2_073_600),
        steps=steps(40),
        guidance=lean(4.5),
        repositories=(Repository("stabilityai/stable-diffusion-3.5-medium", gated=True),),
    ),
    replace(
        _SD3,
        variant="3.5-large",
        title="Stable Diffusion 3.5 Large",
        guidance=lean(3.5),
        repositories=(Repository("stabilityai/stable-diffusion-3.5-large", gated=True),),
    ),
    replace(
        _SD3,
        variant="3.5-large-turbo",
        title="Stable Diffusion 3.5 Large Turbo",
        steps=steps(4, 50),
        sampler=Sampler.EULER,
        guidance=lean(0.0, 0.0, 3.0),
        negative_prompt=False,
        repositories=(Repository("stabilityai/stable-diffusion-3.5-large-turbo", gated=True),),
    ),
)
