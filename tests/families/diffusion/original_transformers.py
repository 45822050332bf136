"""Names of tensors as the original code of newer models has them, from those of diffusers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch

Tensors = dict[str, Any]
Names = Sequence[tuple[str, str]]

_BLOCK = r"^transformer_blocks\.(\d+)\."
_SINGLE = r"^single_transformer_blocks\.(\d+)\."

_SD3: Names = (
    (r"^pos_embed\.pos_embed$", "pos_embed"),
    (r"^pos_embed\.proj\.", "x_embedder.proj."),
    (r"^time_text_embed\.timestep_embedder\.linear_1\.", "t_embedder.mlp.0."),
    (r"^time_text_embed\.timestep_embedder\.linear_2\.", "t_embedder.mlp.2."),
    (r"^time_text_embed\.text_embedder\.linear_1\.", "y_embedder.mlp.0."),
    (r"^time_text_embed\.text_embedder\.linear_2\.", "y_embedder.mlp.2."),
    (_BLOCK + r"attn\.to_out\.0\.", r"joint_blocks.\1.x_block.attn.proj."),
    (_BLOCK + r"attn\.to_add_out\.", r"joint_blocks.\1.context_block.attn.proj."),
    (_BLOCK + r"attn\.to_(qkv)\.", r"joint_blocks.\1.x_block.attn.\2."),
    (_BLOCK + r"attn\.add_(qkv)\.", r"joint_blocks.\1.context_block.attn.\2."),
    (_BLOCK + r"norm1\.linear\.", r"joint_blocks.\1.x_block.adaLN_modulation.1."),
    (_BLOCK + r"norm1_context\.linear\.", r"joint_blocks.\1.context_block.adaLN_modulation.1."),
    (_BLOCK + r"ff\.net\.0\.proj\.", r"joint_blocks.\1.x_block.mlp.fc1."),
    (_BLOCK + r"ff\.net\.2\.", r"joint_blocks.\1.x_block.mlp.fc2."),
    (_BLOCK + r"ff_context\.net\.0\.proj\.", r"joint_blocks.\1.context_block.mlp.fc1."),
    (_BLOCK + r"ff_context\.net\.2\.", r"joint_blocks.\1.context_block.mlp.fc2."),
    (r"^proj_out\.", "final_layer.linear."),
    (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
)
_FLUX2: Names = (
    (r"^x_embedder\.", "img_in."),
    (r"^context_embedder\.", "txt_in."),
    (r"^time_guidance_embed\.timestep_embedder\.linear_1\.", "time_in.in_layer."),
    (r"^time_guidance_embed\.timestep_embedder\.linear_2\.", "time_in.out_layer."),
    (r"^time_guidance_embed\.guidance_embedder\.linear_1\.", "guidance_in.in_layer."),
    (r"^time_guidance_embed\.guidance_embedder\.linear_2\.", "guidance_in.out_layer."),
    (r"^(\w+_stream_modulation(?:_\w+)?)\.linear\.", r"\1.lin."),
    (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
    (r"^proj_out\.", "final_layer.linear."),
    (_BLOCK + r"attn\.norm_q\.weight$", r"double_blocks.\1.img_attn.norm.query_norm.scale"),
    (_BLOCK + r"attn\.norm_k\.weight$", r"double_blocks.\1.img_attn.norm.key_norm.scale"),
    (_BLOCK + r"attn\.norm_added_q\.weight$", r"double_blocks.\1.txt_attn.norm.query_norm.scale"),
    (_BLOCK + r"attn\.norm_added_k\.weight$", r"double_blocks.\1.txt_attn.norm.key_norm.scale"),
    (_BLOCK + r"attn\.to_out\.0\.", r"double_blocks.\1.img_attn.proj."),
    (_BLOCK + r"attn\.to_add_out\.", r"double_blocks.\1.txt_attn.proj."),
    (_BLOCK + r"attn\.to_(qkv)\.", r"double_blocks.\1.img_attn.\2."),
    (_BLOCK + r"attn\.add_(qkv)\.", r"double_blocks.\1.txt_attn.\2."),
    (_BLOCK + r"ff\.linear_in\.", r"double_blocks.\1.img_mlp.0."),
    (_BLOCK + r"ff\.linear_out\.", r"double_blocks.\1.img_mlp.2."),
    (_BLOCK + r"ff_context\.linear_in\.", r"double_blocks.\1.txt_mlp.0."),
    (_BLOCK + r"ff_context\.linear_out\.", r"double_blocks.\1.txt_mlp.2."),
    (_SINGLE + r"attn\.to_qkv_mlp_proj\.", r"single_blocks.\1.linear1."),
    (_SINGLE + r"attn\.to_out\.", r"single_blocks.\1.linear2."),
    (_SINGLE + r"attn\.norm_q\.weight$", r"single_blocks.\1.norm.query_norm.scale"),
    (_SINGLE + r"attn\.norm_k\.weight$", r"single_blocks.\1.norm.key_norm.scale"),
)
_FLUX1: Names = (
    (r"^x_embedder\.", "img_in."),
    (r"^context_embedder\.", "txt_in."),
    (r"^time_text_embed\.timestep_embedder\.linear_1\.", "time_in.in_layer."),
    (r"^time_text_embed\.timestep_embedder\.linear_2\.", "time_in.out_layer."),
    (r"^time_text_embed\.text_embedder\.linear_1\.", "vector_in.in_layer."),
    (r"^time_text_embed\.text_embedder\.linear_2\.", "vector_in.out_layer."),
    (r"^time_text_embed\.guidance_embedder\.linear_1\.", "guidance_in.in_layer."),
    (r"^time_text_embed\.guidance_embedder\.linear_2\.", "guidance_in.out_layer."),
    (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
    (r"^proj_out\.", "final_layer.linear."),
    (_BLOCK + r"norm1\.linear\.", r"double_blocks.\1.img_mod.lin."),
    (_BLOCK + r"norm1_context\.linear\.", r"double_blocks.\1.txt_mod.lin."),
    (_BLOCK + r"ff\.net\.0\.proj\.", r"double_blocks.\1.img_mlp.0."),
    (_BLOCK + r"ff\.net\.2\.", r"double_blocks.\1.img_mlp.2."),
    (_BLOCK + r"ff_context\.net\.0\.proj\.", r"double_blocks.\1.txt_mlp.0."),
    (_BLOCK + r"ff_context\.net\.2\.", r"double_blocks.\1.txt_mlp.2."),
    (_SINGLE + r"norm\.linear\.", r"single_blocks.\1.modulation.lin."),
    (_SINGLE + r"attn\.to_qkv\.", r"single_blocks.\1.linear1."),
    (_SINGLE + r"proj_out\.", r"single_blocks.\1.linear2."),
    (
        r"^distilled_guidance_layer\.layers\.(\d+)\.linear_1\.",
        r"distilled_guidance_layer.layers.\1.in_layer.",
    ),
    (
        r"^distilled_guidance_layer\.layers\.(\d+)\.linear_2\.",
        r"distilled_guidance_layer.layers.\1.out_layer.",
    ),
    (
        r"^distilled_guidance_layer\.norms\.(\d+)\.weight$",
        r"distilled_guidance_layer.norms.\1.scale",
    ),
    *(rule for rule in _FLUX2 if ".attn." in rule[0].replace("\\", "") and "mlp" not in rule[0]),
)
"""FLUX.1, and Chroma, which was made from it."""

_Z_IMAGE: Names = (
    (r"^all_final_layer\.2-1\.", "final_layer."),
    (r"^all_x_embedder\.2-1\.", "x_embedder."),
    (r"\.attention\.to_out\.0\.", ".attention.out."),
    (r"\.attention\.norm_([qk])\.", r".attention.\1_norm."),
    (r"\.attention\.to_qkv\.", ".attention.qkv."),
)
_KREA2: Names = (
    (r"^img_in\.", "first."),
    (r"^time_embed\.linear_1\.", "tmlp.0."),
    (r"^time_embed\.linear_2\.", "tmlp.2."),
    (r"^time_mod_proj\.", "tproj.1."),
    (r"^txt_in\.norm\.weight$", "txtmlp.0.scale"),
    (r"^txt_in\.linear_1\.", "txtmlp.1."),
    (r"^txt_in\.linear_2\.", "txtmlp.3."),
    (r"^text_fusion\.", "txtfusion."),
    (r"^transformer_blocks\.", "blocks."),
    (r"^final_layer\.linear\.", "last.linear."),
    (r"^final_layer\.norm\.weight$", "last.norm.scale"),
    (r"^final_layer\.scale_shift_table$", "last.modulation.lin"),
    (r"\.attn\.to_([qkv])\.", r".attn.w\1."),
    (r"\.attn\.to_out\.0\.", ".attn.wo."),
    (r"\.attn\.to_gate\.", ".attn.gate."),
    (r"\.attn\.norm_([qk])\.weight$", r".attn.qknorm.\1norm.scale"),
    (r"\.ff\.", ".mlp."),
    (r"\.norm1\.weight$", ".prenorm.scale"),
    (r"\.norm2\.weight$", ".postnorm.scale"),
    (r"\.scale_shift_table$", ".mod.lin"),
)


def sd3(state: Mapping[str, Any], layers: int) -> Tensors:
    """The last block's text and the output are shifted before they are scaled."""
    swapped = ("norm_out.linear.", f"transformer_blocks.{layers - 1}.norm1_context.linear.")
    return _renamed(_fused(_swapped(state, swapped)), _SD3)


