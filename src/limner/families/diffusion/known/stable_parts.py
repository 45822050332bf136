"""The parts of Stable Diffusion 1, 2 and XL, as their publishers describe them.

Numbers of the configurations published beside the weights, for files that come without them.
"""

from collections.abc import Mapping
from types import MappingProxyType

Settings = Mapping[str, object]

_BLOCK, _CROSS = "DownBlock2D", "CrossAttnDownBlock2D"
_UP, _CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"

_UNET: Settings = {
    "_class_name": "UNet2DConditionModel",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "down_block_types": [_CROSS, _CROSS, _CROSS, _BLOCK],
    "layers_per_block": 2,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": [_UP, _CROSS_UP, _CROSS_UP, _CROSS_UP],
}

_UNET_2: Settings = {
    **_UNET,
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "sample_size": 96,
    "upcast_attention": True,
    "use_linear_projection": True,
}

_UNET_XL: Settings = {
    **_UNET,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": [_BLOCK, _CROSS, _CROSS],
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": [_CROSS_UP, _CROSS_UP, _UP],
    "use_linear_projection": True,
}

_UNET_REFINER: Settings = {
    **_UNET_XL,
    "attention_head_dim": [6, 12, 24, 24],
    "block_out_channels": [384, 768, 1536, 1536],
    "cross_attention_dim": 1280,
    "down_block_types": [_BLOCK, _CROSS, _CROSS, _BLOCK],
    "projection_class_embeddings_input_dim": 2560,
    "transformer_layers_per_block": 4,
    "up_block_types": [_UP, _CROSS_UP, _CROSS_UP, _UP],
}

_VAE: Settings = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "sample_size": 512,
    "scaling_factor": 0.18215,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}

_VAE_XL: Settings = {
    **_VAE,
    "force_upcast": True,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
}

_CLIP: Settings = {
    "model_type": "clip_text_model",
    "architectures": ["CLIPTextModel"],
    "bos_token_id": 0,
    # 2 means: where the highest token stands, as OpenAI's own code looks for the end.
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "max_position_embeddings": 77,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "projection_dim": 768,
    "vocab_size": 49_408,
}

_OPEN_CLIP_H: Settings = {
    **_CLIP,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    # Stable Diffusion 2 reads what the last layer but one says.
    "num_hidden_layers": 23,
    "projection_dim": 512,
}

_OPEN_CLIP_G: Settings = {
    **_CLIP,
    "architectures": ["CLIPTextModelWithProjection"],
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "projection_dim": 1280,
}

PARTS: Mapping[str, Mapping[str, Settings]] = MappingProxyType(
    {
        "sd1": {"unet": _UNET, "vae": _VAE, "text_encoder": _CLIP},
        "sd2": {"unet": _UNET_2, "vae": _VAE, "text_encoder": _OPEN_CLIP_H},
        "sdxl": {
            "unet": _UNET_XL,
            "vae": _VAE_XL,
            "text_encoder": _CLIP,
            "text_encoder_2": _OPEN_CLIP_G,
        },
        "refiner": {"unet": _UNET_REFINER, "vae": _VAE_XL, "text_encoder_2": _OPEN_CLIP_G},
    }
)
"""By family, or by the variant that has parts of its own: settings by the part's name."""

INSIDE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "sd1": {"text_encoder": "cond_stage_model."},
        "sd2": {"text_encoder": "cond_stage_model."},
        "sdxl": {
            "text_encoder": "conditioner.embedders.0.",
            "text_encoder_2": "conditioner.embedders.1.",
        },
        "refiner": {"text_encoder_2": "conditioner.embedders.0."},
    }
)
"""By the same keys: what the names of a text encoder begin with in a file of everything."""

_NOISE: Settings = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}

_PNDM: Settings = {
    **_NOISE,
    "_class_name": "PNDMScheduler",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
}
_DDIM: Settings = {
    **_NOISE,
    "_class_name": "DDIMScheduler",
    "clip_sample": False,
    "set_alpha_to_one": False,
}
_EULER: Settings = {**_NOISE, "_class_name": "EulerDiscreteScheduler"}
_TRAILING: Settings = {**_EULER, "timestep_spacing": "trailing"}
_LCM: Settings = {
    **_NOISE,
    "_class_name": "LCMScheduler",
    "clip_sample": False,
    "original_inference_steps": 50,
    "set_alpha_to_one": True,
}

_BY_FAMILY: Mapping[str, Settings] = {"sd1": _PNDM, "sd2": _DDIM, "sdxl": _EULER}

_BY_VARIANT: Mapping[str, Settings] = {
    "turbo": {**_TRAILING, "_class_name": "EulerAncestralDiscreteScheduler"},
    "lightning": _TRAILING,
    "hyper": {**_DDIM, "timestep_spacing": "trailing"},
    "dmd2": _LCM,
    "lcm": _LCM,
    "lcm-lora": _LCM,
}

_ZERO_SNR: Settings = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
"""As https://arxiv.org/abs/2305.08891 found that such models must be asked."""


def noise_of(family: str, variant: str, prediction: str, zero_snr: bool) -> Settings:
    """Return the settings of the scheduler that a model was published with.

    `zero_snr`: it was trained down to noise without any picture in it; then only a scheduler
    that knows of it will do.
    """
    settings = _BY_VARIANT.get(variant, _BY_FAMILY[family])
    if prediction == "v":
        settings = {**settings, "prediction_type": "v_prediction"}
    if zero_snr:
        kind = _EULER if settings["_class_name"] == "PNDMScheduler" else settings
        settings = {**settings, "_class_name": kind["_class_name"], **_ZERO_SNR}
    return settings


UNDESCRIBED = frozenset({"ssd-1b", "vega", "pruned", "playground"})
"""Variants of XL with blocks left out, each in its own way, or with latents of another scale."""
