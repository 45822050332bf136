"""What a LoRA or one of its kin is: its method, whose names it has, and the family it is for."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from limner.families.diffusion.recognition.finding import Layout, Words
from limner.families.diffusion.recognition.tensors import Tensor

_WEIGHT = re.compile(
    r"(?P<module>.+?)[._](?P<kind>"
    r"lora[._](down|up|mid)|lora_[AB](\.[a-z_]+)?|lora\d?\.(down|up)|lora_linear_layer\.(down|up)"
    r"|hada_(w[12]_[ab]|t[12])|lokr_(w[12](_[ab])?|t2)|oft_(blocks|diag)|dora_scale"
    r"|lora_magnitude_vector(\.[a-z_]+)?|diff(_b)?"
    r")(\.weight)?$"
)
"""A tensor of an adapter: the layer it changes, and what it is to it."""

_METHODS = (
    ("hada_", "LoHa"), ("lokr_", "LoKr"), ("oft_", "OFT"), ("dora_", "DoRA"),
    ("lora_magnitude", "DoRA"), ("lora", "LoRA"), ("diff", "full difference"),
)  # fmt: skip


@dataclass(frozen=True)
class Adapter:
    """An adapter's method (“LoRA”, “LoKr”, …), naming and family, empty where it cannot be told."""

    method: str
    layout: Layout
    family: str
    text_encoders: bool


@dataclass(frozen=True)
class _Change:
    """One tensor of an adapter: the layer, the layer with `_` for `.`, the kind, the tensor."""

    module: str
    flat: str
    kind: str
    tensor: Tensor


def identify(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], words: Words
) -> Adapter | None:
    """Return what adapter these tensors are, or None if most of them are none of an adapter."""
    changes = [
        _Change(found["module"], _flat(found["module"]), found["kind"], tensor)
        for name, tensor in tensors.items()
        if (found := _WEIGHT.match(name))
    ]
    besides = sum(name.endswith((".alpha", ".scale", ".scale_weight")) for name in tensors)
    if not changes or len(changes) * 2 < len(tensors) - besides:
        return None
    kinds = {change.kind for change in changes}
    method = next(title for mark, title in _METHODS if any(mark in kind for kind in kinds))
    family = _family(changes) or _family_said(metadata, words)
    encoders = any(change.flat.startswith(_ENCODERS) for change in changes)
    return Adapter(method, _layout(tensors, kinds, metadata), family, encoders)


_ENCODERS = ("te_", "te1_", "te2_", "te3_", "text_encoder", "text_encoders_")

_PREFIXES = (
    "base_model_model_", "lora_unet_", "lora_transformer_", "lycoris_", "lora_",
    "model_diffusion_model_", "diffusion_model_", "transformer_", "unet_",
)  # fmt: skip


def _flat(module: str) -> str:
    flat = module.replace(".", "_").removesuffix("_processor")
    # `lora_unet_` and `transformer_` may stand behind `base_model_model_`, but a layer named
    # `transformer_blocks_…` is no prefix.
    for prefix in _PREFIXES:
        if flat.startswith(prefix) and not flat.startswith("transformer_blocks_"):
            flat = flat.removeprefix(prefix)
    return flat


def _layout(tensors: Iterable[str], kinds: set[str], metadata: Mapping[str, str]) -> Layout:
    names = tuple(tensors)

    def begin(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in names)

    if any(".processor." in name and "_blocks." in name and "lora" in name for name in names) and (
        begin("double_blocks.", "single_blocks.")
    ):
        return "XLabs"
    if begin("lora_transformer_") or any(key.startswith("ot_") for key in metadata):
        return "OneTrainer"
    if begin("lycoris_") or any(kind.startswith(("hada_", "lokr_", "oft_")) for kind in kinds):
        return "LyCORIS"
    if begin("lora_unet_", "lora_te"):
        return "kohya"
    if begin("diffusion_model.", "model.diffusion_model."):
        return "ai-toolkit"
    if begin("double_blocks.", "single_blocks."):
        return "BFL"
    if any(".lora_A." in name for name in names):
        return "PEFT"
    return "diffusers"


