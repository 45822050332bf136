"""Open models as a person meets them: found where they lie, named, drawn with, replayed."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.app.desk import Desk, Margins
from limner.app.replay import Likeness, replay
from limner.app.settings import Settings
from limner.app.studio import Progress
from limner.app.wiring import open_desk
from limner.domain.errors import InvalidOption, InvalidSize, ModelNotFound, WeightsRejected
from limner.domain.event import Happening, Loading
from limner.domain.recipe import Task
from limner.families.checkpoint import sha256_of
from limner.families.diffusion.family import FLUX_1, STABLE_DIFFUSION_1

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from tests.families.diffusion import tiny  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion with few channels, and an autoencoder of the real scale, 8."""
    torch.manual_seed(0)
    pipeline = tiny.sd1()
    autoencoder: Any = tiny.diffusers.AutoencoderKL(
        block_out_channels=(4,) * 4,
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    pipeline.register_modules(vae=autoencoder.eval())
    return tiny.save(pipeline, tmp_path_factory.mktemp("models") / "my paint")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "my paint"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", offline=True, threads=1)


@pytest.fixture
def desk(settings: Settings) -> Any:
    with open_desk(settings) as desk:
        yield desk


def test_its_card_says_what_it_can_do(folder: Path) -> None:
    card = STABLE_DIFFUSION_1.recognise(folder, sha256_of)
    assert card is not None
    assert (card.name, card.family, card.variant) == ("my-paint", "sd1", "base")
    assert card.licence.spdx
    able = card.capability
    assert able.supports(Task.TEXT_TO_IMAGE)
    assert able.supports(Task.INPAINT)
    assert able.samplers[0] == able.schedules[0] == "own"
    assert {"dpmpp_2m", "euler_ancestral"} <= set(able.samplers)
    assert {"karras"} <= set(able.schedules)
    assert able.guidance is not None
    assert {extra.name for extra in able.extras} >= {"clip_skip", "guidance_method"}
    assert FLUX_1.recognise(folder, sha256_of) is None


def test_its_digest_is_that_of_what_decides_its_pictures(folder: Path) -> None:
    def digest() -> str:
        card = STABLE_DIFFUSION_1.recognise(folder, sha256_of)
        assert card is not None
        return card.weights_digest

    before = digest()
    (folder / "README.md").write_text("words")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"")
    assert digest() == before
    settings = folder / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text().replace("0.02", "0.03"))
    assert digest() != before


def test_a_folder_draws_and_is_known_by_its_name_then(
    desk: Desk, folder: Path, settings: Settings
) -> None:
    heard: list[Happening] = []
    options: dict[str, Any] = {"seed": 3, "steps": 2, "size": "448x448", "progress": None}
    options["progress"] = Progress(heard.append)
    (first,) = desk.generate("a red fox", model=str(folder), **options)
    assert first.recipe.model.name == "my-paint"
    assert str(first.asset.size) == "448x448"
    assert first.asset.environment is not None
    assert first.asset.environment.device in ("cpu", "cuda", "mps")
    assert "diffusers" in dict(first.asset.environment.libraries)
    assert first.asset.terms
    (again,) = desk.generate("a red fox", model="my-paint", **options)
    assert again.asset.pixel_digest == first.asset.pixel_digest
    assert [event for event in heard if isinstance(event, Loading)] == [Loading("my-paint")]
    with open_desk(settings) as later:
        (third,) = later.generate("a red fox", model="my-paint", **options)
        assert third.asset.pixel_digest == first.asset.pixel_digest
        answer = replay(later.studio, later.actor, later.workspace, first.asset)
        assert answer.likeness is Likeness.IDENTICAL


