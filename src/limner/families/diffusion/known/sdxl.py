"""Stable Diffusion XL, from its model cards."""

from dataclasses import replace
from types import MappingProxyType

from limner.domain.composition import Purpose
from limner.domain.recipe import Task
from limner.domain.sampling import Sampler, Schedule
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    NONE,
    Architecture,
    Facts,
    Repository,
    lean,
    square,
    steps,
)
from limner.families.diffusion.known.unet import UNET, WITH_ITS_PARTS, classes, unet_variants

ARCHITECTURE = Architecture(
    family="sdxl",
    title="SDXL",
    denoiser=UNET,
    clip=True,
    controlnet="ControlNetModel",
    union="ControlNetUnionModel",
    ip_adapter=tuple(Purpose),
    regions=True,
    large_layers=True,
    tiny_decoder="taesdxl",
    shared_parts=WITH_ITS_PARTS,
)

_BASE = Facts(
    family="sdxl",
    variant="base",
    title="Stable Diffusion XL",
    size=square(1024),
    # From 768 x 1024 to 1024 x 1536, as people draw with what was made of it.
    area=(786_432, 1_572_864),
    multiple=8,
    steps=steps(30, 150),
    licence=terms.OPEN_RAIL_PP,
    text_encoders=("CLIP-L", "OpenCLIP-G"),
    prompt_tokens=77,
    prediction="epsilon",
    sampler=Sampler.DPMPP_2M,
    schedule=Schedule.KARRAS,
    guidance=lean(5.0),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    strength=0.75,
    pipelines=classes("StableDiffusionXL"),
    controls=classes("StableDiffusionXLControlNet"),
    unions=classes("StableDiffusionXLControlNetUnion"),
    repositories=(Repository("stabilityai/stable-diffusion-xl-base-1.0"),),
)

_SEGMIND = terms.apache("By Segmind", "https://huggingface.co/segmind/SSD-1B")

_PUBLISHED = {
    "turbo": Repository("stabilityai/sdxl-turbo"),
    "lightning": Repository("ByteDance/SDXL-Lightning"),
    "hyper": Repository("ByteDance/Hyper-SD"),
    "dmd2": Repository("tianweiy/DMD2"),
    "lcm": Repository("latent-consistency/lcm-sdxl"),
    "inpainting": Repository("diffusers/stable-diffusion-xl-1.0-inpainting-0.1"),
    "edit": Repository("diffusers/sdxl-instructpix2pix-768"),
}

VARIANTS: tuple[Facts, ...] = (
    *(
        # InstructPix2Pix was published at 768 pixels, and draws best there.
        replace(one, size=square(768), area=(393_216, 1_048_576)) if one.variant == "edit" else one
        for one in unet_variants(_BASE, "StableDiffusionXL", _PUBLISHED)
    ),
    replace(
        _BASE,
        variant="refiner",
        title="Stable Diffusion XL Refiner",
        text_encoders=("OpenCLIP-G",),
        strength=0.3,
        pipelines=MappingProxyType({Task.IMAGE_TO_IMAGE: "StableDiffusionXLImg2ImgPipeline"}),
        controls=NONE,
        unions=NONE,
        repositories=(Repository("stabilityai/stable-diffusion-xl-refiner-1.0"),),
    ),
    replace(
        _BASE,
        variant="ssd-1b",
        title="Segmind SSD-1B",
        guidance=lean(9.0),
        licence=_SEGMIND,
        repositories=(Repository("segmind/SSD-1B"),),
    ),
    replace(
        _BASE,
        variant="vega",
        title="Segmind Vega",
        guidance=lean(9.0),
        licence=_SEGMIND,
        repositories=(Repository("segmind/Segmind-Vega"),),
    ),
    replace(_BASE, variant="pruned", title="Stable Diffusion XL, pruned", repositories=()),
    replace(
        _BASE,
        variant="playground",
        title="Playground v2.5",
        steps=steps(50, 150),
        guidance=lean(3.0),
        licence=terms.PLAYGROUND,
        repositories=(Repository("playgroundai/playground-v2.5-1024px-aesthetic"),),
    ),
)
