"""Other programs that draw with the same models: what they draw, and what they cannot."""

import importlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

from limner.domain.errors import InvalidOption  # noqa: E402 - it needs what is asked for above
from limner.families.diffusion.bench import peers  # noqa: E402
from limner.families.diffusion.bench.compare import Asked, Plain  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tiny.sd1(), tmp_path_factory.mktemp("peers") / "sd1")


def asked(folder: Path) -> Asked:
    return Asked(str(folder), 64, 64, 2, threads=1)


def test_a_peer_is_one_whose_module_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_MODULES", {"Here": "json", "Elsewhere": "no_such_module"})
    assert peers.installed() == ("Here",)


def test_openvino_draws_what_diffusers_draws(folder: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is a peer that one may install")
    plain = Plain(asked(folder), None).draw()
    same = peers._openvino(asked(folder))()
    assert np.abs(plain.astype(int) - same).max() <= 2


def test_what_is_installed_is_measured(folder: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is a peer that one may install")
    found = peers.measure("OpenVINO", asked(folder), 1)
    assert min(found.load, found.first, found.picture, found.peak) > 0


def test_what_a_peer_cannot_read_is_told(tmp_path: Path) -> None:
    folder = tiny.save(tiny.flux(), tmp_path / "flux")
    with pytest.raises(InvalidOption, match="reads no folder of FluxPipeline"):
        peers.measure("stable-diffusion.cpp", asked(folder), 1)


def test_tensors_are_found_and_put_back_in_order() -> None:
    torch = importlib.import_module("torch")
    one, two, three = (torch.full((1,), float(number)) for number in range(3))
    call = {"time": two, "more": {"deep": three}, "flag": False}
    found = peers._tensors(torch, (one,), call)
    assert [float(each) for each in found] == [0, 1, 2]
    left = iter(found[1:])
    assert peers._filled(torch, call, left) == {
        "time": two, "more": {"deep": three}, "flag": False,
    }  # fmt: skip
