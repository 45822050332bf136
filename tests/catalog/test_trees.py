"""Folders of other programs are walked whole, each model is named once, and nothing is copied."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.catalog.trees import Entry, scan
from limner.families.diffusion.recognition.finding import Kind
from tests.families.diffusion import published as pub
from tests.families.diffusion.files import save

links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


def touch(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pipeline(folder: Path, name: str = "diffusion_pytorch_model") -> Path:
    """Make a diffusers folder of SD 1: header-only weights, each part described."""
    save(folder / "unet" / f"{name}.safetensors", pub.sd_unet_diffusers())
    save(folder / "vae" / f"{name}.safetensors", pub.vae_diffusers())
    save(folder / "text_encoder" / "model.safetensors", pub.clip())
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
    }
    touch(folder / "model_index.json", json.dumps(index).encode())
    return folder


def shards(folder: Path, name: str = "model", listed: bool = True) -> list[Path]:
    """Split SD 1's U-Net into two files; return them, and the list of them first."""
    shapes = list(pub.sd_unet_diffusers().items())
    halves = [dict(shapes[::2]), dict(shapes[1::2])]
    paths = [
        save(folder / f"{name}-0000{number}-of-00002.safetensors", half)
        for number, half in enumerate(halves, 1)
    ]
    if not listed:
        return paths
    weight_map = {key: path.name for path, half in zip(paths, halves, strict=True) for key in half}
    index = touch(
        folder / f"{name}.safetensors.index.json", json.dumps({"weight_map": weight_map}).encode()
    )
    return [index, *paths]


def told(entries: Iterator[Entry], root: Path) -> list[tuple[str, Kind, str]]:
    return [
        (entry.path.relative_to(root).as_posix(), entry.found.kind, entry.found.family)
        for entry in entries
    ]


def test_a_comfyui_folder_is_walked_where_its_models_are(tmp_path: Path) -> None:
    touch(tmp_path / "folder_paths.py")
    models = tmp_path / "models"
    save(models / "checkpoints" / "sdxl" / "sd_xl_base_1.0.safetensors", pub.xl_checkpoint())
    save(models / "diffusion_models" / "flux1-dev.sft", pub.flux())
    save(models / "vae" / "ae.safetensors", pub.vae(16, quantised=False))
    save(models / "text_encoders" / "t5xxl.safetensors", pub.t5())
    touch(models / "checkpoints" / "put_checkpoints_here")
    touch(models / "checkpoints" / "old.ckpt", b"PK\x03\x04 pickled")
    save(tmp_path / "output" / "not-a-place-for-models.safetensors", pub.flux())
    save(tmp_path / "custom_nodes" / "some" / "part.safetensors", pub.vae())
    assert told(scan([tmp_path]), models) == [
        ("checkpoints/old.ckpt", Kind.REFUSED, ""),
        ("checkpoints/sdxl/sd_xl_base_1.0.safetensors", Kind.CHECKPOINT, "sdxl"),
        ("diffusion_models/flux1-dev.sft", Kind.DENOISER, "flux1"),
        ("text_encoders/t5xxl.safetensors", Kind.TEXT_ENCODER, ""),
        ("vae/ae.safetensors", Kind.AUTOENCODER, "flux1"),
    ]


def test_pickled_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    for ending in ("ckpt", "pt", "pth", "bin"):
        touch(tmp_path / f"model.{ending}", b"\x80\x02}q\x00.")
    entries = list(scan([tmp_path]))
    assert len(entries) == 4
    assert all(entry.found.kind is Kind.REFUSED for entry in entries)
    assert all("pickled" in entry.found.reason for entry in entries)


def test_ncnn_weights_are_not_taken_for_pickles(tmp_path: Path) -> None:
    touch(tmp_path / "realesrgan-x4plus.bin", b"weights")
    touch(tmp_path / "realesrgan-x4plus.param", b"7767517")
    assert list(scan([tmp_path])) == []


