"""One low-rank change of a tiny model, written as the makers of adapters write it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

RANK = 2
Names = Mapping[str, tuple[str, ...]]
"""A published name → the layers of diffusers it is, in the order of its outputs."""
Pair = tuple[Any, Any]

_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_TEXT = "text_model.encoder.layers.0"
_T5 = "encoder.block.0.layer"


def _in(block: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{block}.{name}" for name in names)


_DOUBLE = "transformer_blocks.0"
_SINGLE = "single_transformer_blocks.0"
_FLUX: Names = {
    "double_blocks.0.img_attn.qkv": _in(f"{_DOUBLE}.attn", *_QKV),
    "double_blocks.0.txt_attn.qkv": _in(f"{_DOUBLE}.attn", *_ADDED),
    "double_blocks.0.img_attn.proj": (f"{_DOUBLE}.attn.to_out.0",),
    "double_blocks.0.txt_attn.proj": (f"{_DOUBLE}.attn.to_add_out",),
    "double_blocks.0.img_mlp.0": (f"{_DOUBLE}.ff.net.0.proj",),
    "double_blocks.0.txt_mlp.2": (f"{_DOUBLE}.ff_context.net.2",),
    "single_blocks.0.linear1": (*_in(f"{_SINGLE}.attn", *_QKV), f"{_SINGLE}.proj_mlp"),
    "single_blocks.0.linear2": (f"{_SINGLE}.proj_out",),
    "img_in": ("x_embedder",),
    "final_layer.linear": ("proj_out",),
}
_FLUX1: Names = {
    **_FLUX,
    "double_blocks.0.img_mod.lin": (f"{_DOUBLE}.norm1.linear",),
    "single_blocks.0.modulation.lin": (f"{_SINGLE}.norm.linear",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
}
_XLABS: Names = {
    "double_blocks.0.processor.qkv_lora1": _in(f"{_DOUBLE}.attn", *_QKV),
    "double_blocks.0.processor.qkv_lora2": _in(f"{_DOUBLE}.attn", *_ADDED),
    "double_blocks.0.processor.proj_lora1": (f"{_DOUBLE}.attn.to_out.0",),
    "double_blocks.0.processor.proj_lora2": (f"{_DOUBLE}.attn.to_add_out",),
    "single_blocks.0.processor.qkv_lora": _in(f"{_SINGLE}.attn", *_QKV),
    "single_blocks.0.processor.proj_lora": (f"{_SINGLE}.proj_out",),
}
_CHROMA: Names = {
    **_FLUX,
    "distilled_guidance_layer.layers.0.in_layer": ("distilled_guidance_layer.layers.0.linear_1",),
}
_FLUX2: Names = {
    "double_blocks.0.img_attn.qkv": _in(f"{_DOUBLE}.attn", *_QKV),
    "double_blocks.0.txt_attn.qkv": _in(f"{_DOUBLE}.attn", *_ADDED),
    "double_blocks.0.img_mlp.0": (f"{_DOUBLE}.ff.linear_in",),
    "double_blocks.0.txt_mlp.2": (f"{_DOUBLE}.ff_context.linear_out",),
    "single_blocks.0.linear1": (f"{_SINGLE}.attn.to_qkv_mlp_proj",),
    "single_blocks.0.linear2": (f"{_SINGLE}.attn.to_out",),
    "double_stream_modulation_img.lin": ("double_stream_modulation_img.linear",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
}
_SD3: Names = {
    "joint_blocks.0.x_block.attn.qkv": _in(f"{_DOUBLE}.attn", *_QKV),
    "joint_blocks.0.context_block.attn.qkv": _in(f"{_DOUBLE}.attn", *_ADDED),
    "joint_blocks.0.x_block.attn.proj": (f"{_DOUBLE}.attn.to_out.0",),
    "joint_blocks.0.x_block.mlp.fc1": (f"{_DOUBLE}.ff.net.0.proj",),
    "joint_blocks.0.x_block.adaLN_modulation.1": (f"{_DOUBLE}.norm1.linear",),
    "joint_blocks.0.context_block.adaLN_modulation.1": (f"{_DOUBLE}.norm1_context.linear",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    "x_embedder.proj": ("pos_embed.proj",),
}
_Z_IMAGE: Names = {
    "layers.0.attention.qkv": _in("layers.0.attention", *_QKV),
    "layers.0.attention.out": ("layers.0.attention.to_out.0",),
    "context_refiner.0.attention.qkv": _in("context_refiner.0.attention", *_QKV),
    "layers.0.feed_forward.w1": ("layers.0.feed_forward.w1",),
    "layers.0.adaLN_modulation.0": ("layers.0.adaLN_modulation.0",),
    "x_embedder": ("all_x_embedder.2-1",),
}
_KREA2: Names = {
    "blocks.0.attn.wq": (f"{_DOUBLE}.attn.to_q",),
    "blocks.0.attn.wo": (f"{_DOUBLE}.attn.to_out.0",),
    "blocks.0.attn.gate": (f"{_DOUBLE}.attn.to_gate",),
    "blocks.0.mlp.gate": (f"{_DOUBLE}.ff.gate",),
    "txtfusion.refiner_blocks.0.mlp.down": ("text_fusion.refiner_blocks.0.ff.down",),
    "tmlp.0": ("time_embed.linear_1",),
    "first": ("img_in",),
}
_QWEN: Names = {
    name: (name,)
    for name in (
        f"{_DOUBLE}.attn.to_q",
        f"{_DOUBLE}.attn.add_k_proj",
        f"{_DOUBLE}.attn.to_out.0",
        f"{_DOUBLE}.img_mlp.net.0.proj",
        f"{_DOUBLE}.txt_mod.1",
        "img_in",
    )
}
_SANA: Names = {
    name: (name,)
    for name in (
        f"{_DOUBLE}.attn1.to_q",
        f"{_DOUBLE}.attn2.to_out.0",
        f"{_DOUBLE}.ff.conv_inverted",
        "caption_projection.linear_1",
    )
}
_PIXART: Names = {
    name: (name,)
    for name in (
        f"{_DOUBLE}.attn1.to_q",
        f"{_DOUBLE}.attn2.to_v",
        f"{_DOUBLE}.ff.net.2",
        "adaln_single.linear",
    )
}
_ATTENTION = "attentions.0.transformer_blocks.0"
_SD1: Names = {
    f"input_blocks.1.1.{_ATTENTION[13:]}.attn2.to_k": (f"down_blocks.0.{_ATTENTION}.attn2.to_k",),
    f"input_blocks.1.1.{_ATTENTION[13:]}.attn1.to_out.0": (
        f"down_blocks.0.{_ATTENTION}.attn1.to_out.0",
    ),
    "input_blocks.1.1.proj_in": ("down_blocks.0.attentions.0.proj_in",),
    "input_blocks.1.0.in_layers.2": ("down_blocks.0.resnets.0.conv1",),
    "input_blocks.2.0.op": ("down_blocks.0.downsamplers.0.conv",),
    "middle_block.1.proj_out": ("mid_block.attentions.0.proj_out",),
    "middle_block.2.emb_layers.1": ("mid_block.resnets.1.time_emb_proj",),
    "output_blocks.1.0.skip_connection": ("up_blocks.0.resnets.1.conv_shortcut",),
    "output_blocks.1.1.conv": ("up_blocks.0.upsamplers.0.conv",),
    f"output_blocks.3.1.{_ATTENTION[13:]}.ff.net.0.proj": (
        "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.0.proj",
    ),
}
_SDXL: Names = {
    f"input_blocks.3.1.{_ATTENTION[13:]}.attn2.to_k": (f"down_blocks.1.{_ATTENTION}.attn2.to_k",),
    "input_blocks.3.1.proj_in": ("down_blocks.1.attentions.0.proj_in",),
    "input_blocks.2.0.op": ("down_blocks.0.downsamplers.0.conv",),
    "output_blocks.1.2.conv": ("up_blocks.0.upsamplers.0.conv",),
    "output_blocks.1.1.proj_out": ("up_blocks.0.attentions.1.proj_out",),
    "time_embed.0": ("time_embedding.linear_1",),
    "label_emb.0.2": ("add_embedding.linear_2",),
}
_CLIP = (f"{_TEXT}.self_attn.q_proj", f"{_TEXT}.mlp.fc2")
_T5S = (f"{_T5}.0.SelfAttention.q", f"{_T5}.1.DenseReluDense.wo")


@dataclass(frozen=True)
class Kind:
    """A tiny model: how it is made, its family, and what an adapter changes of it."""

    make: str
    family: str
    variant: str
    names: Names
    texts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    denoiser: str = "transformer"


KINDS = {
    "sd1": Kind("sd1", "sd1", "base", _SD1, (("text_encoder", _CLIP),), "unet"),
    "sdxl": Kind(
        "sdxl", "sdxl", "base", _SDXL, (("text_encoder", _CLIP), ("text_encoder_2", _CLIP)), "unet"
    ),
    "sd3": Kind(
        "sd3",
        "sd3",
        "3.5-medium",
        _SD3,
        (("text_encoder", _CLIP), ("text_encoder_2", _CLIP), ("text_encoder_3", _T5S)),
    ),
    "flux": Kind(
        "flux", "flux1", "dev", _FLUX1, (("text_encoder", _CLIP), ("text_encoder_2", _T5S))
    ),
    "flux, attention": Kind("flux", "flux1", "dev", _XLABS),
    "chroma": Kind("chroma", "chroma", "base", _CHROMA, (("text_encoder", _T5S),)),
    "flux2": Kind("flux2_klein", "flux2", "klein-base-4b", _FLUX2),
    "z-image": Kind("z_image", "z-image", "base", _Z_IMAGE),
    "krea2": Kind("krea2", "krea2", "raw", _KREA2),
    "sana": Kind("sana", "sana", "1.6b", _SANA),
    "pixart": Kind("pixart", "pixart", "sigma", _PIXART, (("text_encoder", _T5S),)),
    "qwen-image": Kind("qwen_image", "qwen-image", "base", _QWEN),
}


@dataclass(frozen=True)
class Change:
    """Down and up for every layer; those that are one layer to a publisher share their down."""

    kind: Kind
    pairs: Mapping[str, tuple[Pair, ...]]
    texts: Mapping[tuple[str, str], Pair]
    swapped: frozenset[str]


def layer_of(pipeline: Any, part: str, name: str) -> Any:
    """The layer of a part; CLIP has `text_model` in its names or has not."""
    layers = dict(getattr(pipeline, part).named_modules())
    return layers.get(name) or layers[name.removeprefix("text_model.")]


def _pair(layer: Any, generator: torch.Generator, down: Any = None) -> Pair:
    outputs, inputs, *window = layer.weight.shape
    if down is None:
        down = torch.randn(RANK, inputs, *window, generator=generator) / inputs**0.5
    return down, torch.randn(outputs, RANK, *(1 for _ in window), generator=generator)


def change_of(kind: Kind, pipeline: Any, seed: int = 3) -> Change:
    """A change of all the layers of a kind."""
    generator = torch.Generator().manual_seed(seed)
    pairs: dict[str, tuple[Pair, ...]] = {}
    swapped = set()
    for published, names in kind.names.items():
        made: list[Pair] = []
        for name in names:
            layer = layer_of(pipeline, kind.denoiser, name)
            made.append(_pair(layer, generator, made[0][0] if made else None))
        pairs[published] = tuple(made)
        around = layer_of(pipeline, kind.denoiser, names[0].rpartition(".")[0])
        if type(around).__name__ == "AdaLayerNormContinuous":
            swapped.add(published)
    texts = {
        (part, name): _pair(layer_of(pipeline, part, name), generator)
        for part, names in kind.texts
        for name in names
    }
    return Change(kind, pairs, texts, frozenset(swapped))


Naming = Callable[[Change], dict[str, Pair]]


def _by_layer(change: Change, prefix: str, flat: bool) -> dict[str, Pair]:
    made = {
        name: pair
        for published, names in change.kind.names.items()
        for name, pair in zip(names, change.pairs[published], strict=True)
    }
    return _prefixed(made, prefix, flat)


def _by_publisher(change: Change, prefix: str, flat: bool) -> dict[str, Pair]:
    made: dict[str, Pair] = {}
    for published, pairs in change.pairs.items():
        up = torch.cat([one for _, one in pairs])
        if published in change.swapped:
            up = torch.cat(tuple(reversed(up.chunk(2))))
        made[published] = (pairs[0][0], up)
    return _prefixed(made, prefix, flat)


def _prefixed(made: Mapping[str, Pair], prefix: str, flat: bool) -> dict[str, Pair]:
    return {
        prefix + (name.replace(".", "_") if flat else name): pair for name, pair in made.items()
    }


def _texts(change: Change, prefixes: Mapping[str, str], flat: bool) -> dict[str, Pair]:
    made: dict[str, Pair] = {}
    for (part, name), pair in change.texts.items():
        made |= _prefixed({name: pair}, prefixes[part], flat)
    return made


def _suffixed(pairs: Mapping[str, Pair], down: str, up: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, pair in pairs.items():
        made |= {f"{name}.{down}.weight": pair[0], f"{name}.{up}.weight": pair[1]}
    return made


def _scaled(pairs: Mapping[str, Pair]) -> dict[str, Any]:
    """kohya's suffixes, with an alpha that is not the rank."""
    made: dict[str, Any] = {}
    for name, (down, up) in pairs.items():
        made |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up * 4}
        made[f"{name}.alpha"] = torch.tensor(RANK / 4)
    return made


