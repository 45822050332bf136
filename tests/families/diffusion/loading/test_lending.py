"""Folders without the part that draws, and those of other variants, lend what they have."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.families.diffusion import family
from limner.families.diffusion.family import DiffusionFamily
from limner.families.diffusion.known.facts import ARCHITECTURES, FACTS
from limner.families.diffusion.known.stable_parts import noise_of
from limner.families.diffusion.loading.lending import borrowed
from limner.families.diffusion.loading.own import as_its_own
from limner.families.diffusion.loading.single import Single
from limner.families.diffusion.recognition.layouts import recognise_file
from tests.families.diffusion import files, published

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from tests.families.diffusion import original, tiny  # noqa: E402
from tests.families.diffusion import original_transformers as named  # noqa: E402
from tests.families.diffusion.loading.test_single_denoisers import (  # noqa: E402
    CASES,
    comfy,
    denoiser,
    drawn,
    one_machine,
)

__all__ = ["one_machine"]


def scheduled(pipeline: Any, settings: Any) -> Any:
    kind = getattr(
        tiny.diffusers, str(settings.get("_class_name", "FlowMatchEulerDiscreteScheduler"))
    )
    pipeline.scheduler = kind.from_config(dict(settings))
    return pipeline


def test_shared_parts_are_of_variants_that_are_known() -> None:
    for name, shared in ARCHITECTURES.items():
        assert {(name, variant) for variant in shared.shared_parts} <= FACTS.keys()
        assert shared.autoencoder in ("", *ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("flux1, prefixed", "FLUX.1-dev"),
        ("sd3", "stable-diffusion-3-medium-diffusers"),
        ("z-image", "Z-Image"),
        ("sdxl", "stable-diffusion-xl-base-1.0"),
        ("qwen-image", "models--Qwen--Qwen-Image"),
    ],
)
def test_a_folder_without_its_denoiser_lends(name: str, repository: str, tmp_path: Path) -> None:
    case = CASES[name]
    pipeline = case.make()
    folder = tiny.save(pipeline, tmp_path / repository)
    expected = drawn(case.family, folder)
    path = original.save(
        tmp_path / "alone.safetensors", case.naming(denoiser(pipeline).state_dict())
    )
    for weights in folder.glob("[tu][rn]*/*.safetensors"):
        weights.unlink()
    assert np.array_equal(drawn(case.family, path, folder), expected)
    with pytest.raises(WeightsRejected, match="no weights here"):
        case.family.recognise(folder, lambda _: "a" * 64)


def test_a_folder_without_another_part_does_not_lend(tmp_path: Path) -> None:
    folder = tiny.save(tiny.flux(), tmp_path / "whole")
    shutil.rmtree(folder / "vae")
    path = files.save(tmp_path / "flux1-dev.safetensors", published.flux(), dtype="BF16")
    with pytest.raises(ModelUnavailable, match="weights of the autoencoder are not here"):
        borrowed(path, recognise_file(path), [folder])
    shutil.rmtree(folder / "transformer")
    with pytest.raises(ModelUnavailable, match=r"pull FLUX.1-dev --descriptions"):
        borrowed(path, recognise_file(path), [folder])


def z_image_turbo() -> tuple[Any, Any, Any]:
    fast = scheduled(tiny.z_image(), {"shift": 3.0})
    base = scheduled(tiny.z_image(), {"shift": 6.0})
    return fast, base, named.z_image(fast.transformer.state_dict())


def sdxl_lightning() -> tuple[Any, Any, Any]:
    fast = scheduled(tiny.sdxl(), noise_of("sdxl", "lightning", "epsilon", False))
    return fast, tiny.sdxl(), comfy(original.unet(fast.unet.state_dict(), layers=1))


def sd3_5() -> tuple[Any, Any, Any]:
    """A model that is higher and wider than the one whose folder lends."""
    base, large = tiny.sd3(layers=2), tiny.sd3(layers=2)
    small = {key: one for key, one in base.transformer.config.items() if key[0] != "_"}
    changes = {
        "num_layers": 3,
        "num_attention_heads": 3,
        "caption_projection_dim": 24,
        "pos_embed_max_size": 48,
        "dual_attention_layers": (0, 1),
        "qk_norm": "rms_norm",
    }
    large.register_modules(
        transformer=tiny.diffusers.SD3Transformer2DModel.from_config({**small, **changes}).eval()
    )
    return large, base, dict(large.transformer.state_dict())


@pytest.mark.parametrize(
    ("make", "one", "name"),
    [
        (z_image_turbo, family.Z_IMAGE, "z-image-turbo"),
        (sdxl_lightning, family.STABLE_DIFFUSION_XL, "sdxl-lightning-4step-unet"),
        (sd3_5, family.STABLE_DIFFUSION_3, "sd3.5-medium"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_variant_draws_as_itself_with_the_parts_of_another(
    make: Any, one: DiffusionFamily, name: str, whole: bool, tmp_path: Path
) -> None:
    wanted, lender, state = make()
    parts = {
        key: part
        for key, part in wanted.components.items()
        if key.startswith(("text_encoder", "vae"))
    }
    lender.register_modules(**parts)
    expected = drawn(one, tiny.save(wanted, tmp_path / name))
    folder = tiny.save(lender, tmp_path / "its base")
    path = original.save(tmp_path / f"{name}.safetensors", state)
    if not whole:
        for weights in folder.glob("[tu][rn]*/*.safetensors"):
            weights.unlink()
    assert np.array_equal(drawn(one, path, folder), expected)


def test_models_of_qwen_that_edit_lend_to_each_other_and_the_base_does_not(tmp_path: Path) -> None:
    state = tiny.qwen_image().transformer.state_dict()
    path = original.save(tmp_path / "qwen-image-edit-2511.safetensors", comfy(state))
    found = recognise_file(path)
    base = tiny.save(tiny.qwen_image(), tmp_path / "here" / "Qwen-Image")
    with pytest.raises(ModelUnavailable, match="2511"):
        borrowed(path, found, [base])
    edit = base.rename(tmp_path / "Qwen-Image-Edit-2509")
    folder, single = borrowed(path, found, [edit])
    assert folder == edit
    assert single.settings == {"transformer": {"zero_cond_t": True}}


def test_noise_is_that_of_the_file_where_the_folder_predicts_otherwise(tmp_path: Path) -> None:
    wanted = scheduled(tiny.sdxl(), noise_of("sdxl", "base", "v", True))
    state = comfy(original.unet(wanted.unet.state_dict(), layers=1))
    marked = {**state, "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    path = original.save(tmp_path / "noob.safetensors", marked)
    folder = tiny.save(tiny.sdxl(), tmp_path / "base")
    _, single = borrowed(path, recognise_file(path), [folder])
    assert single.beside["scheduler"].config == wanted.scheduler.config


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (published.sd3(), (24, 24, 1536, 192, [], None)),
        (published.sd3(2432, 38, style="normed"), (38, 38, 2432, 192, [], "rms_norm")),
        (published.sd3(places=384 * 384, style="dual"), (24, 24, 1536, 384, [0], "rms_norm")),
    ],
)
def test_sizes_of_stable_diffusion_3_are_told_by_the_original_names(
    shapes: published.Shapes, expected: tuple[Any, ...], tmp_path: Path
) -> None:
    path = files.save(tmp_path / "sd3.safetensors", shapes)
    described = tmp_path / "transformer" / "config.json"
    described.parent.mkdir()
    described.write_text('{"attention_head_dim": 64}')
    found = recognise_file(path)
    own = as_its_own(Single(path, {"transformer": ""}), "transformer", found, tmp_path)
    assert tuple(own.settings["transformer"].values()) == expected
    assert own.beside == {}
