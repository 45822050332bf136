"""From a repository of a hub to a picture: a real pipeline of diffusers at tiny size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.app import wiring
from limner.cli.main import run

from .test_repositories import contents
from .workbench import COMMIT, Site, publish_repository

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from tests.families.diffusion import tiny  # noqa: E402

Limner = Callable[..., int]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """FLUX.1 with few channels and an autoencoder of the real scale, 8, as in a repository."""
    torch.manual_seed(0)
    pipeline = tiny.flux()
    autoencoder: Any = tiny.diffusers.AutoencoderKL(
        block_out_channels=(4,) * 4,
        norm_num_groups=2,
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    pipeline.register_modules(vae=autoencoder.eval())
    folder = tiny.save(pipeline, tmp_path_factory.mktemp("hub") / "krea")
    (folder / "README.md").write_text("words")
    (folder / "flux1-krea-dev.safetensors").write_bytes(b"the same once more")
    return contents(folder)


@pytest.fixture
def limner(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Limner:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIMNER_THREADS", "1")
    monkeypatch.setenv("HF_ENDPOINT", site.address)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> int:
        return run([*arguments, "--json"])

    return call


def test_flux_krea_from_a_hub_to_a_picture(
    limner: Limner,
    site: Site,
    files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    repository = "black-forest-labs/FLUX.1-Krea-dev"
    publish_repository(site, repository, files, gated="auto")
    site.gates[f"/{repository}/"] = "secret"
    assert limner("models", "pull", "flux.1-krea-dev") == 5
    assert f"accept the terms at {site.address}/{repository}" in capfd.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert limner("models", "pull", "flux.1-krea-dev") == 0
    pulled = tmp_path / "home" / "models" / "FLUX.1-Krea-dev"
    assert set(contents(pulled)) == set(files) - {"README.md", "flux1-krea-dev.safetensors"}
    said = limner("models", "list")
    assert said == 0
    assert '"name": "FLUX.1-Krea-dev"' in capfd.readouterr().out
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    drawn = ("generate", "a lighthouse", "--model", "flux.1-krea-dev", "--seed", "5")
    options = ("--steps", "1", "--size", "1024x1024", "--no-preview", "--out")
    assert limner(*drawn, *options, "first.png") == 0
    assert (tmp_path / "first.png").is_file()
    recipe = asset_of().recipe
    assert recipe.model.name == "FLUX.1-Krea-dev"
    assert recipe.guidance == 4.5
    assert limner("replay", "first.png") == 0
    assert limner("models", "verify", "FLUX.1-Krea-dev") == 0
    secret = [path for path in (tmp_path / "home").rglob("*") if holds(path, b"secret")]
    assert secret == []
    assert COMMIT in (tmp_path / "home" / "models" / ".pins" / "FLUX.1-Krea-dev.json").read_text()
    assert limner("models", "remove", "flux.1-krea-dev") == 0
    assert not pulled.exists()


def test_the_files_of_comfyui_draw_with_descriptions_alone(
    limner: Limner,
    site: Site,
    files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    publish_repository(site, "black-forest-labs/FLUX.1-Krea-dev", files)
    weights = {
        "transformer/diffusion_pytorch_model": "diffusion_models/flux1-krea-dev",
        "text_encoder/model": "text_encoders/clip_l",
        "text_encoder_2/model": "text_encoders/t5xxl_fp16",
        "vae/diffusion_pytorch_model": "vae/ae",
    }
    places = tmp_path / "ComfyUI" / "models"
    for there, here in weights.items():
        path = places / f"{here}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[f"{there}.safetensors"])
    assert limner("models", "add", str(places), "--no-hash") == 0
    assert (
        "To draw, CLIP-L, T5-XXL and the descriptions of its parts are needed, too"
        in capfd.readouterr().out
    )
    drawn = ("generate", "a lighthouse", "--model", "flux1-krea-dev", "--seed", "5")
    options = ("--steps", "1", "--size", "1024x1024", "--no-preview", "--out")
    assert limner(*drawn, *options, "first.png") == 5
    assert "limner models pull FLUX.1-Krea-dev --descriptions" in capfd.readouterr().err
    assert limner("models", "pull", "FLUX.1-Krea-dev", "--descriptions") == 0
    assert not [path for path, _ in site.requests if path.endswith(".safetensors")]
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    capfd.readouterr()
    assert limner("models", "add", str(places), "--no-hash") == 0
    assert "The denoiser of FLUX.1 (krea-dev), without" in capfd.readouterr().out
    assert limner(*drawn, *options, "first.png") == 0
    fitting = asset_of().environment.fitting
    assert "text_encoder of clip_l.safetensors, text_encoder_2 of t5xxl_fp16.saf" in fitting
    assert "vae of ae.safetensors, described by FLUX.1-Krea-dev-descriptions (" in fitting
    assert limner("replay", "first.png") == 0
    assert limner("doctor", "--model", "flux1-krea-dev", "--size", "1024x1024") == 0


def holds(path: Path, word: bytes) -> bool:
    return path.is_file() and word in path.read_bytes()


def asset_of() -> Any:
    from limner.app.settings import read_settings

    with wiring.open_desk(read_settings()) as desk:
        [asset] = desk.studio.library.list(desk.workspace)
        return asset