_MARKS: tuple[tuple[str, str], ...] = (
    ("chroma", r"distilled_guidance_layer_"),
    ("krea2", r"txtfusion_|text_fusion_|(transformer_)?blocks_\d+_attn_(wq|wk|wv|wo|to_gate)$"),
    ("qwen-image", r"transformer_blocks_\d+_(img_mlp|txt_mlp|img_mod|txt_mod)_"),
    ("qwen-image", r"transformer_blocks_(39|[45]\d)_attn_add_"),
    ("flux2", r"(double_stream_modulation|single_stream_modulation)"),
    ("flux2", r"single_transformer_blocks_\d+_attn_to_qkv_mlp_proj$"),
    ("flux2", r"transformer_blocks_\d+_ff(_context)?_linear_(in|out)$"),
    ("flux1", r"(double_blocks_\d+_(img|txt)_mod_lin|single_blocks_\d+_modulation_lin)$"),
    ("flux1", r"single_transformer_blocks_\d+_(proj_mlp|norm_linear)$"),
    ("sd3", r"joint_blocks_\d+_"),
    (
        "z-image",
        r"(layers|noise_refiner|context_refiner)_\d+_(attention_(qkv|to_q|out)|feed_forward_w\d)",
    ),
    ("sana", r"transformer_blocks_\d+_ff_conv_|blocks_\d+_mlp_inverted_conv"),
    ("Wan (video)", r"blocks_\d+_(self_attn|cross_attn)_[qkvo]$"),
    (
        "sdxl",
        r"te2_text_model_|(down_blocks_[12]|up_blocks_[01])_attentions_\d_transformer_blocks_[1-9]",
    ),
    ("sdxl", r"(input_blocks_[4578]|output_blocks_[0-5]|middle_block)_1_transformer_blocks_[1-9]"),
)
"""Family, and a layer (with `_` for `.`) that only its models have."""


def _family(changes: list[_Change]) -> str:
    for family, pattern in _MARKS:
        layer = re.compile(pattern)
        if any(layer.match(change.flat) for change in changes):
            return family
    return _by_width(changes)


def _by_width(changes: list[_Change]) -> str:
    for change in changes:
        width = _inputs(change)
        for pattern, families in _WIDTHS:
            if width in families and re.match(pattern, change.flat):
                return _klein(changes) if families[width] == "?" else families[width]
    return ""


_WIDTHS: tuple[tuple[str, dict[int, str]], ...] = (
    (
        r".*_attn2_(processor_)?to_[kv]$",
        {768: "sd1", 1024: "sd2", 2048: "sdxl", 1152: "pixart", 2240: "sana"},
    ),
    (r"(double|single)_blocks_\d+_", {6144: "flux2", 4096: "flux2", 3072: "?"}),
    (r"single_transformer_blocks_\d+_attn_to_", {3072: "flux1"}),
    (r"transformer_blocks_\d+_(attn|ff)_", {1536: "sd3", 2432: "sd3", 3072: "flux1"}),
    (r"transformer_blocks_\d+_attn\d_to_q$", {1152: "pixart", 2240: "sana"}),
    (r"te1?_text_model_encoder_layers_\d+_(self_attn_q_proj|mlp_fc1)$", {768: "sd1", 1024: "sd2"}),
)
"""Layer → the features it takes in → family. `?`: FLUX.1 and FLUX.2 klein 4B have the same."""


def _klein(changes: list[_Change]) -> str:
    """Tell FLUX.1 from FLUX.2 klein 4B, whose feed-forward layers come gated, thus wider."""
    wider = any(
        change.kind in ("lora_B", "lora_up", "lora.up", "lora_B.default")
        and (
            (change.flat.endswith("_linear1") and change.tensor.shape[:1] == (27_648,))
            or (change.flat.endswith("_mlp_0") and change.tensor.shape[:1] == (18_432,))
        )
        for change in changes
    )
    return "flux2" if wider else "flux1"


def _inputs(change: _Change) -> int:
    """Return how many features the changed layer takes; 0 where this tensor does not tell."""
    down = re.fullmatch(r"lora[._]down|lora_A(\.[a-z_]+)?|lora\d?\.down|hada_w1_b", change.kind)
    shape = change.tensor.shape
    return shape[1] if down and len(shape) >= 2 else 0


_SAID = {
    "sdxl": (
        "sdxl-base-v1-0",
        "sdxl-base-v0-9",
        "sdxl",
        "stable-diffusion-xl-v1-base",
        "xl",
        "illustrious",
        "pony",
    ),
    "sd2": ("sd-v2", "sd-v2-v", "stable-diffusion-v2"),
    "sd1": ("sd-v1", "stable-diffusion-v1", "sd15", "sd1"),
    "chroma": ("chroma",),
    "flux2": ("flux2", "flux-2", "klein"),
    "flux1": ("flux1", "flux-1", "flux-1-dev", "flux"),
    "sd3": ("sd3", "stable-diffusion-3", "sd35"),
    "qwen-image": ("qwen-image", "qwen"),
    "z-image": ("z-image", "zimage"),
    "krea2": ("krea2", "krea-2"),
}
"""Family → the words of `ss_base_model_version`, `modelspec.architecture` and of file names."""


def _family_said(metadata: Mapping[str, str], words: Words) -> str:
    written = Words(
        metadata.get("ss_base_model_version", ""), metadata.get("modelspec.architecture", "")
    )
    return written.first(_SAID) or words.first(_SAID)
