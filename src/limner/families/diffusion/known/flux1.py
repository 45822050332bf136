"""FLUX.1, from its model cards."""

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
    family="flux1",
    title="FLUX.1",
    denoiser="FluxTransformer2DModel",
    controlnet="FluxControlNetModel",
    regions=True,
    first_block_tells=True,
    large_layers=True,
    tiny_decoder="taef1",
    shared_parts=(
        "dev",
        "schnell",
        "krea-dev",
        "kontext-dev",
        "fill-dev",
        "control-dev",
        "canny-dev",
        "depth-dev",
    ),
)

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
    told_pictures=True,
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
    told_pictures=False,
    title="FLUX.1 with a control picture",
    steps=steps(50),
    guidance=lean(30.0, 1.0, 100.0),
    pipelines=NONE,
    controls=MappingProxyType(
        {
            Task.TEXT_TO_IMAGE: "FluxControlPipeline",
            Task.IMAGE_TO_IMAGE: "FluxControlImg2ImgPipeline",
            Task.INPAINT: "FluxControlInpaintPipeline",
        }
    ),
    repositories=(),
)

VARIANTS: tuple[Facts, ...] = (
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
        variant="de-distilled",
        title="FLUX.1 de-distilled",
        guidance_kind="classifier-free",
        guidance_argument="true_cfg_scale",
        negative_prompt=True,
        controls=NONE,
        repositories=(Repository("nyanko7/flux-dev-de-distill"),),
    ),
    replace(
        _DEV,
        variant="krea-dev",
        title="FLUX.1 Krea [dev]",
        # Its makers say 1024 to 1280 pixels; smaller ones are drawn as well as by FLUX.1 [dev].
        area=(589_824, 2_097_152),
        guidance=lean(4.5),
        licence=terms.FLUX1_KREA,
        repositories=(Repository("black-forest-labs/FLUX.1-Krea-dev", gated=True),),
    ),
    replace(
        _DEV,
        variant="kontext-dev",
        title="FLUX.1 Kontext [dev]",
        guidance=lean(2.5),
        told_pictures=False,
        sees_in=(Task.TEXT_TO_IMAGE,),
        most_seen=1,
        pipelines=MappingProxyType(
            {
                Task.TEXT_TO_IMAGE: "FluxKontextPipeline",
                Task.EDIT: "FluxKontextPipeline",
                Task.INPAINT: "FluxKontextInpaintPipeline",
            }
        ),
        controls=NONE,
        repositories=(Repository("black-forest-labs/FLUX.1-Kontext-dev", gated=True),),
    ),
    replace(
        _DEV,
        variant="fill-dev",
        told_pictures=False,
        title="FLUX.1 Fill [dev]",
        steps=steps(50),
        guidance=lean(30.0, 1.0, 100.0),
        pipelines=MappingProxyType({Task.INPAINT: "FluxFillPipeline"}),
        controls=NONE,
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
