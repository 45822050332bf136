"""Which family and variant a denoiser is, from the names and shapes of its tensors.

The names are those of the published checkpoints and of diffusers 0.42. A rule's markers are
tensors that this family has and those after it in the table lack.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from limner.families.diffusion.recognition.finding import Layout, Words
from limner.families.diffusion.recognition.tensors import Part

Naming: TypeAlias = Callable[[Part, Words], str]
"""Tells the variant of a denoiser whose family is known."""


@dataclass(frozen=True)
class Denoiser:
    """The family and variant of a denoiser, and whether Limner knows the kind."""

    family: str
    variant: str
    layout: Layout
    drawable: bool = True


@dataclass(frozen=True)
class _Rule:
    family: str
    layout: Layout
    markers: tuple[str, ...]
    variant: Naming


_FAST = {
    "turbo": ("turbo",),
    "lightning": ("lightning",),
    "lcm-lora": ("lcm", "latent-consistency"),
    "hyper": (
        "hyper-sd",
        "hypersd",
        "hyper-sdxl",
        *(f"hyper-{count}{step}" for count in (1, 2, 4, 8, 12) for step in ("step", "steps")),
        *(f"hyper-{count}-{step}" for count in (1, 2, 4, 8, 12) for step in ("step", "steps")),
    ),
    "dmd2": ("dmd2", "dmd"),
}
"""Variants of few steps, by the words that name them.

