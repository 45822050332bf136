"""What verify says of our own files, of others', and of damaged ones."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.app.verify import Integrity, Verdict
from limner.domain.errors import InvalidImage
from limner.domain.policy import Detail, Policy
from limner.domain.recipe import FileFormat, Recipe
from limner.families.family import Pixels
from limner.provenance.manifest import Standing
from tests import fakes
from tests.fakes import fake_desk

Change = Callable[[Image.Image], Image.Image]


def pixels_of(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file)).convert("RGBA")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    ground.convert("RGB").save(file, kind, **options)
    return file.getvalue()


def hills(recipe: Recipe) -> Pixels:
    """A picture with something in it everywhere, as the fake engine's gradients have not."""
    down, across = np.mgrid[: recipe.size.height, : recipe.size.width] / recipe.size.height
    random = np.random.default_rng(recipe.seed)
    pixels = np.full((recipe.size.height, recipe.size.width, 4), 255, np.uint8)
    for channel in range(3):
        waves = sum(
            np.sin(6.3 * (random.uniform(1, 6) * down + random.uniform(1, 6) * across))
            for _ in range(12)
        )
        pixels[..., channel] = np.clip(128 + 14 * np.asarray(waves), 0, 255)
    return pixels


def by(verdict: Verdict) -> list[str]:
    return [match.by for match in verdict.matches]


@pytest.mark.parametrize("file_format", FileFormat)
def test_our_own_file_is_intact_in_every_format(desk: Desk, file_format: FileFormat) -> None:
    (made,) = desk.generate("a fox", seed=1, format=file_format, transparent=False)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.INTACT
    assert verdict.integrity.exit_status == 0
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.TRUSTED
    assert verdict.declared is not None
    assert verdict.declared.recipe_digest == made.recipe.digest
    assert (by(verdict), verdict.matches[0].asset) == (["file"], made.asset.id)
    assert "byte for byte" in verdict.summary


def test_a_changed_byte_is_told(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1, format=FileFormat.JPEG)
    file = bytearray(made.file)
    file[-400] ^= 4
    verdict = desk.verify(bytes(file))
    assert verdict.integrity is Integrity.CHANGED
    assert verdict.integrity.exit_status == 1
    assert "changed after it was signed" in verdict.summary


def test_a_broken_file_with_a_manifest_is_changed_not_unreadable(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1)
    verdict = desk.verify(made.file[:-60])
    assert verdict.integrity is Integrity.CHANGED


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image.resize((380, 380)),
        lambda image: image.point(lambda value: min(255, round(value * 1.1))),
    ],
    ids=["as it is", "smaller", "brighter"],
)
def test_a_stripped_copy_is_recognised(
    desk: Desk, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    (other, original) = desk.generate("hills", count=2, seed=5, size="512x512")
    copy = saved(change(pixels_of(original.file)), "JPEG", quality=70)
    verdict = desk.verify(copy)
    assert verdict.integrity is Integrity.CHANGED
    assert verdict.manifest is None
    assert verdict.mark == original.asset.mark
    assert verdict.matches[0].asset == original.asset.id
    assert other.asset.id not in [match.asset for match in verdict.matches]


def test_what_was_removed_is_still_recognised(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1, size="256x256")
    desk.studio.library.remove(desk.workspace, made.asset.id)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.INTACT
    assert not verdict.matches[0].here
    assert "once held" in verdict.summary


def test_the_file_of_another_maker_is_valid_but_not_trusted(desk: Desk, tmp_path: Path) -> None:
    with fake_desk(Settings(home=tmp_path / "other")) as other:
        (made,) = other.generate("a cat", seed=2)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.INTACT
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.VALID
    assert "not trusted" in verdict.summary


def test_a_root_that_is_given_is_trusted(desk: Desk, home: Path, tmp_path: Path) -> None:
    with fake_desk(Settings(home=tmp_path / "other")) as other:
        (made,) = other.generate("a cat", seed=2)
        anchor = (other.studio.keyring.folder / "anchor.pem").read_bytes()
    trusted = desk.studio.keyring.folder / "trusted"
    trusted.mkdir()
    (trusted / "other.pem").write_bytes(anchor)
    verdict = desk.verify(made.file)
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.TRUSTED


def test_a_plain_picture_has_no_mark(desk: Desk) -> None:
    verdict = desk.verify(saved(Image.new("RGBA", (300, 200), "tomato"), "PNG"))
    assert verdict.integrity is Integrity.UNMARKED
    assert verdict.integrity.exit_status == 2
    assert "does not show that no AI made it" in verdict.summary


def test_metadata_alone_proves_nothing(tmp_path: Path, desk: Desk) -> None:
    with fake_desk(Settings(home=tmp_path / "unsigned", signing=False)) as other:
        (made,) = other.generate("a cat", seed=2)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.UNPROVEN
    assert verdict.integrity.exit_status == 1
    assert "no signature proves it" in verdict.summary


@pytest.mark.parametrize("detail", Detail)
def test_as_much_is_said_as_the_workspace_wants(desk: Desk, detail: Detail) -> None:
    desk.studio.library.set_policy(desk.workspace, Policy(detail=detail))
    (made,) = desk.generate("a secret fox", seed=1)
    assert (b"secret" in made.file) is (detail is Detail.FULL)
    assert (b"limner:recipe" in made.file) is (detail is not Detail.NONE)
    assert desk.verify(made.file).integrity is Integrity.INTACT


@pytest.mark.parametrize("file", [b"", b"words", b"\x89PNG\r\n\x1a\n", b"<svg", b"II*\x00junk"])
def test_what_is_no_picture_is_told(desk: Desk, file: bytes) -> None:
    with pytest.raises(InvalidImage):
        desk.verify(file)
