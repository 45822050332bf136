"""LoRA files of every trainer: their method, their naming, and the family they are for."""

from pathlib import Path

import pytest

from limner.families.diffusion.known.facts import ARCHITECTURES
from limner.families.diffusion.recognition.adapters import METHODS
from limner.families.diffusion.recognition.finding import Kind
from limner.families.diffusion.recognition.layouts import recognise_file
from tests.families.diffusion.files import save
from tests.families.diffusion.published import Shapes, flux


def kohya(module: str, outputs: int, inputs: int, rank: int = 16) -> Shapes:
    return {
        f"{module}.lora_down.weight": (rank, inputs),
        f"{module}.lora_up.weight": (outputs, rank),
        f"{module}.alpha": (),
    }


def peft(module: str, outputs: int, inputs: int, rank: int = 16) -> Shapes:
    return {f"{module}.lora_A.weight": (rank, inputs), f"{module}.lora_B.weight": (outputs, rank)}


def attending(count: int, width: int, within: str = "attn") -> Shapes:
    """Return a LoRA of the attention of so many blocks, as diffusers' scripts train it."""
    return {
        name: shape
        for block in range(count)
        for layer in ("to_q", "to_k", "to_v", "to_out.0")
        for name, shape in peft(
            f"transformer.transformer_blocks.{block}.{within}.{layer}", width, width
        ).items()
    }


UNKNOWN = "|".join(ARCHITECTURES)

SD_TO_K = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"

