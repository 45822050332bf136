"""The real pipelines of diffusers at tiny size, with random weights."""

import inspect
import warnings
from collections.abc import Callable
from functools import wraps
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


def _vae(latents: int = 4, blocks: int = 2) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(*(8,) * (blocks - 1), 16),
        norm_num_groups=4,
        latent_channels=latents,
        scaling_factor=0.18215 if latents == 4 else 0.3611,
        shift_factor=None if latents == 4 else 0.1159,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
    )


def _clip(projected: bool = False, width: int = 16) -> Any:
    config = transformers.CLIPTextConfig(**{**CLIP, "hidden_size": width})
    return (
        transformers.CLIPTextModelWithProjection(config)
        if projected
        else transformers.CLIPTextModel(config)
    )


def _t5(width: int = 16) -> Any:
    return transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=len(tokens.t5()), d_model=width, d_ff=32, d_kv=8, num_layers=1, num_heads=2
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


def _still(make: Callable[..., Any]) -> Callable[..., Any]:
    """Let a pipeline be as it is once it is loaded: nothing in it drops out by chance."""

    @wraps(make)
    def made(*given: Any, **options: Any) -> Any:
        pipeline = make(*given, **options)
        for part in pipeline.components.values():
            if hasattr(part, "eval"):
                part.eval()
        return pipeline

    return made


@_still
def sd1(width: int = 16) -> Any:
    return diffusers.StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_clip(width=width),
        tokenizer=tokens.clip(),
        unet=diffusers.UNet2DConditionModel(**{**UNET, "cross_attention_dim": width}),
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@_still
def sd1_of(name: str, channels: int = 4) -> Any:
    """A Stable Diffusion 1 of another pipeline, whose U-Net is shown more than noise."""
    parts = dict(sd1().components)
    parts["unet"] = diffusers.UNet2DConditionModel(**UNET, in_channels=channels)
    return getattr(diffusers, name)(**parts, requires_safety_checker=False)


@_still
def sdxl_of(name: str, channels: int) -> Any:
    """A Stable Diffusion XL of another pipeline, whose U-Net is shown more than noise."""
    parts = dict(sdxl().components)
    parts["unet"] = diffusers.UNet2DConditionModel(**XL, in_channels=channels)
    taken = inspect.signature(getattr(diffusers, name).__init__).parameters
    return getattr(diffusers, name)(**{key: one for key, one in parts.items() if key in taken})


@_still
def sd1_lcm() -> Any:
    pipeline = sd1()
    pipeline.scheduler = diffusers.LCMScheduler.from_config(pipeline.scheduler.config)
    return pipeline


@_still
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


@_still
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


@_still
def sd3(layers: int = 1) -> Any:
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=8,
            num_layers=layers,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
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
        text_encoder_3=_t5(32),
        tokenizer_3=tokens.t5(),
    )


@_still
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


@_still
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


@_still
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


@_still
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


def _flux(kind: str, channels: int = 64, blocks: int = 2) -> Any:
    return getattr(diffusers, kind)(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(16, blocks),
        text_encoder=_clip(),
        tokenizer=tokens.clip(),
        text_encoder_2=_t5(),
        tokenizer_2=tokens.t5(),
        transformer=diffusers.FluxTransformer2DModel(
            in_channels=channels,
            out_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(2, 2, 4),
            guidance_embeds=True,
        ),
    )


@_still
def flux_kontext() -> Any:
    # It enlarges what it edits to about 1024 x 1024: only latents of the real size stay small.
    return _flux("FluxKontextPipeline", blocks=4)


@_still
def flux_fill() -> Any:
    # 64 of noise, 64 of the picture around the hole, 4 x 4 pixels of mask for each of 4 places.
    return _flux("FluxFillPipeline", channels=144)


def _qwen_vae(blocks: int = 2) -> Any:
    return diffusers.AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=16,
        dim_mult=[1] * blocks,
        num_res_blocks=1,
        temperal_downsample=[False] * (blocks - 1),
    )


def _qwen_eyes() -> Any:
    text = {
        "vocab_size": len(tokens.qwen()),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        "bos_token_id": None,
        "eos_token_id": None,
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 16,
        "fullatt_block_indexes": [0],
    }
    marks = {
        f"{name}_token_id": tokens.qwen().convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    return transformers.Qwen2_5_VLForConditionalGeneration(
        transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks)
    )


def _qwen_parts(blocks: int = 2, layers: int = 1) -> dict[str, Any]:
    return {
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        "vae": _qwen_vae(blocks),
        "text_encoder": _qwen_eyes(),
        "tokenizer": tokens.qwen(),
        "transformer": diffusers.QwenImageTransformer2DModel(
            num_layers=layers,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(2, 2, 4),
        ),
    }


@_still
def qwen_image(layers: int = 1) -> Any:
    return diffusers.QwenImagePipeline(**_qwen_parts(layers=layers))


@_still
def qwen_edit(plus: bool = False) -> Any:
    # As with FLUX.1 Kontext above.
    kind = diffusers.QwenImageEditPlusPipeline if plus else diffusers.QwenImageEditPipeline
    return kind(processor=tokens.qwen_eyes(), **_qwen_parts(blocks=4))


@_still
def sana(sprint: bool = False, layers: int = 1) -> Any:
    kind = diffusers.SanaSprintPipeline if sprint else diffusers.SanaPipeline
    more = {"guidance_embeds": True, "qk_norm": "rms_norm_across_heads"} if sprint else {}
    noise = diffusers.SCMScheduler() if sprint else diffusers.FlowMatchEulerDiscreteScheduler()
    return kind(
        tokenizer=tokens.gemma(),
        text_encoder=transformers.Gemma2Model(
            transformers.Gemma2Config(
                vocab_size=len(tokens.gemma()),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
            )
        ),
        vae=diffusers.AutoencoderDC(
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            scaling_factor=0.41407,
        ),
        transformer=diffusers.SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=layers,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=16,
            sample_size=32,
            **more,
        ),
        scheduler=noise,
    )


