"""Weight files of every published layout are recognised from their headers."""

import struct
from pathlib import Path
from typing import Any

import pytest

from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.layouts import recognise, recognise_file
from limner.families.diffusion.recognition.tensors import Header, Tensor
from tests.families.diffusion import published as pub
from tests.families.diffusion.files import save, save_gguf

COMFY = "model.diffusion_model."

DENOISERS: list[tuple[str, pub.Shapes, dict[str, Any]]] = [
    ("v1-5-pruned", pub.sd1_checkpoint(), {"family": "sd1", "variant": "base"}),
    ("early", pub.sd1_checkpoint(head=""), {"family": "sd1", "parts": ("CLIP-L", "autoencoder")}),
    (
        "sd-v1-5-inpainting",
        pub.sd1_checkpoint(channels=9),
        {"family": "sd1", "variant": "inpainting"},
    ),
    ("instruct-pix2pix", pub.sd1_checkpoint(channels=8), {"family": "sd1", "variant": "edit"}),
    ("dreamshaper_8LCM", pub.sd1_checkpoint(), {"family": "sd1", "variant": "lcm-lora"}),
    ("dreamshaper-8-lcm", pub.sd1_checkpoint(), {"family": "sd1", "variant": "lcm-lora"}),
    (
        "v2-1_768-ema-pruned",
        pub.sd2_checkpoint(),
        {"family": "sd2", "variant": "base", "prediction": ""},
    ),
    ("768-v-ema", pub.sd2_checkpoint(), {"family": "sd2", "prediction": "v"}),
    ("512-base-ema", pub.sd2_checkpoint(), {"family": "sd2", "variant": "512-base"}),
    ("v2-1_512-ema-pruned", pub.sd2_checkpoint(), {"family": "sd2", "variant": "512-base"}),
    ("stable-diffusion-2-1-base", pub.sd2_checkpoint(), {"variant": "512-base"}),
    ("sd_turbo", pub.sd2_checkpoint(), {"variant": "turbo", "prediction": ""}),
    ("512-inpainting", pub.sd2_checkpoint(9), {"family": "sd2", "variant": "inpainting"}),
    ("512-depth", pub.sd2_checkpoint(5), {"family": "sd2", "variant": "depth"}),
    ("sd_xl_base_1.0", pub.xl_checkpoint(), {"family": "sdxl", "variant": "base"}),
    ("sd_xl_turbo_1.0", pub.xl_checkpoint(), {"family": "sdxl", "variant": "turbo"}),
    ("sdxl_lightning_4step", pub.xl_checkpoint(), {"family": "sdxl", "variant": "lightning"}),
    (
        "sd_xl_inpaint",
        pub.xl_checkpoint(pub.xl_unet(9)),
        {"family": "sdxl", "variant": "inpainting"},
    ),
    (
        "noobai-xl",
        {**pub.xl_checkpoint(), "v_pred": (0,), "ztsnr": (0,)},
        {"family": "sdxl", "prediction": "v"},
    ),
    (
        "segmind",
        pub.xl_checkpoint(pub.xl_unet(middle=False, depth=4)),
        {"family": "sdxl", "variant": "ssd-1b"},
    ),
    (
        "sd_xl_refiner_1.0",
        {
            **pub.under(COMFY, pub.xl_refiner()),
            **pub.under("conditioner.embedders.0.model.", pub.open_clip()),
        },
        {"family": "sdxl", "variant": "refiner", "parts": ("OpenCLIP-G",)},
    ),
    (
        "sd3_medium_incl_clips",
        {
            **pub.under(COMFY, pub.sd3()),
            **pub.under("text_encoders.clip_l.transformer.", pub.clip()),
            **pub.under("text_encoders.clip_g.transformer.", pub.clip(1280, 32)),
            **pub.under("text_encoders.t5xxl.transformer.", pub.t5()),
            **pub.under("first_stage_model.", pub.vae(16, quantised=False)),
        },
        {
            "family": "sd3",
            "variant": "3-medium",
            "parts": ("CLIP-L", "OpenCLIP-G", "T5-XXL", "autoencoder"),
        },
    ),
    (
        "sd3.5_medium",
        pub.under(COMFY, pub.sd3(places=147_456, style="dual")),
        {"family": "sd3", "variant": "3.5-medium"},
    ),
    (
        "sd3.5_large",
        pub.under(COMFY, pub.sd3(2432, 38, style="normed")),
        {"family": "sd3", "variant": "3.5-large"},
    ),
    (
        "sd3.5_large_turbo",
        pub.sd3(2432, 38, style="normed"),
        {"family": "sd3", "variant": "3.5-large-turbo", "prefix": ""},
    ),
    ("flux1-dev", pub.flux(), {"family": "flux1", "variant": "dev", "layout": "original"}),
    ("flux1-schnell", pub.flux(guided=False), {"family": "flux1", "variant": "schnell"}),
    ("flux1-krea-dev", pub.flux(), {"family": "flux1", "variant": "krea-dev"}),
    ("flux1-kontext-dev", pub.flux(), {"family": "flux1", "variant": "kontext-dev"}),
    ("any-name", pub.flux(384), {"family": "flux1", "variant": "fill-dev"}),
    ("flux1-canny-dev", pub.flux(128), {"family": "flux1", "variant": "canny-dev"}),
    ("flux1_depth_dev", pub.flux(128), {"family": "flux1", "variant": "depth-dev"}),
    ("mine", pub.flux(128), {"family": "flux1", "variant": "control-dev"}),
    (
        "flux1-dev-fp8",
        {
            **pub.under(COMFY, pub.flux()),
            **pub.under("text_encoders.clip_l.transformer.", pub.clip()),
            **pub.under("text_encoders.t5xxl.transformer.", pub.t5()),
            **pub.under("vae.", pub.vae(16, quantised=False)),
        },
        {
            "family": "flux1",
            "variant": "dev",
            "prefix": COMFY,
            "parts": ("CLIP-L", "T5-XXL", "autoencoder"),
        },
    ),
    (
        "diffusion_pytorch_model",
        pub.flux_diffusers(),
        {"family": "flux1", "variant": "dev", "layout": "diffusers"},
    ),
    (
        "diffusion_pytorch_model",
        pub.flux_diffusers(guided=False),
        {"family": "flux1", "variant": "schnell"},
    ),
    ("flux2-dev", pub.flux2(), {"family": "flux2", "variant": "dev"}),
    ("a", pub.flux2(3072, 7680), {"family": "flux2", "variant": "klein-4b"}),
    (
        "flux-2-klein-base-9b",
        pub.flux2(4096, 12_288),
        {"family": "flux2", "variant": "klein-base-9b"},
    ),
    ("b", pub.flux2_diffusers(), {"family": "flux2", "variant": "dev", "layout": "diffusers"}),
    ("Chroma1-HD", pub.chroma(), {"family": "chroma", "variant": "hd"}),
    ("chroma-unlocked-v37", pub.chroma(), {"family": "chroma", "variant": "base"}),
    ("Chroma1-Flash", pub.chroma(), {"family": "chroma", "variant": "flash"}),
    ("krea2_turbo_bf16", pub.krea2(), {"family": "krea2", "variant": "turbo"}),
    ("raw", pub.under(COMFY, pub.krea2()), {"family": "krea2", "variant": "raw"}),
    ("qwen_image_bf16", pub.qwen_image(), {"family": "qwen-image", "variant": "base"}),
    (
        "qwen_image_edit_2509_fp8",
        pub.under(COMFY, pub.qwen_image()),
        {"family": "qwen-image", "variant": "edit-2509"},
    ),
    (
        "qwen-image-2.1",
        {**pub.linear("txt_in.in_layer", 1, 1), "txt_in.text_norm.weight": (4096,)}
        | pub.linear("img_in", 4096, 64),
        {"family": "qwen-image", "variant": "2.1"},
    ),
    ("z_image_turbo_bf16", pub.z_image(), {"family": "z-image", "variant": "turbo"}),
    ("z_image_bf16", pub.under(COMFY, pub.z_image()), {"family": "z-image", "variant": "base"}),
    ("Sana_1600M", pub.sana(), {"family": "sana", "variant": "1.6b"}),
    ("Sana_600M", pub.sana(1152, 28), {"family": "sana", "variant": "600m"}),
    ("SANA1.5", pub.sana(2240, 60), {"family": "sana", "variant": "4.8b"}),
    ("x", pub.sana(guided=True), {"family": "sana", "variant": "sprint-1.6b"}),
    ("PixArt-Sigma", pub.pixart(), {"family": "pixart", "variant": "sigma"}),
    (
        "PixArt-XL-2-1024",
        {**pub.pixart(), **pub.linear("csize_embedder.mlp.0", 384, 256)},
        {"family": "pixart", "variant": "alpha"},
    ),
    (
        "unet",
        pub.sd_unet_diffusers(),
        {"family": "sd1", "layout": "diffusers", "kind": Kind.DENOISER},
    ),
    ("unet", pub.sd_unet_diffusers(1024, flat=True), {"family": "sd2"}),
    ("unet", pub.xl_unet_diffusers(), {"family": "sdxl", "variant": "base"}),
    ("unet", pub.xl_unet_diffusers(9), {"family": "sdxl", "variant": "inpainting"}),
]


