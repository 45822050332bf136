"""What the command says of where pictures come from."""

import shutil
from pathlib import Path

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
