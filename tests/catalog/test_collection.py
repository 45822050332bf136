"""What lies in the user's places: found, named, told why not usable, and found again later."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from limner.catalog.catalog import Catalog
from limner.catalog.collection import Found
from limner.domain.errors import InvalidOption, InvalidRequest, ModelNotFound, WeightsRejected
from limner.families.diffusion.recognition.finding import Finding
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.family import discover
from tests.catalog.test_trees import pipeline, touch
from tests.families.diffusion import published as pub
from tests.families.diffusion.files import save
from tests.families.diffusion.recognition.test_adapters import SD_TO_K, kohya

LORA = kohya(f"lora_unet_{SD_TO_K}", 320, 768)


@pytest.fixture
def catalog(home: Path) -> Catalog:
    return Catalog(home, discover(), hub=None)


@pytest.fixture
def comfy(tmp_path: Path) -> Path:
    """The folder of another program, with models of every sort."""
    root = tmp_path / "ComfyUI"
    touch(root / "folder_paths.py")
    pipeline(root / "models" / "diffusers" / "paint")
    save(root / "models" / "loras" / "Fox.safetensors", LORA, {"modelspec.license": "mit"})
    save(root / "models" / "vae" / "sharp.safetensors", pub.vae_diffusers())
    touch(root / "models" / "checkpoints" / "old.ckpt", b"\x80\x02}q\x00.")
    return root


def named(found: tuple[Found, ...]) -> dict[str, tuple[str, str, bool]]:
    return {one.name: (one.kind, one.family, one.usable) for one in found}


def test_a_program_is_added_whole_and_each_thing_said(catalog: Catalog, comfy: Path) -> None:
    found = catalog.collection.add(comfy)
    assert named(found) == {
        "paint": ("pipeline", "sd1", True),
        "Fox": ("adapter", "sd1", True),
        "sharp": ("autoencoder", "", False),
        "old": ("refused", "", False),
    }
    told = {one.name: one for one in found}
    assert told["paint"].bytes > 100_000_000
    assert told["paint"].variant == "base"
    assert (told["Fox"].licence, told["Fox"].commercial) == ("MIT", True)
    assert "pickled" in told["old"].reason
    assert catalog.places.paths() == (comfy,)


def test_what_was_added_is_known_by_its_name(catalog: Catalog, home: Path, comfy: Path) -> None:
    catalog.collection.add(comfy)
    later = Catalog(home, discover(), hub=None)
    card = later.find("paint")
    assert (card.family, card.weights_digest) == ("sd1", later.find("Paint").weights_digest)
    assert later.locate(card).files["model_index.json"].is_relative_to(comfy)
    assert later.find("Fox").capability.adapts == "sd1"
    with pytest.raises(WeightsRejected, match=r"sharp\.safetensors is not usable by itself"):
        later.find("sharp")
    with pytest.raises(ModelNotFound, match="“blunt”"):
        later.find("blunt")


def test_names_need_no_scan_while_nothing_changed(
    catalog: Catalog, home: Path, comfy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalog.collection.add(comfy)
    later = Catalog(home, discover(), hub=None).collection
    monkeypatch.setattr("limner.catalog.collection.scan", lambda _: pytest.fail("scanned"))
    assert sorted(one.name for one in later.all()) == sorted(one.name for one in before)
    assert len(later.named("paint")) == 1


def test_a_new_file_is_found_without_being_added(catalog: Catalog, comfy: Path) -> None:
    catalog.collection.add(comfy)
    deep = comfy / "models" / "loras" / "style"
    save(deep / "ink.safetensors", LORA)
    assert catalog.find("ink").capability.adapts == "sd1"
    save(deep / "wash.safetensors", LORA)
    os.utime(deep, ns=(1, 1))  # two changes within one tick of the clock
    assert "wash" in named(catalog.collection.all())
    (deep / "ink.safetensors").unlink()
    assert "ink" not in named(catalog.collection.all())


def test_what_did_not_change_is_not_read_again(
    catalog: Catalog, comfy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.collection.add(comfy)
    fox = comfy / "models" / "loras" / "Fox.safetensors"
    read: list[str] = []

    def reading(path: Path) -> Finding:
        read.append(path.name)
        return recognise_file(path)

    monkeypatch.setattr("limner.catalog.trees.recognise_file", reading)
    save(fox.with_name("new.safetensors"), LORA)
    os.utime(fox.parent, ns=(1, 1))
    assert {"Fox", "new"} <= set(named(catalog.collection.all()))
    assert "new.safetensors" in read
    assert "Fox.safetensors" not in read
    save(fox, pub.vae_diffusers())
    os.utime(fox.parent, ns=(2, 2))
    assert named(catalog.collection.all())["Fox"] == ("autoencoder", "", False)


def test_a_list_of_folders_can_be_added(catalog: Catalog, comfy: Path, tmp_path: Path) -> None:
    listed = touch(
        tmp_path / "extra_model_paths.yaml",
        f"theirs:\n  base_path: {comfy}\n  loras: models/loras\n".encode(),
    )
    assert named(catalog.collection.add(listed)) == {"Fox": ("adapter", "sd1", True)}
    save(comfy / "models" / "loras" / "new.safetensors", LORA)
    assert set(named(catalog.collection.all())) == {"Fox", "new"}
    broken = touch(tmp_path / "broken.yaml", b"[")
    with pytest.raises(InvalidRequest, match="no YAML"):
        catalog.collection.add(broken)
    touch(listed, b"[")
    assert set(named(catalog.collection.all())) == {"Fox", "new"}


def test_a_name_that_two_have_is_an_error_with_both_paths(catalog: Catalog, tmp_path: Path) -> None:
    paths = [save(tmp_path / folder / "ink.safetensors", LORA, {"from": folder}) for folder in "ab"]
    for path in paths:
        catalog.collection.add(path.parent)
    with pytest.raises(InvalidOption, match="2 models are called ink") as caught:
        catalog.find("ink")
    assert all(str(path) in str(caught.value) for path in paths)
    wanted = catalog.find(str(paths[1]))
    assert catalog.find("ink", wanted.weights_digest) == wanted
    assert catalog.places.paths() == (tmp_path / "b", tmp_path / "a")


def test_a_folder_of_pictures_does_not_hide_a_model(
    catalog: Catalog, comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.collection.add(comfy)
    (tmp_path / "work" / "paint").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert catalog.find("paint").family == "sd1"


def test_forgotten_is_unknown(catalog: Catalog, comfy: Path) -> None:
    catalog.collection.add(comfy)
    assert catalog.collection.forget(comfy)
    assert not catalog.collection.forget(comfy)
    assert catalog.collection.all() == ()
    with pytest.raises(ModelNotFound):
        catalog.find("paint")


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda folder: folder / "none", ModelNotFound, "no file or folder"),
        (lambda folder: folder, ModelNotFound, "holds no model"),
        (lambda folder: touch(folder / "a.ckpt", b"\x80\x02"), WeightsRejected, "pickled"),
        (lambda folder: touch(folder / "a.safetensors", b"\x10"), WeightsRejected, "no model"),
        (lambda folder: touch(folder / "notes.txt", b"fox"), ModelNotFound, "holds no model"),
    ],
    ids=["absent", "empty", "pickled", "cut short", "something else"],
)
def test_what_is_no_model_is_not_kept(
    catalog: Catalog,
    tmp_path: Path,
    make: Callable[[Path], Path],
    kind: type[Exception],
    words: str,
) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(kind, match=words):
        catalog.collection.add(make(tmp_path / "here"))
    assert catalog.places.paths() == ()


def test_a_place_on_a_disk_that_is_away_comes_back(catalog: Catalog, comfy: Path) -> None:
    catalog.collection.add(comfy)
    away = comfy.rename(comfy.with_name("away"))
    assert catalog.collection.all() == ()
    with pytest.raises(ModelNotFound):
        catalog.find("paint")
    away.rename(comfy)
    assert catalog.find("paint").family == "sd1"


@pytest.mark.parametrize(
    "text", ["", "[]", '{"limner": 1}', "[" * 100_000, '{"limner": "0", "places": {"/": {}}}']
)
def test_a_damaged_list_is_made_anew(catalog: Catalog, home: Path, comfy: Path, text: str) -> None:
    catalog.collection.add(comfy)
    (home / "found.json").write_text(text)
    assert catalog.find("paint").family == "sd1"
    assert json.loads((home / "found.json").read_text())["places"]


def test_a_snapshot_of_a_hub_cache_is_called_as_its_repository(
    catalog: Catalog, tmp_path: Path
) -> None:
    snapshot = tmp_path / "hub" / "models--someone--Paint-2" / "snapshots" / ("ab" * 20)
    pipeline(snapshot)
    catalog.collection.add(tmp_path / "hub")
    assert catalog.find("Paint-2").name == "Paint-2"


def test_own_cards_say_what_models_can_do(catalog: Catalog, comfy: Path) -> None:
    catalog.collection.add(comfy)
    cards = {card.name: card for card in catalog.own()}
    assert set(cards) == {"paint", "Fox"}
    assert cards["Fox"].capability.adapts == "sd1"


def test_a_reason_is_told_once(catalog: Catalog, tmp_path: Path) -> None:
    unet = pub.under("model.diffusion_model.", pub.sd_unet())
    decoder = pub.under("first_stage_model.", pub.vae())
    save(tmp_path / "half.safetensors", {**unet, **decoder})
    [half] = catalog.collection.add(tmp_path / "half.safetensors")
    assert not half.usable
    assert "are not in it" in half.reason or "is not in it" in half.reason
    assert half.reason.count("with its autoencoder") <= 1
    words = recognise_file(tmp_path / "half.safetensors").reason.rstrip(".")
    assert half.reason.count(words) == 1