def test_a_web_ui_folder_and_its_extensions(tmp_path: Path) -> None:
    touch(tmp_path / "webui.sh")
    save(tmp_path / "models" / "Stable-diffusion" / "v1-5.safetensors", pub.sd1_checkpoint())
    save(tmp_path / "embeddings" / "bad.safetensors", {"emb_params": (8, 768)})
    save(
        tmp_path / "extensions" / "sd-webui-controlnet" / "models" / "canny.safetensors",
        {
            **pub.under("control_model.", pub.conv("input_hint_block.0", 16, 3)),
            **pub.under("control_model.", pub.conv("zero_convs.0.0", 320, 320, 1)),
        },
    )
    save(tmp_path / "venv" / "lib" / "x.safetensors", pub.flux())
    assert [kind for _, kind, _ in told(scan([tmp_path]), tmp_path)] == [
        Kind.CHECKPOINT,
        Kind.EMBEDDING,
        Kind.CONTROL,
    ]


def test_an_invokeai_folder(tmp_path: Path) -> None:
    touch(tmp_path / "invokeai.yaml")
    pipeline(tmp_path / "models" / "sd-1" / "main" / "dreamshaper")
    save(tmp_path / "models" / "b0c2" / "flux1-schnell.safetensors", pub.flux(guided=False))
    save(tmp_path / "models" / ".convert_cache" / "x.safetensors", pub.flux())
    assert told(scan([tmp_path]), tmp_path / "models") == [
        ("b0c2/flux1-schnell.safetensors", Kind.DENOISER, "flux1"),
        ("sd-1/main/dreamshaper", Kind.PIPELINE, "sd1"),
    ]


def test_other_folders_are_walked_whole_and_hidden_ones_are_not(tmp_path: Path) -> None:
    save(tmp_path / "b" / "c" / "d" / "flux.safetensors", pub.flux())
    save(tmp_path / "a.safetensors", pub.sd1_checkpoint())
    save(tmp_path / ".trash" / "x.safetensors", pub.flux())
    save(tmp_path / "site-packages" / "y.safetensors", pub.flux())
    assert [path for path, _, _ in told(scan([tmp_path]), tmp_path)] == [
        "a.safetensors",
        "b/c/d/flux.safetensors",
    ]


def test_one_file_may_be_named_by_itself(tmp_path: Path) -> None:
    path = save(tmp_path / "flux1-dev.safetensors", pub.flux())
    save(tmp_path / "other.safetensors", pub.flux())
    assert told(scan([path, path]), tmp_path) == [(path.name, Kind.DENOISER, "flux1")]


def test_a_diffusers_folder_counts_once_with_its_loose_files(tmp_path: Path) -> None:
    pipeline(tmp_path / "sd")
    save(tmp_path / "sd" / "v1-5.safetensors", pub.sd1_checkpoint())
    assert told(scan([tmp_path]), tmp_path) == [
        ("sd", Kind.PIPELINE, "sd1"),
        ("sd/v1-5.safetensors", Kind.CHECKPOINT, "sd1"),
    ]


def test_a_diffusers_folder_that_lacks_a_part_is_a_lender(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "sd")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (entry,) = scan([tmp_path])
    assert entry.path == folder
    assert entry.found.kind is Kind.LENDER
    assert "vae" in entry.found.reason


def test_shards_count_once_with_a_list_of_them(tmp_path: Path) -> None:
    index, *_ = shards(tmp_path / "unet", "diffusion_pytorch_model")
    assert told(scan([tmp_path]), tmp_path) == [
        (f"unet/{index.name}", Kind.DENOISER, "sd1"),
    ]


def test_shards_count_once_without_a_list(tmp_path: Path) -> None:
    first, second = shards(tmp_path, "dreamshaper-lcm", listed=False)
    (entry,) = scan([tmp_path])
    assert entry.path == first
    assert (entry.found.family, entry.found.variant) == ("sd1", "lcm-lora")
    second.unlink()
    (entry,) = scan([tmp_path])
    assert entry.found.kind is Kind.REFUSED
    assert "1 of them are not here" in entry.found.reason


