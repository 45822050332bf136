"""Qwen-Image, from its model cards."""

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
    family="qwen-image",
    title="Qwen-Image",
    denoiser="QwenImageTransformer2DModel",
    controlnet="QwenImageControlNetModel",
    most_controls=1,
    regions=True,
    first_block_tells=True,
    large_layers=True,
    # The others lack what shows pictures to the text encoder.
    shared_parts=("edit", "edit-2509", "edit-2511"),
)

_BASE = Facts(
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

_EDIT = replace(
    _BASE,
    variant="edit",
    title="Qwen-Image-Edit",
    size=square(1024),
    pipelines=MappingProxyType(
        {Task.EDIT: "QwenImageEditPipeline", Task.INPAINT: "QwenImageEditInpaintPipeline"}
    ),
    controls=NONE,
    repositories=(Repository("Qwen/Qwen-Image-Edit"),),
)

_EDIT_PLUS = replace(
    _EDIT,
    variant="edit-2509",
    title="Qwen-Image-Edit 2509",
    steps=steps(40),
    pipelines=MappingProxyType({Task.EDIT: "QwenImageEditPlusPipeline"}),
    sees_in=(Task.EDIT,),
    most_seen=2,
    repositories=(Repository("Qwen/Qwen-Image-Edit-2509"),),
)

_NEXT = replace(
    _BASE,
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
    controls=NONE,
    repositories=(Repository("Qwen/Qwen-Image-2.1"),),
)

VARIANTS: tuple[Facts, ...] = (
    _BASE,
    _EDIT,
    _EDIT_PLUS,
    replace(
        _EDIT_PLUS,
        variant="edit-2511",
        title="Qwen-Image-Edit 2511",
        repositories=(Repository("Qwen/Qwen-Image-Edit-2511"),),
    ),
    replace(
        _BASE,
        variant="layered",
        title="Qwen-Image-Layered",
        size=square(640),
        area=(262_144, 1_048_576),
        pipelines=NONE,
        controls=NONE,
        repositories=(Repository("Qwen/Qwen-Image-Layered"),),
    ),
    _NEXT,
    replace(
        _NEXT,
        variant="2.1-turbo",
        title="Qwen-Image 2.1 Turbo",
        steps=steps(8, 50),
        guidance=lean(1.0, 1.0, 3.0),
        negative_prompt=False,
        repositories=(Repository("Qwen/Qwen-Image-2.1-Turbo"),),
    ),
)