ADAPTERS: list[tuple[str, Shapes, tuple[str, str, str]]] = [
    (
        "kohya SD 1",
        kohya(f"lora_unet_{SD_TO_K}", 320, 768)
        | kohya("lora_te_text_model_encoder_layers_0_self_attn_q_proj", 768, 768),
        ("sd1", "kohya", "LoRA"),
    ),
    ("kohya SD 2", kohya(f"lora_unet_{SD_TO_K}", 320, 1024), ("sd2", "kohya", "LoRA")),
    (
        "kohya SDXL, original names",
        kohya("lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q", 640, 640)
        | kohya("lora_te1_text_model_encoder_layers_0_mlp_fc1", 3072, 768)
        | kohya("lora_te2_text_model_encoder_layers_0_mlp_fc1", 5120, 1280),
        ("sdxl", "kohya", "LoRA"),
    ),
    (
        "kohya FLUX.1",
        kohya("lora_unet_double_blocks_0_img_attn_qkv", 9216, 3072)
        | kohya("lora_unet_single_blocks_37_linear1", 21_504, 3072),
        ("flux1|chroma", "kohya", "LoRA"),
    ),
    (
        "kohya FLUX.1 with CLIP, which Chroma has not",
        kohya("lora_unet_double_blocks_0_img_attn_qkv", 9216, 3072)
        | kohya("lora_te1_text_model_encoder_layers_0_mlp_fc1", 3072, 768),
        ("flux1", "kohya", "LoRA"),
    ),
    (
        "kohya FLUX.1 with modulation, which Chroma has not",
        kohya("lora_unet_single_blocks_0_modulation_lin", 9216, 3072),
        ("flux1", "kohya", "LoRA"),
    ),
    (
        "kohya FLUX.2 klein 4B, by what its last layers take",
        kohya("lora_unet_single_blocks_19_linear2", 3072, 12_288),
        ("flux2", "kohya", "LoRA"),
    ),
    (
        "Chroma with what only it has",
        peft("diffusion_model.distilled_guidance_layer.in_proj", 5120, 64),
        ("chroma", "ai-toolkit", "LoRA"),
    ),
    (
        "kohya FLUX.2 klein 4B, as wide as FLUX.1",
        kohya("lora_unet_double_blocks_0_img_attn_qkv", 9216, 3072)
        | kohya("lora_unet_single_blocks_19_linear1", 27_648, 3072),
        ("flux2", "kohya", "LoRA"),
    ),
    (
        "kohya SD 3",
        kohya("lora_unet_joint_blocks_0_x_block_attn_qkv", 4608, 1536),
        ("sd3", "kohya", "LoRA"),
    ),
    (
        "diffusers SDXL",
        peft("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 640, 2048),
        ("sdxl", "PEFT", "LoRA"),
    ),
    (
        "diffusers FLUX.1",
        peft("transformer.single_transformer_blocks.0.attn.to_k", 3072, 3072),
        ("flux1|chroma", "PEFT", "LoRA"),
    ),
    (
        "PEFT's own prefix",
        peft("base_model.model.transformer_blocks.0.attn.to_k", 1536, 1536),
        ("sd3", "PEFT", "LoRA"),
    ),
    (
        "PEFT with an adapter's name",
        {"transformer.transformer_blocks.0.img_mod.1.lora_A.default.weight": (4, 3072)},
        ("qwen-image", "PEFT", "LoRA"),
    ),
    (
        "diffusers of 2023",
        {
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor"
            ".to_k_lora.down.weight": (4, 768),
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor"
            ".to_k_lora.up.weight": (320, 4),
        },
        ("sd1", "diffusers", "LoRA"),
    ),
    (
        "ai-toolkit Qwen-Image",
        peft("diffusion_model.transformer_blocks.59.attn.add_q_proj", 3072, 3072),
        ("qwen-image", "ai-toolkit", "LoRA"),
    ),
    (
        "ai-toolkit Z-Image",
        peft("diffusion_model.layers.0.attention.to_q", 3840, 3840),
        ("z-image", "ai-toolkit", "LoRA"),
    ),
    (
        "ai-toolkit Krea 2",
        peft("diffusion_model.blocks.0.attn.wq", 6144, 6144),
        ("krea2", "ai-toolkit", "LoRA"),
    ),
    (
        "FLUX.2 dev",
        peft("diffusion_model.double_blocks.0.img_attn.qkv", 18_432, 6144),
        ("flux2", "ai-toolkit", "LoRA"),
    ),
    (
        "Wan, for video",
        peft("diffusion_model.blocks.0.self_attn.q", 5120, 5120),
        ("Wan (video)", "ai-toolkit", "LoRA"),
    ),
    (
        "BFL canny",
        peft("double_blocks.0.img_mod.lin", 18_432, 3072) | peft("img_in", 3072, 128),
        ("flux1", "BFL", "control LoRA"),
    ),
    (
        "GLoRA",
        {f"lora_unet_{SD_TO_K}.{one}.weight": (8, 8) for one in ("a1", "a2", "b1", "b2")},
        ("sd1|sd2", "kohya", "GLoRA"),
    ),
    (
        "FLUX.2 klein with its first layer, which takes as much as control LoRAs do",
        peft("transformer.x_embedder", 3072, 128)
        | peft("transformer.transformer_blocks.0.attn.to_q", 3072, 3072),
        ("flux1|chroma|flux2|qwen-image", "PEFT", "LoRA"),
    ),
    (
        "OFT",
        {f"lora_unet_{SD_TO_K}.oft_blocks": (4, 80, 80)},
        ("sd1|sd2", "LyCORIS", "OFT"),
    ),
    (
        "LyCORIS norms alone",
        {"lora_unet_conv_norm_out.w_norm": (320,), "lora_unet_conv_norm_out.b_norm": (320,)},
        (UNKNOWN, "kohya", "full difference"),
    ),
    (
        "with textual inversions",
        kohya(f"lora_unet_{SD_TO_K}", 320, 768) | {"bundle_emb.fox.string_to_param.*": (2, 768)},
        ("sd1", "kohya", "LoRA with textual inversions"),
    ),
    (
        "XLabs",
        {
            "double_blocks.0.processor.qkv_lora1.down.weight": (16, 3072),
            "double_blocks.0.processor.qkv_lora1.up.weight": (9216, 16),
        },
        ("flux1", "XLabs", "LoRA"),
    ),
    (
        "OneTrainer FLUX.1",
        kohya("lora_transformer_single_transformer_blocks_0_attn_to_k", 3072, 3072),
        ("flux1|chroma", "OneTrainer", "LoRA"),
    ),
    (
        "LoHa",
        {
            f"lora_unet_{SD_TO_K}.hada_w1_a": (320, 8),
            f"lora_unet_{SD_TO_K}.hada_w1_b": (8, 768),
            f"lora_unet_{SD_TO_K}.hada_w2_a": (320, 8),
            f"lora_unet_{SD_TO_K}.hada_w2_b": (8, 768),
        },
        ("sd1", "LyCORIS", "LoHa"),
    ),
    (
        "LoKr",
        {
            "lycoris_single_transformer_blocks_0_proj_mlp.lokr_w1": (16, 16),
            "lycoris_single_transformer_blocks_0_proj_mlp.lokr_w2": (768, 192),
        },
        ("flux1|chroma", "LyCORIS", "LoKr"),
    ),
    (
        "LoKr SD 1, by the width that its factors make",
        {f"lora_unet_{SD_TO_K}.lokr_w1": (4, 4), f"lora_unet_{SD_TO_K}.lokr_w2": (80, 192)},
        ("sd1", "LyCORIS", "LoKr"),
    ),
    (
        "LoKr of low rank, SD 2",
        {
            f"lora_unet_{SD_TO_K}.lokr_w1_a": (4, 2),
            f"lora_unet_{SD_TO_K}.lokr_w1_b": (2, 8),
            f"lora_unet_{SD_TO_K}.lokr_w2_a": (80, 2),
            f"lora_unet_{SD_TO_K}.lokr_w2_b": (2, 128),
        },
        ("sd2", "LyCORIS", "LoKr"),
    ),
    (
        "full difference, SDXL",
        {f"unet.{SD_TO_K.replace('blocks_0', 'blocks_1', 1)}.diff": (640, 2048)},
        ("sdxl", "diffusers", "full difference"),
    ),
    (
        "DoRA",
        kohya(f"lora_unet_{SD_TO_K}", 320, 768) | {f"lora_unet_{SD_TO_K}.dora_scale": (1, 320)},
        ("sd1", "kohya", "DoRA"),
    ),
    *(
        (f"attention alone, {count} blocks of {width}", attending(count, width), wanted)
        for count, width, wanted in (
            (60, 3072, ("qwen-image", "PEFT", "LoRA")),
            (19, 3072, ("flux1|chroma", "PEFT", "LoRA")),
            (5, 3072, ("flux2", "PEFT", "LoRA")),
            (3, 3072, ("flux1|chroma|flux2|qwen-image", "PEFT", "LoRA")),
            (8, 4096, ("flux2", "PEFT", "LoRA")),
            (8, 6144, ("flux2", "PEFT", "LoRA")),
            (28, 6144, ("krea2", "PEFT", "LoRA")),
            (4, 6144, ("flux2|krea2", "PEFT", "LoRA")),
            (38, 2432, ("sd3", "PEFT", "LoRA")),
        )
    ),
    *(
        (f"attention twice, {count} blocks of {width}", attending(count, width, "attn2"), wanted)
        for count, width, wanted in (
            (28, 1152, ("pixart|sana", "PEFT", "LoRA")),
            (20, 2240, ("sana", "PEFT", "LoRA")),
        )
    ),
    ("a width of nobody", attending(4, 640), (UNKNOWN, "PEFT", "LoRA")),
    ("unknown base", peft("transformer.blocks.0.odd", 7, 7), (UNKNOWN, "PEFT", "LoRA")),
]


@pytest.mark.parametrize(
    ("shapes", "wanted"), [pytest.param(*one[1:], id=one[0]) for one in ADAPTERS]
)
def test_adapters(tmp_path: Path, shapes: Shapes, wanted: tuple[str, str, str]) -> None:
    found = recognise_file(save(tmp_path / "style.safetensors", shapes))
    family, layout, method = wanted
    kind = Kind.ADAPTER if method in METHODS else Kind.OTHER
    assert (found.kind, "|".join(found.fits), found.layout) == (kind, family, layout), found
    assert found.family == ("" if "|" in family else family)
    assert f"A{'n' * (method == 'OFT')} {method} " in found.reason
    assert ("which is not put on. " in found.reason) == (kind is Kind.OTHER)


def test_text_encoders_of_an_adapter_are_told(tmp_path: Path) -> None:
    shapes = kohya("lora_te_text_model_encoder_layers_0_self_attn_q_proj", 768, 768)
    found = recognise_file(save(tmp_path / "words.safetensors", shapes))
    assert (found.family, found.parts) == ("sd1", ("text encoder",))


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"),
        ({"ss_base_model_version": "sd_v2_v"}, "sd2"),
        ({"ss_base_model_version": "sd_1.5"}, "sd1"),
        ({"modelspec.architecture": "stable-diffusion-v1/lora"}, "sd1"),
    ],
)
def test_metadata_names_the_family_where_layers_do_not(
    tmp_path: Path, metadata: dict[str, str], family: str
) -> None:
    shapes = kohya("lora_unet_mid_block_attentions_0_proj_in", 1280, 1280)
    assert recognise_file(save(tmp_path / "a.safetensors", shapes, metadata)).family == family


