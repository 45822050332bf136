"""Which part of a model a file is, where it is no denoiser and no adapter.

Autoencoders, text and image encoders, ControlNets, reference adapters, embeddings, upscalers: a
scan names them, so that nobody wonders why a file is not offered as a model.
"""

from limner.families.diffusion.known.facts import title_of
from limner.families.diffusion.recognition.finding import Finding, Kind, Words
from limner.families.diffusion.recognition.tensors import Part

_UNET_WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl"}
"""Width of the text embeddings a U-Net attends to → family."""


def control(part: Part, words: Words) -> Finding | None:
    """Return what ControlNet or T2I-Adapter these tensors are, or None."""
    inner = part.under("control_model.", "controlnet.")
    net = inner if inner.tensors else part
    if "lora_controlnet" in part.tensors:
        family = _unet_family(net)
        return Finding(Kind.CONTROL, f"A Control-LoRA{_for(family)}.", family, "control-lora")
    for family, pattern, needs in _CONTROLS:
        if net.holds(pattern) and net.holds(needs):
            known = family or _unet_family(net)
            return Finding(Kind.CONTROL, f"A ControlNet{_for(known)}.", known)
    if net.holds(r"(adapter\.)?body\.\d+\.(block1\.|resnets\.0\.block1\.)"):
        family = "sdxl" if words.say("sdxl", "xl") else "sd1" if words.say("sd15", "sd14") else ""
        reason = f"A T2I-Adapter{_for(family)}."
        return Finding(Kind.CONTROL, reason, family, "t2i-adapter")
    return None


_CONTROLS = (
    ("", r"controlnet_cond_embedding\.conv_in\.", r"conv_in\."),
    ("", r"input_hint_block\.0\.", r"zero_convs\.0\."),
    ("qwen-image", r"controlnet_blocks\.0\.", r"transformer_blocks\.0\.img_mod\."),
    ("sana", r"controlnet_blocks\.0\.", r"caption_norm\."),
    ("flux1", r"controlnet_blocks\.0\.", r"(double_blocks\.0|single_transformer_blocks\.0)\."),
    ("flux1", r"controlnet_blocks\.0\.", r"time_text_embed\.guidance_embedder\.|x_embedder\."),
    ("sd3", r"controlnet_blocks\.0\.", r"(pos_embed_input|pos_embed|transformer_blocks\.0)\."),
    ("z-image", r"control_all_x_embedder\.|control_layers\.0\.", r"control_"),
    ("flux2", r"control_transformer_blocks\.|control_img_in\.", r"control_"),
)
"""Family (empty: told by its widths), a name of a ControlNet, and one only this family has."""


def _unet_family(part: Part) -> str:
    """Return the family of a U-Net or of its control, from the embeddings it attends to."""
    if part.has("add_embedding.linear_1.weight") or part.has("label_emb.0.0.weight"):
        return "sdxl"
    for name, tensor in part.tensors.items():
        if "attn2.to_k." in name and len(tensor.shape) == 2:
            return _UNET_WIDTHS.get(tensor.shape[1], "")
    return ""


def reference(part: Part, words: Words) -> Finding | None:
    """Return what adapter for reference pictures these tensors are, or None."""
    if part.has("redux_up.weight", "redux_down.weight"):
        reason = "FLUX.1 Redux: turns a picture into words for FLUX.1."
        return Finding(Kind.REFERENCE, reason, "flux1", "redux-dev")
    if part.holds(r"(double_blocks\.\d+\.processor\.)?ip_adapter(_proj_model|_double_stream)"):
        return Finding(Kind.REFERENCE, "An IP-Adapter for FLUX.1.", "flux1", layout="XLabs")
    if part.holds(r"image_proj(_model)?\.") and part.holds(r"ip_adapter\."):
        widths = {
            part.inputs(name.removesuffix(".weight")) for name in part.tensors if "to_k_ip." in name
        }
        family = next((_UNET_WIDTHS[one] for one in widths if one in _UNET_WIDTHS), "")
        return Finding(Kind.REFERENCE, f"An IP-Adapter{_for(family)}.", family)
    if part.holds(r"(pulid_encoder|pulid_ca|id_adapter)\."):
        return Finding(
            Kind.REFERENCE, "A face adapter (PuLID).", "flux1" if words.say("flux") else ""
        )
    return None