def flux2(state: Mapping[str, Any]) -> Tensors:
    """The output is shifted before it is scaled."""
    return _renamed(_fused(_swapped(state, ("norm_out.linear.",))), _FLUX2)


def flux1(state: Mapping[str, Any]) -> Tensors:
    """A single block's attention and the first half of its network are one matrix."""
    fused = _fused(_swapped(state, ("norm_out.linear.",)))
    for name in [one for one in fused if ".proj_mlp." in one]:
        kin = name.replace("proj_mlp", "attn.to_qkv")
        fused[kin] = torch.cat([fused[kin], fused.pop(name)])
    return _renamed(fused, _FLUX1)


def z_image(state: Mapping[str, Any]) -> Tensors:
    return _renamed(_fused(state), _Z_IMAGE)


def krea2(state: Mapping[str, Any]) -> Tensors:
    """The six vectors that shift and scale a block are one."""
    flat = {
        name: one.reshape(-1)
        if name.startswith("transformer_blocks.") and name.endswith("table")
        else one
        for name, one in state.items()
    }
    return _renamed(flat, _KREA2)


def _swapped(state: Mapping[str, Any], names: tuple[str, ...]) -> Tensors:
    return {
        name: torch.cat(list(one.chunk(2))[::-1]) if name.startswith(names) else one
        for name, one in state.items()
    }


def _fused(state: Mapping[str, Any]) -> Tensors:
    """Return tensors with the three matrices of attention as one, before other names."""
    found: Tensors = {}
    for name, tensor in state.items():
        if re.search(r"\.(to_q|add_q_proj)\.", name):
            kin = [
                state[name.replace("to_q", f"to_{one}").replace("add_q_proj", f"add_{one}_proj")]
                for one in "qkv"
            ]
            found[name.replace("to_q", "to_qkv").replace("add_q_proj", "add_qkv")] = torch.cat(kin)
        elif not re.search(r"\.(to_[kv]|add_[kv]_proj)\.", name):
            found[name] = tensor
    return found


def _renamed(state: Mapping[str, Any], names: Names) -> Tensors:
    found: Tensors = {}
    for key, tensor in state.items():
        name = key
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    return found
