"""Chroma, from its model cards."""

from dataclasses import replace
from types import MappingProxyType

from limner.domain.recipe import Task
from limner.domain.sampling import Schedule
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    NONE,
    ONE_MEGAPIXEL,
    Architecture,
    Facts,
    Repository,
    lean,
    square,
    steps,
)

ARCHITECTURE = Architecture(
    family="chroma",
    title="Chroma",
    denoiser="ChromaTransformer2DModel",
    regions=True,
    large_layers=True,
    tiny_decoder="taef1",
    shared_parts=("hd", "base", "flash"),
    autoencoder="flux1",
)

_HD = Facts(
    family="chroma",
    variant="hd",
    title="Chroma1-HD",
    size=square(1024),
    area=ONE_MEGAPIXEL,
    multiple=16,
    steps=steps(40),
    licence=terms.apache(
        "Chroma, by Lodestone Rock", "https://huggingface.co/lodestones/Chroma1-HD"
    ),
    text_encoders=("T5-XXL",),
    prompt_tokens=512,
    schedule=Schedule.BETA,
    guidance=lean(3.0),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    pipelines=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "ChromaPipeline",
            # No ChromaInpaintPipeline: in diffusers 0.42 it asks its transformer for a setting
            # that Chroma's does not have.
            Task.IMAGE_TO_IMAGE: "ChromaImg2ImgPipeline",
        }
    ),
    repositories=(Repository("lodestones/Chroma1-HD"),),
)

VARIANTS: tuple[Facts, ...] = (
    _HD,
    replace(
        _HD,
        variant="base",
        title="Chroma1-Base",
        area=(262_144, 1_310_720),
        repositories=(Repository("lodestones/Chroma1-Base"),),
    ),
    replace(
        _HD,
        variant="flash",
        title="Chroma1-Flash",
        steps=steps(8, 50),
        guidance=lean(1.0, 1.0, 5.0),
        negative_prompt=False,
        repositories=(Repository("lodestones/Chroma1-Flash"),),
    ),
    replace(
        _HD,
        variant="radiance",
        title="Chroma1-Radiance",
        pipelines=NONE,
        repositories=(Repository("lodestones/Chroma1-Radiance"),),
    ),
)
