"""The real pipelines of diffusers at tiny size, with random weights."""

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.families.diffusion import tokens

diffusers: Any = import_module("diffusers")
transformers: Any = import_module("transformers")

CLIP = {
    "hidden_size": 16,
    "intermediate_size": 37,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": len(tokens.clip()),
    "bos_token_id": tokens.clip().bos_token_id,
    "eos_token_id": tokens.clip().eos_token_id,
    "pad_token_id": tokens.clip().pad_token_id,
    "projection_dim": 16,
}
UNET = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "sample_size": 8,
    "norm_num_groups": 4,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
}
XL = {
    **UNET,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 32,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 64,
    "use_linear_projection": True,
}


def _vae(latents: int = 4) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=latents,
        scaling_factor=0.18215 if latents == 4 else 0.3611,
        shift_factor=None if latents == 4 else 0.1159,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )


def _clip(projected: bool = False) -> Any:
    config = transformers.CLIPTextConfig(**CLIP)
    return (
        transformers.CLIPTextModelWithProjection(config)
        if projected
        else transformers.CLIPTextModel(config)
    )


def _t5() -> Any:
    return transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=len(tokens.t5()), d_model=16, d_ff=32, d_kv=8, num_layers=1, num_heads=2
        )
    )


def _qwen() -> Any:
    return transformers.Qwen3Model(
        transformers.Qwen3Config(
            vocab_size=len(tokens.qwen()),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )


def sd1() -> Any:
    return diffusers.StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_clip(),
        tokenizer=tokens.clip(),
        unet=diffusers.UNet2DConditionModel(**UNET),
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sd2() -> Any:
    return diffusers.StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_clip(),
        tokenizer=tokens.clip(),
        unet=diffusers.UNet2DConditionModel(**UNET, use_linear_projection=True),
        scheduler=diffusers.DDIMScheduler(prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_clip(),
        text_encoder_2=_clip(projected=True),
        tokenizer=tokens.clip(),
        tokenizer_2=tokens.clip(pad="!</w>"),
        unet=diffusers.UNet2DConditionModel(**XL),
        scheduler=diffusers.EulerDiscreteScheduler(),
    )


def sd3() -> Any:
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=8,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            pos_embed_max_size=64,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(16),
        text_encoder=_clip(projected=True),
        tokenizer=tokens.clip(),
        text_encoder_2=_clip(projected=True),
        tokenizer_2=tokens.clip(pad="!</w>"),
        text_encoder_3=_t5(),
        tokenizer_3=tokens.t5(),
    )


def flux(guided: bool = True) -> Any:
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(16),
        text_encoder=_clip(),
        tokenizer=tokens.clip(),
        text_encoder_2=_t5(),
        tokenizer_2=tokens.t5(),
        transformer=diffusers.FluxTransformer2DModel(
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(2, 2, 4),
            guidance_embeds=guided,
        ),
    )


def chroma() -> Any:
    return diffusers.ChromaPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(16),
        text_encoder=_t5(),
        tokenizer=tokens.t5(),
        transformer=diffusers.ChromaTransformer2DModel(
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(2, 2, 4),
            approximator_hidden_dim=16,
            approximator_layers=1,
            approximator_num_channels=8,
        ),
    )


def z_image() -> Any:
    return diffusers.ZImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(16),
        text_encoder=_qwen(),
        tokenizer=tokens.qwen(),
        transformer=diffusers.ZImageTransformer2DModel(
            dim=16,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[2, 2, 4],
            axes_lens=[1024, 64, 64],
        ),
    )


def pixart() -> Any:
    return diffusers.PixArtSigmaPipeline(
        tokenizer=tokens.t5(),
        text_encoder=_t5(),
        vae=_vae(),
        transformer=diffusers.PixArtTransformer2DModel(
            sample_size=8,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            cross_attention_dim=16,
            caption_channels=16,
            use_additional_conditions=False,
        ),
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


def save(pipeline: Any, folder: Path, **options: Any) -> Path:
    """Write a pipeline as diffusers does; return its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.save_pretrained(folder, **options)
    return folder
