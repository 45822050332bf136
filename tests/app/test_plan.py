"""How a model would be run here is told before anything of it is loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.app.plan import plan_for
from limner.app.settings import Settings
from limner.app.wiring import open_models
from limner.catalog.catalog import Catalog
from limner.domain.errors import InvalidOption, InvalidSize, ModelNotFound
from limner.domain.recipe import Size

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

from limner.families.diffusion.loading import hardware, ways  # noqa: E402 - it needs that
from limner.families.diffusion.loading.pipelines import libraries  # noqa: E402
from limner.families.diffusion.loading.single import Single  # noqa: E402
from limner.families.diffusion.planning import planner  # noqa: E402
from limner.families.diffusion.planning.activations import Work  # noqa: E402
from limner.families.diffusion.planning.demand import Machine  # noqa: E402
from limner.families.family import Placement  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tiny.sd1(), tmp_path_factory.mktemp("plan") / "sd1")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return open_models(Settings(home=tmp_path, offline=True)).catalog


def test_the_plan_names_memory_and_way(catalog: Catalog, folder: Path) -> None:
    lines = plan_for(catalog, str(folder), None)
    assert "free" in lines[0]
    assert "GB" in lines[0]
    assert "At 512×512" in lines[1]
    larger = plan_for(catalog, str(folder), Size(width=768, height=512))
    assert "At 768×512" in larger[1]


class Asked(Exception):
    """What loading was asked for."""


@pytest.mark.parametrize(("make", "guided"), [(tiny.sd1, True), (tiny.flux, False)])
def test_it_is_the_plan_that_loading_follows(
    catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Any],
    guided: bool,
) -> None:
    planned: list[tuple[object, ...]] = []

    def describe(parts: object, work: object, machine: object) -> tuple[str, ...]:
        planned.append((work, machine))
        return ()

    def load(_: object, work: object, __: object, single: Single | None) -> None:
        raise Asked((work, ways.machine_for(single)))

    here = Machine("cpu", "this computer", 8 * 2**30, 8 * 2**30, bitsandbytes=True)
    monkeypatch.setattr(ways, "machine_here", lambda: here)
    monkeypatch.setattr(planner, "describe", describe)
    monkeypatch.setattr(ways, "load_fitting", load)
    card = catalog.find(str(tiny.save(make(), tmp_path / "model")))
    size = Size(width=512, height=512)
    plan_for(catalog, str(tmp_path / "model"), size)
    with pytest.raises(Asked) as asked:
        catalog.families[card.family].load(catalog.locate(card), Placement(1, size=size))
    assert asked.value.args == tuple(planned)
    ((work, machine),) = planned
    assert isinstance(work, Work)
    assert (work.size, work.guided) == (size, guided)
    assert machine == here


def test_what_packs_as_it_reads_folders_is_not_there_for_single_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = Machine("cpu", "this computer", 8 * 2**30, 8 * 2**30, bitsandbytes=True)
    monkeypatch.setattr(ways, "machine_here", lambda: here)
    assert ways.machine_for(None) == here
    assert not ways.machine_for(Single(tmp_path, {})).bitsandbytes


def test_what_needs_no_plan_or_has_none(catalog: Catalog, folder: Path) -> None:
    with pytest.raises(InvalidOption, match="it needs no plan"):
        plan_for(catalog, "vellum", None)
    with pytest.raises(ModelNotFound):
        plan_for(catalog, "nothing", None)
    with pytest.raises(InvalidSize):
        plan_for(catalog, str(folder), Size(width=9, height=9))


def test_a_cpu_computes_in_bfloat16_only_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = libraries().torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for flags, native in (("flags: avx2 avx512f", False), ("flags: avx512_bf16", True)):
        monkeypatch.setattr(Path, "read_text", lambda *_, said=flags, **__: said)
        here = hardware.machine_here()
        assert (here.device, here.native_bf16) == ("cpu", native)
        assert 0 < here.memory == here.host_memory
