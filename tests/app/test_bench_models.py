"""The bench of a model draws with diffusers and with Limner, and says whether they agree."""

import math
from pathlib import Path

import pytest

from limner.app.bench_models import folder_of, run_model_bench, run_stand_in_bench
from limner.app.settings import Settings
from limner.app.wiring import open_models
from limner.domain.errors import InvalidOption, ModelNotFound, ModelUnavailable
from limner.domain.recipe import Size
from limner.families.diffusion.bench import peers, stand_ins
from limner.families.diffusion.known.stable_parts import PARTS

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.bench.compare import Asked, Plain  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tiny.sd1(), tmp_path_factory.mktemp("bench") / "sd1")


def test_both_sides_are_measured_and_agree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "installed", lambda: ())
    told: list[str] = []
    found = run_model_bench(folder, Size(width=64, height=64), 2, told.append)
    measures = {one.name: one for one in found}
    assert told == ["diffusers alone", "Limner alone", "both in turns"]
    assert measures["a step, ratio"].note == "the same pixels"
    assert all(one.value > 0 for one in measures.values())
    for name in ("loading", "first picture", "peak memory", "a step"):
        ours, plain = measures[f"{name}, Limner"].value, measures[f"{name}, diffusers"].value
        assert measures[f"{name}, ratio"].value == pytest.approx(ours / plain)


def test_a_profile_says_how_far_it_strays(folder: Path) -> None:
    found = list(run_model_bench(folder, Size(width=64, height=64), 2, lambda _: None, "fast"))
    note = next(one.note for one in found if one.name == "a step, ratio")
    assert note == "the same pixels" or "of 255 on average" in note
    with pytest.raises(InvalidOption, match="exact or fast"):
        next(run_model_bench(folder, Size(width=64, height=64), 2, lambda _: None, "faster"))


def test_another_program_that_fails_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "installed", lambda: ("Another",))
    told: list[str] = []
    found = list(run_model_bench(folder, Size(width=64, height=64), 2, told.append))
    assert told[-1] == "Another alone"
    assert found[-1].name == "a step, Another"
    assert math.isnan(found[-1].value)
    assert "could not be drawn with by Another: KeyError" in found[-1].note


def test_a_model_is_named_or_its_folder_is(folder: Path, tmp_path: Path) -> None:
    catalog = open_models(Settings(home=tmp_path, offline=True)).catalog
    assert folder_of(catalog, str(folder)) == folder
    catalog.find(str(folder))
    assert folder_of(catalog, folder.name) == folder
    with pytest.raises(InvalidOption, match="no diffusers folder"):
        folder_of(catalog, "vellum")
    with pytest.raises(ModelNotFound):
        folder_of(catalog, "nothing")


def test_plain_diffusers_draws_with_files_of_16_bits(tmp_path: Path) -> None:
    folder = tiny.save(tiny.sd1(), tmp_path / "sd1", variant="fp16")
    assert not (folder / "unet" / "diffusion_pytorch_model.safetensors").exists()
    drawn = Plain(Asked(str(folder), 64, 64, 1, threads=1), None).draw()
    assert drawn.shape[:2] == (64, 64)


def test_a_side_that_fails_says_why(folder: Path) -> None:
    told: list[str] = []
    measures = run_model_bench(folder, Size(width=63, height=64), 2, told.append)
    with pytest.raises(ModelUnavailable, match=r"could not be drawn with by diffusers: .+63"):
        list(measures)


def test_a_stand_in_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    family, variant, _ = stand_ins._MAKERS["sd1"]
    small = {"sd1": (family, variant, lambda _: tiny.sd1())}
    monkeypatch.setattr(stand_ins, "_MAKERS", small)
    found = list(run_stand_in_bench("sd1", Size(width=64, height=64), 2, lambda _: None))
    measures = {one.name: one for one in found}
    assert measures["a picture, ratio"].note == "the same pixels"
    assert all(one.value > 0 for one in found)
    for name, profile, message in (("flux9", "exact", "no stand-in"), ("sd1", "faster", "or fast")):
        with pytest.raises(InvalidOption, match=message):
            next(run_stand_in_bench(name, Size(width=64, height=64), 2, lambda _: None, profile))


def test_a_stand_in_has_the_published_shape() -> None:
    with torch.device("meta"):
        unet = tiny.diffusers.UNet2DConditionModel(**stand_ins._named(PARTS["sd1"]["unet"]))
    assert sum(one.numel() for one in unet.parameters()) == 859_520_964
    assert stand_ins.names() == ("sd1", "sdxl", "flux1-dev")
