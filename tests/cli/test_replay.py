"""What `replay` says and writes."""

from pathlib import Path

import pytest
from PIL import Image

from tests import fakes
from tests.app.test_verify import hills

from .conftest import Limner, assets_in, photo


def test_a_file_that_is_there_is_written_over_only_if_asked(limner: Limner, folder: Path) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    (folder / "mine.png").write_text("mine")
    ran = limner("replay", "fox.png", "--out", "mine.png")
    assert ran.status == 2
    assert "--overwrite" in ran.err
    assert (folder / "mine.png").read_text() == "mine"
    assert limner("replay", "fox.png", "--out", "mine.png", "--overwrite").status == 0
    assert limner("verify", "mine.png").status == 0


def test_what_is_written_says_so_and_has_a_fitting_name(limner: Limner, folder: Path) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    ran = limner("replay", "fox.png", "--out", "again.jpg")
    assert ran.status == 2
    assert "again.png" in ran.err
    assert not (folder / "again.jpg").exists()
    ran = limner("replay", "fox.png", "--out", "again.png")
    assert "again.png" in ran.err
    assert ran.lines == ["the same picture, to the last pixel"]


def test_what_carries_no_recipe_is_told_apart(
    limner: Limner, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    (folder / "words.txt").write_text("words")
    assert "picture" in limner("replay", "words.txt").err
    (folder / "empty.png").write_bytes(b"")
    assert "empty" in limner("replay", "empty.png").err
    assert "does not know it" in limner("replay", photo(folder / "dog.png")).err
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    Image.open("fox.png").convert("RGB").save("bare.png")
    ran = limner("replay", "bare.png")
    assert ran.status == 2
    assert f"comes from {assets_in(home)[0].id[:12]}: replay that id" in ran.err
