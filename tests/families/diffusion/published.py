"""Names and shapes of published checkpoints: enough of each to be what it is.

Blocks repeat, so the first and the last of them stand for all.
"""

Shapes = dict[str, tuple[int, ...]]


def under(prefix: str, shapes: Shapes) -> Shapes:
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


def linear(name: str, outputs: int, inputs: int, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (outputs, inputs)}
    return {**shapes, f"{name}.bias": (outputs,)} if bias else shapes


def conv(name: str, outputs: int, inputs: int, side: int = 3) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def _cross(name: str, width: int, context: int, flat: bool) -> Shapes:
    proj: tuple[int, ...] = (width, width) if flat else (width, width, 1, 1)
    block = f"{name}.transformer_blocks.0"
    return {
        f"{name}.norm.weight": (width,),
        f"{name}.proj_in.weight": proj,
        f"{block}.attn1.to_q.weight": (width, width),
        f"{block}.attn2.to_q.weight": (width, width),
        f"{block}.attn2.to_k.weight": (width, context),
        f"{name}.proj_out.weight": proj,
    }


def sd_unet(context: int = 768, channels: int = 4, flat: bool = False) -> Shapes:
    """Return the U-Net of SD 1 (768) or SD 2 (1024, flat) under its original names."""
    return {
        **linear("time_embed.0", 1280, 320),
        **conv("input_blocks.0.0", 320, channels),
        **conv("input_blocks.1.0.in_layers.2", 320, 320),
        **_cross("input_blocks.1.1", 320, context, flat),
        **conv("input_blocks.3.0.op", 320, 320),
        **_cross("middle_block.1", 1280, context, flat),
        **_cross("output_blocks.11.1", 320, context, flat),
        **conv("output_blocks.11.0.skip_connection", 320, 640, 1),
        "out.0.weight": (320,),
        **conv("out.2", 4, 320),
    }


def sd_unet_diffusers(context: int = 768, channels: int = 4, flat: bool = False) -> Shapes:
    return {
        **conv("conv_in", 320, channels),
        **linear("time_embedding.linear_1", 1280, 320),
        **conv("down_blocks.0.resnets.0.conv1", 320, 320),
        **_cross("down_blocks.0.attentions.0", 320, context, flat),
        **_cross("mid_block.attentions.0", 1280, context, flat),
        **_cross("up_blocks.3.attentions.0", 320, context, flat),
        **conv("conv_out", 4, 320),
    }


def xl_unet(channels: int = 4, middle: bool = True, depth: int = 10) -> Shapes:
    shapes = {
        **linear("time_embed.0", 1280, 320),
        **linear("label_emb.0.0", 1280, 2816),
        **conv("input_blocks.0.0", 320, channels),
        **conv("input_blocks.1.0.in_layers.2", 320, 320),
        **_cross("input_blocks.4.1", 640, 2048, flat=True),
        **_cross("input_blocks.8.1", 1280, 2048, flat=True),
        f"input_blocks.8.1.transformer_blocks.{depth - 1}.attn2.to_k.weight": (1280, 2048),
        **conv("output_blocks.0.0.in_layers.2", 1280, 2560),
        **conv("out.2", 4, 320),
    }
    return {**shapes, **_cross("middle_block.1", 1280, 2048, flat=True)} if middle else shapes


def xl_refiner() -> Shapes:
    return {
        **linear("time_embed.0", 1536, 384),
        **linear("label_emb.0.0", 1536, 2560),
        **conv("input_blocks.0.0", 384, 4),
        **_cross("input_blocks.4.1", 768, 1280, flat=True),
        **conv("input_blocks.11.0.in_layers.2", 1536, 1536),
        **_cross("middle_block.1", 1536, 1280, flat=True),
        **conv("out.2", 4, 384),
    }


def xl_unet_diffusers(channels: int = 4) -> Shapes:
    return {
        **conv("conv_in", 320, channels),
        **linear("time_embedding.linear_1", 1280, 320),
        **linear("add_embedding.linear_1", 1280, 2816),
        **_cross("down_blocks.1.attentions.0", 640, 2048, flat=True),
        **_cross("down_blocks.2.attentions.0", 1280, 2048, flat=True),
        **_cross("mid_block.attentions.0", 1280, 2048, flat=True),
        **conv("conv_out", 4, 320),
    }


def clip(width: int = 768, layers: int = 12, head: str = "text_model.") -> Shapes:
    """Return a CLIP text encoder; `head` is empty as transformers 5 writes it."""
    return under(
        head,
        {
            "embeddings.token_embedding.weight": (49_408, width),
            "embeddings.position_embedding.weight": (77, width),
            **linear(f"encoder.layers.{layers - 1}.self_attn.q_proj", width, width),
            "final_layer_norm.weight": (width,),
        },
    )


