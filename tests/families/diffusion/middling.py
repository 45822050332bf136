"""Models large enough to measure and small enough to draw, with random weights."""

from importlib import import_module
from typing import Any

diffusers: Any = import_module("diffusers")
transformers: Any = import_module("transformers")


def _clip(width: int, layers: int, *, projected: bool = False) -> Any:
    config = transformers.CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=width // 64,
        num_hidden_layers=layers,
        projection_dim=width,
    )
    kind = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    return getattr(transformers, kind)(config)


def _vae(width: int, latents: int = 4) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        latent_channels=latents,
        shift_factor=0.1,
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=64,
    )


def sd1() -> Any:
    """Stable Diffusion 1 at a quarter of its width, its autoencoder at half."""
    return diffusers.StableDiffusionPipeline(
        vae=_vae(64),
        text_encoder=_clip(192, 12),
        tokenizer=None,
        unet=diffusers.UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(80, 160, 320, 320),
            cross_attention_dim=192,
            attention_head_dim=8,
            norm_num_groups=16,
        ),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    """SDXL at a quarter of its width, its autoencoder too."""
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(32),
        text_encoder=_clip(192, 12),
        text_encoder_2=_clip(320, 32, projected=True),
        tokenizer=None,
        tokenizer_2=None,
        unet=diffusers.UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(80, 160, 320),
            cross_attention_dim=512,
            attention_head_dim=(5, 10, 20),
            norm_num_groups=16,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=320 + 6 * 256,
            use_linear_projection=True,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(),
    )


def flux() -> Any:
    """FLUX.1 with two blocks of each kind at a quarter of its width, its autoencoder too."""
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(32, 16),
        text_encoder=_clip(384, 4),
        tokenizer=None,
        text_encoder_2=transformers.T5EncoderModel(
            transformers.T5Config(
                vocab_size=32128,
                d_model=768,
                d_ff=2048,
                d_kv=64,
                num_layers=4,
                num_heads=12,
                feed_forward_proj="gated-gelu",
            )
        ),
        tokenizer_2=None,
        transformer=diffusers.FluxTransformer2DModel(
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=128,
            num_attention_heads=6,
            joint_attention_dim=768,
            pooled_projection_dim=384,
            guidance_embeds=True,
        ),
    )
