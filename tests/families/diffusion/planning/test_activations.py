"""The formulas against the modules of diffusers, at their published widths and at 1024 pixels.

Nothing is computed and no weights are held: tensors are only counted.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from limner.domain.recipe import Size
from limner.families.diffusion.planning.activations import Held, Work, of_autoencoder, of_denoiser
from limner.families.diffusion.planning.inventory import Part, Role

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")

from tests.families.diffusion.live import Live, most_alive, picture

diffusers: Any = import_module("diffusers")
torch: Any = import_module("torch")

WITHIN = 0.15
SIDE = 1024
WORK = Work(Size(width=SIDE, height=SIDE))
TOKENS = (SIDE // 16) ** 2


def words(count: int, width: int, batch: int = 1) -> Any:
    return torch.randn(batch, count, width)


def once(batch: int = 1) -> Any:
    return torch.ones(batch)


def flux_inputs(channels: int, width: int, axes: int = 3) -> dict[str, Any]:
    return {
        "hidden_states": words(TOKENS, channels),
        "encoder_hidden_states": words(512, width),
        "timestep": once(),
        "img_ids": torch.zeros(TOKENS, axes),
        "txt_ids": torch.zeros(512, axes),
    }


XL = {
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
}
SD1 = {
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SD2 = {**SD1, "cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20]}
PIXART = {"sample_size": 128, "num_layers": 2, "caption_channels": 4096}
SD3 = {
    "sample_size": 128,
    "num_layers": 2,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 192,
    "qk_norm": "rms_norm",
}


def unet_inputs(width: int, pooled: int = 0) -> dict[str, Any]:
    added = {"text_embeds": torch.randn(2, pooled), "time_ids": torch.randn(2, 6)}
    return {
        "sample": picture(4, SIDE // 8, 2),
        "timestep": torch.tensor(5),
        "encoder_hidden_states": words(77, width, 2),
        **({"added_cond_kwargs": added} if pooled else {}),
    }


def pixart_inputs() -> dict[str, Any]:
    return {
        "hidden_states": picture(4, SIDE // 8, 2),
        "encoder_hidden_states": words(300, 4096, 2),
        "timestep": once(2),
        "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
    }


def sd3_inputs() -> dict[str, Any]:
    return {
        "hidden_states": picture(16, SIDE // 8, 2),
        "encoder_hidden_states": words(333, 4096, 2),
        "pooled_projections": torch.randn(2, 2048),
        "timestep": once(2),
    }


DENOISERS: dict[str, tuple[str, dict[str, Any], int, Callable[[], dict[str, Any]]]] = {
    "sd1": ("UNet2DConditionModel", SD1, 8, lambda: unet_inputs(768)),
    "sd2": ("UNet2DConditionModel", SD2, 8, lambda: unet_inputs(1024)),
    "sdxl": ("UNet2DConditionModel", XL, 8, lambda: unet_inputs(2048, 1280)),
    "flux1": (
        "FluxTransformer2DModel",
        {"num_layers": 1, "num_single_layers": 1, "guidance_embeds": True},
        8,
        lambda: {
            **flux_inputs(64, 4096),
            "pooled_projections": torch.randn(1, 768),
            "guidance": once(),
        },
    ),
    "chroma": (
        "ChromaTransformer2DModel",
        {"num_layers": 1, "num_single_layers": 1},
        8,
        lambda: {**flux_inputs(64, 4096), "attention_mask": torch.ones(1, TOKENS + 512)},
    ),
    "flux2": (
        "Flux2Transformer2DModel",
        {"num_layers": 1, "num_single_layers": 1},
        8,
        lambda: {**flux_inputs(128, 15360, 4), "guidance": once()},
    ),
    "flux2-klein": (
        "Flux2Transformer2DModel",
        {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 24},
        8,
        lambda: {**flux_inputs(128, 15360, 4), "guidance": once()},
    ),
    "qwen-image": (
        "QwenImageTransformer2DModel",
        {"num_layers": 2},
        8,
        lambda: {
            "hidden_states": words(TOKENS, 64),
            "encoder_hidden_states": words(512, 3584),
            "timestep": once(),
            "img_shapes": [(1, SIDE // 16, SIDE // 16)],
        },
    ),
    "krea2": (
        "Krea2Transformer2DModel",
        {"num_layers": 2},
        8,
        lambda: {
            "hidden_states": words(TOKENS, 64),
            "encoder_hidden_states": torch.randn(1, 512, 12, 2560),
            "timestep": once(),
            "position_ids": torch.zeros(TOKENS + 512, 3),
        },
    ),
    "z-image": (
        "ZImageTransformer2DModel",
        {"n_layers": 2},
        8,
        lambda: {
            "x": [torch.randn(16, 1, SIDE // 8, SIDE // 8) for _ in range(2)],
            "t": once(2),
            "cap_feats": [torch.randn(256, 2560) for _ in range(2)],
        },
    ),
    "sd3": ("SD3Transformer2DModel", SD3, 8, sd3_inputs),
    "pixart": (
        "PixArtTransformer2DModel",
        {**PIXART, "use_additional_conditions": False},
        8,
        pixart_inputs,
    ),
    "sana": (
        "SanaTransformer2DModel",
        {"num_layers": 2},
        32,
        lambda: {
            "hidden_states": picture(32, SIDE // 32, 2),
            "encoder_hidden_states": words(300, 2304, 2),
            "timestep": once(2),
        },
    ),
}


@pytest.mark.parametrize("name", DENOISERS)
def test_a_step_holds_what_the_formula_says(name: str) -> None:
    kind, settings, scale, inputs = DENOISERS[name]
    counted = most_alive(lambda: getattr(diffusers, kind)(**settings), inputs)
    held = of_denoiser(Part("denoiser", kind, Role.DENOISER, settings), WORK, scale)
    compare(held, counted)


DC = {
    "latent_channels": 32,
    "encoder_block_types": ["ResBlock"] * 3 + ["EfficientViTBlock"] * 3,
    "decoder_block_types": ["ResBlock"] * 3 + ["EfficientViTBlock"] * 3,
    "upsample_block_type": "interpolate",
    "encoder_qkv_multiscales": [[], [], [], [5], [5], [5]],
    "decoder_norm_types": ["rms_norm"] * 6,
    "decoder_act_fns": ["silu"] * 6,
}
KL = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
AUTOENCODERS: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
    "kl": ("AutoencoderKL", KL, lambda: picture(4, SIDE // 8)),
    "flux2": ("AutoencoderKLFlux2", {}, lambda: picture(32, SIDE // 8)),
    "qwen": ("AutoencoderKLQwenImage", {}, lambda: picture(16, SIDE // 8, frame=True)),
    "dc": ("AutoencoderDC", DC, lambda: picture(32, SIDE // 32)),
}


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_decoding_holds_what_the_formula_says(name: str) -> None:
    kind, settings, latents = AUTOENCODERS[name]
    counted = most_alive(
        lambda: getattr(diffusers, kind)(**settings), lambda: {"z": latents()}, "decode"
    )
    part = Part("vae", kind, Role.AUTOENCODER, settings)
    compare(of_autoencoder(part, WORK.size, 1), counted)


def compare(held: Held | None, counted: Live) -> None:
    assert held is not None
    assert held.numbers == pytest.approx(counted.most, rel=WITHIN)
    assert held.numbers + held.copies == pytest.approx(counted.reordered, rel=WITHIN)
