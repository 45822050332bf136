"""A denoiser draws with text encoders and an autoencoder in single files what its folder draws."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.families.diffusion import family
from limner.families.diffusion.loading.lending import borrowed, loan_of
from limner.families.diffusion.loading.modules import Incomplete, module_of
from limner.families.diffusion.recognition.layouts import recognise_file

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for
from safetensors.torch import load_file  # noqa: E402

from tests.families.diffusion import files, original, published, tiny  # noqa: E402
from tests.families.diffusion import original_transformers as named  # noqa: E402
from tests.families.diffusion.loading.test_single_denoisers import (  # noqa: E402
    comfy,
    drawn,
    one_machine,
)

__all__ = ["one_machine"]

Tensors = dict[str, Any]


def bare(folder: Path) -> Path:
    """Leave the descriptions of a folder alone."""
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return folder


def t5(state: Any) -> Tensors:
    return {name: one for name, one in state.items() if name != "encoder.embed_tokens.weight"}


def qwen3(state: Any) -> Tensors:
    return {
        **original.under("model.", dict(state)),
        "lm_head.weight": state["embed_tokens.weight"],
    }


def qwen_eyes(state: Any) -> Tensors:
    """As transformers up to 4 named them, and the hub and ComfyUI have them."""
    return {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): one
        for name, one in state.items()
    }


_RESIDUAL = (
    ("norm1.", "residual.0."),
    ("conv1.", "residual.2."),
    ("norm2.", "residual.3."),
    ("conv2.", "residual.6."),
    ("conv_shortcut.", "shortcut."),
)


def wan(state: Any) -> Tensors:
    """An autoencoder of Qwen-Image under the names of Wan 2.1."""
    found: Tensors = {}
    for key, tensor in state.items():
        name = key.replace("post_quant_conv.", "conv2.").replace("quant_conv.", "conv1.")
        name = name.replace("norm_out.", "head.0.").replace("conv_out.", "head.2.")
        name = name.replace("coder.conv_in.", "coder.conv1.")
        name = name.replace("mid_block.attentions.0.", "middle.1.")
        name = re.sub(r"mid_block\.resnets\.(\d)\.", lambda one: f"middle.{2 * int(one[1])}.", name)
        name = name.replace("encoder.down_blocks.", "encoder.downsamples.")
        up = re.match(r"decoder\.up_blocks\.(\d)\.(resnets\.(\d)|upsamplers\.0)\.(.*)", name)
        if up:
            place = 4 * int(up[1]) + int(up[3] or 3)
            name = f"decoder.upsamples.{place}.{up[4]}"
        if re.match(r"decoder\.(middle\.[02]|upsamples)|encoder\.(middle\.[02]|downsamples)", name):
            for there, here in _RESIDUAL:
                name = name.replace(there, here)
        found[name] = tensor
    return found


def flux(folder: Path) -> tuple[Any, list[Path]]:
    pipeline = tiny.flux()
    return pipeline, [
        original.save(
            folder / "clip_l.safetensors",
            {
                **original.clip(pipeline.text_encoder.state_dict()),
                "text_projection.weight": torch.eye(16),
                "logit_scale": torch.ones(()),
            },
        ),
        original.save(folder / "t5xxl.safetensors", t5(pipeline.text_encoder_2.state_dict())),
        original.save(folder / "ae.safetensors", original.vae(pipeline.vae.state_dict(), 2)),
    ]


def sd3(folder: Path) -> tuple[Any, list[Path]]:
    pipeline = tiny.sd3(layers=2)
    clip_l = tiny._clip(projected=True)
    clip_l.text_projection.weight.data = torch.eye(16)
    wide = {
        **clip_l.config.to_dict(),
        "hidden_size": 24,
        "hidden_act": "gelu",
        "projection_dim": 16,
    }
    clip_g = tiny.transformers.CLIPTextModelWithProjection(tiny.transformers.CLIPTextConfig(**wide))
    pipeline.register_modules(text_encoder=clip_l.eval(), text_encoder_2=clip_g.eval())
    first = dict(clip_l.state_dict())
    first.pop("text_projection.weight")
    return pipeline, [
        original.save(folder / "clip_l.safetensors", first),
        original.save(folder / "clip_g.safetensors", original.clip(clip_g.state_dict())),
        original.save(folder / "t5xxl.safetensors", dict(pipeline.text_encoder_3.state_dict())),
        original.save(folder / "sd3_vae.safetensors", dict(pipeline.vae.state_dict())),
    ]


def z_image(folder: Path) -> tuple[Any, list[Path]]:
    pipeline = tiny.z_image()
    return pipeline, [
        original.save(folder / "qwen_3_4b.safetensors", qwen3(pipeline.text_encoder.state_dict())),
        original.save(folder / "ae.safetensors", original.vae(pipeline.vae.state_dict(), 2)),
    ]


def qwen_image(folder: Path) -> tuple[Any, list[Path]]:
    pipeline = tiny.qwen_image()
    eyes = pipeline.text_encoder.state_dict()
    whole = tiny.diffusers.AutoencoderKLQwenImage(base_dim=8, z_dim=16)
    pipeline.register_modules(vae=whole.eval())
    return pipeline, [
        original.save(folder / "qwen_2.5_vl_7b.safetensors", qwen_eyes(eyes)),
        original.save(folder / "qwen_image_vae.safetensors", wan(whole.state_dict())),
    ]


CASES: dict[str, tuple[Callable[[Path], tuple[Any, list[Path]]], Any, Callable[..., Tensors]]] = {
    "FLUX.1-dev": (flux, family.FLUX_1, comfy),
    "stable-diffusion-3-medium-diffusers": (
        sd3,
        family.STABLE_DIFFUSION_3,
        lambda state: named.sd3(state, layers=2),
    ),
    "Z-Image": (z_image, family.Z_IMAGE, named.z_image),
    "Qwen-Image": (qwen_image, family.QWEN_IMAGE, comfy),
}


@pytest.mark.parametrize("name", CASES)
def test_single_files_draw_what_their_folder_draws(name: str, tmp_path: Path) -> None:
    make, one, naming = CASES[name]
    pipeline, parts = make(tmp_path)
    folder = tiny.save(pipeline, tmp_path / name)
    expected = drawn(one, folder)
    path = original.save(tmp_path / "it.safetensors", naming(pipeline.transformer.state_dict()))
    bare(folder)
    assert np.array_equal(drawn(one, path, *parts, folder), expected)
    found = recognise_file(path)
    loan = loan_of(*borrowed(path, found, [folder, *parts]), found)
    assert all(part.name in loan for part in parts)
    assert f"described by {name} (" in loan
    for part in parts:
        rest = [folder, *(another for another in parts if another != part)]
        with pytest.raises(ModelUnavailable, match="limner models add PATH") as raised:
            borrowed(path, found, rest)
        assert name in raised.value.message


def saved(path: Path, state: Any, dtype: Any) -> Path:
    return original.save(path, {name: one.to(dtype) for name, one in state.items()})


def test_the_widest_precision_is_taken_then_the_first_name(tmp_path: Path) -> None:
    pipeline, parts = flux(tmp_path)
    folder = bare(tiny.save(pipeline, tmp_path / "FLUX.1-dev"))
    path = original.save(tmp_path / "it.safetensors", comfy(pipeline.transformer.state_dict()))
    state = t5(pipeline.text_encoder_2.state_dict())
    fp8 = saved(tmp_path / "a.safetensors", state, torch.float8_e4m3fn)
    scaled = original.save(
        tmp_path / "b.safetensors",
        {
            **{name: one.to(torch.float8_e4m3fn) for name, one in state.items()},
            "scaled_fp8": torch.zeros(0).to(torch.float8_e4m3fn),
        },
    )
    last, first = (saved(tmp_path / f"{one}.safetensors", state, torch.float16) for one in "dc")
    others = [parts[0], parts[2], folder]

    def taken(*given: Path) -> set[Path]:
        _, single = borrowed(path, recognise_file(path), [*given, *others])
        return {one.path for one in single.others}

    assert parts[1] in taken(fp8, scaled, last, first, parts[1])
    assert first in taken(fp8, scaled, last, first)
    assert scaled in taken(fp8, scaled)
    assert fp8 in taken(fp8)


def test_text_encoders_in_fp8_are_widened_by_their_scales(tmp_path: Path) -> None:
    pipeline, parts = z_image(tmp_path)
    state = pipeline.text_encoder.state_dict()
    packed: Tensors = {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}
    for name, tensor in state.items():
        packed[f"model.{name}"] = tensor
        if name.endswith("_proj.weight"):
            scale = tensor.abs().max() / 400
            narrow = (tensor / scale).to(torch.float8_e4m3fn)
            packed[f"model.{name}"] = narrow
            packed[f"model.{name.removesuffix('.weight')}.scale_weight"] = scale
            tensor.copy_(narrow.float() * scale)
    folder = tiny.save(pipeline, tmp_path / "Z-Image")
    expected = drawn(family.Z_IMAGE, folder)
    path = original.save(tmp_path / "it.safetensors", dict(pipeline.transformer.state_dict()))
    eyes = original.save(tmp_path / "qwen_3_4b_fp8.safetensors", packed)
    assert np.array_equal(drawn(family.Z_IMAGE, path, eyes, parts[1], bare(folder)), expected)


def test_what_lies_beside_the_denoiser_goes_before_what_lies_elsewhere(tmp_path: Path) -> None:
    pipeline, _ = flux(tmp_path)
    folder = tiny.save(pipeline, tmp_path / "FLUX.1-dev")
    expected = drawn(family.FLUX_1, folder)
    clip = original.clip(pipeline.text_encoder.state_dict())
    state = {
        **comfy(pipeline.transformer.state_dict()),
        **original.under("text_encoders.clip_l.transformer.", clip),
        **original.under(
            "text_encoders.t5xxl.transformer.", t5(pipeline.text_encoder_2.state_dict())
        ),
        **original.under("vae.", original.vae(pipeline.vae.state_dict(), 2)),
    }
    path = original.save(tmp_path / "all of it.safetensors", state)
    (tmp_path / "others").mkdir()
    _, others = flux(tmp_path / "others")
    found = recognise_file(path)
    assert np.array_equal(drawn(family.FLUX_1, path, *others, folder), expected)
    assert np.array_equal(drawn(family.FLUX_1, path, *others, bare(folder)), expected)
    assert loan_of(*borrowed(path, found, [folder]), found).startswith("described by FLUX.1-dev (")
    with pytest.raises(ModelUnavailable, match=r"models pull FLUX.1-dev --descriptions") as raised:
        borrowed(path, replace(found, parts=("CLIP-L", "T5-XXL", "autoencoder")), others)
    assert "To draw, the descriptions of its parts are needed, too. `limner" in raised.value.message


@pytest.mark.parametrize(
    ("part", "lost"), [(0, "final_layer_norm.weight"), (1, "wo.weight"), (2, "conv_out.weight")]
)
def test_a_part_that_lacks_tensors_is_refused(part: int, lost: str, tmp_path: Path) -> None:
    pipeline, parts = flux(tmp_path)
    folder = bare(tiny.save(pipeline, tmp_path / "FLUX.1-dev"))
    path = original.save(tmp_path / "it.safetensors", comfy(pipeline.transformer.state_dict()))
    state = load_file(parts[part])
    state.pop(next(name for name in state if name.endswith(lost)))
    original.save(parts[part], state)
    with pytest.raises(WeightsRejected, match="lacks tensors") as raised:
        drawn(family.FLUX_1, path, *parts, folder)
    assert raised.value.message.startswith(parts[part].name)


def test_what_a_file_lacks_is_told_from_headers(tmp_path: Path) -> None:
    path = files.save(tmp_path / "z_image_turbo.safetensors", published.z_image())
    assert "To draw, Qwen3 4B, the autoencoder and the descriptions" in family.Z_IMAGE.lacks(
        path, []
    )
    folder = tiny.save(tiny.z_image(), tmp_path / "Z-Image-Turbo")
    assert family.Z_IMAGE.lacks(path, [folder]) == ""
    told = family.Z_IMAGE.lacks(path, [bare(folder)])
    assert (
        "Z-Image-Turbo describes its other parts; weights of Qwen3 4B and the autoencoder" in told
    )
    shapes = published.xl_checkpoint()
    without = {name: one for name, one in shapes.items() if "first_stage" not in name}
    base = files.save(tmp_path / "no vae.safetensors", without)
    assert "without its autoencoder" in family.STABLE_DIFFUSION_XL.lacks(base, [])
    only = {name: one for name, one in shapes.items() if "first_stage" in name}
    vae = files.save(tmp_path / "sdxl_vae.safetensors", only)
    assert family.STABLE_DIFFUSION_XL.lacks(base, [vae]) == ""
    assert family.STABLE_DIFFUSION_XL.lacks(vae, []) == ""


def test_the_autoencoder_of_flux2_is_read_under_its_original_names(tmp_path: Path) -> None:
    wanted = tiny.flux2_klein().vae
    wanted.bn.running_mean.data = torch.randn_like(wanted.bn.running_mean)
    wanted.save_pretrained(tmp_path / "vae")
    state = {
        re.sub(
            r"^(post_)?quant_conv", lambda one: f"{'de' if one[1] else 'en'}coder.{one[0]}", key
        ): one
        for key, one in original.vae(wanted.state_dict(), 2).items()
    }
    options = {"config": str(tmp_path), "subfolder": "vae", "torch_dtype": torch.float32}
    read = module_of(type(wanted), "vae", state, "", options).state_dict()
    assert all(torch.equal(read[key], one) for key, one in wanted.state_dict().items())
    state.pop("bn.running_var")
    with pytest.raises(Incomplete):
        module_of(type(wanted), "vae", state, "", options)
