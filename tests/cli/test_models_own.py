"""The commands on models of one's own: add, list, name, forget."""

import json
from pathlib import Path

import pytest

from limner.app import wiring
from limner.catalog.catalog import Catalog
from limner.catalog.disk import sha256_of
from limner.cli import background
from limner.domain.errors import Cancelled
from tests.catalog.test_trees import pipeline, touch
from tests.families.diffusion.files import save
from tests.families.diffusion.recognition.test_adapters import SD_TO_K, kohya
from tests.provenance.containers import png

from .conftest import Limner

_REAL, _REAL_DESK = wiring.open_models, wiring.open_desk


@pytest.fixture
def limner(limner: Limner, monkeypatch: pytest.MonkeyPatch) -> Limner:
    """The program with the families that come with it."""
    monkeypatch.setattr(wiring, "open_models", _REAL)
    monkeypatch.setattr(wiring, "open_desk", _REAL_DESK)
    return limner


@pytest.fixture
def webui(folder: Path) -> Path:
    root = folder / "webui"
    touch(root / "webui.py")
    pipeline(root / "models" / "Stable-diffusion" / "paint")
    lora = kohya(f"lora_unet_{SD_TO_K}", 320, 768)
    save(root / "models" / "Lora" / "ink.safetensors", lora)
    touch(root / "models" / "Stable-diffusion" / "old.ckpt", b"\x80\x02}q\x00.")
    return root


def test_add_says_what_there_is_and_why_not(limner: Limner, webui: Path) -> None:
    ran = limner("models", "add", webui)
    assert ran.status == 0
    paint, ink, old = (
        next(line for line in ran.lines if line.startswith(name))
        for name in ("paint", "ink", "old")
    )
    assert "pipeline" in paint
    assert "sd1 base" in paint
    assert "107.1 MB" in paint
    assert "adapter" in ink
    assert "run any program" in old
    assert ran.out.index("ink") < ran.out.index("not usable by itself") < ran.out.index("\nold")


def test_add_as_json(limner: Limner, webui: Path) -> None:
    records = {one["name"]: one for one in limner("models", "add", webui, "--json").records}
    assert {name: one["state"] for name, one in records.items()} == {
        "paint": "yours",
        "ink": "yours",
        "old": "not usable",
    }
    assert records["ink"] == {
        "name": "ink",
        "path": str(webui / "models" / "Lora" / "ink.safetensors"),
        "kind": "adapter",
        "family": "sd1",
        "variant": "",
        "state": "yours",
        "bytes": records["ink"]["bytes"],
        "licence": "NOASSERTION",
        "commercial": False,
        "reason": records["ink"]["reason"],
    }


def test_list_and_show_know_them(limner: Limner, webui: Path) -> None:
    limner("models", "add", webui)
    ran = limner("models", "list")
    assert ran.status == 0
    vellum, paint = (
        next(number for number, line in enumerate(ran.lines) if line.startswith(name))
        for name in ("vellum", "paint")
    )
    assert vellum < paint
    assert "yours" in ran.lines[paint]
    assert "not stated" in next(line for line in ran.lines if line.startswith("ink"))
    assert "pipeline: sd1 base" in ran.lines[paint]
    assert not any(line.startswith("old") for line in ran.lines)
    own = [one for one in limner("models", "list", "--json").records if one["state"] == "yours"]
    assert [one["name"] for one in own] == ["ink", "paint"]
    assert "text_to_image" in limner("models", "show", "paint").out


