"""What was edited decides whether a picture is a model's work or a composite with it."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.app.desk import Desk
from limner.app.files import read_file
from limner.domain.errors import InvalidImage
from limner.provenance.manifest import CHANGED_BY_MODEL, MADE_BY_MODEL, read_manifest
from limner.provenance.origin import made_by_model
from limner.provenance.xmp import read_statement


def kinds(file: bytes) -> tuple[str | None, str | None]:
    """What manifest and XMP say of a file."""
    manifest, statement = read_manifest(file, "image/png"), read_statement(file)
    assert manifest is not None
    assert statement is not None
    return manifest.source_type, statement.digital_source_type


def test_a_models_work_stays_one_and_a_photograph_becomes_a_composite(
    desk: Desk, tmp_path: Path
) -> None:
    (fox,) = desk.generate("a red fox", seed=1)
    assert kinds(fox.file) == (MADE_BY_MODEL, MADE_BY_MODEL)
    again = desk.edit(fox.asset, "a blue fox", seed=1)
    assert kinds(again.file) == (MADE_BY_MODEL, MADE_BY_MODEL)
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels).save(photo)
    edited = desk.edit(photo, "a fox", seed=1)
    assert kinds(edited.file) == (CHANGED_BY_MODEL, CHANGED_BY_MODEL)
    further = desk.edit(edited.asset, "a fox", seed=2)
    assert kinds(further.file) == (CHANGED_BY_MODEL, CHANGED_BY_MODEL)


def test_a_file_is_asked_by_its_manifest_then_its_words(desk: Desk) -> None:
    (fox,) = desk.generate("a red fox", seed=1)
    assert made_by_model(fox.file, "image/png")
    with Image.open(io.BytesIO(fox.file)) as image:
        bare, worded = io.BytesIO(), io.BytesIO()
        image.save(bare, "PNG")
        image.save(worded, "PNG", xmp=image.info["xmp"])
    assert not made_by_model(bare.getvalue(), "image/png")
    assert not made_by_model(b"no picture", "image/png")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(3_000_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidImage, match="larger than 100 MB"):
            read_file(large)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_what_carries_a_label_keeps_it_when_it_is_edited(desk: Desk) -> None:
    (fox,) = desk.generate("a red fox", seed=1, size="256x256", label="de")
    assert desk.edit(fox.asset, "a blue fox", seed=1).recipe.label == "de"
    assert desk.upscale(fox.asset).recipe.label == "de"
    assert desk.edit(fox.asset, "a fox", seed=1, label="fr").recipe.label == "fr"
    (plain,) = desk.generate("a red fox", seed=1, size="256x256")
    assert desk.edit(plain.asset, "a blue fox", seed=1).recipe.label is None