def test_a_part_of_a_picture_is_redrawn_and_the_rest_stays(
    desk: Desk, folder: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(1)
    photo = np.kron(generator.integers(0, 255, (6, 10, 3), np.uint8), np.ones((50, 50, 1)))
    hole = np.zeros((300, 500), np.uint8)
    hole[100:200, 200:300] = 255
    tiny_image: Any = pytest.importorskip("PIL.Image")
    tiny_image.fromarray(photo.astype(np.uint8)).save(tmp_path / "photo.png")
    tiny_image.fromarray(hole).save(tmp_path / "hole.png")
    made = desk.edit(
        tmp_path / "photo.png",
        "a red fox",
        mask=tmp_path / "hole.png",
        model=str(folder),
        steps=1,
        seed=1,
    )
    assert str(made.asset.size) == "500x300"
    assert made.recipe.native_size.width == made.recipe.native_size.height
    assert made.asset.drift == 0.0


def test_more_is_drawn_around_a_picture(desk: Desk, folder: Path, tmp_path: Path) -> None:
    photo = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    images: Any = pytest.importorskip("PIL.Image")
    images.fromarray(photo).save(tmp_path / "photo.png")
    made = desk.outpaint(
        tmp_path / "photo.png",
        "a field",
        margins=Margins(left=40, bottom=30),
        model=str(folder),
        steps=1,
        seed=1,
    )
    assert str(made.asset.size) == "160x120"
    assert (made.recipe.task, made.recipe.watermark) == (Task.OUTPAINT, False)
    finished = np.asarray(images.open(io.BytesIO(made.file)).convert("RGB"))
    assert np.array_equal(finished[:90, 40:], photo)
    assert made.asset.drift == 0.0
    for margins in (Margins(), Margins(left=60_000)):
        with pytest.raises(InvalidSize):
            desk.outpaint(tmp_path / "photo.png", "a field", margins=margins, model=str(folder))
    with pytest.raises(InvalidSize, match="left must be 0 to"):
        Margins(left=-1)
    drawn = desk.outpaint(tmp_path / "photo.png", "a field", margins=Margins(top=9), steps=1)
    assert drawn.recipe.model.name == "vellum"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sampler": "brush"}, InvalidOption, "sampler “brush” is not known"),
        ({"schedule": "brush"}, InvalidOption, "schedule “brush” is not known"),
        ({"steps": 0}, InvalidOption, "steps must be 1 to"),
        ({"size": "9000x10"}, InvalidSize, "each side must be"),
        ({"style": "flat"}, InvalidOption, "has no option “style”"),
        ({"adapters": ("none.safetensors",)}, ModelNotFound, "none.safetensors"),
    ],
)
def test_what_it_cannot_do_is_told_before_anything_is_loaded(
    desk: Desk, folder: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        desk.generate("a red fox", model=str(folder), **options)
    assert desk.studio.engine.residents() == ()


def test_what_is_damaged_says_why(desk: Desk, folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size - 100)
    with pytest.raises(WeightsRejected, match="not copied whole"):
        desk.generate("a red fox", model=str(folder))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(WeightsRejected, match="only pickled weights"):
        desk.generate("a red fox", model=str(folder))


def test_a_model_that_changed_is_another_model(desk: Desk, folder: Path) -> None:
    (made,) = desk.generate("a red fox", model=str(folder), steps=1, seed=1, size="448x448")
    settings = folder / "scheduler" / "scheduler_config.json"
    table = json.loads(settings.read_text())
    settings.write_text(json.dumps({**table, "beta_end": 0.03}))
    (other,) = desk.generate("a red fox", model=str(folder), steps=1, seed=1, size="448x448")
    assert other.recipe.model.sha256 != made.recipe.model.sha256


def test_a_picture_becomes_larger_by_being_redrawn(
    desk: Desk, folder: Path, tmp_path: Path
) -> None:
    images: Any = pytest.importorskip("PIL.Image")
    photo = np.random.default_rng(1).integers(0, 255, (20, 36, 3), np.uint8)
    images.fromarray(photo).resize((360, 200)).save(tmp_path / "photo.png")
    asked: dict[str, Any] = {"model": str(folder), "steps": 2, "seed": 5}
    made = desk.upscale(tmp_path / "photo.png", prompt="a field", strength=0.5, **asked)
    assert str(made.asset.size) == "720x400"
    assert made.recipe.upscaler is not None
    assert (made.recipe.task, made.recipe.prompt) == (Task.UPSCALE, "a field")
    start = made.recipe.inputs[0]
    assert start.strength == 0.5
    silent = desk.upscale(tmp_path / "photo.png", **asked)
    assert silent.recipe.inputs[0].strength == 0.3
    answer = replay(desk.studio, desk.actor, desk.workspace, made.asset)
    assert answer.likeness is Likeness.IDENTICAL
    with pytest.raises(InvalidOption, match="takes no prompt"):
        desk.upscale(tmp_path / "photo.png", prompt="a field")
    with pytest.raises(InvalidOption, match="no strength to set"):
        desk.upscale(tmp_path / "photo.png", strength=0.5)