def test_files_can_be_read_beforehand(
    limner: Limner, webui: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.catalog.digests.SMALL", 1_000_000)
    limner("models", "add", webui)
    kept = home / "models" / "digests.json"
    assert not kept.exists()
    assert limner("models", "add", webui, "--hash", "-q").status == 0
    assert {Path(path).parent.name for path in json.loads(kept.read_text())} == {
        "unet",
        "vae",
        "text_encoder",
    }


def test_reading_beforehand_can_be_stopped(
    limner: Limner, webui: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Cancelled("Stopped.")

    monkeypatch.setattr(Catalog, "identify", stop)
    ran = limner("models", "add", webui, "--hash")
    assert ran.status == 130
    assert ran.err == "Stopped. Files that were not read are read when used.\n"
    assert limner("models", "show", "paint").status == 0


def test_forget(limner: Limner, webui: Path) -> None:
    limner("models", "add", webui)
    ran = limner("models", "forget", webui)
    assert (ran.status, ran.out) == (0, f"{webui} is forgotten; nothing in it was touched.\n")
    assert limner("models", "show", "paint").status == 3
    ran = limner("models", "forget", webui, "--json")
    assert (ran.status, ran.error["code"]) == (3, "model_not_found")


def test_what_lies_in_a_place_is_forgotten_with_it_alone(limner: Limner, webui: Path) -> None:
    limner("models", "add", webui)
    for inner in ("paint", webui / "models"):
        ran = limner("models", "forget", inner)
        assert ran.status == 2
        assert f"forget {webui}` forgets all" in ran.err
    alone = webui.parent / "more" / "alone"
    pipeline(alone)
    limner("models", "add", alone)
    assert limner("models", "forget", "alone").status == 0
    assert limner("models", "show", "alone").status == 3


def large(folder: Path) -> Path:
    """An adapter of 87 MB, of a rank that nobody needs."""
    shapes = kohya(f"lora_unet_{SD_TO_K}", 320, 768)
    wide = {
        name: tuple(40_000 if side <= 64 else side for side in shape)
        for name, shape in shapes.items()
    }
    return save(folder / "large.safetensors", wide)


def test_large_files_are_read_in_the_background_unless_it_is_said_otherwise(
    limner: Limner, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[Path, list[str]]] = []

    def go_on(where: Path, arguments: list[str]) -> object:
        begun.append((where, arguments))
        return object()

    monkeypatch.setattr(background, "go_on", go_on)
    path = large(folder)
    ran = limner("models", "add", path.name)
    assert "in the background" in ran.err
    assert begun == [(home, ["models", "hash", str(path)])]
    for said in ("--hash", "--no-hash"):
        assert "in the background" not in limner("models", "add", path, said).err
    small = save(folder / "small.safetensors", kohya(f"lora_unet_{SD_TO_K}", 320, 768))
    assert "in the background" not in limner("models", "add", small).err
    assert len(begun) == 1


def test_what_goes_on_in_the_background_is_known_later(folder: Path, home: Path) -> None:
    path = large(folder)
    for asked in (["models", "add", "--no-hash"], ["models", "hash"]):
        process = background.go_on(home, [*asked, str(path)])
        assert process is not None
        assert process.wait(timeout=120) == 0
    kept = home / "models" / "digests.json"
    assert json.loads(kept.read_text())[str(path)][3] == sha256_of(path)


def test_only_what_lies_in_a_place_is_read(limner: Limner, folder: Path, home: Path) -> None:
    path = large(folder)
    ran = limner("models", "hash", path)
    assert ran.status == 3
    assert f"`limner models add {path}` makes it one" in ran.err
    limner("models", "add", folder, "--no-hash")
    for asked in (path, folder):
        assert "1 is read" in limner("models", "hash", asked).out
    assert str(path) in json.loads((home / "models" / "digests.json").read_text())
    limner("models", "forget", folder)
    assert limner("models", "hash", path).status == 3
    assert limner("models", "list", "--json").out.count(str(path)) == 0


def test_what_cannot_be_used_is_still_known_with_the_reason(limner: Limner, webui: Path) -> None:
    limner("models", "add", webui)
    for asked in (("models", "show", "old"), ("generate", "a fox", "--model", "old")):
        ran = limner(*asked)
        assert ran.status == 6
        assert "old.ckpt is not usable by itself" in ran.err
        assert "run any program" in ran.err


def test_folders_of_a_list_that_are_not_here_are_told(limner: Limner, webui: Path) -> None:
    paths = webui.parent / "extra_model_paths.yaml"
    paths.write_text(
        f"a111:\n  base_path: {webui}\n  checkpoints: models/Stable-diffusion\n"
        "  loras: models/Gone # once\n"
    )
    ran = limner("models", "add", paths)
    assert ran.status == 0
    assert f"{webui / 'models' / 'Gone'} is in the list, and not here." in ran.err
    assert "Stable-diffusion is in" not in ran.err


def test_a_licence_is_what_was_stated_and_nothing_else(limner: Limner, webui: Path) -> None:
    """A model of one's own is under no licence until its files or its owner name one."""
    limner("models", "add", webui)

    def terms(name: str = "paint") -> tuple[object, object]:
        [listed] = [
            one for one in limner("models", "list", "--json").records if one["name"] == name
        ]
        [shown] = limner("models", "show", name, "--json").records
        assert (listed["licence"], listed["commercial"]) == (shown["licence"], shown["commercial"])
        return shown["licence"], shown["commercial"]

    assert terms() == ("NOASSERTION", False)
    assert "not stated" in limner("models", "list").out
    assert limner("models", "licence", "paint").status == 2
    ran = limner("models", "licence", "paint", "My own terms")
    assert ran.status == 2
    assert "--no-commercial" in ran.err
    assert limner("models", "licence", "paint", "My own terms", "--commercial").status == 0
    assert terms() == ("LicenseRef-My-own-terms", True)
    ran = limner("models", "licence", "paint", "apache-2.0")
    assert ran.lines == ["paint: Apache-2.0, commercial use yes"]
    assert terms() == ("Apache-2.0", True)
    assert "As stated by the owner" in limner("models", "show", "paint").out
    weights = next((webui / "models" / "Stable-diffusion" / "paint").rglob("*.safetensors"))
    with weights.open("r+b") as file:  # other weights under the same name
        file.seek(-1, 2)
        file.write(b"\x01")
    assert limner("models", "show", "paint", "--json").records[0]["licence"] == "NOASSERTION"
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x00")
    assert limner("models", "licence", "paint", "--withdraw").status == 0
    assert terms() == ("NOASSERTION", False)
    assert limner("models", "licence", "vellum", "mit").status == 2
    assert limner("models", "licence", "paint", "mit", "--withdraw").status == 2
    written = limner("workspace", "events", "--json").records
    assert [line["kind"] for line in written] == ["licence_stated"] * 3
    assert ["Apache-2.0" in str(line["detail"]) for line in written] == [False, True, False]


def test_what_is_not_limners_is_never_removed(limner: Limner, webui: Path) -> None:
    limner("models", "add", webui)
    ran = limner("models", "remove", "paint", "--json")
    assert (ran.status, ran.error["code"]) == (2, "invalid_request")
    assert str(webui) in ran.error["message"]
    assert limner("models", "verify", "paint").status == 0


@pytest.mark.parametrize("name", ["none", "empty"])
def test_what_is_not_there(limner: Limner, folder: Path, name: str) -> None:
    (folder / "empty").mkdir()
    ran = limner("models", "add", folder / name, "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (3, "", "model_not_found")


def test_a_pickle_is_refused(limner: Limner, webui: Path) -> None:
    path = webui / "models" / "Stable-diffusion" / "old.ckpt"
    ran = limner("models", "add", path, "--json")
    assert (ran.status, ran.error["code"]) == (6, "weights_rejected")


SETTINGS = (
    "a fox, <lora:ink:0.5:0.8>, <lora:oil:0.4>\n"
    "Steps: 12, Sampler: DPM++ 2M Karras, CFG scale: 4, Seed: 99, Size: 64x64, Model: paint"
)


def test_an_import_takes_over_the_adapters_that_are_here(
    limner: Limner, webui: Path, folder: Path
) -> None:
    limner("models", "add", webui)
    picture = folder / "fox.png"
    picture.write_bytes(png(parameters=SETTINGS))
    [record] = limner("import", picture, "--json").records
    assert record["drawn_by"] == "paint"
    assert record["draft"]["adapters"] == ["ink:0.8:0.5"]
    assert (record["draft"]["sampler"], record["draft"]["schedule"]) == ("dpmpp_2m", "karras")
    [told] = [one for one in record["unmapped"] if one["name"] == "adapter"]
    assert told["value"] == "oil, weight 0.4"
    assert "limner models add" in told["reason"]
    assert "ink:0.8:0.5" in limner("import", picture).out


@pytest.mark.parametrize(
    "name", ["ink.safetensors", "styles\\Ink.safetensors", "styles/ink.safetensors"]
)
def test_adapters_are_known_as_other_tools_name_them(
    limner: Limner, webui: Path, folder: Path, name: str
) -> None:
    limner("models", "add", webui)
    metadata = {
        "positive_prompt": "a fox",
        "seed": 1,
        "loras": [{"model": {"name": name}, "weight": 0.75}],
    }
    picture = folder / "fox.png"
    picture.write_bytes(png(invokeai_metadata=json.dumps(metadata)))
    [record] = limner("import", picture, "--model", "paint", "--json").records
    assert record["draft"]["adapters"] == ["ink:0.75"]
    assert "adapter" not in {one["name"] for one in record["unmapped"]}


def test_a_picture_names_no_paths_on_this_machine(
    limner: Limner, webui: Path, folder: Path
) -> None:
    limner("models", "add", webui / "models" / "Stable-diffusion" / "paint")
    ink = webui / "models" / "Lora" / "ink.safetensors"
    metadata = {"positive_prompt": "a fox", "seed": 1, "loras": [{"model": {"name": str(ink)}}]}
    picture = folder / "fox.png"
    picture.write_bytes(png(invokeai_metadata=json.dumps(metadata)))
    [record] = limner("import", picture, "--json").records
    assert "adapters" not in record["draft"]
    assert "adapter" in {one["name"] for one in record["unmapped"]}