def differing(found: Finding, wanted: dict[str, Any]) -> dict[str, Any]:
    return {
        key: getattr(found, key) for key, value in wanted.items() if getattr(found, key) != value
    }


@pytest.mark.parametrize(("name", "shapes", "wanted"), DENOISERS)
def test_denoisers_and_checkpoints(
    tmp_path: Path, name: str, shapes: pub.Shapes, wanted: dict[str, Any]
) -> None:
    found = recognise_file(save(tmp_path / f"{name}.safetensors", shapes))
    assert differing(found, wanted) == {}, found
    whole = Kind.CHECKPOINT if found.parts else Kind.DENOISER
    assert found.kind is whole
    assert found.precision == "F16"


PARTS: list[tuple[str, pub.Shapes, Kind, str]] = [
    ("vae-ft-mse", pub.vae(), Kind.AUTOENCODER, "sd1"),
    ("sdxl_vae", pub.vae(), Kind.AUTOENCODER, "sdxl"),
    ("ae", pub.vae(16, quantised=False), Kind.AUTOENCODER, "flux1"),
    ("sd3_vae", pub.vae_diffusers(16), Kind.AUTOENCODER, "sd3"),
    ("flux2-vae", pub.vae_diffusers(32), Kind.AUTOENCODER, "flux2"),
    (
        "qwen_image_vae",
        {"decoder.middle.0.residual.0.gamma": (384, 1, 1, 1), "conv2.weight": (16, 16, 1, 1, 1)},
        Kind.AUTOENCODER,
        "qwen-image",
    ),
    (
        "wan2.2_vae",
        {"decoder.middle.0.residual.0.gamma": (384, 1, 1, 1), "conv2.weight": (48, 48, 1, 1, 1)},
        Kind.AUTOENCODER,
        "",
    ),
    (
        "dc-ae",
        pub.conv("decoder.stages.1.op_list.0.main.conv.conv", 8, 8),
        Kind.AUTOENCODER,
        "sana",
    ),
    ("taesd_decoder", pub.conv("1", 64, 4) | pub.conv("3.conv.0", 64, 64), Kind.PREVIEW, ""),
    ("clip_l", pub.clip(), Kind.TEXT_ENCODER, ""),
    ("model", pub.clip(head=""), Kind.TEXT_ENCODER, ""),
    ("t5xxl_fp16", pub.t5(), Kind.TEXT_ENCODER, ""),
    ("qwen_3_4b", pub.language_model(2560, 151_936), Kind.TEXT_ENCODER, ""),
    (
        "clip_vision_g",
        {"vision_model.embeddings.patch_embedding.weight": (1664, 3, 14, 14)},
        Kind.IMAGE_ENCODER,
        "",
    ),
    (
        "control_v11p_sd15_canny",
        {
            **pub.under("control_model.", pub.conv("input_hint_block.0", 16, 3)),
            **pub.under("control_model.", pub.conv("zero_convs.0.0", 320, 320, 1)),
            "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        },
        Kind.CONTROL,
        "sd1",
    ),
    (
        "controlnet-canny-sdxl",
        {
            **pub.xl_unet_diffusers(),
            **pub.conv("controlnet_cond_embedding.conv_in", 16, 3),
        },
        Kind.CONTROL,
        "sdxl",
    ),
    (
        "flux-controlnet-union",
        {**pub.flux_diffusers(), **pub.linear("controlnet_blocks.0", 3072, 3072)},
        Kind.CONTROL,
        "flux1",
    ),
    (
        "qwen-controlnet",
        {**pub.qwen_image(), **pub.linear("controlnet_blocks.0", 3072, 3072)},
        Kind.CONTROL,
        "qwen-image",
    ),
    (
        "sd3-controlnet",
        {
            **pub.conv("pos_embed_input.proj", 1536, 17, 2),
            **pub.linear("controlnet_blocks.0", 1536, 1536),
            **pub.linear("transformer_blocks.0.attn.to_q", 1536, 1536),
        },
        Kind.CONTROL,
        "sd3",
    ),
    (
        "t2iadapter_canny_sd15",
        pub.conv("body.0.block1", 320, 320),
        Kind.CONTROL,
        "sd1",
    ),
    (
        "control-lora-canny",
        {"lora_controlnet": (0,), "label_emb.0.0.weight": (1280, 2816), "a.up": (2, 2)},
        Kind.CONTROL,
        "sdxl",
    ),
    (
        "flux1-redux-dev",
        pub.linear("redux_up", 12_288, 1152) | pub.linear("redux_down", 4096, 12_288),
        Kind.REFERENCE,
        "flux1",
    ),
    (
        "ip-adapter_sdxl",
        pub.linear("image_proj.proj", 8192, 1280)
        | pub.linear("ip_adapter.1.to_k_ip", 640, 2048, bias=False),
        Kind.REFERENCE,
        "sdxl",
    ),
    ("easynegative", {"emb_params": (8, 768)}, Kind.EMBEDDING, "sd1"),
    ("unaestheticXL", {"clip_g": (8, 1280), "clip_l": (8, 768)}, Kind.EMBEDDING, "sdxl"),
    (
        "4x-UltraSharp",
        pub.conv("model.0", 64, 3) | pub.conv("model.1.sub.0.RDB1.conv1.0", 32, 64),
        Kind.UPSCALER,
        "",
    ),
    (
        "RealESRGAN_x4plus",
        pub.conv("conv_first", 64, 3) | pub.conv("body.0.rdb1.conv1", 32, 64),
        Kind.UPSCALER,
        "",
    ),
    ("wan2.1_t2v", {"head.modulation": (1, 2, 5120)}, Kind.OTHER, ""),
    ("hunyuan", pub.linear("txt_in.individual_token_refiner.blocks.0.mlp", 2, 2), Kind.OTHER, ""),
    ("odd", {"some.weight": (3, 3), "other.weight": (1,)}, Kind.UNKNOWN, ""),
]


@pytest.mark.parametrize(("name", "shapes", "kind", "family"), PARTS)
def test_parts_are_named_and_not_offered_as_models(
    tmp_path: Path, name: str, shapes: pub.Shapes, kind: Kind, family: str
) -> None:
    found = recognise_file(save(tmp_path / f"{name}.safetensors", shapes))
    assert (found.kind, found.family) == (kind, family), found
    assert found.reason.endswith(".")


def test_what_is_unknown_is_described(tmp_path: Path) -> None:
    found = recognise_file(save(tmp_path / "odd.safetensors", {"a.b": (2,), "c": (2,)}))
    assert found.reason == "Holds 2 tensors of an unknown kind; the first are a.b, c."
    found = recognise_file(save(tmp_path / "none.safetensors", {}))
    assert found.reason == "Holds no tensors."


def test_metadata_says_what_tensors_cannot(tmp_path: Path) -> None:
    said = {"modelspec.title": "FLUX.1 Krea [dev]", "modelspec.architecture": "flux-1-dev"}
    found = recognise_file(save(tmp_path / "renamed.safetensors", pub.flux(), said))
    assert found.variant == "krea-dev"


NAMES: list[tuple[str, pub.Shapes, str]] = [
    ("dreamshaperXL_lightningDPMSDE", pub.xl_checkpoint(), "lightning"),
    ("juggernautXL_juggXILightningByRD", pub.xl_checkpoint(), "lightning"),
    ("realvisxlV50_v50LightningBakedvae", pub.xl_checkpoint(), "lightning"),
    ("dreamshaperXL_v21TurboDPMSDE", pub.xl_checkpoint(), "turbo"),
    ("hyper_realistic_xl", pub.xl_checkpoint(), "base"),
    ("hyperRealisticXL_v1", pub.xl_checkpoint(), "base"),
    *(
        (name, pub.xl_checkpoint(), "hyper")
        for name in ("Hyper-SD", "hyper_sd", "hyperSD", "hyper_4step", "hyper8steps")
    ),
    ("zImageTurboNSFW_v10", pub.z_image(), "turbo"),
    ("fluxKontextDev_v1", pub.flux(), "kontext-dev"),
    ("flux-dev-de-distill", pub.flux(guided=False), "de-distilled"),
    ("fluxDevDedistill_v10", pub.flux(guided=False), "de-distilled"),
    ("QwenImageEdit", pub.qwen_image(), "edit"),
    ("qwenImageEdit2511_v10", pub.qwen_image(), "edit-2511"),
    ("sd35LargeTurbo_v1", pub.sd3(2432, 38, style="normed"), "3.5-large-turbo"),
]


@pytest.mark.parametrize(("name", "shapes", "variant"), NAMES, ids=[one[0] for one in NAMES])
def test_names_are_read_word_by_word(
    tmp_path: Path, name: str, shapes: pub.Shapes, variant: str
) -> None:
    assert recognise_file(save(tmp_path / f"{name}.safetensors", shapes)).variant == variant


@pytest.mark.parametrize(
    ("said", "more", "variant", "prediction"),
    [
        ({}, {}, "base", ""),
        ({"modelspec.resolution": "512x512"}, {}, "512-base", ""),
        ({"modelspec.resolution": "768x768"}, {}, "base", ""),
        ({"modelspec.prediction_type": "epsilon"}, {}, "base", "epsilon"),
        ({"modelspec.prediction_type": "v"}, {}, "base", "v"),
        ({"modelspec.prediction_type": "v_prediction"}, {}, "base", "v"),
        ({}, {"ztsnr": (0,)}, "base", "v"),
    ],
)
def test_metadata_says_what_stable_diffusion_2_predicts(
    tmp_path: Path, said: dict[str, str], more: pub.Shapes, variant: str, prediction: str
) -> None:
    shapes = {**pub.sd2_checkpoint(), **more}
    found = recognise_file(save(tmp_path / "mine.safetensors", shapes, said))
    assert (found.variant, found.prediction) == (variant, prediction)


@pytest.mark.parametrize(("name", "prediction"), [("mineVPred_v1", "v"), ("mine-eps", "epsilon")])
def test_a_name_says_what_stable_diffusion_2_predicts(
    tmp_path: Path, name: str, prediction: str
) -> None:
    path = save(tmp_path / f"{name}.safetensors", pub.sd2_checkpoint())
    assert recognise_file(path).prediction == prediction


def test_a_consistency_model_is_told_its_guidance(tmp_path: Path) -> None:
    shapes = {**pub.sd_unet_diffusers(), **pub.linear("time_embedding.cond_proj", 320, 256)}
    assert recognise_file(save(tmp_path / "dreamy_lcm.safetensors", shapes)).variant == "lcm"


def test_tensors_come_before_names(tmp_path: Path) -> None:
    found = recognise_file(save(tmp_path / "sd3-krea-turbo.safetensors", pub.flux(guided=False)))
    assert (found.family, found.variant) == ("flux1", "schnell")


def test_text_encoders_of_both_transformers_are_one(tmp_path: Path) -> None:
    old = recognise_file(save(tmp_path / "old.safetensors", pub.clip()))
    new = recognise_file(save(tmp_path / "new.safetensors", pub.clip(head="")))
    assert old.parts == new.parts == ("CLIP-L",)


QUANTISED: list[tuple[str, dict[str, str], pub.Shapes]] = [
    ("F8_E4M3", {}, {}),
    ("F8_E4M3 scaled", {}, {"scaled_fp8": (2,)}),
    ("F8_E4M3 scaled", {}, {"double_blocks.0.img_mod.lin.weight_scale": (1,)}),
    ("nvfp4", {}, {"double_blocks.0.img_mod.lin.weight_scale_2": (1,)}),
    ("svdquant int4", {}, {"transformer_blocks.0.qkv.wscales": (1,)}),
    ("SDNQ", {}, {"double_blocks.0.img_mod.lin.svd_up": (4, 4)}),
]


@pytest.mark.parametrize(("wanted", "metadata", "more"), QUANTISED)
def test_quantised_files_say_how(
    tmp_path: Path, wanted: str, metadata: dict[str, str], more: pub.Shapes
) -> None:
    shapes = {**pub.flux(), **more}
    path = save(tmp_path / "flux1-dev.safetensors", shapes, metadata, dtype="F8_E4M3")
    found = recognise_file(path)
    assert (found.family, found.variant, found.precision) == ("flux1", "dev", wanted)


def test_nf4_packs_its_matrices_into_columns(tmp_path: Path) -> None:
    """As bitsandbytes saves FLUX.1 Fill: the input layer is packed too."""
    shapes = pub.flux(384)
    packed = {
        name: (shape[0] * shape[1] // 2, 1) if len(shape) == 2 else shape
        for name, shape in shapes.items()
    }
    packed["img_in.weight.quant_state.bitsandbytes__nf4"] = (82,)
    dtypes = {name: "U8" for name, shape in shapes.items() if len(shape) == 2}
    found = recognise_file(save(tmp_path / "f.safetensors", packed, dtypes=dtypes))
    assert (found.family, found.variant, found.precision) == ("flux1", "fill-dev", "nf4")


GGUFS: list[tuple[str, pub.Shapes, dict[str, str], tuple[str, str]]] = [
    ("flux1-dev-Q4_K_S", pub.flux(), {"general.architecture": "flux"}, ("flux1", "dev")),
    ("q", pub.flux(), {"general.name": "FLUX.1 Krea dev"}, ("flux1", "krea-dev")),
    ("sd3.5_medium-Q4_K", pub.sd3(style="dual"), {}, ("sd3", "3.5-medium")),
    ("z_image_turbo-Q4_K", pub.under(COMFY, pub.z_image()), {}, ("z-image", "turbo")),
    (
        "sd15-Q4_K",
        {**pub.sd_unet(), "input_blocks.1.1.proj_in.weight": (320, 320)},
        {"comfy.gguf.orig_shape.input_blocks.1.1.proj_in.weight": "320,320,1,1"},
        ("sd1", "base"),
    ),
]


@pytest.mark.parametrize(("name", "shapes", "metadata", "wanted"), GGUFS)
def test_gguf(
    tmp_path: Path,
    name: str,
    shapes: pub.Shapes,
    metadata: dict[str, str],
    wanted: tuple[str, str],
) -> None:
    found = recognise_file(save_gguf(tmp_path / f"{name}.gguf", shapes, metadata))
    assert (found.family, found.variant) == wanted, found
    assert found.precision == "Q4_K"


def test_gguf_text_encoders(tmp_path: Path) -> None:
    shapes: pub.Shapes = {
        "enc.blk.0.attn_q.weight": (4096, 4096),
        "token_embd.weight": (32_128, 4096),
    }
    found = recognise_file(save_gguf(tmp_path / "t5.gguf", shapes, dtype="Q8_0"))
    assert (found.kind, found.parts, found.precision) == (Kind.TEXT_ENCODER, ("T5-XXL",), "Q8_0")
    shapes = {"blk.0.attn_q.weight": (4096, 2560), "token_embd.weight": (151_936, 2560)}
    assert recognise_file(save_gguf(tmp_path / "q.gguf", shapes)).parts == ("Qwen3 4B",)


@pytest.mark.parametrize("second", [2, 3, 4, 5])
def test_a_table_as_long_as_a_pickle_begins_is_read(tmp_path: Path, second: int) -> None:
    text = b'{"clip_l":{"dtype":"F32","shape":[0,768],"data_offsets":[0,0]}}'
    table = text.ljust(0x80 + 256 * second)
    path = tmp_path / "net.safetensors"
    path.write_bytes(struct.pack("<Q", len(table)) + table)
    assert recognise_file(path).kind is not Kind.REFUSED


@pytest.mark.parametrize(
    ("said", "width", "variant"),
    [
        ("Flux2-Klein-Pipeline", 48, "klein-4b"),
        ("Flux2-Klein-Pipeline", 12288, "klein-9b"),
        ("Flux2-Klein-Pipeline", 15360, "dev"),
        ("Flux2-Pipeline", 48, "dev"),
    ],
)
def test_of_unpublished_widths_the_class_says_which_model_it_is(
    said: str, width: int, variant: str
) -> None:
    tensors = {
        "single_stream_modulation.linear.weight": Tensor("F16", (48, 16)),
        "context_embedder.weight": Tensor("F16", (16, width)),
    }
    found = recognise(Header("safetensors", tensors), said)
    assert (found.family, found.variant) == ("flux2", variant)


@pytest.mark.parametrize(
    ("said", "inputs", "variant"),
    [("Flux-Fill-Pipeline", 24, "fill-dev"), ("landfill", 24, "dev"), ("fill", 64, "dev")],
)
def test_a_fill_model_of_any_width_is_known_by_its_class(
    said: str, inputs: int, variant: str
) -> None:
    tensors = {
        "single_transformer_blocks.0.proj_mlp.weight": Tensor("F16", (48, 16)),
        "time_text_embed.text_embedder.linear_1.weight": Tensor("F16", (16, 16)),
        "time_text_embed.guidance_embedder.linear_1.weight": Tensor("F16", (16, 16)),
        "x_embedder.weight": Tensor("F16", (16, inputs)),
    }
    assert recognise(Header("safetensors", tensors), said).variant == variant