def autoencoder(part: Part, words: Words) -> Finding | None:
    """Return what autoencoder these tensors are, or None."""
    inner = part.under("first_stage_model.", "vae.")
    net = inner if inner.tensors else part
    if net.holds(r"(taesd_|taef1_)?(encoder\.|decoder\.)(layers\.)?[01]\.weight") or (
        net.has("1.weight", "3.conv.0.weight")
    ):
        return Finding(Kind.PREVIEW, "A tiny autoencoder, for previews.")
    if net.holds(r"decoder\.(middle\.0\.residual\.0|mid_block\.resnets\.0\.norm1)\.gamma"):
        return _wan_autoencoder(net, words)
    if net.holds(r"(decoder\.stages\.\d|(en|de)coder\.(up|down)_blocks\.\d\.\d\.)"):
        return Finding(Kind.AUTOENCODER, "The autoencoder of SANA (DC-AE).", "sana")
    original = net.has("decoder.conv_in.weight") and net.holds(r"decoder\.mid\.block_1\.")
    if original or net.has("decoder.conv_in.weight", "decoder.mid_block.resnets.0.conv1.weight"):
        return _kl_autoencoder(net, words, original=original)
    if net.holds(r"per_channel_statistics\."):
        return Finding(Kind.AUTOENCODER, "An autoencoder for video (LTX).")
    return None


def _wan_autoencoder(net: Part, words: Words) -> Finding:
    latents = net.inputs("decoder.conv_in") or net.inputs("conv2")
    if latents > 16:
        return Finding(Kind.AUTOENCODER, "The autoencoder of Wan 2.2, for video.")
    family = words.first({"qwen-image": ("qwen",), "krea2": ("krea", "krea2")})
    reason = "The autoencoder that Wan 2.1, Qwen-Image and Krea 2 share."
    return Finding(Kind.AUTOENCODER, reason, family or "qwen-image")


def _kl_autoencoder(net: Part, words: Words, *, original: bool) -> Finding:
    latents = net.inputs("decoder.conv_in")
    if latents == 32:
        family, reason = "flux2", "The autoencoder of FLUX.2."
    elif latents == 16:
        family = "sd3" if words.say("sd3", "sd35", "stable-diffusion-3") else "flux1"
        reason = "An autoencoder of 16 channels: of FLUX.1, Chroma, Z-Image or SD 3."
    elif latents == 4:
        family = words.first(
            {"sdxl": ("sdxl", "xl"), "sd2": ("sd2",), "sd1": ("sd15", "sd1", "mse", "ema")}
        )
        reason = "An autoencoder of 4 channels: of SD 1 and 2, or of SDXL, which their names tell."
    else:
        family, reason = "", f"An autoencoder of {latents} channels."
    return Finding(Kind.AUTOENCODER, reason, family, layout="original" if original else "diffusers")


_CLIP_NAMES = ("text_model.embeddings.token_embedding.weight", "embeddings.token_embedding.weight")
"""As transformers up to 4 and from 5 on write them."""

_CLIPS = {768: "CLIP-L", 1024: "OpenCLIP-H", 1280: "OpenCLIP-G"}

_LANGUAGE_MODELS = {
    (152_064, 3584): "Qwen2.5-VL 7B",
    (151_936, 2560): "Qwen3 4B",
    (151_936, 4096): "Qwen3 8B",
    (151_936, 2048): "Qwen2.5-VL 3B",
    (256_000, 2304): "Gemma 2 2B",
    (131_072, 5120): "Mistral Small 24B",
    (128_256, 4096): "Llama 3.1 8B",
}
"""(words, width) of the language models that image models read prompts with."""


