"""Krea 2, Qwen-Image, Z-Image, SANA and PixArt, from their model cards."""

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

_KREA2_RAW = Facts(
    family="krea2",
    variant="raw",
    title="Krea 2 Raw",
    size=square(1024),
    area=(262_144, 1_048_576),
    multiple=16,
    steps=steps(52),
    licence=terms.KREA2,
    text_encoders=("Qwen3-VL 4B",),
    prompt_tokens=512,
    guidance=lean(3.5, 0.0, 15.0),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    guidance_off=0.0,
    negative_prompt=True,
    pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "Krea2Pipeline"}),
    repositories=(Repository("krea/Krea-2-Raw", gated=True),),
)

_KREA2 = (
    _KREA2_RAW,
    replace(
        _KREA2_RAW,
        variant="turbo",
        title="Krea 2 Turbo",
        area=(1_048_576, 4_194_304),
        steps=steps(8, 50),
        guidance=lean(0.0, 0.0, 3.0),
        negative_prompt=False,
        repositories=(Repository("krea/Krea-2-Turbo", gated=True),),
    ),
)

_QWEN_IMAGE = Facts(
    family="qwen-image",
    variant="base",
    title="Qwen-Image",
    size=square(1328),
    area=(262_144, 1_763_584),
    multiple=16,
    steps=steps(50),
    licence=terms.apache("Qwen-Image, by Alibaba Cloud", "https://huggingface.co/Qwen/Qwen-Image"),
    text_encoders=("Qwen2.5-VL 7B",),
    prompt_tokens=512,
    guidance=lean(4.0),
    guidance_kind="classifier-free",
    guidance_argument="true_cfg_scale",
    negative_prompt=True,
    pipelines=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "QwenImagePipeline",
            Task.IMAGE_TO_IMAGE: "QwenImageImg2ImgPipeline",
            Task.INPAINT: "QwenImageInpaintPipeline",
        }
    ),
    controls=MappingProxyType({Task.TEXT_TO_IMAGE: "QwenImageControlNetPipeline"}),
    repositories=(Repository("Qwen/Qwen-Image"), Repository("Qwen/Qwen-Image-2512")),
)

_QWEN_EDIT = replace(
    _QWEN_IMAGE,
    variant="edit",
    title="Qwen-Image-Edit",
    size=square(1024),
    pipelines=MappingProxyType(
        {Task.EDIT: "QwenImageEditPipeline", Task.INPAINT: "QwenImageEditInpaintPipeline"}
    ),
    controls=_NONE,
    repositories=(Repository("Qwen/Qwen-Image-Edit"),),
)

_QWEN_EDIT_PLUS = replace(
    _QWEN_EDIT,
    variant="edit-2509",
    title="Qwen-Image-Edit 2509",
    steps=steps(40),
    pipelines=MappingProxyType({Task.EDIT: "QwenImageEditPlusPipeline"}),
    repositories=(Repository("Qwen/Qwen-Image-Edit-2509"),),
)

_QWEN_21 = replace(
    _QWEN_IMAGE,
    variant="2.1",
    title="Qwen-Image 2.1",
    size=square(1024),
    area=(262_144, 4_194_304),
    multiple=32,
    steps=steps(40),
    licence=terms.QWEN_RESEARCH,
    text_encoders=("Qwen3-VL 8B",),
    prompt_tokens=1024,
    guidance=lean(1.0),
    pipelines=MappingProxyType(
        {Task.TEXT_TO_IMAGE: "QwenImage21Pipeline", Task.EDIT: "QwenImage21Pipeline"}
    ),
    controls=_NONE,
    repositories=(Repository("Qwen/Qwen-Image-2.1"),),
)