_ONE = {"text_encoder": "lora_te_"}
_KOHYA = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_", "text_encoder_3": "lora_te3_"}
_KOHYA_FLUX = {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te3_"}
_COMFY = {
    "text_encoder": "text_encoders.clip_l.transformer.",
    "text_encoder_2": "text_encoders.clip_g.transformer.",
    "text_encoder_3": "text_encoders.t5xxl.transformer.",
}
_OWN = {part: f"{part}." for part in _KOHYA}


def peft(change: Change) -> dict[str, Any]:
    """As PEFT and diffusers write it."""
    pairs = _by_layer(change, f"{change.kind.denoiser}.", flat=False)
    return _suffixed(pairs | _texts(change, _OWN, flat=False), "lora_A", "lora_B")


def old(change: Change) -> dict[str, Any]:
    """As diffusers wrote it before PEFT."""
    pairs = _by_layer(change, f"{change.kind.denoiser}.", flat=False)
    return _suffixed(pairs | _texts(change, _OWN, flat=False), "lora.down", "lora.up")


def trained(change: Change) -> dict[str, Any]:
    """As PEFT writes it by itself, with the name of the adapter."""
    pairs = _by_layer(change, "base_model.model.", flat=False)
    texts = _texts(change, _OWN, flat=False)
    return _suffixed(pairs, "lora_A.default", "lora_B.default") | _suffixed(
        texts, "lora_A", "lora_B"
    )


def kohya(change: Change) -> dict[str, Any]:
    """sd-scripts, by the names of diffusers."""
    texts = _texts(change, _ONE if change.kind.family == "sd1" else _KOHYA, flat=True)
    return _scaled(_by_layer(change, "lora_unet_", flat=True) | texts)


def kohya_published(change: Change) -> dict[str, Any]:
    """sd-scripts and ComfyUI, by the names of the publisher."""
    t5_third = change.kind.family == "flux1"
    texts = _texts(change, _KOHYA_FLUX if t5_third else _KOHYA, flat=True)
    return _scaled(_by_publisher(change, "lora_unet_", flat=True) | texts)


def ai_toolkit(change: Change) -> dict[str, Any]:
    """ai-toolkit and ComfyUI: the publisher's names in PEFT's form."""
    pairs = _by_publisher(change, "diffusion_model.", flat=False)
    return _suffixed(pairs | _texts(change, _COMFY, flat=False), "lora_A", "lora_B")


def bfl(change: Change) -> dict[str, Any]:
    """Black Forest Labs: nothing before the names, and biases."""
    pairs = _by_publisher(change, "", flat=False)
    texts = _texts(change, _OWN, flat=False)
    made = _suffixed(pairs, "lora_A", "lora_B") | _suffixed(texts, "lora_A", "lora_B")
    return made | {
        f"{name}.lora_B.bias": torch.zeros(up.shape[0]) for name, (_, up) in pairs.items()
    }


def onetrainer(change: Change) -> dict[str, Any]:
    """OneTrainer: the names of diffusers, numbered encoders."""
    prefix = "lora_unet_" if change.kind.denoiser == "unet" else "lora_transformer_"
    texts = _texts(change, _ONE if change.kind.family == "sd1" else _KOHYA, flat=True)
    return _scaled(_by_layer(change, prefix, flat=True) | texts)


def lycoris(change: Change) -> dict[str, Any]:
    """LyCORIS in other trainers."""
    pairs = _by_layer(change, "lycoris_", flat=True)
    return _scaled(pairs | _texts(change, _KOHYA, flat=True))


def xlabs(change: Change) -> dict[str, Any]:
    """XLabs' x-flux."""
    return _suffixed(_by_publisher(change, "", flat=False), "down", "up")


def xlabs_inside(change: Change) -> dict[str, Any]:
    """XLabs', as ComfyUI saves it."""
    return _suffixed(_by_publisher(change, "diffusion_model.", flat=False), "down", "up")


LAYOUTS: Mapping[str, Callable[[Change], dict[str, Any]]] = {
    "diffusers": old,
    "PEFT alone": trained,
    "kohya": kohya,
    "kohya, published": kohya_published,
    "ai-toolkit": ai_toolkit,
    "BFL": bfl,
    "OneTrainer": onetrainer,
    "LyCORIS": lycoris,
}
XLABS = {"XLabs": xlabs, "XLabs in ComfyUI": xlabs_inside}
