"""The commands on the library."""

import json
from pathlib import Path

import pytest

from limner.store.blobs import Blobs

from .conftest import Limner, assets_in, photo


def draw(limner: Limner, *arguments: str) -> str:
    record = limner("generate", *arguments, "--json").records[0]
    return str(record["asset"])


def test_an_empty_library(limner: Limner) -> None:
    ran = limner("library", "list")
    assert (ran.status, ran.out) == (0, "")
    assert "No pictures yet" in ran.err
    assert limner("library", "list", "--json").out == ""
    assert limner("library", "check").status == 0


def test_list_shows_newest_first_and_finds_words(limner: Limner) -> None:
    fox = draw(limner, "a red fox", "--seed", "3")
    cat = draw(limner, "a [red] cat")
    ran = limner("library", "list")
    assert ran.status == 0
    assert [line.split()[0] for line in ran.lines] == ["id", cat[:12], fox[:12]]
    assert "vellum" in ran.lines[1]
    assert ran.lines[1].endswith("a [red] cat")
    assert [one["asset"] for one in limner("library", "list", "RED", "fox", "--json").records] == [
        fox
    ]
    assert len(limner("library", "list", "--limit", "1").lines) == 2
    assert limner("library", "list", "--model", "other", "--json").records == []


def test_the_shape_of_list_json(limner: Limner) -> None:
    draw(limner, "a fox", "--seed", "3")
    [record] = limner("library", "list", "--json").records
    assert list(record) == [
        "asset",
        "created",
        "media_type",
        "size",
        "bytes",
        "pixel_digest",
        "recipe_digest",
        "seed",
        "model",
        "prompt",
    ]
    assert (record["seed"], record["model"], record["prompt"]) == (3, "vellum", "a fox")


def test_show_tells_recipe_environment_and_lineage(limner: Limner, folder: Path) -> None:
    photo(folder / "photo.png")
    larger = str(limner("upscale", "photo.png", "--json").records[0]["asset"])
    twice = str(limner("cutout", "photo-upscaled.png", "--json").records[0]["asset"])
    ran = limner("library", "show", larger[:8])
    assert ran.status == 0
    for word in (larger, "realesr-fast", "upscale", "processor", "init", twice[:12], "made from"):
        assert word in ran.out
    [record] = limner("library", "show", larger, "--json").records
    assert record["children"] == [twice]
    assert record["recipe"]["model"]["name"] == "realesr-fast"
    assert record["environment"]["device"] == "cpu"
    assert record["recipe_digest"]
    [brought] = [one["asset"] for one in record["parents"]]
    imported = limner("library", "show", brought)
    assert imported.status == 0
    assert "recipe" not in imported.out
    assert "brought in" in limner("library", "list").out


def test_export_writes_the_kept_bytes(limner: Limner, folder: Path) -> None:
    asset = draw(limner, "a fox", "--seed", "3", "--out", "first.png")
    ran = limner("library", "export", asset[:6])
    assert (ran.status, ran.lines) == (0, ["a-fox-3.png"])
    assert (folder / "a-fox-3.png").read_bytes() == (folder / "first.png").read_bytes()
    assert limner("library", "export", asset, "--out", "sub/").lines == ["sub/a-fox-3.png"]
    [record] = limner("library", "export", asset, "--out", "it.png", "--json").records
    assert (record["path"], record["asset"]) == ("it.png", asset)


def test_export_loses_no_file(limner: Limner, folder: Path) -> None:
    asset = draw(limner, "a fox", "--seed", "3", "--out", "first.png")
    (folder / "it.png").write_text("my notes")
    assert limner("library", "export", asset, "--out", "it.png").status == 2
    assert limner("library", "export", asset, "--out", "it.webp").status == 2
    assert (folder / "it.png").read_text() == "my notes"
    assert limner("library", "export", asset, "--out", "it.png", "--overwrite").status == 0
    assert limner("library", "export", asset, "--out", "it.png").status == 0


def test_remove(limner: Limner, folder: Path, home: Path) -> None:
    fox, cat = draw(limner, "a fox"), draw(limner, "a cat")
    ran = limner("library", "remove", "abcdef", fox)
    assert (ran.status, ran.out, len(assets_in(home))) == (3, "", 2)
    assert limner("library", "remove", fox[:8], fox, "--json").records == [{"removed": fox}]
    assert [asset.id for asset in assets_in(home)] == [cat]
    assert len(list(folder.glob("*.png"))) == 2


def test_check_finds_damage(limner: Limner, home: Path) -> None:
    fox = draw(limner, "a fox")
    assert limner("library", "check").err == "Every picture is whole.\n"
    path = Blobs(home / "blobs").path(fox)
    path.chmod(0o600)
    path.write_bytes(b"not the fox")
    ran = limner("library", "check", "--json")
    assert (ran.status, ran.records[0]["kind"], ran.records[0]["asset"]) == (1, "damaged", fox)
    assert fox in limner("library", "check").out


@pytest.mark.parametrize("given", ["", "12345", "g" * 12, "../../etc", "ABCDEF"])
def test_what_is_no_id(limner: Limner, given: str) -> None:
    for command in ("show", "export", "remove"):
        ran = limner("library", command, given, "--json")
        assert (ran.status, ran.out, ran.error["code"]) == (2, "", "invalid_request")
        assert "64" in json.dumps(ran.error)
