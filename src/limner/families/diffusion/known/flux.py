"""FLUX.1, FLUX.2 and Chroma, from their model cards."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from limner.domain.recipe import Task
from limner.domain.sampling import Schedule
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

_DEV = Facts(
    family="flux1",
    variant="dev",
    title="FLUX.1 [dev]",
    size=square(1024),
    area=(104_858, 2_097_152),
    multiple=16,
    steps=steps(28),
    licence=terms.FLUX1_DEV,
    text_encoders=("CLIP-L", "T5-XXL"),
    prompt_tokens=512,
    guidance=lean(3.5),
    guidance_kind="embedded",
    guidance_argument="guidance_scale",
    pipelines=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "FluxPipeline",
            Task.IMAGE_TO_IMAGE: "FluxImg2ImgPipeline",
            Task.INPAINT: "FluxInpaintPipeline",
        }
    ),
    controls=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "FluxControlNetPipeline",
            Task.IMAGE_TO_IMAGE: "FluxControlNetImg2ImgPipeline",
            Task.INPAINT: "FluxControlNetInpaintPipeline",
        }
    ),
    repositories=(Repository("black-forest-labs/FLUX.1-dev", gated=True),),
)

_CONTROL = replace(
    _DEV,
    variant="control-dev",
    title="FLUX.1 with a control picture",
    steps=steps(50),
    guidance=lean(30.0, 1.0, 100.0),
    pipelines=_NONE,
    controls=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "FluxControlPipeline",
            Task.IMAGE_TO_IMAGE: "FluxControlImg2ImgPipeline",
            Task.INPAINT: "FluxControlInpaintPipeline",
        }
    ),
    repositories=(),
)

_FLUX1 = (
    _DEV,
    replace(
        _DEV,
        variant="schnell",
        title="FLUX.1 [schnell]",
        steps=steps(4, 50),
        prompt_tokens=256,
        licence=terms.FLUX1_SCHNELL,
        guidance=None,
        guidance_kind="none",
        guidance_argument="",
        repositories=(Repository("black-forest-labs/FLUX.1-schnell", gated=True),),
    ),
    replace(
        _DEV,
        variant="krea-dev",
        title="FLUX.1 Krea [dev]",
        area=(1_048_576, 1_638_400),
        guidance=lean(4.5),
        licence=terms.FLUX1_KREA,
        repositories=(Repository("black-forest-labs/FLUX.1-Krea-dev", gated=True),),
    ),
    replace(
        _DEV,
        variant="kontext-dev",
        title="FLUX.1 Kontext [dev]",
        guidance=lean(2.5),
        pipelines=MappingProxyType(
            {
                Task.TEXT_TO_IMAGE: "FluxKontextPipeline",
                Task.EDIT: "FluxKontextPipeline",
                Task.INPAINT: "FluxKontextInpaintPipeline",
            }
        ),
        controls=_NONE,
        repositories=(Repository("black-forest-labs/FLUX.1-Kontext-dev", gated=True),),
    ),
    replace(
        _DEV,
        variant="fill-dev",
        title="FLUX.1 Fill [dev]",
        steps=steps(50),
        guidance=lean(30.0, 1.0, 100.0),
        pipelines=MappingProxyType({Task.INPAINT: "FluxFillPipeline"}),
        controls=_NONE,
        repositories=(Repository("black-forest-labs/FLUX.1-Fill-dev", gated=True),),
    ),
    _CONTROL,
    replace(
        _CONTROL,
        variant="canny-dev",
        title="FLUX.1 Canny [dev]",
        repositories=(Repository("black-forest-labs/FLUX.1-Canny-dev", gated=True),),
    ),
    replace(
        _CONTROL,
        variant="depth-dev",
        title="FLUX.1 Depth [dev]",
        steps=steps(30),
        guidance=lean(10.0, 1.0, 100.0),
        repositories=(Repository("black-forest-labs/FLUX.1-Depth-dev", gated=True),),
    ),
)

_DEV2 = Facts(
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
    pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "Flux2Pipeline", Task.EDIT: "Flux2Pipeline"}),
    repositories=(Repository("black-forest-labs/FLUX.2-dev", gated=True),),
)

_KLEIN_BASE = replace(
    _DEV2,
    variant="klein-base-4b",
    title="FLUX.2 [klein] 4B Base",
    licence=terms.apache(
        "FLUX.2 [klein] 4B, by Black Forest Labs",
        "https://huggingface.co/black-forest-labs/FLUX.2-klein-base-4B",
    ),
    text_encoders=("Qwen3 4B",),
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

_FLUX2 = (
    _DEV2,
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

_CHROMA1 = Facts(
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

_CHROMA = (
    _CHROMA1,
    replace(
        _CHROMA1,
        variant="base",
        title="Chroma1-Base",
        area=(262_144, 1_310_720),
        repositories=(Repository("lodestones/Chroma1-Base"),),
    ),
    replace(
        _CHROMA1,
        variant="flash",
        title="Chroma1-Flash",
        steps=steps(8, 50),
        guidance=lean(1.0, 1.0, 5.0),
        negative_prompt=False,
        repositories=(Repository("lodestones/Chroma1-Flash"),),
    ),
    replace(
        _CHROMA1,
        variant="radiance",
        title="Chroma1-Radiance",
        pipelines=_NONE,
        repositories=(Repository("lodestones/Chroma1-Radiance"),),
    ),
)

FLUX: tuple[Facts, ...] = (*_FLUX1, *_FLUX2, *_CHROMA)
