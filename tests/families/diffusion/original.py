"""Names of tensors as the original code of Stable Diffusion has them, from those of diffusers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

Tensors = dict[str, Any]

_UNET = (
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
    (r"^add_embedding\.linear_1\.", "label_emb.0.0."),
    (r"^add_embedding\.linear_2\.", "label_emb.0.2."),
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"^mid_block\.resnets\.0\.", "middle_block.0."),
    (r"^mid_block\.attentions\.0\.", "middle_block.1."),
    (r"^mid_block\.resnets\.1\.", "middle_block.2."),
)
_RESNET = (
    ("norm1.", "in_layers.0."),
    ("conv1.", "in_layers.2."),
    ("norm2.", "out_layers.0."),
    ("conv2.", "out_layers.3."),
    ("time_emb_proj.", "emb_layers.1."),
    ("conv_shortcut.", "skip_connection."),
)
_VAE = (
    (r"mid_block\.resnets\.0\.", "mid.block_1."),
    (r"mid_block\.resnets\.1\.", "mid.block_2."),
    (r"mid_block\.attentions\.0\.group_norm\.", "mid.attn_1.norm."),
    (r"mid_block\.attentions\.0\.to_out\.0\.", "mid.attn_1.proj_out."),
    (r"mid_block\.attentions\.0\.to_([qkv])\.", r"mid.attn_1.\1."),
    (r"conv_norm_out\.", "norm_out."),
    (r"conv_shortcut\.", "nin_shortcut."),
    (r"encoder\.down_blocks\.(\d+)\.resnets\.", r"encoder.down.\1.block."),
    (r"encoder\.down_blocks\.(\d+)\.downsamplers\.0\.", r"encoder.down.\1.downsample."),
)
_OPEN_CLIP = (
    (r"^embeddings\.token_embedding\.weight$", "token_embedding.weight"),
    (r"^embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^final_layer_norm\.", "ln_final."),
    (r"^encoder\.layers\.", "transformer.resblocks."),
    (r"\.layer_norm1\.", ".ln_1."),
    (r"\.layer_norm2\.", ".ln_2."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)


def unet_name(name: str, layers: int) -> str:
    """Return the original name of a tensor of a U-Net with this many layers in a block."""
    for pattern, replacement in _UNET:
        name = re.sub(pattern, replacement, name)
    found = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name)
    if found:
        side, block, kind, number, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        first = block * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers + 1}.0.op.{rest.removeprefix('conv.')}"
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.UP.{rest}"
        inner = "0" if kind == "resnets" else "1"
        place = f"input_blocks.{first + number + 1}" if side == "down" else ""
        name = f"{place or f'output_blocks.{first + number}'}.{inner}.{rest}"
    if re.match(r"(input|output)_blocks\.\d+\.0\.|middle_block\.[02]\.", name):
        for there, here in _RESNET:
            name = name.replace(there, here)
    return name


def unet(state: Mapping[str, Any], layers: int) -> Tensors:
    """Return a U-Net under its original names; upsampling comes after what its place holds."""
    named = {unet_name(name, layers): tensor for name, tensor in state.items()}
    return {
        name.replace(
            ".UP.", ".2." if any(one.startswith(f"{name.split('.UP.')[0]}.1.") for one in named)
            else ".1."
        ): tensor
        for name, tensor in named.items()
    }  # fmt: skip


def vae(state: Mapping[str, Any], blocks: int) -> Tensors:
    """Return an autoencoder under its original names; its attention is of 1 × 1 convolutions."""
    found: Tensors = {}
    for key, tensor in state.items():
        name = key
        for pattern, replacement in _VAE:
            name = re.sub(pattern, replacement, name)
        up = re.match(r"decoder\.up_blocks\.(\d+)\.(resnets|upsamplers\.0)\.(.*)", name)
        if up:
            kind = "block" if up[2] == "resnets" else "upsample"
            name = f"decoder.up.{blocks - 1 - int(up[1])}.{kind}.{up[3]}"
        matrix = ".attn_1." in name and name.endswith("weight") and ".norm." not in name
        found[name] = tensor[:, :, None, None] if matrix else tensor
    return found


def clip(state: Mapping[str, Any], head: str = "text_model.") -> Tensors:
    """Return CLIP-L under the names of transformers up to 4; some writers leave out the head."""
    return {f"{head}{name.removeprefix('text_model.')}": one for name, one in state.items()}


def open_clip(state: Mapping[str, Any]) -> Tensors:
    """Return a CLIP under the names of open_clip: three matrices of attention are one."""
    found: Tensors = {}
    bare = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    for key, tensor in bare.items():
        if key == "text_projection.weight":
            found["text_projection"] = tensor.T.contiguous()
        elif ".self_attn.q_proj." in key:
            three = [bare[key.replace("q_proj", f"{one}_proj")] for one in "qkv"]
            name = key.replace("self_attn.q_proj.", "attn.in_proj_")
            found[_open_clip_name(name)] = torch.cat(three)
        elif ".self_attn.k_proj." not in key and ".self_attn.v_proj." not in key:
            found[_open_clip_name(key)] = tensor
    return found


def _open_clip_name(name: str) -> str:
    for pattern, replacement in _OPEN_CLIP:
        name = re.sub(pattern, replacement, name)
    return name


def under(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def save(path: Path, tensors: Tensors) -> Path:
    whole = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    safetensors.torch.save_file(whole, path)
    return path
