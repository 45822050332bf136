"""What the publishers of models call the layers that diffusers names otherwise.

Sources: the loaders of the published checkpoints in diffusers (`loaders/single_file_utils.py`),
and the names in the adapters of XLabs (https://github.com/XLabs-AI/x-flux).
"""

import re
from collections.abc import Iterable, Mapping

Rule = tuple[str, tuple[str, ...]]
"""A published name and the layers it is, in the order of its outputs; `*` is a block's number."""

_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")


def _within(block: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{block}.{name}" for name in names)


_DOUBLE = "transformer_blocks.*"
_SINGLE = "single_transformer_blocks.*"
_ATTENTION: tuple[Rule, ...] = (
    ("double_blocks.*.img_attn.qkv", _within(f"{_DOUBLE}.attn", _QKV)),
    ("double_blocks.*.txt_attn.qkv", _within(f"{_DOUBLE}.attn", _ADDED)),
    ("double_blocks.*.img_attn.proj", (f"{_DOUBLE}.attn.to_out.0",)),
    ("double_blocks.*.txt_attn.proj", (f"{_DOUBLE}.attn.to_add_out",)),
    ("double_blocks.*.processor.qkv_lora1", _within(f"{_DOUBLE}.attn", _QKV)),
    ("double_blocks.*.processor.qkv_lora2", _within(f"{_DOUBLE}.attn", _ADDED)),
    ("double_blocks.*.processor.proj_lora1", (f"{_DOUBLE}.attn.to_out.0",)),
    ("double_blocks.*.processor.proj_lora2", (f"{_DOUBLE}.attn.to_add_out",)),
    ("img_in", ("x_embedder",)),
    ("txt_in", ("context_embedder",)),
    ("final_layer.linear", ("proj_out",)),
    ("final_layer.adaLN_modulation.1", ("norm_out.linear",)),
)


def _embedded(within: str, original: str, layer: str) -> tuple[Rule, ...]:
    return (
        (f"{original}.in_layer", (f"{within}.{layer}.linear_1",)),
        (f"{original}.out_layer", (f"{within}.{layer}.linear_2",)),
    )


_FLUX: tuple[Rule, ...] = (
    *_ATTENTION,
    ("double_blocks.*.img_mlp.0", (f"{_DOUBLE}.ff.net.0.proj",)),
    ("double_blocks.*.img_mlp.2", (f"{_DOUBLE}.ff.net.2",)),
    ("double_blocks.*.txt_mlp.0", (f"{_DOUBLE}.ff_context.net.0.proj",)),
    ("double_blocks.*.txt_mlp.2", (f"{_DOUBLE}.ff_context.net.2",)),
    ("double_blocks.*.img_mod.lin", (f"{_DOUBLE}.norm1.linear",)),
    ("double_blocks.*.txt_mod.lin", (f"{_DOUBLE}.norm1_context.linear",)),
    ("single_blocks.*.linear1", (*_within(f"{_SINGLE}.attn", _QKV), f"{_SINGLE}.proj_mlp")),
    ("single_blocks.*.linear2", (f"{_SINGLE}.proj_out",)),
    ("single_blocks.*.modulation.lin", (f"{_SINGLE}.norm.linear",)),
    ("single_blocks.*.processor.qkv_lora", _within(f"{_SINGLE}.attn", _QKV)),
    ("single_blocks.*.processor.proj_lora", (f"{_SINGLE}.proj_out",)),
    *_embedded("time_text_embed", "time_in", "timestep_embedder"),
    *_embedded("time_text_embed", "vector_in", "text_embedder"),
    *_embedded("time_text_embed", "guidance_in", "guidance_embedder"),
    (
        "distilled_guidance_layer.layers.*.in_layer",
        ("distilled_guidance_layer.layers.*.linear_1",),
    ),
    (
        "distilled_guidance_layer.layers.*.out_layer",
        ("distilled_guidance_layer.layers.*.linear_2",),
    ),
)
"""FLUX.1 and Chroma, which is made of it."""

_FLUX2: tuple[Rule, ...] = (
    *_ATTENTION,
    ("double_blocks.*.img_mlp.0", (f"{_DOUBLE}.ff.linear_in",)),
    ("double_blocks.*.img_mlp.2", (f"{_DOUBLE}.ff.linear_out",)),
    ("double_blocks.*.txt_mlp.0", (f"{_DOUBLE}.ff_context.linear_in",)),
    ("double_blocks.*.txt_mlp.2", (f"{_DOUBLE}.ff_context.linear_out",)),
    ("single_blocks.*.linear1", (f"{_SINGLE}.attn.to_qkv_mlp_proj",)),
    ("single_blocks.*.linear2", (f"{_SINGLE}.attn.to_out",)),
    ("single_stream_modulation.lin", ("single_stream_modulation.linear",)),
    ("double_stream_modulation_img.lin", ("double_stream_modulation_img.linear",)),
    ("double_stream_modulation_txt.lin", ("double_stream_modulation_txt.linear",)),
    *_embedded("time_guidance_embed", "time_in", "timestep_embedder"),
    *_embedded("time_guidance_embed", "guidance_in", "guidance_embedder"),
)


def _joint(original: str, ours: str) -> tuple[Rule, ...]:
    """One side of the blocks of Stable Diffusion 3: `x` is the picture, `context` the words."""
    block = f"joint_blocks.*.{original}_block"
    return (
        (f"{block}.mlp.fc1", (f"{_DOUBLE}.ff{ours}.net.0.proj",)),
        (f"{block}.mlp.fc2", (f"{_DOUBLE}.ff{ours}.net.2",)),
        (f"{block}.adaLN_modulation.1", (f"{_DOUBLE}.norm1{ours}.linear",)),
    )


_SD3: tuple[Rule, ...] = (
    ("joint_blocks.*.x_block.attn.qkv", _within(f"{_DOUBLE}.attn", _QKV)),
    ("joint_blocks.*.x_block.attn2.qkv", _within(f"{_DOUBLE}.attn2", _QKV)),
    ("joint_blocks.*.context_block.attn.qkv", _within(f"{_DOUBLE}.attn", _ADDED)),
    ("joint_blocks.*.x_block.attn.proj", (f"{_DOUBLE}.attn.to_out.0",)),
    ("joint_blocks.*.x_block.attn2.proj", (f"{_DOUBLE}.attn2.to_out.0",)),
    ("joint_blocks.*.context_block.attn.proj", (f"{_DOUBLE}.attn.to_add_out",)),
    *_joint("x", ""),
    *_joint("context", "_context"),
    ("x_embedder.proj", ("pos_embed.proj",)),
    ("t_embedder.mlp.0", ("time_text_embed.timestep_embedder.linear_1",)),
    ("t_embedder.mlp.2", ("time_text_embed.timestep_embedder.linear_2",)),
    ("y_embedder.mlp.0", ("time_text_embed.text_embedder.linear_1",)),
    ("y_embedder.mlp.2", ("time_text_embed.text_embedder.linear_2",)),
    ("final_layer.linear", ("proj_out",)),
    ("final_layer.adaLN_modulation.1", ("norm_out.linear",)),
)

_Z_IMAGE: tuple[Rule, ...] = (
    *(
        rule
        for stack in ("layers", "noise_refiner", "context_refiner")
        for rule in (
            (f"{stack}.*.attention.qkv", _within(f"{stack}.*.attention", _QKV)),
            (f"{stack}.*.attention.out", (f"{stack}.*.attention.to_out.0",)),
        )
    ),
    ("x_embedder", ("all_x_embedder.2-1",)),
    ("final_layer.linear", ("all_final_layer.2-1.linear",)),
    ("final_layer.adaLN_modulation.1", ("all_final_layer.2-1.adaLN_modulation.1",)),
)

_KREA_ATTENTION = {"wq": "to_q", "wk": "to_k", "wv": "to_v", "wo": "to_out.0", "gate": "to_gate"}
_KREA2: tuple[Rule, ...] = (
    *(
        rule
        for original, ours in (
            ("blocks.*", _DOUBLE),
            ("txtfusion.layerwise_blocks.*", "text_fusion.layerwise_blocks.*"),
            ("txtfusion.refiner_blocks.*", "text_fusion.refiner_blocks.*"),
        )
        for rule in (
            *((f"{original}.attn.{a}", (f"{ours}.attn.{b}",)) for a, b in _KREA_ATTENTION.items()),
            *((f"{original}.mlp.{a}", (f"{ours}.ff.{a}",)) for a in ("gate", "up", "down")),
        )
    ),
    ("first", ("img_in",)),
    ("last.linear", ("final_layer.linear",)),
    ("tmlp.0", ("time_embed.linear_1",)),
    ("tmlp.2", ("time_embed.linear_2",)),
    ("tproj.1", ("time_mod_proj",)),
    ("txtmlp.1", ("txt_in.linear_1",)),
    ("txtmlp.3", ("txt_in.linear_2",)),
    ("txtfusion.projector", ("text_fusion.projector",)),
)

PUBLISHED: Mapping[str, tuple[Rule, ...]] = {
    "FluxTransformer2DModel": _FLUX,
    "ChromaTransformer2DModel": _FLUX,
    "Flux2Transformer2DModel": _FLUX2,
    "SD3Transformer2DModel": _SD3,
    "ZImageTransformer2DModel": _Z_IMAGE,
    "Krea2Transformer2DModel": _KREA2,
}
"""The class of a denoiser in diffusers → the names of its publisher."""

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_AROUND = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2", "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
_MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}
_UNET = re.compile(
    r"(?P<side>down|up)_blocks\.(?P<block>\d+)\.(?P<kind>\w+)\.(?P<number>\d+)\.(?P<rest>.+)"
)


