"""The paths of the user's own models are kept, last one first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limner.catalog.catalog import Catalog
from limner.catalog.places import Places
from limner.domain.errors import ModelNotFound, StorageFailed

from .workbench import Brush, make_card, some_bytes, weight


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "models" / "places.json")


def test_the_last_one_comes_first(places: Places, tmp_path: Path) -> None:
    assert places.paths() == ()
    for name in ("a", "b", "a"):
        places.add(tmp_path / name)
    assert places.paths() == (tmp_path / "a", tmp_path / "b")
    assert Places(places.kept).paths() == places.paths()


def test_paths_are_kept_whole(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places.add(Path("sub/../model"))
    assert places.paths() == (tmp_path / "model",)
    assert places.forget(tmp_path / "model")
    assert not places.forget(tmp_path / "model")
    assert places.paths() == ()


@pytest.mark.parametrize("text", ["", "{}", "[1, null]", "[" * 100_000])
def test_a_damaged_record_is_no_record(places: Places, tmp_path: Path, text: str) -> None:
    places.kept.parent.mkdir()
    places.kept.write_text(text)
    assert places.paths() == ()
    places.add(tmp_path / "a")
    assert places.paths()[0] == tmp_path / "a"
    if text != "[1, null]":
        assert places.kept.with_name("places.json.damaged").read_text() == text


def test_two_at_once_lose_no_path(places: Places, tmp_path: Path) -> None:
    def add(which: int) -> None:
        for number in range(20):
            places.add(tmp_path / f"{which}-{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert len(set(places.paths())) == 80


def test_what_cannot_be_kept_is_told_where_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    places = Places(tmp_path / "file" / "places.json")
    places.note(tmp_path / "a")
    with pytest.raises(StorageFailed):
        places.add(tmp_path / "a")


def test_a_model_used_by_its_path_is_known_by_its_name(home: Path, tmp_path: Path) -> None:
    content = some_bytes(1000)
    (tmp_path / "my net.bin").write_bytes(content)
    card = make_card("net", weight("my net.bin", content))
    family = Brush((), {"my net.bin": card})
    catalog = Catalog(home, {"brush": family}, hub=None)
    with pytest.raises(ModelNotFound):
        catalog.find("my-net")
    catalog.find(str(tmp_path / "my net.bin"))
    again = Catalog(home, {"brush": family}, hub=None)
    assert again.find("my-net") == card
    (tmp_path / "my net.bin").unlink()
    with pytest.raises(ModelNotFound):
        again.find("my-net")
