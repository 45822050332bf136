"""SANA, from its model cards."""

from dataclasses import replace
from types import MappingProxyType

from limner.domain.recipe import Task
from limner.domain.sampling import Sampler
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
    family="sana",
    title="SANA",
    denoiser="SanaTransformer2DModel",
    controlnet="SanaControlNetModel",
    most_controls=1,
    timed_controls=False,
)

_LARGE = Facts(
    family="sana",
    variant="1.6b",
    title="SANA 1.6B",
    size=square(1024),
    sides=(512, 1024, 2048, 4096),
    area=ONE_MEGAPIXEL,
    multiple=32,
    steps=steps(20),
    licence=terms.SANA,
    text_encoders=("Gemma 2 2B",),
    prompt_tokens=300,
    sampler=Sampler.DPMPP_2M,
    guidance=lean(4.5),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "SanaPipeline"}),
    controls=MappingProxyType({Task.TEXT_TO_IMAGE: "SanaControlNetPipeline"}),
    repositories=(
        Repository("Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers"),
        Repository("Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers"),
    ),
)

_SPRINT = replace(
    _LARGE,
    variant="sprint-1.6b",
    title="SANA-Sprint 1.6B",
    sides=(),
    steps=steps(2, 20),
    sampler=None,
    schedule=None,
    guidance_kind="embedded",
    negative_prompt=False,
    pipelines=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "SanaSprintPipeline",
            Task.IMAGE_TO_IMAGE: "SanaSprintImg2ImgPipeline",
        }
    ),
    controls=NONE,
    repositories=(Repository("Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers"),),
)

VARIANTS: tuple[Facts, ...] = (
    _LARGE,
    replace(
        _LARGE,
        variant="600m",
        title="SANA 0.6B",
        sides=(512, 1024),
        repositories=(Repository("Efficient-Large-Model/Sana_600M_1024px_diffusers"),),
    ),
    replace(
        _LARGE,
        variant="4.8b",
        title="SANA 1.5 4.8B",
        sides=(),
        controls=NONE,
        repositories=(Repository("Efficient-Large-Model/SANA1.5_4.8B_1024px_diffusers"),),
    ),
    _SPRINT,
    replace(
        _SPRINT,
        variant="sprint-600m",
        title="SANA-Sprint 0.6B",
        repositories=(Repository("Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers"),),
    ),
    replace(_SPRINT, variant="sprint-4.8b", title="SANA-Sprint 4.8B", repositories=()),
)