def open_clip(width: int = 1280, layers: int = 32) -> Shapes:
    return {
        "positional_embedding": (77, width),
        "token_embedding.weight": (49_408, width),
        f"transformer.resblocks.{layers - 1}.attn.in_proj_weight": (3 * width, width),
        "text_projection": (width, width),
        "ln_final.weight": (width,),
    }


def t5(width: int = 4096, words: int = 32_128) -> Shapes:
    return {
        "shared.weight": (words, width),
        "encoder.block.0.layer.0.SelfAttention.q.weight": (width, width),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 64),
        "encoder.final_layer_norm.weight": (width,),
    }


def language_model(width: int, words: int, head: str = "model.") -> Shapes:
    return {
        f"{head}embed_tokens.weight": (words, width),
        f"{head}layers.0.self_attn.q_proj.weight": (width, width),
        f"{head}layers.0.mlp.gate_proj.weight": (4 * width, width),
        f"{head}norm.weight": (width,),
    }


def vae(latents: int = 4, quantised: bool = True) -> Shapes:
    shapes = {
        **conv("encoder.conv_in", 128, 3),
        **conv("encoder.conv_out", 2 * latents, 512),
        **conv("decoder.conv_in", 512, latents),
        "decoder.mid.block_1.norm1.weight": (512,),
        **conv("decoder.up.0.block.0.conv1", 128, 256),
        **conv("decoder.conv_out", 3, 128),
    }
    return {**shapes, **conv("post_quant_conv", latents, latents, 1)} if quantised else shapes


def vae_diffusers(latents: int = 4) -> Shapes:
    return {
        **conv("encoder.conv_in", 128, 3),
        **conv("decoder.conv_in", 512, latents),
        **conv("decoder.mid_block.resnets.0.conv1", 512, 512),
        **conv("decoder.up_blocks.0.resnets.0.conv1", 512, 512),
    }


def sd1_checkpoint(head: str = "text_model.", channels: int = 4) -> Shapes:
    return {
        **under("model.diffusion_model.", sd_unet(channels=channels)),
        **under("first_stage_model.", vae()),
        **under("cond_stage_model.transformer.", clip(head=head)),
        "alphas_cumprod": (1000,),
    }


def sd2_checkpoint(channels: int = 4) -> Shapes:
    return {
        **under("model.diffusion_model.", sd_unet(1024, channels, flat=True)),
        **under("first_stage_model.", vae()),
        **under("cond_stage_model.model.", open_clip(1024, 24)),
    }


def xl_checkpoint(unet: Shapes | None = None) -> Shapes:
    return {
        **under("model.diffusion_model.", unet or xl_unet()),
        **under("first_stage_model.", vae()),
        **under("conditioner.embedders.0.transformer.", clip()),
        **under("conditioner.embedders.1.model.", open_clip()),
    }


def sd3(width: int = 1536, blocks: int = 24, places: int = 36_864, style: str = "") -> Shapes:
    """Return the denoiser of SD 3; `style`: `normed` for 3.5 large, `dual` for 3.5 medium."""
    last = f"joint_blocks.{blocks - 1}"
    shapes = {
        "pos_embed": (1, places, width),
        **conv("x_embedder.proj", width, 16, 2),
        **linear("context_embedder", width, 4096),
        **linear("y_embedder.mlp.0", width, 2048),
        **linear("joint_blocks.0.context_block.adaLN_modulation.1", 6 * width, width),
        **linear("joint_blocks.0.x_block.attn.qkv", 3 * width, width),
        **linear(f"{last}.x_block.mlp.fc1", 4 * width, width),
        **linear("final_layer.linear", 64, width),
    }
    if style:
        shapes["joint_blocks.0.x_block.attn.ln_q.weight"] = (64,)
    if style == "dual":
        shapes |= linear("joint_blocks.0.x_block.attn2.qkv", 3 * width, width)
    return shapes


def flux(channels: int = 64, guided: bool = True) -> Shapes:
    shapes = {
        **linear("img_in", 3072, channels),
        **linear("txt_in", 3072, 4096),
        **linear("time_in.in_layer", 3072, 256),
        **linear("vector_in.in_layer", 3072, 768),
        **linear("double_blocks.0.img_mod.lin", 18_432, 3072),
        **linear("double_blocks.0.img_attn.qkv", 9216, 3072),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        **linear("double_blocks.18.txt_mlp.0", 12_288, 3072),
        **linear("single_blocks.37.linear1", 21_504, 3072),
        **linear("final_layer.linear", 64, 3072),
    }
    return {**shapes, **linear("guidance_in.in_layer", 3072, 256)} if guided else shapes


