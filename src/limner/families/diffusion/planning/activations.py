"""How much memory drawing takes beside the weights, in numbers (not bytes), by architecture.

The coefficients are the most tensors alive at once, counted while the modules of diffusers 0.42
ran at their published sizes. Attention never holds its scores: every kernel in use is tiled.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from limner.domain.recipe import Size
from limner.families.diffusion.planning.descriptions import Settings
from limner.families.diffusion.planning.inventory import Part, Role


@dataclass(frozen=True)
class Work:
    """What is to be drawn at once.

    `guided`: a prompt and a negative prompt; `references`: pictures that the denoiser reads with
    the one it draws. `least` is the pixels of the smallest picture that the model draws; one that
    is asked for smaller is made smaller afterwards.
    """

    size: Size
    batch: int = 1
    guided: bool = True
    references: int = 0
    least: int = 0


@dataclass(frozen=True)
class Held:
    """The most numbers held at once.

    `copies` come on top on a CPU, whose convolutions reorder what they read.
    """

    numbers: int
    copies: int = 0


def of_text_encoder(part: Part, work: Work) -> Held | None:
    """Return what reading the prompts holds."""
    settings = Settings(part.name, part.settings)
    width = settings.number("hidden_size", settings.number("d_model", 512))
    inner = settings.number("intermediate_size", settings.number("d_ff", 4 * width))
    clip, t5 = "CLIP" in part.class_name, "T5" in part.class_name
    tokens = 77 if clip else _LONG_PROMPT
    per_token = 6 * width + 3 * inner
    if t5:  # its attention adds a bias to scores that it holds
        heads = settings.number("num_heads", settings.number("num_attention_heads", 8))
        per_token += _T5_SCORES * heads * tokens
    elif not clip:
        per_token += width * settings.number("num_hidden_layers", 32)
        if part.class_name.endswith(("ForConditionalGeneration", "ForCausalLM")):
            per_token += 2 * settings.number("vocab_size", 150_000)
    return Held(round(per_token * tokens * work.batch))


_LONG_PROMPT = 512
_T5_SCORES = 4


def of_denoiser(part: Part, work: Work, scale: int) -> Held | None:
    """Return what one step holds; None where the architecture is not known.

    `scale` is how many pixels a latent is, each way. Raises WeightsRejected where the description
    makes no sense.
    """
    settings = Settings(part.name, part.settings)
    if part.class_name == "UNet2DConditionModel":
        return _unet(part, settings, work, scale)
    formula = _TRANSFORMERS.get(part.class_name)
    return None if formula is None else _transformer(formula(settings), work, scale)


@dataclass(frozen=True)
class _Transformer:
    """How a transformer draws.

    `widths` is how many rows of `width` numbers a token takes at most, `patch` latents are a
    token each way, `words` tokens are text among those of the picture. `doubled` is whether
    prompt and negative prompt go through it together.
    """

    width: float
    widths: float
    patch: int = 2
    words: int = 0
    doubled: bool = False
    copied: float = 0


def _transformer(found: _Transformer, work: Work, scale: int) -> Held:
    side = scale * found.patch
    picture = math.ceil(work.size.width / side) * math.ceil(work.size.height / side)
    tokens = picture * (1 + work.references) + found.words
    rows = tokens * work.batch * (2 if found.doubled and work.guided else 1) * found.width
    return Held(round(rows * found.widths), round(rows * found.copied))


def _heads(settings: Settings, heads: int, width: int) -> float:
    return settings.number("num_attention_heads", heads) * settings.number(
        "attention_head_dim", width
    )


def _flux(settings: Settings) -> _Transformer:
    return _Transformer(_heads(settings, 24, 128), 15.1, words=512)


def _chroma(settings: Settings) -> _Transformer:
    return _Transformer(_heads(settings, 24, 128), 15.7, words=512)


def _flux2(settings: Settings) -> _Transformer:
    ratio = settings.number("mlp_ratio", 3.0)
    return _Transformer(_heads(settings, 48, 128), 6.25 + 5 * ratio, words=512)


def _qwen(settings: Settings) -> _Transformer:
    return _Transformer(_heads(settings, 24, 128), 14.9, words=512)


def _krea2(settings: Settings) -> _Transformer:
    width = _heads(settings, 48, 128)
    inner = settings.number("intermediate_size", 16384)
    return _Transformer(width, 4.1 + 3 * inner / width, words=512)


def _z_image(settings: Settings) -> _Transformer:
    patch = settings.counts("all_patch_size", (2,))[0]
    return _Transformer(settings.number("dim", 3840), 15.75, patch, words=256, doubled=True)


def _sd3(settings: Settings) -> _Transformer:
    patch = settings.count("patch_size", 2)
    width = _heads(settings, 18, 64)
    return _Transformer(width, 13.2, patch, words=333, doubled=True)


def _pixart(settings: Settings) -> _Transformer:
    patch = settings.count("patch_size", 2)
    return _Transformer(_heads(settings, 16, 72), 12.1, patch, doubled=True)


def _sana(settings: Settings) -> _Transformer:
    patch, ratio = settings.count("patch_size", 1), settings.number("mlp_ratio", 2.5)
    width = _heads(settings, 70, 32)
    return _Transformer(width, 4.2 + 4 * ratio, patch, doubled=True, copied=2 * ratio)


_TRANSFORMERS: Mapping[str, Callable[[Settings], _Transformer]] = {
    "FluxTransformer2DModel": _flux,
    "Flux2Transformer2DModel": _flux2,
    "ChromaTransformer2DModel": _chroma,
    "QwenImageTransformer2DModel": _qwen,
    "Krea2Transformer2DModel": _krea2,
    "ZImageTransformer2DModel": _z_image,
    "SD3Transformer2DModel": _sd3,
    "PixArtTransformer2DModel": _pixart,
    "SanaTransformer2DModel": _sana,
}


def _unet(part: Part, settings: Settings, work: Work, scale: int) -> Held:
    """Return what one step of a U-Net holds: a block, and what is kept for the way up."""
    widths = settings.counts("block_out_channels", (320, 640, 1280, 1280))
    blocks = settings.words("down_block_types", ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
    layers = max(settings.counts("layers_per_block", (2,)))
    area = work.size.pixels / scale**2 * work.batch * (2 if work.guided else 1)
    most = 0.0
    kept = widths[0] * area
    for level, (width, block) in enumerate(zip(widths, blocks, strict=False)):
        cells = area / 4**level
        below = widths[min(level + 1, len(widths) - 1)]
        if "CrossAttn" in block:
            most = max(most, kept + (_ATTENTION + layers - 1) * width * cells)
        # Three of what it reads, which is joined with what was kept, and what is still kept.
        most = max(most, (3 * (width + below) + (layers + 2) * width) * cells)
        kept += layers * width * cells + (width * cells / 4 if level + 1 < len(widths) else 0)
    kernel = kept + part.largest_kernel - most
    return Held(round(most), max(0, round(kernel)))


_ATTENTION = 24
"""Rows that a block of attention and its gated feed-forward hold for a place."""


def scale_of(parts: tuple[Part, ...]) -> int:
    """Return how many pixels a latent is each way, by the autoencoder."""
    found = next((part for part in parts if part.role is Role.AUTOENCODER), None)
    if found is None:
        return 8
    settings = Settings(found.name, found.settings)
    if found.class_name == "AutoencoderDC":
        levels = len(settings.words("decoder_block_out_channels", ("",) * 6))
    elif found.class_name in _WAN:
        levels = 4
    else:
        levels = len(settings.words("block_out_channels", ("",) * (4 if _is_flux2(found) else 1)))
    return int(2 ** (min(levels, 8) - 1))


_WAN = ("AutoencoderKLQwenImage", "AutoencoderKLWan")


def _is_flux2(part: Part) -> bool:
    return part.class_name == "AutoencoderKLFlux2"


def of_autoencoder(part: Part, size: Size, batch: int) -> Held | None:
    """Return what decoding pictures holds; None where the architecture is not known."""
    settings = Settings(part.name, part.settings)
    pixels = size.pixels * batch
    if part.class_name in _WAN:
        # It is made for video: one frame is decoded as three.
        width = settings.number("base_dim", 96)
        return Held(round(18 * width * pixels), round(3 * width * pixels))
    if part.class_name == "AutoencoderDC":
        widths = settings.counts("decoder_block_out_channels", (128, 256, 512, 512, 1024, 1024))
        width = max(widths[0], widths[min(1, len(widths) - 1)] / 2)
        return Held(round(4.52 * width * pixels), round(width * pixels))
    if part.class_name in ("AutoencoderKL", "AutoencoderKLFlux2"):
        default = (128, 256, 512, 512) if _is_flux2(part) else (64,)
        return _upward(settings.counts("block_out_channels", default), pixels)
    return None


def _upward(widths: tuple[int, ...], pixels: int) -> Held:
    most = copied = 0.0
    for level, width in enumerate(widths):
        cells = pixels / 4**level
        below = widths[min(level + 1, len(widths) - 1)]
        # Of what a block reads: itself, normed, activated; then convolved, from a copy.
        plain = 3 * below * cells
        reordered = plain + width * cells
        if level + 1 < len(widths):  # what was enlarged: before, larger, convolved, a copy
            reordered = max(reordered, 3.76 * below * cells)
        most = max(most, plain)
        copied = max(copied, reordered)
    return Held(round(most), round(copied - most))