def text_encoder(part: Part) -> str:
    """Return the name of the text encoder these tensors are; empty if they are none."""
    for name in (*_CLIP_NAMES, "transformer.text_model.embeddings.token_embedding.weight"):
        if part.has(name):
            return _CLIPS.get(part.inputs(name.removesuffix(".weight")), "CLIP")
    if part.has("token_embedding.weight", "positional_embedding"):
        return _CLIPS.get(part.inputs("token_embedding"), "OpenCLIP")
    if part.holds(r"(encoder\.block\.0\.layer\.0\.SelfAttention\.q|enc\.blk\.0\.attn_q)\."):
        return _t5(part)
    if part.holds(
        r"(model\.)?(language_model\.)?(model\.)?layers\.0\.self_attn\.q_proj\.|blk\.0\.attn_q\."
    ):
        return _language_model(part)
    return ""


_T5_SIZES = {4096: "XXL", 2048: "XL", 1024: "Large", 768: "Base"}


def _t5(part: Part) -> str:
    for name in ("shared.weight", "encoder.embed_tokens.weight", "token_embd.weight"):
        if part.has(name):
            words, width = part.rows(name), part.inputs(name.removesuffix(".weight"))
            kind = "UMT5" if words > 200_000 else "T5"
            return f"{kind}-{_T5_SIZES.get(width, 'small')}"
    return "T5"


def _language_model(part: Part) -> str:
    for name, tensor in part.tensors.items():
        if name.endswith(("embed_tokens.weight", "token_embd.weight")) and len(tensor.shape) == 2:
            found = _LANGUAGE_MODELS.get((tensor.shape[0], tensor.shape[1]), "a language model")
            seeing = part.holds(r"(model\.)?visual\.") and found.startswith("Qwen3")
            return found.replace("Qwen3", "Qwen3-VL") if seeing else found
    return "a language model"


def other(part: Part, words: Words) -> Finding | None:
    """Return what else these tensors are: an image encoder, embedding or upscaler; or None."""
    if part.holds(r"(vision_model\.)?embeddings\.patch_embedding\.|visual\.conv1\."):
        kind = "SigLIP" if words.say("siglip") or part.holds(r".*head\.probe$") else "CLIP vision"
        return Finding(Kind.IMAGE_ENCODER, f"An image encoder ({kind}), for reference pictures.")
    return _embedding(part) or _upscaler(part)


_EMBEDDED = {768: "sd1", 1024: "sd2", 1280: "sdxl", 4096: "flux1"}


def _embedding(part: Part) -> Finding | None:
    if part.has("clip_g", "clip_l"):
        return Finding(Kind.EMBEDDING, "A textual inversion embedding for SDXL.", "sdxl")
    matrices = [tensor.shape for tensor in part.tensors.values()]
    if 0 < len(matrices) <= 4 and all(len(one) == 2 and one[0] <= 256 for one in matrices):
        family = _EMBEDDED.get(matrices[0][1], "")
        if family and (part.has("emb_params") or len(matrices) == 1):
            return Finding(Kind.EMBEDDING, f"A textual inversion embedding{_for(family)}.", family)
    return None


_UPSCALERS = (
    r"model\.1\.sub\.0\.RDB1\.",
    r"body\.0\.rdb1\.",
    r"layers\.0\.(residual_group\.)?blocks\.0\.",
    r"conv_first\.weight$",
    r"block_1\.c1_r\.",
    r"residual_layer\.0\.residual_layer\.",
    r"(feats|to_feat)\.0?\.?weight$",
)


def _upscaler(part: Part) -> Finding | None:
    compact = part.has("body.0.weight", "body.1.weight", "body.2.weight")
    first = part.inputs("body.0") in (1, 3, 4, 12, 48)
    if (compact and first) or any(part.holds(one) for one in _UPSCALERS):
        return Finding(Kind.UPSCALER, "A network that enlarges pictures, not one that draws them.")
    return None


def _for(family: str) -> str:
    return f" for {title_of(family)}" if family else ""