def flux_diffusers(channels: int = 64, guided: bool = True) -> Shapes:
    shapes = {
        **linear("x_embedder", 3072, channels),
        **linear("context_embedder", 3072, 4096),
        **linear("time_text_embed.timestep_embedder.linear_1", 3072, 256),
        **linear("time_text_embed.text_embedder.linear_1", 3072, 768),
        **linear("transformer_blocks.0.norm1_context.linear", 18_432, 3072),
        **linear("transformer_blocks.18.attn.add_q_proj", 3072, 3072),
        **linear("single_transformer_blocks.0.proj_mlp", 12_288, 3072),
        **linear("proj_out", 64, 3072),
    }
    more = linear("time_text_embed.guidance_embedder.linear_1", 3072, 256)
    return {**shapes, **more} if guided else shapes


def flux2(width: int = 6144, context: int = 15_360) -> Shapes:
    return {
        **linear("img_in", width, 128, bias=False),
        **linear("txt_in", width, context, bias=False),
        **linear("double_stream_modulation_img.lin", 6 * width, width, bias=False),
        **linear("single_stream_modulation.lin", 3 * width, width, bias=False),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        **linear("single_blocks.0.linear1", 9 * width, width, bias=False),
        **linear("final_layer.linear", 128, width, bias=False),
    }


def flux2_diffusers() -> Shapes:
    return {
        **linear("x_embedder", 6144, 128, bias=False),
        **linear("context_embedder", 6144, 15_360, bias=False),
        **linear("single_stream_modulation.linear", 18_432, 6144, bias=False),
        **linear("single_transformer_blocks.0.attn.to_qkv_mlp_proj", 55_296, 6144, bias=False),
    }


def chroma() -> Shapes:
    return {
        **linear("distilled_guidance_layer.in_proj", 5120, 64),
        **linear("img_in", 3072, 64),
        **linear("txt_in", 3072, 4096),
        "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
        **linear("single_blocks.37.linear1", 21_504, 3072),
    }


def krea2() -> Shapes:
    return {
        **linear("first", 6144, 64),
        **linear("tmlp.0", 6144, 256),
        **linear("txtfusion.projector", 1, 12, bias=False),
        **linear("txtmlp.1", 6144, 2560),
        **linear("blocks.0.attn.wq", 6144, 6144, bias=False),
        **linear("blocks.27.mlp.gate", 16_384, 6144, bias=False),
        **linear("last.linear", 64, 6144),
    }


def qwen_image() -> Shapes:
    return {
        **linear("img_in", 3072, 64),
        "txt_norm.weight": (3584,),
        **linear("txt_in", 3072, 3584),
        **linear("time_text_embed.timestep_embedder.linear_1", 3072, 256),
        **linear("transformer_blocks.0.img_mod.1", 18_432, 3072),
        **linear("transformer_blocks.59.attn.add_q_proj", 3072, 3072),
        **linear("proj_out", 64, 3072),
    }


def z_image() -> Shapes:
    return {
        **linear("x_embedder", 3840, 64),
        "cap_embedder.0.weight": (2560,),
        **linear("cap_embedder.1", 3840, 2560),
        **linear("t_embedder.mlp.0", 1024, 256),
        **linear("layers.0.adaLN_modulation.0", 15_360, 256),
        **linear("layers.29.attention.qkv", 11_520, 3840, bias=False),
        **linear("final_layer.linear", 64, 3840),
    }


def sana(width: int = 2240, blocks: int = 20, guided: bool = False) -> Shapes:
    shapes = {
        **conv("x_embedder.proj", width, 32, 1),
        **linear("t_embedder.mlp.0", width, 256),
        **linear("t_block.1", 6 * width, width),
        **linear("y_embedder.y_proj.fc1", width, 2304),
        "attention_y_norm.weight": (width,),
        **linear("blocks.0.cross_attn.kv_linear", 2 * width, width),
        **conv(f"blocks.{blocks - 1}.mlp.inverted_conv.conv", 5 * width, width, 1),
    }
    return {**shapes, **linear("logvar_linear", 1, width)} if guided else shapes


def pixart() -> Shapes:
    return {
        **conv("x_embedder.proj", 1152, 4, 2),
        **linear("t_block.1", 6912, 1152),
        **linear("y_embedder.y_proj.fc1", 1152, 4096),
        **linear("blocks.0.cross_attn.kv_linear", 2304, 1152),
        **linear("final_layer.linear", 32, 1152),
    }
