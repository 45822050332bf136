"""Z-Image, from its model cards."""

from dataclasses import replace
from types import MappingProxyType

from limner.domain.recipe import Task
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

ARCHITECTURE = Architecture(
    family="z-image",
    title="Z-Image",
    denoiser="ZImageTransformer2DModel",
    controlnet="ZImageControlNetModel",
    most_controls=1,
    timed_controls=False,
    large_layers=True,
    tiny_decoder="taef1",
    shared_parts=("base", "turbo"),
    autoencoder="flux1",
)

_BASE = Facts(
    family="z-image",
    variant="base",
    title="Z-Image",
    size=square(1024),
    area=(262_144, 4_194_304),
    multiple=16,
    steps=steps(50),
    licence=terms.apache("Z-Image, by Tongyi-MAI", "https://huggingface.co/Tongyi-MAI/Z-Image"),
    text_encoders=("Qwen3 4B",),
    prompt_tokens=512,
    guidance=lean(4.0, 0.0, 15.0),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    guidance_off=0.0,
    negative_prompt=True,
    pipelines=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "ZImagePipeline",
            Task.IMAGE_TO_IMAGE: "ZImageImg2ImgPipeline",
            Task.INPAINT: "ZImageInpaintPipeline",
        }
    ),
    controls=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "ZImageControlNetPipeline",
            Task.INPAINT: "ZImageControlNetInpaintPipeline",
        }
    ),
    repositories=(Repository("Tongyi-MAI/Z-Image"),),
)

VARIANTS: tuple[Facts, ...] = (
    _BASE,
    replace(
        _BASE,
        variant="turbo",
        title="Z-Image-Turbo",
        steps=steps(9, 50),
        guidance=lean(0.0, 0.0, 3.0),
        negative_prompt=False,
        repositories=(Repository("Tongyi-MAI/Z-Image-Turbo"),),
    ),
    # Announced, and not published when this was written: facts of its makers' table.
    replace(
        _BASE,
        variant="omni",
        title="Z-Image-Omni-Base",
        pipelines=MappingProxyType(
            {Task.TEXT_TO_IMAGE: "ZImageOmniPipeline", Task.EDIT: "ZImageOmniPipeline"}
        ),
        controls=NONE,
        repositories=(),
    ),
    replace(
        _BASE,
        variant="edit",
        title="Z-Image-Edit",
        pipelines=NONE,
        controls=NONE,
        repositories=(),
    ),
)
