"""FLUX.2, from its model cards."""

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
    family="flux2",
    title="FLUX.2",
    denoiser="Flux2Transformer2DModel",
    regions=True,
    large_layers=True,
)

_DEV = Facts(
    family="flux2",
    variant="dev",
    title="FLUX.2 [dev]",
    size=square(1024),
    area=(262_144, 4_194_304),
    multiple=16,
    steps=steps(50),
    licence=terms.FLUX2,
    text_encoders=("Mistral Small 24B",),
    prompt_tokens=512,
    guidance=lean(4.0),
    guidance_kind="embedded",
    guidance_argument="guidance_scale",
    sees_in=(Task.TEXT_TO_IMAGE, Task.EDIT),
    most_seen=8,
    pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "Flux2Pipeline", Task.EDIT: "Flux2Pipeline"}),
    repositories=(Repository("black-forest-labs/FLUX.2-dev", gated=True),),
)

_KLEIN_BASE = replace(
    _DEV,
    variant="klein-base-4b",
    title="FLUX.2 [klein] 4B Base",
    licence=terms.apache(
        "FLUX.2 [klein] 4B, by Black Forest Labs",
        "https://huggingface.co/black-forest-labs/FLUX.2-klein-base-4B",
    ),
    text_encoders=("Qwen3 4B",),
    most_seen=4,
    guidance_kind="classifier-free",
    pipelines=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "Flux2KleinPipeline",
            Task.EDIT: "Flux2KleinPipeline",
            Task.INPAINT: "Flux2KleinInpaintPipeline",
        }
    ),
    repositories=(Repository("black-forest-labs/FLUX.2-klein-base-4B"),),
)

_KLEIN = replace(
    _KLEIN_BASE,
    variant="klein-4b",
    title="FLUX.2 [klein] 4B",
    steps=steps(4, 50),
    guidance=None,
    guidance_kind="none",
    guidance_argument="",
    repositories=(Repository("black-forest-labs/FLUX.2-klein-4B"),),
)

VARIANTS: tuple[Facts, ...] = (
    _DEV,
    _KLEIN,
    _KLEIN_BASE,
    replace(
        _KLEIN,
        variant="klein-9b",
        title="FLUX.2 [klein] 9B",
        licence=terms.FLUX2,
        text_encoders=("Qwen3 8B",),
        repositories=(Repository("black-forest-labs/FLUX.2-klein-9B", gated=True),),
    ),
    replace(
        _KLEIN_BASE,
        variant="klein-base-9b",
        title="FLUX.2 [klein] 9B Base",
        licence=terms.FLUX2,
        text_encoders=("Qwen3 8B",),
        repositories=(Repository("black-forest-labs/FLUX.2-klein-base-9B", gated=True),),
    ),
)
