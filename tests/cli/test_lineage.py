"""Where a picture came from and what became of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.domain.recipe import Recipe
from limner.families.family import Pixels
from limner.provenance.watermark import embed
from tests import fakes
from tests.app.test_verify import hills

from .conftest import Limner, photo


def made(limner: Limner, *arguments: str | Path) -> str:
    ran = limner(*arguments, "--json")
    assert ran.status == 0, ran.err
    return str(ran.records[0]["asset"])


def test_ancestors_and_descendants_are_followed_to_the_end(limner: Limner, folder: Path) -> None:
    first = made(limner, "edit", photo(folder / "dog.png"), "a cat")
    second = made(limner, "edit", str(Path(limner("library", "export", first).lines[0])), "a hat")
    third = made(limner, "upscale", str(Path(limner("library", "export", second).lines[0])))
    [record] = limner("lineage", second, "--json").records
    assert record["asset"] == second
    [parent] = record["ancestors"]
    assert (parent["asset"], parent["relation"], parent["removed"]) == (first, "init", False)
    [brought] = parent["relatives"]
    assert brought["prompt"] is None
    [child] = record["descendants"]
    assert (child["asset"], child["task"]) == (third, "upscale")
    lines = limner("lineage", second).lines
    assert lines[1].startswith(brought["asset"][:12])
    assert "brought in" in lines[1]
    assert [line[:12] for line in lines[2:]] == [first[:12], second[:12], third[:12]]


def test_a_removed_parent_is_still_named(limner: Limner, folder: Path) -> None:
    first = made(limner, "edit", photo(folder / "dog.png"), "a cat")
    [brought] = limner("lineage", first, "--json").records[0]["ancestors"]
    assert limner("library", "remove", brought["asset"]).status == 0
    [gone] = limner("lineage", first, "--json").records[0]["ancestors"]
    assert gone["removed"]
    assert gone["asset"] == brought["asset"]
    assert "removed from the library" in limner("lineage", first).out


def test_what_is_met_twice_is_followed_once(limner: Limner, folder: Path) -> None:
    picture = photo(folder / "dog.png", (64, 64), "white")
    edited = made(limner, "edit", picture, "a cat", "--mask", picture)
    [record] = limner("lineage", edited, "--json").records
    told = [(one["relation"], one["repeated"]) for one in record["ancestors"]]
    assert told == [("init", False), ("mask", True)]
    assert "(see above)" in limner("lineage", edited).out


def test_an_unknown_asset(limner: Limner) -> None:
    assert limner("lineage", "abcdef").status == 3
    assert limner("lineage", "fox").status == 2


def test_a_copy_that_was_brought_in_is_linked_to_what_its_watermark_names(
    limner: Limner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    first = made(limner, "generate", "hills", "--size", "512x512", "--out", "hills.png")
    Image.open(folder / "hills.png").convert("RGB").save(folder / "copy.jpg", quality=80)
    second = made(limner, "upscale", "copy.jpg", "--size", "640x640")
    [copy] = limner("lineage", second, "--json").records[0]["ancestors"]
    [original] = copy["relatives"]
    assert (original["asset"], original["relation"]) == (first, "copy")
    assert "from copy" in limner("lineage", second).out


def test_a_file_stands_for_its_picture(limner: Limner, folder: Path) -> None:
    first = made(limner, "edit", photo(folder / "dog.png"), "a cat")
    path = Path(limner("library", "export", first).lines[0])
    assert limner("lineage", path, "--json").records[0]["asset"] == first
    ran = limner("lineage", folder / "none.png")
    assert ran.status != 0
    assert "none.png" in ran.err


def test_a_changed_file_stands_for_what_it_comes_from(
    limner: Limner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    first = made(limner, "generate", "hills", "--size", "512x512", "--out", "hills.png")
    Image.open(folder / "hills.png").convert("RGB").save(folder / "copy.jpg", quality=80)
    ran = limner("lineage", "copy.jpg")
    assert f"it comes from {first[:12]}" in ran.err
    assert limner("lineage", "copy.jpg", "--json").records[0]["asset"] == first
    ran = limner("lineage", photo(folder / "dog.png"))
    assert ran.status == 3
    assert "does not know this picture" in ran.err
    assert limner("library", "remove", first).status == 0
    assert "no longer in the library" in limner("lineage", "copy.jpg").err


def sticker(recipe: Recipe) -> Pixels:
    """Hills on a round ground, with nothing around them."""
    pixels = hills(recipe)
    down, across = np.mgrid[-1 : 1 : 1j * len(pixels), -1 : 1 : 1j * pixels.shape[1]]
    pixels[..., 3] = np.where(down**2 + across**2 < 0.5, 255, 0)
    return pixels


@pytest.mark.parametrize("ground", ["black", "#00c040"])
def test_a_sticker_is_recognised_on_another_ground(
    limner: Limner, folder: Path, monkeypatch: pytest.MonkeyPatch, ground: str
) -> None:
    monkeypatch.setattr(fakes, "gradient", sticker)
    first = made(limner, "generate", "hills", "--size", "512x512", "--out", "hills.png")
    whole = Image.open(folder / "hills.png")
    on = Image.new("RGBA", whole.size, ground)
    on.alpha_composite(whole)
    on.convert("RGB").save(folder / "on.jpg", quality=90)
    [record] = limner("verify", "on.jpg", "--json").records
    assert record["integrity"] == "changed"
    assert limner("lineage", "on.jpg", "--json").records[0]["asset"] == first
    larger = made(limner, "upscale", "on.jpg", "--size", "640x640")
    [brought] = limner("lineage", larger, "--json").records[0]["ancestors"]
    assert [one["asset"] for one in brought["relatives"]] == [first]


def test_a_mark_that_was_put_onto_another_picture_makes_no_copy(
    limner: Limner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    first = made(limner, "generate", "hills", "--size", "512x512", "--out", "hills.png")
    [known] = limner("library", "show", first, "--json").records
    coarse = np.random.default_rng(2).integers(0, 255, (8, 8, 3), np.uint8)
    picture = np.full((256, 256, 4), 255, np.uint8)
    picture[..., :3] = np.kron(coarse, np.ones((32, 32, 1), np.uint8))
    Image.fromarray(embed(picture, str(known["mark"]))).save(folder / "stranger.png")
    second = made(limner, "upscale", "stranger.png", "--size", "512x512")
    [brought] = limner("lineage", second, "--json").records[0]["ancestors"]
    assert brought["relatives"] == []
