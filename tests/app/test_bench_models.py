"""The bench of a model draws with diffusers and with Limner, and says whether they agree."""

import math
from pathlib import Path

import pytest

from limner.app.bench_models import run_model_bench, run_stand_in_bench
from limner.domain.errors import InvalidOption, ModelUnavailable
from limner.domain.recipe import Size
from limner.families.diffusion.bench import peers, stand_ins
from limner.families.diffusion.known.stable_parts import PARTS

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

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


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(InvalidOption, match="no diffusers folder"):
        next(run_model_bench(tmp_path, Size(width=64, height=64), 2, told.append))


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
