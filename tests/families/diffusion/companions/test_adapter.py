"""Adapter files have cards, so that a Recipe can name them by name and digest."""

import shutil
from pathlib import Path

import pytest

from limner.app.models import Models
from limner.catalog.catalog import Catalog
from limner.domain.capability import Capability
from limner.domain.card import Licence, ModelCard
from limner.domain.errors import InvalidOption, InvalidRequest, ModelNotFound
from limner.families.checkpoint import sha256_of
from limner.families.diffusion.companions.adapter import FAMILY
from limner.families.family import Placement
from tests.families.diffusion.files import save
from tests.families.diffusion.recognition.test_adapters import SD_TO_K, kohya

SHAPES = kohya(f"lora_unet_{SD_TO_K}", 320, 768)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return save(tmp_path / "My Fox.safetensors", SHAPES, {"modelspec.license": "apache-2.0"})


def model_of(family: str, *adapters: str) -> ModelCard:
    return ModelCard(
        name="model",
        title="Model",
        summary="",
        family=family,
        variant="base",
        files=(),
        licence=Licence(spdx="MIT", commercial=True, attribution="", url=""),
        homepage="",
        capability=Capability(tasks=(), adapters=adapters),
    )


def models_at(home: Path) -> Models:
    return Models(Catalog(home, {FAMILY.name: FAMILY}, hub=None))


def test_its_card_says_whose_it_is_and_what_it_allows(adapter: Path) -> None:
    card = FAMILY.recognise(adapter, sha256_of)
    assert card is not None
    assert (card.name, card.capability.adapts, card.licence.spdx) == (
        "My-Fox",
        "sd1",
        "Apache-2.0",
    )
    assert card.licence.commercial
    assert card.capability.uses == ("adapter for sd1",)


def test_a_renamed_file_is_the_same_adapter(adapter: Path) -> None:
    other = adapter.with_name("other.safetensors")
    shutil.copy(adapter, other)
    cards = [FAMILY.recognise(path, sha256_of) for path in (adapter, other)]
    assert len({card.weights_digest for card in cards if card}) == 1


@pytest.mark.parametrize("said", [{}, {"license": "CC-BY-NC-4.0"}])
def test_what_allows_nothing_is_not_commercial(tmp_path: Path, said: dict[str, str]) -> None:
    card = FAMILY.recognise(save(tmp_path / "a.safetensors", SHAPES, said), sha256_of)
    assert card is not None
    assert not card.licence.commercial
    assert card.licence.spdx == said.get("license", "NOASSERTION")


def test_one_for_several_families_is_tried_on_by_models_of_each(tmp_path: Path) -> None:
    shapes = kohya("lora_unet_single_blocks_37_linear2", 3072, 15_360)
    path = save(tmp_path / "ink.safetensors", shapes)
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert (card.capability.adapts, card.capability.may_adapt) == ("", ("flux1", "chroma"))
    assert card.capability.uses == ("adapter for flux1 or chroma",)
    models = models_at(tmp_path / "home")
    for family in ("chroma", "flux1"):
        assert models.adapter(str(path), model_of(family, "LoRA")).name == "ink"
    with pytest.raises(InvalidOption, match="adapter for flux1 or chroma; model is sd1"):
        models.adapter(str(path), model_of("sd1", "LoRA"))
    installed = models.catalog.locate(models.catalog.find(str(path)))
    with pytest.raises(InvalidRequest, match="a model of its family"):
        FAMILY.load(installed, Placement(threads=1))


def test_one_of_an_unknown_family_is_tried_on_by_any_model(tmp_path: Path) -> None:
    path = save(tmp_path / "odd.safetensors", kohya("lora_unet_odd_0", 7, 7))
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert card.capability.uses == ("adapter for a family that is not known",)
    models = models_at(tmp_path / "home")
    for family in ("sd1", "krea2"):
        assert models.adapter(str(path), model_of(family, "LoRA")).name == "odd"


def test_what_is_known_and_not_put_on_says_what_it_is(tmp_path: Path) -> None:
    glora = {f"lora_unet_{SD_TO_K}.{one}.weight": (8, 8) for one in ("a1", "a2", "b1", "b2")}
    path = save(tmp_path / "fox.safetensors", glora)
    models = models_at(tmp_path / "home")
    with pytest.raises(ModelNotFound, match=r"not usable by itself: A GLoRA for .* not put on\."):
        models.adapter(str(path), model_of("sd1", "LoRA"))


def test_other_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no")
    assert FAMILY.recognise(tmp_path / "a.safetensors", sha256_of) is None
    assert FAMILY.recognise(tmp_path / "none.safetensors", sha256_of) is None
    assert FAMILY.recognise(tmp_path, sha256_of) is None
    plain = save(tmp_path / "b.safetensors", {"weight": (3, 3)})
    assert FAMILY.recognise(plain, sha256_of) is None


def test_an_adapter_alone_draws_nothing(adapter: Path, tmp_path: Path) -> None:
    catalog = models_at(tmp_path / "home").catalog
    installed = catalog.locate(catalog.find(str(adapter)))
    with pytest.raises(InvalidRequest, match="--model MODEL --adapter FILE"):
        FAMILY.load(installed, Placement(threads=1))


@pytest.mark.parametrize(
    ("ending", "weight", "text_weight"),
    [
        ("", 1.0, None),
        (":0.5", 0.5, None),
        (":-1", -1.0, None),
        (":2e-1", 0.2, None),
        (":0.8:0.4", 0.8, 0.4),
        (":0.8:0", 0.8, 0.0),
        (":0:1", 0.0, 1.0),
        (":0.8:0.8", 0.8, None),
    ],
)
def test_the_weights_stand_behind_colons(
    adapter: Path, tmp_path: Path, ending: str, weight: float, text_weight: float | None
) -> None:
    models = models_at(tmp_path / "home")
    found = models.adapter(f"{adapter}{ending}", model_of("sd1", "LoRA"))
    assert (found.name, found.weight, found.text_weight) == ("My-Fox", weight, text_weight)
    assert models.locate(found.ref).files == {"adapter.safetensors": adapter}
    again = models_at(tmp_path / "home")
    assert again.adapter(f"My-Fox{ending}", model_of("sd1", "LoRA")) == found
    assert again.locate(found.ref).files == {"adapter.safetensors": adapter}


def test_what_does_not_fit_is_refused(adapter: Path, tmp_path: Path) -> None:
    models = models_at(tmp_path / "home")
    with pytest.raises(InvalidOption, match=r"adapter for sd1; model is flux1\. Choose"):
        models.adapter(str(adapter), model_of("flux1", "LoRA"))
    with pytest.raises(InvalidOption, match="must be -10 to 10, not 11"):
        models.adapter(f"{adapter}:11", model_of("sd1", "LoRA"))
    with pytest.raises(InvalidOption, match="must be -10 to 10, not nan"):
        models.adapter(f"{adapter}:nan", model_of("sd1", "LoRA"))
    with pytest.raises(InvalidOption, match=r"weight of .*My Fox.* must be -10 to 10, not 11"):
        models.adapter(f"{adapter}:11:0.5", model_of("sd1", "LoRA"))
    with pytest.raises(InvalidOption, match="must be -10 to 10, not inf"):
        models.adapter(f"{adapter}:1:inf", model_of("sd1", "LoRA"))
    with pytest.raises(ModelNotFound):
        models.adapter(f"{adapter}:0.5:0.5:0.5", model_of("sd1", "LoRA"))
    with pytest.raises(ModelNotFound):
        models.adapter(f"{adapter}x:1", model_of("sd1", "LoRA"))