@pytest.mark.parametrize(
    ("metadata", "fits"),
    [
        ({"modelspec.architecture": "chroma/lora"}, ("chroma",)),
        ({"modelspec.architecture": "flux-1-dev/lora"}, ("flux1",)),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, ("flux1", "chroma")),
    ],
    ids=["Chroma", "FLUX.1", "what it cannot be"],
)
def test_metadata_chooses_among_the_families_that_have_the_layers(
    tmp_path: Path, metadata: dict[str, str], fits: tuple[str, ...]
) -> None:
    shapes = kohya("lora_unet_single_blocks_37_linear2", 3072, 15_360)
    assert recognise_file(save(tmp_path / "a.safetensors", shapes, metadata)).fits == fits


def test_a_name_says_no_more_than_what_is_likely(tmp_path: Path) -> None:
    shapes = kohya("lora_unet_single_blocks_37_linear2", 3072, 15_360)
    found = recognise_file(save(tmp_path / "my_chroma_lora.safetensors", shapes))
    assert (found.family, found.fits) == ("", ("chroma", "flux1"))
    assert found.reason == "A LoRA for Chroma or FLUX.1, in kohya names."
    odd = peft("transformer.blocks.0.odd", 7, 7)
    found = recognise_file(save(tmp_path / "pixart_ink.safetensors", odd))
    assert (found.family, found.fits[0], len(found.fits)) == ("", "pixart", len(ARCHITECTURES))
    assert found.reason == "A LoRA for an unknown model (PixArt, by its name), in PEFT names."


def test_one_that_was_cut_names_its_file(tmp_path: Path) -> None:
    path = save(tmp_path / "fox.safetensors", kohya(f"lora_unet_{SD_TO_K}", 320, 768))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 50)
    found = recognise_file(path)
    assert found.kind is Kind.REFUSED
    assert "names. fox.safetensors was not copied whole: 50 bytes are missing." in found.reason


def test_a_model_with_a_lora_in_it_stays_a_model(tmp_path: Path) -> None:
    shapes = {**flux(), **peft("single_blocks.0.linear1", 21_504, 3072)}
    assert recognise_file(save(tmp_path / "m.safetensors", shapes)).kind is Kind.DENOISER
