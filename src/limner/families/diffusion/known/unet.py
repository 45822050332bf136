"""What the families of Stable Diffusion's U-Nets have in common: their variants."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from limner.domain.card import Licence
from limner.domain.recipe import Task
from limner.domain.sampling import Sampler, Schedule
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    NONE,
    Facts,
    Repository,
    lean,
    square,
    steps,
)

UNET = "UNet2DConditionModel"
"""The class of diffusers of their denoisers."""


def classes(stem: str) -> Mapping[Task, str]:
    """Return the classes of diffusers that draw, redraw and fill holes, by their first word."""
    return MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: f"{stem}Pipeline",
            Task.IMAGE_TO_IMAGE: f"{stem}Img2ImgPipeline",
            Task.INPAINT: f"{stem}InpaintPipeline",
        }
    )


WITH_ITS_PARTS = ("base", "turbo", "lightning", "hyper", "dmd2", "lcm", "lcm-lora", "inpainting")
"""Variants with the text encoders and the autoencoder of the base."""


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


def _lcm(base: Facts) -> tuple[Facts, Facts]:
    """Return the consistency models: distilled whole, and made by an LCM-LoRA.

    The first is told its guidance, which it learnt up to 14 (https://arxiv.org/abs/2310.04378); of
    the second a little is left that costs time (https://arxiv.org/abs/2311.05556).
    """
    whole = _few_steps(base, "lcm", 4, Sampler.LCM)
    merged = _few_steps(base, "lcm-lora", 4, Sampler.LCM)
    return (
        replace(whole, guidance=lean(8.0, 1.0, 14.0), guidance_kind="embedded"),
        replace(merged, title=f"{base.title} with LCM-LoRA", guidance=lean(1.5, 1.0, 3.0)),
    )


_SMALL = (200_704, 1_048_576)
"""Turbo is made for 512 × 512; many of its descendants draw as large as what it was made from."""


def unet_variants(
    base: Facts,
    stem: str,
    published: Mapping[str, Repository],
    licences: Mapping[str, Licence] = MappingProxyType({}),
) -> tuple[Facts, ...]:
    """Return what all the U-Net families have: fast variants, and those with other inputs.

    `stem` is the first word of their classes in diffusers. Variants named in `published` have
    been, and those in `licences` have terms of their own.
    """
    return tuple(
        replace(
            one,
            repositories=one.repositories or _listed(published.get(one.variant)),
            licence=licences.get(one.variant, one.licence),
        )
        for one in _variants(base, stem)
    )


def _listed(repository: Repository | None) -> tuple[Repository, ...]:
    return () if repository is None else (repository,)


def _variants(base: Facts, stem: str) -> tuple[Facts, ...]:
    whole = replace(base, repositories=(), controls=NONE, unions=NONE)
    turbo = _few_steps(base, "turbo", 4, Sampler.EULER_ANCESTRAL)
    return (
        base,
        replace(turbo, licence=terms.STABILITY, size=square(512), area=_SMALL),
        _few_steps(base, "lightning", 4),
        _few_steps(base, "hyper", 8),
        replace(_few_steps(base, "dmd2", 4, Sampler.LCM), licence=terms.DMD2),
        *_lcm(base),
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
        replace(whole, variant="depth", title=f"{base.title} Depth", pipelines=NONE),
        replace(whole, variant="upscaler", title=f"{base.title} Upscaler", pipelines=NONE),
    )


def unclip(base: Facts) -> Facts:
    """Return the variant that is told by pictures: known, and not drawn with."""
    return replace(
        base,
        variant="unclip",
        title=f"{base.title} unCLIP",
        pipelines=NONE,
        controls=NONE,
        repositories=(),
    )
