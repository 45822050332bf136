"""Stable Diffusion 1, from its model cards."""

from limner.domain.composition import Purpose
from limner.domain.sampling import Sampler, Schedule
from limner.families.diffusion.known import terms
from limner.families.diffusion.known.sheet import (
    Architecture,
    Facts,
    Repository,
    lean,
    square,
    steps,
)
from limner.families.diffusion.known.unet import (
    UNET,
    WITH_ITS_PARTS,
    classes,
    unclip,
    unet_variants,
)

ARCHITECTURE = Architecture(
    family="sd1",
    title="SD 1",
    denoiser=UNET,
    clip=True,
    controlnet="ControlNetModel",
    ip_adapter=(Purpose.SUBJECT,),
    regions=True,
    tiny_decoder="taesd",
    shared_parts=WITH_ITS_PARTS,
)

_BASE = Facts(
    family="sd1",
    variant="base",
    title="Stable Diffusion 1",
    size=square(512),
    # Drawn at 512 x 768 and 768 x 768 by nearly everybody, though it learnt at 512 x 512.
    area=(200_704, 589_824),
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
    pipelines=classes("StableDiffusion"),
    controls=classes("StableDiffusionControlNet"),
    repositories=(Repository("stable-diffusion-v1-5/stable-diffusion-v1-5"),),
)

VARIANTS: tuple[Facts, ...] = (
    *unet_variants(
        _BASE,
        "StableDiffusion",
        {
            "lcm": Repository("SimianLuo/LCM_Dreamshaper_v7"),
            "inpainting": Repository("stable-diffusion-v1-5/stable-diffusion-inpainting"),
            "edit": Repository("timbrooks/instruct-pix2pix"),
        },
        {
            "lcm": terms.mit(
                "LCM, by Simian Luo and others",
                "https://huggingface.co/SimianLuo/LCM_Dreamshaper_v7",
            ),
            "edit": terms.mit(
                "InstructPix2Pix, by Tim Brooks and others",
                "https://huggingface.co/timbrooks/instruct-pix2pix",
            ),
        },
    ),
    unclip(_BASE),
)