_QWEN = (
    _QWEN_IMAGE,
    _QWEN_EDIT,
    _QWEN_EDIT_PLUS,
    replace(
        _QWEN_EDIT_PLUS,
        variant="edit-2511",
        title="Qwen-Image-Edit 2511",
        repositories=(Repository("Qwen/Qwen-Image-Edit-2511"),),
    ),
    replace(
        _QWEN_IMAGE,
        variant="layered",
        title="Qwen-Image-Layered",
        size=square(640),
        area=(262_144, 1_048_576),
        pipelines=_NONE,
        controls=_NONE,
        repositories=(Repository("Qwen/Qwen-Image-Layered"),),
    ),
    _QWEN_21,
    replace(
        _QWEN_21,
        variant="2.1-turbo",
        title="Qwen-Image 2.1 Turbo",
        steps=steps(8, 50),
        guidance=lean(1.0, 1.0, 3.0),
        negative_prompt=False,
        repositories=(Repository("Qwen/Qwen-Image-2.1-Turbo"),),
    ),
)

_Z_IMAGE_BASE = Facts(
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
    repositories=(Repository("Tongyi-MAI/Z-Image"),),
)

_Z_IMAGE = (
    _Z_IMAGE_BASE,
    replace(
        _Z_IMAGE_BASE,
        variant="turbo",
        title="Z-Image-Turbo",
        steps=steps(9, 50),
        guidance=lean(0.0, 0.0, 3.0),
        negative_prompt=False,
        repositories=(Repository("Tongyi-MAI/Z-Image-Turbo"),),
    ),
    # Announced, and not published when this was written: facts of its makers' table.
    replace(
        _Z_IMAGE_BASE,
        variant="omni",
        title="Z-Image-Omni-Base",
        pipelines=MappingProxyType(
            {Task.TEXT_TO_IMAGE: "ZImageOmniPipeline", Task.EDIT: "ZImageOmniPipeline"}
        ),
        repositories=(),
    ),
    replace(
        _Z_IMAGE_BASE,
        variant="edit",
        title="Z-Image-Edit",
        pipelines=_NONE,
        repositories=(),
    ),
)

_SANA_16 = Facts(
    family="sana",
    variant="1.6b",
    title="SANA 1.6B",
    size=square(1024),
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

_SPRINT_16 = replace(
    _SANA_16,
    variant="sprint-1.6b",
    title="SANA-Sprint 1.6B",
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
    controls=_NONE,
    repositories=(Repository("Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers"),),
)

_SANA = (
    _SANA_16,
    replace(
        _SANA_16,
        variant="600m",
        title="SANA 0.6B",
        repositories=(Repository("Efficient-Large-Model/Sana_600M_1024px_diffusers"),),
    ),
    replace(
        _SANA_16,
        variant="4.8b",
        title="SANA 1.5 4.8B",
        controls=_NONE,
        repositories=(Repository("Efficient-Large-Model/SANA1.5_4.8B_1024px_diffusers"),),
    ),
    _SPRINT_16,
    replace(
        _SPRINT_16,
        variant="sprint-600m",
        title="SANA-Sprint 0.6B",
        repositories=(Repository("Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers"),),
    ),
    replace(_SPRINT_16, variant="sprint-4.8b", title="SANA-Sprint 4.8B", repositories=()),
)

_PIXART_SIGMA = Facts(
    family="pixart",
    variant="sigma",
    title="PixArt-Σ",
    size=square(1024),
    area=ONE_MEGAPIXEL,
    multiple=16,
    steps=steps(20),
    licence=terms.PIXART,
    text_encoders=("T5-XXL",),
    prompt_tokens=300,
    prediction="epsilon",
    sampler=Sampler.DPMPP_2M,
    schedule=Schedule.NORMAL,
    guidance=lean(4.5),
    guidance_kind="classifier-free",
    guidance_argument="guidance_scale",
    negative_prompt=True,
    pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "PixArtSigmaPipeline"}),
    repositories=(Repository("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS"),),
)

_PIXART = (
    _PIXART_SIGMA,
    replace(
        _PIXART_SIGMA,
        variant="alpha",
        title="PixArt-α",
        prompt_tokens=120,
        pipelines=MappingProxyType({Task.TEXT_TO_IMAGE: "PixArtAlphaPipeline"}),
        repositories=(Repository("PixArt-alpha/PixArt-XL-2-1024-MS"),),
    ),
)

OTHERS: tuple[Facts, ...] = (*_KREA2, *_QWEN, *_Z_IMAGE, *_SANA, *_PIXART)
