"""What the command says of where pictures come from."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.provenance.containers import with_comment
from tests.store.test_opening import mounted, read_only, stuff

from .conftest import Limner, assets_in, photo


def test_a_path_that_cannot_be_read_keeps_no_other_from_being_told(
    limner: Limner, folder: Path
) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    (folder / "words.txt").write_text("words")
    ran = limner("verify", "gone.png", folder, "words.txt", "fox.png", "--json")
    assert ran.status == 3
    told = [(Path(one["path"]).name, one["integrity"]) for one in ran.records]
    unread = [(name, "unreadable") for name in ("gone.png", folder.name, "words.txt")]
    assert told == [*unread, ("fox.png", "intact")]
    assert "no file gone.png" in ran.records[0]["summary"]
    assert "fox.png: intact" in limner("verify", "gone.png", "fox.png").out


def test_json_has_all_that_a_file_says(limner: Limner, folder: Path) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    [record] = limner("verify", "fox.png", "--json").records
    assert record["declared"]["recipe"]["prompt"] == "a fox"
    assert record["declared"]["prompt"] == "a fox"


def test_a_photograph_stays_unmarked_when_it_is_brought_in(limner: Limner, folder: Path) -> None:
    picture = photo(folder / "dog.png")
    assert limner("verify", picture).status == 2
    assert limner("import", picture).status == 0
    ran = limner("verify", picture)
    assert ran.status == 2
    assert "brought in on" in ran.out


def test_what_cannot_be_looked_at_is_said_so(limner: Limner, folder: Path) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    whole = (folder / "fox.png").read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) - 60])
    ran = limner("verify", "half.png")
    assert ran.status == 1
    assert "watermark: could not be looked at" in ran.out
    assert "nothing like it" not in ran.out


def test_a_drawing_of_ours_is_read_without_being_kept(
    limner: Limner, folder: Path, home: Path
) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.svg").status == 0
    ran = limner("import", "fox.svg", "--json")
    assert (ran.status, ran.records[0]["draft"]["prompt"]) == (0, "a fox")
    assert ran.records[0]["asset"] == assets_in(home)[0].id
    assert "drawing (SVG) has none" in limner("verify", "fox.svg").out
    assert "drawing (SVG) has none" in limner("library", "show", assets_in(home)[0].id).out
    shutil.rmtree(home)
    ran = limner("import", "fox.svg")
    assert ran.status == 0
    assert "not kept" in ran.out + ran.err
    assert assets_in(home) == ()


def test_a_home_that_cannot_be_written_is_in_nobodys_way(
    limner: Limner, folder: Path, home: Path
) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    shutil.rmtree(home)
    home.mkdir()
    with read_only(home):
        ran = limner("verify", "fox.png", "--json")
        assert ran.status == 0, ran.err
        assert ran.records[0]["manifest"]["state"] == "valid"
        assert limner("verify", photo(folder / "dog.png")).status == 2
        assert limner("generate", "a fox").status == 7
    assert list(home.iterdir()) == []


def test_a_full_disk_is_in_nobodys_way(limner: Limner, folder: Path, home: Path) -> None:
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=2m", "tmpfs"):
        assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
        [asset] = assets_in(home)
        stuff(home)
        assert limner("generate", "a dog").status == 7
        assert limner("verify", "fox.png").status == 0
        assert limner("lineage", "fox.png").status == 0
        assert asset.id[:12] in limner("library", "list").out
        assert limner("library", "show", asset.id).status == 0
        assert limner("library", "check").status == 0
        assert limner("library", "export", asset.id, "--out", "copy.png").status == 0
        assert limner("workspace", "show").status == 0
        assert limner("workspace", "events").status == 0
        assert limner("workspace", "set", "--commercial").status == 7


def test_what_never_ends_or_is_too_large_keeps_no_other_from_being_told(
    limner: Limner, folder: Path
) -> None:
    os.mkfifo(folder / "pipe.png")
    with (folder / "large.png").open("wb") as file:
        file.truncate(100_000_001)
    dog = photo(folder / "dog.png")
    ran = limner("verify", "pipe.png", "large.png", "/dev/zero", dog, "--json")
    assert ran.status == 3
    told = ["unreadable", "unreadable", "unreadable", "unmarked"]
    assert [one["integrity"] for one in ran.records] == told
    assert "pipe" in ran.records[0]["summary"]
    assert "larger than 100 MB" in ran.records[1]["summary"]


@pytest.mark.parametrize("spoiled", ["a file", "a damaged library"])
def test_without_a_library_the_rest_is_told(
    limner: Limner, folder: Path, home: Path, spoiled: str
) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    if spoiled == "a file":
        shutil.rmtree(home)
        home.write_text("words")
    else:
        for left in home.glob("library.sqlite*"):
            left.unlink()
        (home / "library.sqlite").write_bytes(b"words" * 1000)
    [record] = limner("verify", "fox.png", "--json").records
    assert str(home) in record["unasked"]
    assert record["manifest"]["state"] == ("valid" if spoiled == "a file" else "trusted")
    ran = limner("verify", "fox.png")
    assert ran.status == (0 if spoiled == "a damaged library" else record_status(record))
    assert "could not be asked" in ran.out
    assert "not of this library" not in ran.out
    if spoiled == "a file":
        assert "is a file" in limner("keys", "show").err


def record_status(record: dict[str, Any]) -> int:
    return {"intact": 0, "unmarked": 2}.get(record["integrity"], 1)


def test_ones_own_signature_is_told_from_that_of_somebody_trusted(
    limner: Limner, folder: Path, home: Path
) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    assert "unchanged since signed by you" in limner("verify", "fox.png").out
    other = folder / "other"
    assert limner("--home", other, "generate", "a dog", "--seed", "1", "-o", "dog.png").status == 0
    assert limner("keys", "trust", other / "keys" / "anchor.pem").status == 0
    ran = limner("verify", "dog.png", "--json")
    assert (ran.records[0]["manifest"]["state"], ran.records[0]["manifest"]["own"]) == (
        "trusted",
        False,
    )
    assert "whom you trust" in ran.records[0]["summary"]


def test_an_unsigned_file_of_ours_is_said_to_be_made_here(
    limner: Limner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_SIGNING", "none")
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.png").status == 0
    ran = limner("verify", "fox.png")
    assert ran.status == 0
    assert "It was made with AI here; it is not signed" in ran.out


def test_a_drawing_with_something_after_its_end_is_not_called_cut_off(
    limner: Limner, folder: Path
) -> None:
    assert limner("generate", "a fox", "--seed", "1", "--out", "fox.svg").status == 0
    whole = (folder / "fox.svg").read_bytes()
    (folder / "more.svg").write_bytes(whole + b"<script/>")
    (folder / "less.svg").write_bytes(whole[:-8])
    assert "after its end" in limner("verify", "more.svg").out
    assert "cut off" in limner("verify", "less.svg").out


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00\x00\x00\x08free"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (b"", ("say nothing", "no signed manifest")),
        (b"\x00\x00\x00\x10jumdc2pa....", ("say nothing", "holds a signed manifest")),
    ],
)
def test_of_a_photograph_as_heic_is_said_what_can_be_read(
    limner: Limner, folder: Path, more: bytes, told: tuple[str, str]
) -> None:
    (folder / "photo.heic").write_bytes(HEIC + more)
    ran = limner("verify", "photo.heic")
    assert ran.status == 3
    assert ran.lines[0] == "photo.heic: unreadable"
    for words in ("HEIC", "pixels", "JPEG or PNG", *told):
        assert words in ran.out
    [record] = limner("verify", "photo.heic", "--json").records
    assert (record["integrity"], "HEIC" in record["summary"]) == ("unreadable", True)
    refused = limner("import", "photo.heic")
    assert refused.status == 2
    assert "HEIC" in refused.err


def test_the_metadata_of_an_heic_picture_are_read(limner: Limner, folder: Path) -> None:
    boxes = with_comment("AVIF", "a fox\nSteps: 9, Seed: 1, Size: 8x8")
    (folder / "fox.heic").write_bytes(boxes[:40].replace(b"avif", b"heic") + boxes[40:])
    ran = limner("verify", "fox.heic")
    assert ran.status == 3
    assert "HEIC" in ran.out
    assert "AUTOMATIC1111" in ran.out
    assert "HEIC" not in limner("verify", photo(folder / "dog.avif")).out