def test_shards_that_end_early_or_are_damaged_are_refused(tmp_path: Path) -> None:
    _, second = shards(tmp_path, listed=False)
    os.truncate(second, second.stat().st_size - 1_000_000)
    (entry,) = scan([tmp_path])
    assert entry.found.kind is Kind.REFUSED
    assert "1.0 MB are missing" in entry.found.reason
    second.write_bytes(b"\xff" * 100)
    (entry,) = scan([tmp_path])
    assert entry.found.kind is Kind.REFUSED


def test_shards_beside_the_list_of_another_model_are_their_own(tmp_path: Path) -> None:
    shards(tmp_path, "model")
    shards(tmp_path, "model_two", listed=False)
    assert [path for path, _, _ in told(scan([tmp_path]), tmp_path)] == [
        "model.safetensors.index.json",
        "model_two-00001-of-00002.safetensors",
    ]


def test_pickled_shards_count_once(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        touch(tmp_path / f"pytorch_model-0000{number}-of-00003.bin", b"PK\x03\x04")
    (entry,) = scan([tmp_path])
    assert entry.found.kind is Kind.REFUSED


def hub(root: Path, repository: str, files: dict[str, Path], *revisions: str) -> Path:
    """Make a hub cache's folder of a repository: blobs, and snapshots that link to them."""
    folder = root / f"models--{repository.replace('/', '--')}"
    blobs = folder / "blobs"
    blobs.mkdir(parents=True)
    for number, (name, made) in enumerate(sorted(files.items())):
        blob = made.rename(blobs / f"{number:064x}")
        for revision in revisions:
            link = folder / "snapshots" / revision / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    touch(folder / "refs" / "main", revisions[0].encode())
    return folder


def made_pipeline(folder: Path) -> dict[str, Path]:
    made = pipeline(folder)
    return {path.relative_to(made).as_posix(): path for path in made.rglob("*") if path.is_file()}


@links
def test_a_hub_cache_is_walked_by_its_snapshots(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    folder = hub(cache, "runwayml/sd", made_pipeline(tmp_path / "made"), "b" * 40, "a" * 40)
    lone = {"flux1-schnell.safetensors": save(tmp_path / "x.safetensors", pub.flux(guided=False))}
    hub(cache, "black-forest-labs/FLUX.1-schnell", lone, "c" * 40)
    touch(cache / "datasets--some--thing" / "snapshots" / "d" / "x.bin", b"PK\x03\x04")
    before = sorted(tmp_path.rglob("*"))
    snapshot = f"models--black-forest-labs--FLUX.1-schnell/snapshots/{'c' * 40}"
    assert told(scan([cache]), cache) == [
        (f"{snapshot}/flux1-schnell.safetensors", Kind.DENOISER, "flux1"),
        # Two snapshots of the same weights are one model: the one that main refers to.
        (f"{folder.name}/snapshots/{'b' * 40}", Kind.PIPELINE, "sd1"),
    ]
    assert sorted(tmp_path.rglob("*")) == before


@links
def test_a_hub_cache_without_references_and_with_a_lost_blob(tmp_path: Path) -> None:
    lone = {"flux1-dev.safetensors": save(tmp_path / "x.safetensors", pub.flux())}
    folder = hub(tmp_path / "hub", "some/flux", lone, "c" * 40)
    (folder / "refs" / "main").unlink()
    (entry,) = scan([tmp_path / "hub"])
    assert entry.found.family == "flux1"
    next((folder / "blobs").iterdir()).unlink()
    (entry,) = scan([tmp_path / "hub"])
    assert entry.found.kind is Kind.REFUSED
    assert "not here" in entry.found.reason


def test_a_folder_called_as_in_a_hub_cache_is_still_walked(tmp_path: Path) -> None:
    pipeline(tmp_path / "models--some--sd")
    assert [kind for _, kind, _ in told(scan([tmp_path]), tmp_path)] == [Kind.PIPELINE]


@links
def test_loops_of_links_end_and_links_to_the_same_count_once(tmp_path: Path) -> None:
    save(tmp_path / "a" / "flux1-dev.safetensors", pub.flux())
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "self.safetensors").symlink_to(tmp_path / "self.safetensors")
    (tmp_path / "c.safetensors").symlink_to(tmp_path / "a" / "flux1-dev.safetensors")
    os.link(tmp_path / "a" / "flux1-dev.safetensors", tmp_path / "d.safetensors")
    assert told(scan([tmp_path, tmp_path / "a"]), tmp_path) == [
        ("c.safetensors", Kind.DENOISER, "flux1"),
        ("self.safetensors", Kind.REFUSED, ""),
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    assert list(scan([tmp_path])) == []


def test_folders_that_are_absent_or_unreadable_are_told_and_the_rest_is_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    save(tmp_path / "open" / "flux1-dev.safetensors", pub.flux())
    whole = os.scandir

    def closed(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", closed)
    entries = list(scan([tmp_path / "nowhere", tmp_path]))
    assert [entry.found.kind for entry in entries] == [Kind.REFUSED, Kind.REFUSED, Kind.DENOISER]
    assert "No such file" in entries[0].found.reason
    assert "Permission denied" in entries[1].found.reason


def test_the_scan_of_a_huge_tree_ends_and_says_so(tmp_path: Path) -> None:
    for number in range(40):
        touch(tmp_path / f"{number:02}" / "note.txt")
    save(tmp_path / "00" / "flux1-dev.safetensors", pub.flux())
    first, last = scan([tmp_path, tmp_path / "00"], most=50)
    assert first.found.family == "flux1"
    assert last.found.kind is Kind.REFUSED
    assert "50 files and folders" in last.found.reason
    (only,) = scan([tmp_path], most=39)
    assert only.path == tmp_path


def test_the_order_stays(tmp_path: Path) -> None:
    for name in ("z", "a", "m"):
        save(tmp_path / name / "flux1-dev.safetensors", pub.flux())
        save(tmp_path / f"{name}.safetensors", pub.sd1_checkpoint())
    found = told(scan([tmp_path]), tmp_path)
    assert found == told(scan([tmp_path]), tmp_path)
    assert [path for path, _, _ in found] == [
        "a.safetensors", "m.safetensors", "z.safetensors", "a/flux1-dev.safetensors",
        "m/flux1-dev.safetensors", "z/flux1-dev.safetensors",
    ]  # fmt: skip


def test_a_program_brings_the_folders_that_it_lists(tmp_path: Path) -> None:
    comfy, other = tmp_path / "ComfyUI", tmp_path / "other"
    touch(comfy / "folder_paths.py")
    save(comfy / "models" / "vae" / "ae.safetensors", pub.vae(16, quantised=False))
    save(other / "models" / "Lora" / "v1-5.safetensors", pub.sd1_checkpoint())
    listed = touch(
        comfy / "extra_model_paths.yaml",
        b"a111:\n  base_path: ../other\n  loras: |\n    models/Lora\n",
    )
    assert [path for path, _, _ in told(scan([comfy]), tmp_path)] == [
        "ComfyUI/models/vae/ae.safetensors",
        "other/models/Lora/v1-5.safetensors",
    ]
    listed.write_text("a111: [", encoding="utf-8")
    refused, found = scan([comfy])
    assert refused.path == listed
    assert refused.found.kind is Kind.REFUSED
    assert found.found.kind is Kind.AUTOENCODER


def test_a_scan_loads_no_torch_and_reads_headers_alone(tmp_path: Path) -> None:
    import subprocess

    save(tmp_path / "flux1-dev.safetensors", pub.flux())
    program = (
        "import sys, pathlib\n"
        "from limner.catalog.trees import scan\n"
        "assert len(list(scan([pathlib.Path(sys.argv[1])]))) == 1\n"
        "assert not {'torch', 'diffusers', 'transformers', 'yaml', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
