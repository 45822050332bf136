"""What a LoRA or one of its kin is: its method, whose names it has, and the family it is for."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from limner.families.diffusion.recognition.finding import Layout, Words
from limner.families.diffusion.recognition.tensors import Tensor
from limner.families.diffusion.recognition.wearers import Layer, marked, wearers_of

_WEIGHT = re.compile(
    r"(?P<module>.+?)[._](?P<kind>"
    r"lora[._](down|up|mid)|lora_[AB](\.[a-z_]+)?|lora\d?\.(down|up)|lora_linear_layer\.(down|up)"
    r"|hada_(w[12]_[ab]|t[12])|lokr_(w[12](_[ab])?|t2)|oft_(blocks|diag)|dora_scale"
    r"|lora_magnitude_vector(\.[a-z_]+)?|diff(_b)?|[wb]_norm|[ab][12](?=\.weight$)"
    r")(\.weight)?$"
)
"""A tensor of an adapter: the layer it changes, and what it is to it."""

_METHODS = (
    ("hada_", "LoHa"), ("lokr_", "LoKr"), ("oft_", "OFT"), ("dora_", "DoRA"),
    ("lora_magnitude", "DoRA"), ("lora", "LoRA"), ("diff", "full difference"),
    ("norm", "full difference"), ("a1", "GLoRA"),
)  # fmt: skip

METHODS = ("LoRA", "DoRA", "LoHa", "LoKr", "full difference")
"""The kinds of adapters that are put on."""

_CONTROL = "control LoRA"
_WORDS = "LoRA with textual inversions"

_INSTEAD = {
    _CONTROL: "It makes FLUX.1 follow a picture. Draw with the whole model, FLUX.1 Canny [dev] or "
    "FLUX.1 Depth [dev], instead.",
    _WORDS: "Textual inversions (bundle_emb, emb_params) are not read. Choose an adapter without "
    "them.",
}


def instead_of(method: str) -> str:
    """Return what to do where a kind of adapter is not put on; empty for one that is."""
    if method in METHODS:
        return ""
    return _INSTEAD.get(method, f"These are: {', '.join(METHODS)}.")


@dataclass(frozen=True)
class Adapter:
    """An adapter's method (“LoRA”, “LoKr”, …), its naming, and every family that it may be for.

    There is none where nothing tells. `named` is the family that its name speaks of, which is no
    more than likely; empty for none.
    """

    method: str
    layout: Layout
    families: tuple[str, ...]
    named: str
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
    if not _GLORA.issubset(change.kind for change in changes):
        changes = [change for change in changes if change.kind not in _GLORA]
    if not changes or len(changes) * 2 < len(tensors) - besides:
        return None
    kinds = {change.kind for change in changes}
    layers = _layers(changes)
    families = _families(layers, metadata)
    encoders = any(layer.name.startswith(_ENCODERS) for layer in layers)
    return Adapter(
        _method(tensors, kinds, layers, families),
        _layout(tensors, kinds, metadata),
        families,
        words.first(_SAID),
        encoders,
    )


_GLORA = frozenset({"a1", "a2", "b1", "b2"})


def _method(
    tensors: Iterable[str], kinds: set[str], layers: Sequence[Layer], families: tuple[str, ...]
) -> str:
    """Return the name of what an adapter does to its layers."""
    names = tuple(tensors)
    # FLUX.1 takes 64 features, and as many again of the picture it is to follow; FLUX.2 takes 128.
    wide = any(one.name in ("img_in", "x_embedder") and one.inputs == 128 for one in layers)
    normed = any(name.endswith("key_norm.scale") for name in names)
    if "flux1" in families and "flux2" not in families and (wide or normed):
        return _CONTROL
    if any(name.startswith("bundle_emb.") or name == "emb_params" for name in names):
        return _WORDS
    return next(title for mark, title in _METHODS if any(mark in kind for kind in kinds))


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


def _layers(changes: Sequence[_Change]) -> tuple[Layer, ...]:
    shapes: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for change in changes:
        shapes[change.flat][change.kind] = change.tensor.shape
    return tuple(Layer(name, kinds) for name, kinds in shapes.items())


def _families(layers: Sequence[Layer], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return every family that an adapter may be for, the likelier first; none if unknown.

    Layers that only one family has decide. Among the families that have all of them metadata
    chooses, then which of them have no block more.
    """
    if found := marked(layers):
        return (found,)
    wearers = wearers_of(layers)
    said = Words(
        metadata.get("ss_base_model_version", ""), metadata.get("modelspec.architecture", "")
    ).first(_SAID)
    if said and (said in wearers.families or not wearers.families):
        return (said,)
    return wearers.whole or wearers.families


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
    "sd2": ("sd-v2", "sd-v2-v", "stable-diffusion-v2", "sd-2-1", "sd21", "sd2"),
    "sd1": ("sd-v1", "stable-diffusion-v1", "sd-1-5", "sd15", "sd1"),
    "chroma": ("chroma",),
    "flux2": ("flux2", "flux-2", "klein"),
    "flux1": ("flux1", "flux-1", "flux-1-dev", "flux"),
    "sd3": ("sd3", "sd-3", "stable-diffusion-3", "sd35"),
    "qwen-image": ("qwen-image", "qwen"),
    "z-image": ("z-image", "zimage"),
    "krea2": ("krea2", "krea-2"),
    "sana": ("sana",),
    "pixart": ("pixart",),
}
"""Family → the words of `ss_base_model_version`, `modelspec.architecture` and of file names."""
