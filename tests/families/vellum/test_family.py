"""Vellum as a family: its card, and folders that hold exports or only look so."""

import json
import shutil
from pathlib import Path

import pytest

from limner.catalog.catalog import Catalog
from limner.domain.card import UNSTATED, Installed, ModelCard
from limner.domain.errors import LimnerError, ModelUnavailable, WeightsRejected
from limner.domain.recipe import Task
from limner.families.checkpoint import sha256_of
from limner.families.family import Placement, discover
from limner.families.vellum import FAMILY, family
from limner.families.vellum.facts import DENOISER, ENCODER, FACTS, LEXICON, TOKENIZER, WEIGHTS


@pytest.fixture
def copy(tmp_path: Path, installed: Installed) -> Path:
    """A folder with a copy of the weights, as somebody's own export would be."""
    folder = tmp_path / "my fox model"
    folder.mkdir()
    for path in (WEIGHTS / FACTS, *installed.files.values()):
        shutil.copyfile(path, folder / path.name)
    return folder


def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "models", {"vellum": FAMILY}, hub=None, offline=True)


def test_it_is_found_by_its_entry_point() -> None:
    assert discover()["vellum"] is FAMILY


def test_its_card_says_what_it_is(card: ModelCard) -> None:
    assert (card.name, card.family, card.status.value) == ("vellum", "vellum", "demo")
    assert card.licence.spdx == "Apache-2.0"
    can = card.capability
    assert [entry.task for entry in can.tasks] == [
        Task.TEXT_TO_IMAGE,
        Task.IMAGE_TO_IMAGE,
        Task.INPAINT,
        Task.OUTPAINT,
    ]
    assert can.alpha
    assert can.negative_prompt
    assert can.sizes.native[0].width >= 64
    assert {file.name for file in card.files} == {DENOISER, ENCODER, TOKENIZER, LEXICON}


def test_the_weights_in_the_package_are_those_of_the_card(tmp_path: Path, card: ModelCard) -> None:
    located = catalog(tmp_path).locate(card)
    assert {path.parent for path in located.files.values()} == {WEIGHTS}


def test_a_folder_with_an_export_is_a_model(tmp_path: Path, copy: Path, card: ModelCard) -> None:
    shelf = catalog(tmp_path)
    found = shelf.find(str(copy))
    assert found.name == "my fox model"
    assert found.weights_digest == card.weights_digest
    assert not any(file.sources for file in found.files)
    loaded = FAMILY.load(shelf.locate(found), Placement(threads=1))
    loaded.close()


@pytest.mark.parametrize("name", [DENOISER, ENCODER, TOKENIZER, LEXICON])
def test_tampered_weights_are_refused(tmp_path: Path, copy: Path, name: str) -> None:
    shelf = catalog(tmp_path)
    found = shelf.find(str(copy))
    with (copy / name).open("r+b") as file:
        file.seek(1_000)
        byte = file.read(1)
        file.seek(1_000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(WeightsRejected, match=name):
        shelf.locate(found)
    with pytest.raises(WeightsRejected, match=name):
        shelf.find(str(copy))


def test_weights_that_are_gone_are_said(tmp_path: Path, copy: Path) -> None:
    (copy / DENOISER).unlink()
    with pytest.raises(ModelUnavailable, match=DENOISER):
        catalog(tmp_path).find(str(copy))


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": 8},
        {"pixels": 100_000},
        {"styles": "flat"},
        {"files": []},
        {"files": [{"name": DENOISER, "sha256": "0" * 64, "bytes": 1}]},
        {"files": [{"name": name, "sha256": "no", "bytes": 1} for name in (DENOISER, ENCODER)]},
        {"files": [{"name": "../../x", "sha256": "0" * 64, "bytes": 1}] * 3},
        {"colour": "red"},
    ],
    ids=str,
)
def test_facts_that_are_none_are_no_model(copy: Path, change: dict[str, object]) -> None:
    facts = json.loads((copy / FACTS).read_text())
    (copy / FACTS).write_text(json.dumps({**facts, **change}))
    assert FAMILY.recognise(copy, sha256_of) is None


def test_what_others_trained_is_theirs_to_license(copy: Path) -> None:
    ours = FAMILY.recognise(copy, sha256_of)
    assert ours is not None
    assert ours.licence == FAMILY.cards()[0].licence
    facts = json.loads((copy / FACTS).read_text())
    files = [{**one, "sha256": "0" * 64} for one in facts["files"]]
    (copy / FACTS).write_text(json.dumps({**facts, "files": files}))
    theirs = FAMILY.recognise(copy, sha256_of)
    assert theirs is not None
    assert theirs.licence.spdx == UNSTATED


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\x00", "[" * 100_000], ids=lambda text: text[:2]
)
def test_texts_that_are_no_facts_are_no_model(copy: Path, text: str) -> None:
    (copy / FACTS).write_text(text)
    assert FAMILY.recognise(copy, sha256_of) is None


def test_other_places_are_no_model(tmp_path: Path) -> None:
    assert FAMILY.recognise(tmp_path, sha256_of) is None
    assert FAMILY.recognise(tmp_path / "none", sha256_of) is None
    assert FAMILY.recognise(WEIGHTS / DENOISER, sha256_of) is None
    (tmp_path / FACTS).mkdir()
    assert FAMILY.recognise(tmp_path, sha256_of) is None


def test_a_folder_of_any_name_gives_a_card_that_can_be_written(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = copy.rename(tmp_path / "fox \udcff")
    card = FAMILY.recognise(odd, sha256_of)
    assert card is not None
    assert card.name == "fox ?"
    monkeypatch.chdir(odd)
    here = FAMILY.recognise(Path(), sha256_of)
    assert here is not None
    assert here.name == "fox ?"


def test_a_network_that_is_none_is_refused(copy: Path, card: ModelCard) -> None:
    (copy / DENOISER).write_bytes(b"not a network")
    files = {name: copy / name for name in (DENOISER, ENCODER, TOKENIZER)}
    with pytest.raises(WeightsRejected, match=DENOISER):
        FAMILY.load(Installed(card, files), Placement(threads=1))


def test_a_package_without_its_facts_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "WEIGHTS", tmp_path)
    family._packaged_card.cache_clear()
    try:
        with pytest.raises(LimnerError, match="Install limner again"):
            FAMILY.cards()
    finally:
        family._packaged_card.cache_clear()
