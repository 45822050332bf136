"""Repositories of a model hub: pinned, pulled, told apart, and what a hub may do to us."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from limner.app.models import Models
from limner.catalog import digests, hub
from limner.catalog.catalog import Catalog
from limner.catalog.shelf import Presence
from limner.domain.card import ModelCard
from limner.domain.errors import (
    Cancelled,
    InvalidOption,
    ModelNotFound,
    ModelUnavailable,
    PullFailed,
    WeightsRejected,
)
from limner.domain.recipe import Task
from limner.families.family import discover
from tests.catalog.test_trees import pipeline, touch
from tests.families.diffusion import published as pub
from tests.families.diffusion.files import save
from tests.families.diffusion.recognition.test_adapters import SD_TO_K, kohya

from .workbench import COMMIT, Listener, Site, announce, publish_repository, serving

LORA = kohya(f"lora_unet_{SD_TO_K}", 320, 768)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def small_pipeline(folder: Path) -> dict[str, bytes]:
    """Return a diffusers repository: U-Net, autoencoder, and what nobody needs beside them."""
    save(folder / "unet" / "diffusion_pytorch_model.safetensors", _few(pub.sd_unet_diffusers()))
    touch(folder / "unet" / "config.json", b'{"sample_size": 64}')
    touch(folder / "unet" / "diffusion_pytorch_model.bin", b"\x80\x02")
    save(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors", {"a": (2,)})
    touch(folder / "unet" / "model.onnx", b"onnx")
    touch(folder / "scheduler" / "scheduler_config.json", b"{}")
    touch(folder / "safety_checker" / "model.safetensors", b"no")
    touch(folder / "README.md", b"words")
    save(folder / "whole.safetensors", {"a": (2,)})
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": [None, None],
        "../evil": ["diffusers", "UNet2DConditionModel"],
    }
    touch(folder / "model_index.json", json.dumps(index).encode())
    return contents(folder)


def _few(shapes: Any) -> dict[str, tuple[int, ...]]:
    """The tensors that tell what a model is, with hardly any numbers in the others."""
    return {name: shape for name, shape in shapes.items() if _count(shape) <= 2_000_000}


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(hub, "_pause", lambda fruitless, token: None)


def models_at(home: Path, site: Site, token: str | None = None, offline: bool = False) -> Models:
    return Models(Catalog(home, discover(), hub=site.address, token=token, offline=offline))


@pytest.fixture
def models(home: Path, site: Site) -> Models:
    return models_at(home, site)


def pull(models: Models, name: str, listener: Listener, variant: str | None = None) -> ModelCard:
    card = models.request(name, variant, listener, listener.token)
    models.catalog.pull(card, listener, listener.token)
    return models.catalog.find(card.name)


def paths_of(site: Site) -> list[str]:
    return [path for path, _ in site.requests]


NEEDED = {
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
}


def test_a_diffusers_repository_brings_what_it_needs_and_no_more(
    models: Models, site: Site, home: Path, tmp_path: Path, listener: Listener
) -> None:
    files = small_pipeline(tmp_path / "there")
    publish_repository(site, "someone/Paint", files)
    card = pull(models, "someone/Paint", listener)
    assert set(contents(home / "Paint")) == NEEDED
    assert (card.name, card.family) == ("Paint", "sd1")
    assert card.capability.supports(Task.TEXT_TO_IMAGE)
    assert models.choose("Paint", Task.TEXT_TO_IMAGE) == card
    assert models.catalog.status(card) is Presence.HERE
    assert all(one.state == "good" for one in models.catalog.verify(card))
    [source] = card.files[0].sources
    assert source.model_dump() == {
        "kind": "hub",
        "repository": "someone/Paint",
        "revision": COMMIT,
        "path": card.files[0].name,
    }
    assert models.choose("someone/paint", Task.TEXT_TO_IMAGE) == card
    with pytest.raises(ModelNotFound, match="limner models pull OWNER/NAME"):
        models.choose("someone/other", Task.TEXT_TO_IMAGE)
    assert f"commit {COMMIT[:12]}: 4 files" in listener.notices["pinned"]
    by_path = models.catalog.find(str(home / "Paint"))
    assert by_path.weights_digest == card.weights_digest
    assert models.catalog.places.paths() == ()
    with pytest.raises(InvalidOption, match="--variant is for a repository"):
        models.request("Paint", "fp16", listener, listener.token)


def test_descriptions_are_pulled_without_weights_and_stand_beside_the_whole(
    models: Models, site: Site, home: Path, tmp_path: Path, listener: Listener
) -> None:
    files = small_pipeline(tmp_path / "there")
    index = {"weight_map": {"conv_in.weight": "diffusion_pytorch_model-00001-of-00001.safetensors"}}
    files["unet/diffusion_pytorch_model.safetensors.index.json"] = json.dumps(index).encode()
    publish_repository(site, "someone/Paint", files)
    card = models.request("someone/Paint", None, listener, listener.token, descriptions=True)
    models.catalog.pull(card, listener, listener.token)
    described = {name for name in NEEDED if name.endswith(".json")}
    assert set(contents(home / "Paint-descriptions")) == described
    assert card.title == "Descriptions of someone/Paint"
    assert models.catalog.find("Paint-descriptions").family == ""
    again = models.request("someone/Paint", None, listener, listener.token, descriptions=True)
    assert again == card
    with pytest.raises(WeightsRejected, match="“unet” of Paint-descriptions has no weights here"):
        models.catalog.recognise(card)
    assert home / "Paint-descriptions" in models.catalog.lenders()
    whole = pull(models, "someone/Paint", listener)
    assert set(contents(home / "Paint")) == {*NEEDED, *index_of(files)}
    assert whole.name == "Paint"
    assert models.catalog.find("someone/Paint").name == "Paint"


def index_of(files: dict[str, bytes]) -> list[str]:
    return [name for name in files if name.endswith(".index.json")]


@pytest.mark.parametrize(
    ("name", "variant"),
    [("someone/Paint", "fp16"), ("someone/Paint:whole.safetensors", None), ("someone/one", None)],
)
def test_descriptions_are_those_of_a_whole_folder(
    name: str, variant: str | None, models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    publish_repository(site, "someone/one", {"x.safetensors": b"x"})
    with pytest.raises(InvalidOption, match="whole diffusers folders"):
        models.request(name, variant, listener, listener.token, descriptions=True)


def test_a_pin_is_enough_without_the_hubs_word(
    models: Models, site: Site, home: Path, tmp_path: Path, listener: Listener
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    card = pull(models, "someone/Paint", listener)
    (home / "Paint" / "unet" / "config.json").unlink()
    site.requests.clear()
    later = models_at(home, site)
    with pytest.raises(ModelUnavailable, match="limner models pull Paint"):
        later.choose("paint", Task.TEXT_TO_IMAGE)
    assert pull(later, "Paint", listener) == card
    assert paths_of(site) == [f"/someone/Paint/resolve/{COMMIT}/unet/config.json"]
    assert pull(later, "SOMEONE/paint", listener) == card
    assert len(site.requests) == 1
    later.catalog.remove(card)
    assert not (home / "Paint").exists()
    with pytest.raises(ModelNotFound):
        later.catalog.find("Paint")


def test_a_variant_is_taken_where_it_is_asked_for(
    models: Models, site: Site, home: Path, tmp_path: Path, listener: Listener
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    with pytest.raises(InvalidOption, match="no variant bf16 in this repository; there is fp16"):
        models.request("someone/Paint", "bf16", listener, listener.token)
    card = models.request("someone/Paint", "fp16", listener, listener.token)
    assert {one.name for one in card.files if "unet/d" in one.name} == {
        "unet/diffusion_pytorch_model.fp16.safetensors"
    }
    with pytest.raises(InvalidOption, match="limner models remove Paint"):
        models.request("someone/Paint", "fp32", listener, listener.token)


def test_only_a_variant_is_taken_as_it_is_and_shards_whole(
    models: Models, site: Site, listener: Listener
) -> None:
    shards = [f"unet/diffusion_pytorch_model.fp16-0000{one}-of-00002.safetensors" for one in (1, 2)]
    listed = "unet/diffusion_pytorch_model.safetensors.index.fp16.json"
    index = {"_class_name": "X", "unet": ["diffusers", "UNet2DConditionModel"]}
    files = {"model_index.json": json.dumps(index).encode(), listed: b"{}"}
    publish_repository(site, "someone/Big", {**files, **dict.fromkeys(shards, b"w" * 2000)})
    card = models.request("someone/Big", None, listener, listener.token)
    assert [one.name for one in card.files] == ["model_index.json", *shards, listed]


@pytest.mark.parametrize(
    ("weights", "words"),
    [({"unet/x.bin": b"\x80\x02"}, "only pickled weights"), ({}, "unet has no weights")],
    ids=["pickled", "none"],
)
def test_a_part_without_weights_is_told_before_anything_large_is_pulled(
    models: Models, site: Site, listener: Listener, weights: dict[str, bytes], words: str
) -> None:
    index = b'{"_class_name": "X", "unet": ["diffusers", "UNet2DConditionModel"]}'
    publish_repository(site, "someone/Bad", {"model_index.json": index, **weights})
    with pytest.raises(WeightsRejected, match=words):
        models.request("someone/Bad", None, listener, listener.token)


def test_one_file_of_a_repository(
    models: Models, site: Site, home: Path, tmp_path: Path, listener: Listener
) -> None:
    ink = save(tmp_path / "ink.safetensors", LORA).read_bytes()
    files = {"styles/ink.safetensors": ink, "wash.safetensors": ink + b"", "old.ckpt": b"\x80\x02"}
    publish_repository(site, "someone/styles", files, cardData={"license": "mit"})
    with pytest.raises(InvalidOption, match=r"has: styles/ink.safetensors, wash.safetensors"):
        models.request("someone/styles", None, listener, listener.token)
    with pytest.raises(WeightsRejected, match="pickled"):
        models.request("someone/styles:old.ckpt", None, listener, listener.token)
    with pytest.raises(InvalidOption, match=r"has no file gone\.safetensors"):
        models.request("someone/styles:gone.safetensors", None, listener, listener.token)
    card = pull(models, "someone/styles:styles/ink.safetensors", listener)
    assert (card.name, card.capability.adapts, card.licence.spdx) == ("ink", "sd1", "MIT")
    assert card.licence.commercial
    assert (home / "ink" / "styles" / "ink.safetensors").is_file()
    located = models_at(home, site).catalog
    assert list(located.locate(located.find("ink")).files.values()) == [
        home / "ink" / "styles" / "ink.safetensors"
    ]
    located.remove(located.find("ink"))
    assert not (home / "ink").exists()


def test_a_published_model_goes_by_its_own_name(
    home: Path, site: Site, tmp_path: Path, listener: Listener
) -> None:
    files = small_pipeline(tmp_path / "there")
    models = models_at(home, site, token="secret")
    publish_repository(site, "black-forest-labs/FLUX.1-Krea-dev", files, gated="auto")
    with pytest.raises(ModelUnavailable, match=r"`limner models pull flux.1-krea-dev` gets it"):
        models.choose("flux.1-krea-dev", Task.TEXT_TO_IMAGE)
    card = models.request("flux.1-krea-dev", None, listener, listener.token)
    assert card.name == "FLUX.1-Krea-dev"
    assert not card.licence.commercial
    assert "FLUX" in card.licence.spdx
    models.catalog.pull(card, listener, listener.token)
    assert "commercial use is not allowed" in listener.notices["licence"]


def test_a_gated_repository_says_how_to_get_in(
    home: Path, site: Site, tmp_path: Path, listener: Listener
) -> None:
    files = small_pipeline(tmp_path / "there")
    publish_repository(site, "someone/Paint", files, gated="manual")
    site.gates["/someone/Paint/"] = "right"
    with pytest.raises(PullFailed) as caught:
        pull(models_at(home, site), "someone/Paint", listener)
    for words in (f"{site.address}/someone/Paint", "LIMNER_HUB_TOKEN or HF_TOKEN", "accept"):
        assert words in caught.value.message
    assert "no licence is stated, commercial use is not allowed" in listener.notices["gated"]
    with pytest.raises(PullFailed, match="does not open it") as caught:
        pull(models_at(home, site, token="wrong"), "someone/Paint", listener)
    assert "wrong" not in caught.value.message
    assert pull(models_at(home, site, token="right"), "someone/Paint", listener).family == "sd1"


def test_no_other_host_sees_the_token(
    home: Path, site: Site, tmp_path: Path, listener: Listener
) -> None:
    files = small_pipeline(tmp_path / "there")
    publish_repository(site, "someone/Paint", files)
    weights = "unet/diffusion_pytorch_model.safetensors"
    there = f"/someone/Paint/resolve/{COMMIT}/{weights}"
    with serving() as other:
        other.contents["/blob"] = site.contents.pop(there)
        site.redirects[there] = "/moved"
        site.redirects["/moved"] = f"{other.address}/blob"
        assert pull(models_at(home, site, token="secret"), "someone/Paint", listener).family
        assert other.authorisations == [None]
    assert set(site.authorisations) == {"Bearer secret"}
    assert "/moved" in paths_of(site)


def test_a_token_stays_out_of_what_is_written(home: Path, site: Site) -> None:
    catalog = Catalog(home, {}, hub=site.address, token="secret")
    assert "secret" not in repr(catalog._ways)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("someone/none", "RepoNotFound", "no such repository, or it is private"),
        ("someone/none@v9", "RevisionNotFound", "does not have someone/none at v9"),
    ],
)
def test_what_the_hub_does_not_have(
    models: Models, site: Site, listener: Listener, name: str, code: str, words: str
) -> None:
    repository, _, revision = name.partition("@")
    site.absences[f"/api/models/{repository}/revision/{revision or 'main'}?blobs=true"] = code
    with pytest.raises(ModelNotFound, match=words):
        models.request(name, None, listener, listener.token)
    assert models.catalog.cards() == Catalog(Path("none"), discover(), hub=None).cards()


def test_another_revision_needs_the_first_removed(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    card = pull(models, f"someone/Paint@{COMMIT}", listener)
    assert pull(models, f"someone/Paint@{COMMIT[:7]}", listener) == card
    with pytest.raises(InvalidOption, match="limner models remove Paint"):
        models.request("someone/Paint@other", None, listener, listener.token)


def test_two_repositories_of_one_name(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    files = small_pipeline(tmp_path / "there")
    for owner in ("a", "b"):
        publish_repository(site, f"{owner}/vellum", files)
    names = [pull(models, f"{owner}/vellum", listener).name for owner in ("a", "b")]
    assert names == ["a-vellum", "b-vellum"]


def test_two_of_one_name_at_once_stay_apart(
    home: Path, site: Site, tmp_path: Path, listener: Listener
) -> None:
    repositories = [f"{owner}/Paint" for owner in ("one", "two", "three", "four")]
    for number, name in enumerate(repositories):
        files = small_pipeline(tmp_path / str(number))
        publish_repository(site, name, {**files, "unet/config.json": f"{number} ".encode() * 100})

    def request(name: str) -> ModelCard:
        return models_at(home, site).request(name, None, listener, listener.token)

    with ThreadPoolExecutor(4) as pool:
        cards = list(pool.map(request, repositories))
    assert len({card.name for card in cards}) == 4
    known = {card.name: card for card in models_at(home, site).catalog.cards()}
    for card in cards:
        assert known[card.name].files == card.files


def test_what_has_just_been_pulled_is_not_read_again(
    home: Path, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SMALL", 1000)
    publish_repository(site, "someone/styles", {"ink.safetensors": b"w" * 5000})
    models = models_at(home, site)
    card = models.request("someone/styles:ink.safetensors", None, listener, listener.token)
    models.catalog.pull(card, listener, listener.token)
    read: list[Path] = []
    monkeypatch.setattr(digests, "sha256_of", read.append)
    models.catalog.locate(card)
    assert read == []


def test_a_large_file_with_other_bytes_is_refused(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    path = f"/someone/Paint/resolve/{COMMIT}/unet/diffusion_pytorch_model.safetensors"
    site.contents[path] = site.contents[path][:-1] + b"!"
    with pytest.raises(PullFailed, match="are not the"):
        pull(models, "someone/Paint", listener)
    with pytest.raises(ModelUnavailable, match="not here whole"):
        models.choose("Paint", Task.TEXT_TO_IMAGE)


@pytest.mark.parametrize("content", [b'{"sample_size": 65}', b"{}", b"x" * 5000, b""])
def test_a_small_file_with_other_bytes_is_refused(
    models: Models, site: Site, tmp_path: Path, listener: Listener, content: bytes
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    site.contents[f"/someone/Paint/resolve/{COMMIT}/unet/config.json"] = content
    with pytest.raises(PullFailed, match=r"config\.json is not the file|longer than"):
        models.request("someone/Paint", None, listener, listener.token)
    assert "Paint" not in models.catalog.names()


@pytest.mark.parametrize(
    "name", ["../../evil.safetensors", "/evil.safetensors", "a\\..\\evil.safetensors", "c:x.gguf"]
)
def test_a_file_that_would_lie_elsewhere_is_refused(
    models: Models, site: Site, home: Path, listener: Listener, name: str
) -> None:
    publish_repository(site, "someone/evil", {name: b"w" * 2000})
    with pytest.raises(WeightsRejected, match="outside its folder"):
        pull(models, "someone/evil", listener)
    assert not list(home.parent.rglob("*evil*"))


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"sha": "main", "siblings": []}',
        b"[" * 100_000,
        json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "x", "size": -1}]}).encode(),
        json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "x"}]}).encode(),
    ],
)
def test_an_answer_that_no_hub_gives(
    models: Models, site: Site, listener: Listener, answer: bytes
) -> None:
    site.contents["/api/models/someone/Paint/revision/main?blobs=true"] = answer
    with pytest.raises(PullFailed, match="not what a model hub says"):
        models.request("someone/Paint", None, listener, listener.token)


@pytest.mark.parametrize("name", ["someone/../x", "a/b/c", "~/x", "a/b@", "./x", "a b/c", "a/b:"])
def test_names_that_are_none(models: Models, site: Site, listener: Listener, name: str) -> None:
    with pytest.raises(InvalidOption, match="limner models add"):
        models.request(name, None, listener, listener.token)
    assert site.requests == []


def test_sizes_that_the_hub_has_wrong_do_not_count(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    answer = publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    for entry in answer["siblings"]:
        entry["size"] += 7
    announce(site, "someone/Paint", answer)
    card = pull(models, "someone/Paint", listener)
    assert all(one.state == "good" for one in models.catalog.verify(card))
    assert card.family == "sd1"


def test_offline_says_so(home: Path, site: Site, listener: Listener) -> None:
    with pytest.raises(PullFailed, match="stay offline"):
        models_at(home, site, offline=True).request("someone/Paint", None, listener, listener.token)
    assert site.requests == []


def test_a_hub_out_of_reach_says_so(home: Path, listener: Listener) -> None:
    models = Models(Catalog(home, discover(), hub="http://127.0.0.1:1"))
    with pytest.raises(PullFailed, match="connection failed"):
        models.request("someone/Paint", None, listener, listener.token)


def test_a_busy_hub_is_asked_again(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    site.failures = [503, 429]
    assert pull(models, "someone/Paint", listener).family == "sd1"


def test_a_stopped_pull_goes_on_where_it_was(
    models: Models, site: Site, home: Path, tmp_path: Path
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    site.delay = 0.01
    impatient = Listener(stop_at=300_000)
    with pytest.raises(Cancelled):
        pull(models, "someone/Paint", impatient)
    patient = Listener()
    site.delay = 0.0
    site.requests.clear()
    assert pull(models_at(home, site), "Paint", patient).family == "sd1"
    [(_, wanted)] = site.requests
    assert wanted is not None
    assert wanted.startswith("bytes=")


def test_terms_that_a_repository_states(models: Models, site: Site, listener: Listener) -> None:
    stated: dict[str, tuple[dict[str, Any], str, bool]] = {
        "a": ({"cardData": {"license": "apache-2.0"}}, "Apache-2.0", True),
        "b": ({"tags": ["license:openrail"]}, "LicenseRef-OpenRAIL", True),
        "c": (
            {"cardData": {"license": "other", "license_name": "my own"}},
            "LicenseRef-my-own",
            False,
        ),
        "d": ({}, "NOASSERTION", False),
    }
    for name, (said, spdx, commercial) in stated.items():
        publish_repository(site, f"someone/{name}", {"x.gguf": b"w" * 2000}, **said)
        card = models.request(f"someone/{name}", None, listener, listener.token)
        assert (card.licence.spdx, card.licence.commercial) == (spdx, commercial)


def test_what_limner_cannot_use_is_here_and_says_so(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    unknown = save(tmp_path / "x.safetensors", {"some.weight": (2000,)}).read_bytes()
    publish_repository(site, "someone/x", {"x.safetensors": unknown})
    card = pull(models, "someone/x", listener)
    assert card.family == ""
    with pytest.raises(ModelNotFound, match="not a checkpoint of any model family"):
        models.choose("x", Task.TEXT_TO_IMAGE)
    models.catalog.remove(card)


def test_a_damaged_pin_is_no_pin(
    models: Models, site: Site, home: Path, tmp_path: Path, listener: Listener
) -> None:
    publish_repository(site, "someone/Paint", small_pipeline(tmp_path / "there"))
    card = pull(models, "someone/Paint", listener)
    (home / ".pins" / "Paint.json").write_text("{")
    (home / ".pins" / "other.json").write_text(card.model_dump_json())
    assert models.catalog.cards() == models.catalog._known()
    site.requests.clear()
    assert pull(models, "someone/Paint", listener) == card
    assert not [path for path in paths_of(site) if path.endswith(".safetensors")]


def test_a_newer_commit_is_not_taken_unasked(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    files = small_pipeline(tmp_path / "there")
    answer = publish_repository(site, "someone/Paint", files)
    card = pull(models, "someone/Paint", listener)
    announce(site, "someone/Paint", {**answer, "sha": "6b" * 20})
    assert pull(models, "someone/Paint", listener) == card


def test_a_network_beside_its_config_is_one_model(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    files = {
        "config.json": b'{"_class_name": "Something"}',
        "diffusion_pytorch_model.safetensors": b"w" * 2000,
        "diffusion_pytorch_model.fp16.safetensors": b"w" * 1000,
        "README.md": b"",
    }
    publish_repository(site, "someone/canny", files)
    card = models.request("someone/canny", None, listener, listener.token)
    assert [one.name for one in card.files] == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]


def test_what_is_cut_short_in_the_repository_itself_says_so(
    models: Models, site: Site, tmp_path: Path, listener: Listener
) -> None:
    there = pipeline(tmp_path / "there")
    for part in ("unet", "vae", "text_encoder"):
        [weights] = (there / part).glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:50_000])
    publish_repository(site, "someone/Cut", contents(there))
    assert pull(models, "someone/Cut", listener).family == ""
    with pytest.raises(WeightsRejected, match="not copied whole"):
        models.choose("Cut", Task.TEXT_TO_IMAGE)