“Hyper” alone is a word of many names; what Hyper-SD made says its steps or its name besides.
"""


def identify(part: Part, words: Words) -> Denoiser | None:
    """Return what denoiser these tensors are, or None if they are none that is known."""
    for rule in _RULES:
        if part.has(*rule.markers):
            return Denoiser(rule.family, rule.variant(part, words), rule.layout)
    unet = _unet(part, words)
    if unet is not None:
        return unet
    for family, layout, pattern in _OTHERS:
        if part.holds(pattern):
            return Denoiser(family, "", layout, drawable=False)
    return None


def _flux1(part: Part, words: Words) -> str:
    guided = part.holds(r"guidance_in\.|time_text_embed\.guidance_embedder\.")
    inputs = part.inputs("img_in") or part.inputs("x_embedder")
    if inputs == 384 or (inputs not in (64, 96, 128) and words.say("fill")):
        return "fill-dev"
    if inputs in (128, 96):
        return words.first({"canny-dev": ("canny",), "depth-dev": ("depth",)}) or "control-dev"
    if not guided:
        return "de-distilled" if words.say(*_UNDONE) else "schnell"
    named = {"krea-dev": ("krea",), "kontext-dev": ("kontext",)}
    return words.first(named) or "dev"


_UNDONE = ("de-distill", "de-distilled", "dedistill", "dedistilled", "undistilled")
"""Words for FLUX.1 whose embedded guidance was trained away again."""


def _flux2(part: Part, words: Words) -> str:
    width = part.inputs("txt_in") or part.inputs("context_embedder")
    # Real widths say which; of others (trained anew, tiny) the class that draws with them does.
    otherwise = "klein-4b" if width != 15360 and words.say("klein") else "dev"
    size = {7680: "klein-4b", 12288: "klein-9b"}.get(width, otherwise)
    if size != "dev" and words.say("base"):
        return f"{size.replace('klein', 'klein-base')}"
    return size


def _chroma(part: Part, words: Words) -> str:
    if part.holds(r"nerf_"):
        return "radiance"
    return words.first({"flash": ("flash",), "hd": ("hd", "chroma1-hd")}) or "base"


def _krea2(_: Part, words: Words) -> str:
    return "turbo" if words.say("turbo") else "raw"


def _qwen_image(part: Part, words: Words) -> str:
    if part.holds(r"time_text_embed\.addition_t_embedding"):
        return "layered"
    edits = {
        "edit-2511": ("2511",),
        "edit-2509": ("2509", "edit-plus"),
        "edit": ("edit",),
        "layered": ("layered",),
    }
    return words.first(edits) or "base"


def _qwen_image_21(_: Part, words: Words) -> str:
    return "2.1-turbo" if words.say("turbo") else "2.1"


def _z_image(part: Part, words: Words) -> str:
    if part.holds(r"siglip_embedder"):
        return "omni"
    if words.say("de-turbo"):
        return "base"
    return words.first({"turbo": ("turbo",), "edit": ("edit",)}) or "base"


def _sana(part: Part, words: Words) -> str:
    width = part.rows("x_embedder.proj.weight") or part.rows("patch_embed.proj.weight")
    deep = max(part.count("blocks"), part.count("transformer_blocks")) > 40
    size = "600m" if width == 1152 else "4.8b" if deep else "1.6b"
    guided = part.holds(r"time_embed\.guidance_embedder\.|cfg_embedder\.|logvar_linear\.")
    return f"sprint-{size}" if guided or words.say("sprint") else size


def _pixart(part: Part, _: Words) -> str:
    small = part.holds(r"(adaln_single\.emb\.resolution_embedder|csize_embedder)\.")
    return "alpha" if small else "sigma"


def _sd3(part: Part, words: Words) -> str:
    if part.holds(r"joint_blocks\.0\.x_block\.attn2\.|transformer_blocks\.0\.attn2\."):
        return "3.5-medium"
    if part.holds(r"joint_blocks\.0\.x_block\.attn\.ln_q\.|transformer_blocks\.0\.attn\.norm_q\."):
        return "3.5-large-turbo" if words.say("turbo") else "3.5-large"
    return "3-medium"


_RULES = (
    _Rule("flux2", "original", ("single_stream_modulation.lin.weight",), _flux2),
    _Rule("flux2", "diffusers", ("single_stream_modulation.linear.weight",), _flux2),
    _Rule(
        "chroma",
        "diffusers",
        ("distilled_guidance_layer.in_proj.weight", "x_embedder.weight"),
        _chroma,
    ),
    _Rule("chroma", "original", ("distilled_guidance_layer.in_proj.weight",), _chroma),
    _Rule(
        "flux1",
        "original",
        (
            "double_blocks.0.img_attn.norm.key_norm.scale",
            "vector_in.in_layer.weight",
            "img_in.weight",
        ),
        _flux1,
    ),
    _Rule(
        "flux1",
        "diffusers",
        (
            "single_transformer_blocks.0.proj_mlp.weight",
            "time_text_embed.text_embedder.linear_1.weight",
        ),
        _flux1,
    ),
    _Rule("krea2", "original", ("txtfusion.projector.weight",), _krea2),
    _Rule("krea2", "diffusers", ("text_fusion.projector.weight",), _krea2),
    _Rule("qwen-image", "diffusers", ("txt_in.text_norm.weight", "img_in.weight"), _qwen_image_21),
    _Rule(
        "qwen-image",
        "diffusers",
        ("txt_norm.weight", "transformer_blocks.0.img_mod.1.weight"),
        _qwen_image,
    ),
    _Rule(
        "z-image",
        "diffusers",
        ("all_x_embedder.2-1.weight", "layers.0.adaLN_modulation.0.weight"),
        _z_image,
    ),
    _Rule(
        "z-image",
        "original",
        ("layers.0.adaLN_modulation.0.weight", "cap_embedder.1.weight"),
        _z_image,
    ),
    _Rule("sana", "original", ("attention_y_norm.weight", "x_embedder.proj.weight"), _sana),
    _Rule("sana", "diffusers", ("caption_norm.weight", "patch_embed.proj.weight"), _sana),
    _Rule(
        "pixart",
        "original",
        ("blocks.0.cross_attn.kv_linear.weight", "t_block.1.weight", "x_embedder.proj.weight"),
        _pixart,
    ),
    _Rule("pixart", "diffusers", ("adaln_single.linear.weight", "pos_embed.proj.weight"), _pixart),
    _Rule(
        "sd3",
        "original",
        ("joint_blocks.0.context_block.adaLN_modulation.1.weight", "x_embedder.proj.weight"),
        _sd3,
    ),
    _Rule(
        "sd3",
        "diffusers",
        ("pos_embed.proj.weight", "transformer_blocks.0.norm1_context.linear.weight"),
        _sd3,
    ),
)

_OTHERS: tuple[tuple[str, Layout, str], ...] = (
    ("FLUX.3", "original", r"early_stream_modulations\.image\."),
    ("HunyuanVideo or HunyuanImage", "original", r"double_blocks\.0\.img_attn|txt_in\.individual_"),
    ("Anima", "original", r"llm_adapter\."),
    ("Wan (video)", "original", r"head\.modulation$|blocks\.0\.self_attn\.norm_q\.weight$"),
    ("Wan (video)", "diffusers", r"condition_embedder\.time_embedder\."),
    ("LTX-Video", "original", r"patchify_proj\.|av_ca_a2v_gate_adaln_single\."),
    ("Mochi", "original", r"blocks\.0\.attn\.qkv_x\."),
    ("AuraFlow", "original", r"double_layers\.0\.attn\.w1q\."),
    ("AuraFlow", "diffusers", r"joint_transformer_blocks\.0\."),
    ("HiDream", "original", r"double_stream_blocks\.0\.block\."),
    ("Lumina 2", "original", r"layers\.0\.adaLN_modulation\.1\.|cap_embedder\.0\."),
    ("Cosmos", "original", r"blocks\.(block1\.blocks\.)?0\.(self_attn\.q_proj|block\.attn\.to_q)"),
    ("Stable Cascade", "original", r"down_blocks\.\d+\.0\.channelwise\.0\.|clip_txt_mapper\."),
    ("AnimateDiff (motion)", "diffusers", r"down_blocks\.0\.motion_modules\."),
    ("HunyuanDiT", "original", r"mlp_t5\.|style_embedder\."),
    ("Kandinsky 5", "original", r"visual_transformer_blocks\.0\."),
)
"""Denoisers that a folder may well hold and Limner does not draw with, by a name they have."""


def _unet(part: Part, words: Words) -> Denoiser | None:
    if part.has("input_blocks.0.0.weight", "time_embed.0.weight", "out.2.weight"):
        return _original_unet(part, words)
    if part.has("conv_in.weight", "time_embedding.linear_1.weight", "conv_out.weight"):
        return _diffusers_unet(part, words)
    return None


def _original_unet(part: Part, words: Words) -> Denoiser | None:
    inputs = part.inputs("input_blocks.0.0")
    level = part.dimensions("input_blocks.1.1.proj_in.weight")
    if not level and part.has("label_emb.0.0.weight"):
        refiner = part.count("input_blocks") > 9
        return Denoiser("sdxl", _sdxl(part, words, inputs, refiner=refiner), "original")
    if not level:
        return Denoiser("a U-Net of another kind", "", "original", drawable=False)
    family = "sd2" if level == 2 or part.inputs(_CROSS) == 1024 else "sd1"
    variant = _sd(family, words, inputs, part.has("label_emb.0.0.weight"))
    return Denoiser(family, variant, "original")


_CROSS = "input_blocks.1.1.transformer_blocks.0.attn2.to_k"


def _diffusers_unet(part: Part, words: Words) -> Denoiser | None:
    inputs = part.inputs("conv_in")
    if part.holds(r"encoder_hid_proj\."):
        return Denoiser("Kolors or DeepFloyd", "", "diffusers", drawable=False)
    if part.has("add_embedding.linear_1.weight"):
        refiner = part.count("down_blocks") > 3
        return Denoiser("sdxl", _sdxl(part, words, inputs, refiner=refiner), "diffusers")
    level = part.dimensions("down_blocks.0.attentions.0.proj_in.weight")
    if not level:
        return Denoiser("a U-Net of another kind", "", "diffusers", drawable=False)
    family = "sd2" if level == 2 else "sd1"
    variant = _sd(family, words, inputs, part.has("class_embedding.linear_1.weight"))
    lcm = part.has(_GUIDED) and inputs == 4
    return Denoiser(family, "lcm" if lcm else variant, "diffusers")


_GUIDED = "time_embedding.cond_proj.weight"
"""Where a consistency model is told its guidance: those made by an LCM-LoRA have it not."""

_EXTRA_INPUTS = {5: "depth", 7: "upscaler", 8: "edit", 9: "inpainting"}
"""Channels a U-Net takes besides the four of its latents, and what they are for."""


def _sd(family: str, words: Words, inputs: int, conditioned: bool) -> str:
    if inputs in _EXTRA_INPUTS:
        return _EXTRA_INPUTS[inputs]
    if conditioned:
        return "unclip"
    small = family == "sd2" and words.say("512", "512x512", "2-base", "2-1-base")
    return words.first(_FAST) or ("512-base" if small else "base")


def _sdxl(part: Part, words: Words, inputs: int, *, refiner: bool) -> str:
    if inputs in _EXTRA_INPUTS:
        return _EXTRA_INPUTS[inputs]
    if refiner:
        return "refiner"
    if part.has(_GUIDED):
        return "lcm"
    if not part.holds(r"(middle_block\.1|mid_block\.attentions\.0)\."):
        deepest = (
            "input_blocks.8.1.transformer_blocks",
            "down_blocks.2.attentions.1.transformer_blocks",
        )
        return {4: "ssd-1b", 2: "vega"}.get(max(map(part.count, deepest)), "pruned")
    return words.first({**_FAST, "playground": ("playground",)}) or "base"
