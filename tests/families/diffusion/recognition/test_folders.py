"""Diffusers folders: the real ones at tiny size, and damaged ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.families.diffusion.recognition.finding import Kind, Words
from limner.families.diffusion.recognition.folders import INDEX, recognise_folder, recognise_shards
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.diffusion.recognition.lenders import described_by
from tests.families.diffusion import published as pub
from tests.families.diffusion.files import save

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

from tests.families.diffusion import tiny  # noqa: E402  (it needs what the line above asks for)

PIPELINES: list[tuple[Callable[[], Any], str, str, str]] = [
    (tiny.sd1, "sd1", "base", "epsilon"),
    (tiny.sd2, "sd2", "base", "v"),
    (tiny.sdxl, "sdxl", "base", "epsilon"),
    (tiny.sd3, "sd3", "3-medium", "flow"),
    (tiny.flux, "flux1", "dev", "flow"),
    (lambda: tiny.flux(guided=False), "flux1", "schnell", "flow"),
    (tiny.chroma, "chroma", "base", "flow"),
    (tiny.z_image, "z-image", "base", "flow"),
    (tiny.pixart, "pixart", "sigma", "epsilon"),
]


@pytest.mark.parametrize(("make", "family", "variant", "prediction"), PIPELINES)
def test_real_pipelines(
    tmp_path: Path, make: Callable[[], Any], family: str, variant: str, prediction: str
) -> None:
    folder = tiny.save(make(), tmp_path / "mine")
    found = recognise_folder(folder)
    assert (found.kind, found.family, found.variant) == (Kind.PIPELINE, family, variant), found
    assert (found.prediction, found.layout) == (prediction, "diffusers")
    assert found.parts[-1] == "autoencoder"
    assert len(found.parts) > 1
    name = "unet" if (folder / "unet").exists() else "transformer"
    alone = recognise_file(folder / name / "diffusion_pytorch_model.safetensors")
    assert (alone.kind, alone.family, alone.variant) == (Kind.DENOISER, family, variant)
    vae = recognise_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    assert vae.kind is Kind.AUTOENCODER


@pytest.fixture(scope="module")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tiny.flux(), tmp_path_factory.mktemp("flux") / "flux")


@pytest.fixture
def folder(flux_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flux_folder, tmp_path / "FLUX.1-dev"))


def test_a_folder_may_be_named_after_its_variant(folder: Path) -> None:
    renamed = folder.rename(folder.with_name("FLUX.1-Krea-dev"))
    assert recognise_folder(renamed).variant == "krea-dev"


def test_shards_and_variants(folder: Path) -> None:
    shutil.rmtree(folder)
    tiny.save(tiny.flux(), folder, max_shard_size="20KB", variant="fp16")
    shards = list((folder / "transformer").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    found = recognise_folder(folder)
    assert (found.kind, found.family) == (Kind.PIPELINE, "flux1")
    index = next((folder / "transformer").glob("*.index.*json"))
    assert recognise_shards(index).family == "flux1"
    shards[0].unlink()
    found = recognise_folder(folder)
    assert found.kind is Kind.REFUSED
    assert f"1 of them are not here: {shards[0].name}" in found.reason


def test_a_missing_part_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "text_encoder_2")
    found = recognise_folder(folder)
    assert (found.kind, found.family, found.variant) == (Kind.LENDER, "flux1", "dev")
    assert "“text_encoder_2” of FLUX.1-dev has no weights here" in found.reason


@pytest.mark.parametrize(
    ("name", "variant"), [("FLUX.1-Krea-dev", "krea-dev"), ("FLUX.1-schnell", "schnell"), ("x", "")]
)
def test_a_folder_of_descriptions_says_what_it_describes(
    name: str, variant: str, folder: Path
) -> None:
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    found = recognise_folder(folder.rename(folder.with_name(name)))
    assert (found.kind, found.family, found.variant) == (Kind.LENDER, "flux1", variant)


def test_pipelines_of_one_class_are_told_by_the_words_they_attend_to(tmp_path: Path) -> None:
    named = Words("models--someone--thing")
    assert described_by("StableDiffusionPipeline", 768, named) == ("sd1", "")
    assert described_by("StableDiffusionPipeline", 1024, named) == ("sd2", "")
    assert described_by("QwenImage21Pipeline", None, named) == ("qwen-image", "")
    assert described_by("QwenImageEditPipeline", None, named) == ("qwen-image", "edit")
    assert described_by("WanPipeline", None, named) is None


def test_pickled_weights_are_refused(folder: Path) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    found = recognise_folder(folder)
    assert found.kind is Kind.REFUSED
    assert "only pickled weights" in found.reason


def test_a_cut_denoiser_is_told(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size - 4000)
    found = recognise_folder(folder)
    assert (found.kind, found.family) == (Kind.REFUSED, "flux1")
    assert "not copied whole" in found.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "model_index.json is damaged"),
        ("[1]", "it is no table"),
        ("{}", "names no pipeline"),
        ("[" * 100_000, "model_index.json is damaged"),
    ],
)
def test_damaged_descriptions(folder: Path, text: str, reason: str) -> None:
    (folder / INDEX).write_text(text)
    found = recognise_folder(folder)
    assert found.kind is Kind.REFUSED
    assert reason in found.reason


def test_other_pipelines_are_named(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({"_class_name": "WanPipeline"}))
    found = recognise_folder(folder)
    assert found.kind is Kind.OTHER
    assert "WanPipeline" in found.reason


def test_parts_and_shards_stay_inside_the_folder(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "secret" / "model.safetensors", pub.flux())
    index = json.loads((folder / INDEX).read_text())
    index["../secret"] = ["diffusers", "AutoencoderKL"]
    (folder / INDEX).write_text(json.dumps(index))
    assert recognise_folder(folder).kind is Kind.PIPELINE
    shards = folder / "transformer" / "a.safetensors.index.json"
    shards.write_text(json.dumps({"weight_map": {"x": "../../secret/model.safetensors"}}))
    assert "lists no shards" in recognise_shards(shards).reason


@pytest.mark.parametrize(("distilled", "variant"), [(True, "turbo"), (False, "raw")])
def test_krea_2_says_whether_it_is_distilled(tmp_path: Path, distilled: bool, variant: str) -> None:
    index = {
        "_class_name": "Krea2Pipeline",
        "is_distilled": distilled,
        "transformer": ["diffusers", "Krea2Transformer2DModel"],
    }
    folder = tmp_path / "mine"
    save(
        folder / "transformer" / "diffusion_pytorch_model.safetensors",
        pub.linear("text_fusion.projector", 1, 12, bias=False) | pub.linear("img_in", 6144, 64),
    )
    (folder / INDEX).write_text(json.dumps(index))
    found = recognise_folder(folder)
    assert (found.kind, found.family, found.variant) == (Kind.PIPELINE, "krea2", variant)