def unet_names(layers: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what Stability calls the layers of a U-Net, each with its name in diffusers."""
    names = tuple(layers)
    steps = sum(bool(re.fullmatch(r"down_blocks\.0\.resnets\.\d+", name)) for name in names) + 1
    attending = {
        int(found[1]) for name in names if (found := re.match(r"up_blocks\.(\d+)\.attent", name))
    }
    made: dict[str, tuple[str, ...]] = {}
    for name in names:
        if original := _AROUND.get(name) or _middle(name) or _side(name, steps, attending):
            made[original] = (name,)
    return made


def _middle(name: str) -> str:
    if not (found := re.fullmatch(r"mid_block\.(\w+\.\d+)\.(.+)", name)):
        return ""
    return f"middle_block.{_MIDDLE[found[1]]}.{_RESNET.get(found[2], found[2])}"


def _side(name: str, steps: int, attending: set[int]) -> str:
    """Name a layer of the way down or up, whose steps are counted through all blocks."""
    if not (found := _UNET.fullmatch(name)):
        return ""
    block, number, rest = int(found["block"]), int(found["number"]), found["rest"]
    down = found["side"] == "down"
    step = block * steps + number + down
    side = "input_blocks" if down else "output_blocks"
    if found["kind"] == "resnets":
        return f"{side}.{step}.0.{_RESNET.get(rest, rest)}"
    if found["kind"] == "attentions":
        return f"{side}.{step}.1.{rest}"
    last = (block + 1) * steps
    if down:
        return f"{side}.{last}.0.op"
    return f"{side}.{last - 1}.{1 + (block in attending)}.{rest}"