def _flux2_parts(words: int, layers: int) -> dict[str, Any]:
    return {
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        "vae": diffusers.AutoencoderKLFlux2(
            block_out_channels=(8, 16),
            norm_num_groups=4,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        "transformer": diffusers.Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=words * layers,
            axes_dims_rope=(4, 4, 4, 4),
        ),
    }


@_still
def flux2() -> Any:
    text = {
        "vocab_size": len(tokens.mistral()),
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 31,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    vision = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "head_dim": 8,
    }
    return diffusers.Flux2Pipeline(
        text_encoder=transformers.Mistral3ForConditionalGeneration(
            transformers.Mistral3Config(
                text_config=transformers.MistralConfig(**text),
                vision_config=transformers.PixtralVisionConfig(**vision),
            )
        ),
        tokenizer=tokens.mistral(),
        **_flux2_parts(8, 3),
    )


@_still
def flux2_klein(distilled: bool = False) -> Any:
    return diffusers.Flux2KleinPipeline(
        text_encoder=transformers.Qwen3ForCausalLM(
            transformers.Qwen3Config(
                vocab_size=len(tokens.qwen()),
                hidden_size=8,
                intermediate_size=16,
                num_hidden_layers=28,
                num_attention_heads=1,
                num_key_value_heads=1,
                head_dim=8,
            )
        ),
        tokenizer=tokens.qwen(),
        is_distilled=distilled,
        **_flux2_parts(8, 3),
    )


@_still
def krea2(distilled: bool = False) -> Any:
    text = {
        "vocab_size": len(tokens.qwen()),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 16,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    return diffusers.Krea2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_qwen_vae(),
        text_encoder=transformers.Qwen3VLModel(
            transformers.Qwen3VLConfig(text_config=text, vision_config=vision)
        ),
        tokenizer=tokens.qwen(),
        transformer=diffusers.Krea2Transformer2DModel(
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=32,
            timestep_embed_dim=16,
            text_hidden_dim=16,
            num_text_layers=2,
            text_num_attention_heads=2,
            text_num_key_value_heads=2,
            text_intermediate_size=32,
            num_layerwise_text_blocks=1,
            num_refiner_text_blocks=1,
            axes_dims_rope=(4, 6, 6),
        ),
        text_encoder_select_layers=(1, 2),
        is_distilled=distilled,
    )


def save(pipeline: Any, folder: Path, **options: Any) -> Path:
    """Write a pipeline as diffusers does; return its folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.save_pretrained(folder, **options)
    return folder


def wide_vae() -> Any:
    """An autoencoder of the real scale, 8, with few channels."""
    return diffusers.AutoencoderKL(
        block_out_channels=(4,) * 4,
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ).eval()


def unet_control(pipeline: Any) -> Any:
    """A ControlNet for a model with a U-Net."""
    return diffusers.ControlNetModel.from_unet(
        pipeline.unet, conditioning_embedding_out_channels=(4, 8)
    )


def _beside(kind: Any, transformer: Any, **changes: Any) -> Any:
    """A net of a kind with the shape of a denoiser."""
    known = inspect.signature(kind.__init__).parameters
    shape = {name: value for name, value in transformer.config.items() if name in known}
    return kind(**{**shape, **changes})


def flux_control(pipeline: Any, **changes: Any) -> Any:
    """A ControlNet for FLUX.1."""
    return _beside(diffusers.FluxControlNetModel, pipeline.transformer, **changes)


def sd3_control(pipeline: Any) -> Any:
    """A ControlNet for Stable Diffusion 3."""
    return _beside(diffusers.SD3ControlNetModel, pipeline.transformer, num_layers=1)


def qwen_control(pipeline: Any, **changes: Any) -> Any:
    """A ControlNet for Qwen-Image."""
    return _beside(diffusers.QwenImageControlNetModel, pipeline.transformer, **changes)


def sana_control(pipeline: Any) -> Any:
    """A ControlNet for SANA."""
    return _beside(diffusers.SanaControlNetModel, pipeline.transformer)


def z_image_control(pipeline: Any, version: str = "2.1") -> Any:
    """A ControlNet for Z-Image, which has the denoiser's parts once a pipeline is made of both."""
    refined = {"1.0": None, "2.0": "control_layers", "2.1": "control_noise_refiner"}[version]
    transformer = pipeline.transformer
    return _beside(
        diffusers.ZImageControlNetModel,
        transformer,
        control_layers_places=[0],
        control_refiner_layers_places=list(range(transformer.config.n_refiner_layers)),
        control_in_dim=transformer.config.in_channels * (1 if version == "1.0" else 2) + 1,
        add_control_noise_refiner=refined,
    )


def sdxl_union(pipeline: Any) -> Any:
    """A union ControlNet for SDXL."""
    return _beside(
        diffusers.ControlNetUnionModel,
        pipeline.unet,
        conditioning_embedding_out_channels=(4, 8),
        num_control_type=6,
        num_trans_channel=pipeline.unet.config.block_out_channels[0],
        num_trans_head=2,
        num_proj_channel=pipeline.unet.config.block_out_channels[0],
    )


def flux_following() -> Any:
    """FLUX.1 that learnt to follow one kind of control by itself."""
    return _flux("FluxControlPipeline", channels=128)
