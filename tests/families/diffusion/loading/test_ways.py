"""Models are loaded the way the planner chose, and nothing but what it says changes pixels."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from limner.domain.capability import Capability, Sizes
from limner.domain.errors import OutOfMemory
from limner.domain.event import Happening, Notice
from limner.domain.recipe import Size, Task
from limner.families.diffusion.drawing.easing import eased, eases
from limner.families.diffusion.family import _work_of
from limner.families.diffusion.known.facts import facts_of
from limner.families.diffusion.loading.pipelines import Device, bytes_in, load_pipeline, parts_of
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.planning.demand import Machine, Way
from limner.families.diffusion.planning.inventory import take_inventory
from limner.families.diffusion.planning.planner import plans
from limner.families.family import Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.calls.arguments import manner_of  # noqa: E402
from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from limner.families.diffusion.loading import ways  # noqa: E402
from limner.families.family import Placement  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import CPU, SIDE, Witness, order_of  # noqa: E402

WORK = Work(Size(width=SIDE, height=SIDE))
GB = 2**30


@pytest.fixture(scope="module", params=["sd1", "flux"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are stored in 16 bits, as published ones are."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pipeline = getattr(tiny, request.param)().to(torch.float16)
    return tiny.save(pipeline, tmp_path_factory.mktemp("ways") / request.param)


def facts(folder: Path) -> Any:
    return facts_of("sd1", "base") if folder.name == "sd1" else facts_of("flux1", "dev")


def drawn(folder: Path, pipeline: Any, way: Way | None = None) -> tuple[Pixels, Witness, str]:
    model = DiffusionModel(pipeline, manner_of(facts(folder), ""), CPU, 1, way)
    witness = Witness()
    (picture,) = model.perform([order_of(Task.TEXT_TO_IMAGE)], witness.watch)
    return picture, witness, model.fitting


def test_half_the_memory_is_the_same_picture(folder: Path) -> None:
    plain = load_pipeline(folder, CPU)
    way = Way("float32", "half")
    half = ways.load_way(folder, take_inventory(folder), way, CPU)
    assert bytes_in(parts_of(half).values()) < bytes_in(parts_of(plain).values()) * 0.9
    expected, _, _ = drawn(folder, plain)
    picture, witness, fitting = drawn(folder, half, way)
    assert np.array_equal(picture, expected)
    assert not fitting
    assert not any(isinstance(one, Notice) for one in witness.heard)


def test_eight_bits_take_less_and_say_so(folder: Path) -> None:
    way = Way("float32", "fp8")
    small = ways.load_way(folder, take_inventory(folder), way, CPU)
    assert (
        bytes_in(parts_of(small).values())
        < bytes_in(parts_of(load_pipeline(folder, CPU)).values()) * 0.9
    )
    expected, _, _ = drawn(folder, load_pipeline(folder, CPU))
    picture, witness, fitting = drawn(folder, small, way)
    assert fitting == "weights in 8 bits (fp8)"
    told = [one for one in witness.heard if isinstance(one, Notice)]
    assert [one.code for one in told] == ["packed_weights"]
    off = np.abs(picture.astype(int) - expected).mean()
    assert 0 < off < 40


def test_a_decoder_in_tiles_is_part_of_the_way(folder: Path) -> None:
    way = Way("float32", tiling=True)
    pipeline = ways.load_way(folder, take_inventory(folder), way, CPU)
    _, _, fitting = drawn(folder, pipeline, way)
    assert fitting == "tiled decoder"
    assert pipeline.vae.use_tiling


def here(memory: int, **changes: Any) -> Machine:
    return replace(Machine("cpu", "this computer", memory, memory), **changes)


def test_others_leave_before_a_lesser_way_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [GB // 10]
    asked: list[int] = []

    def release(wanted: int) -> None:
        asked.append(wanted)
        free[0] = 8 * GB

    monkeypatch.setattr(ways, "machine_here", lambda: here(free[0]))
    loaded = ways.load_fitting(folder, WORK, Placement(1, release))
    assert loaded.way == Way("float32")
    assert len(asked) == 1
    needed = plans(take_inventory(folder), WORK, here(8 * GB))[0].demand.needed
    assert asked == [math.ceil(1.1 * needed) - GB // 10]
    # Enough for what is predicted is not enough for the margin: others still leave first.
    free[0], asked[:] = round(1.05 * needed), []
    assert ways.load_fitting(folder, WORK, Placement(1, release)).way == Way("float32")
    assert asked == [math.ceil(1.1 * needed) - round(1.05 * needed)]
    free[0], asked[:] = 8 * GB, []
    ways.load_fitting(folder, WORK, Placement(1, release))
    assert not asked


def test_room_is_left_for_what_takes_part(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    header = {"a": {"dtype": "F16", "shape": [2**31], "data_offsets": [0, 2**32]}}
    told = json.dumps(header).encode()
    net = tmp_path / "net.safetensors"
    net.write_bytes(len(told).to_bytes(8, "little") + told)
    monkeypatch.setattr(ways, "machine_here", lambda: here(8 * GB))
    assert ways.load_fitting(folder, WORK, Placement(1)).way == Way("float32")
    with pytest.raises(OutOfMemory):
        ways.load_fitting(folder, WORK, Placement(1, beside=(net, tmp_path / "config.json")))


def test_where_nothing_fits_the_error_says_what_would_help(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "machine_here", lambda: here(GB // 10))
    with pytest.raises(OutOfMemory, match="close other programs"):
        ways.load_fitting(folder, WORK, Placement(1))


@pytest.mark.parametrize("folder", ["flux"], indirect=True)
def test_a_wrong_prediction_is_followed_by_a_smaller_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Way] = []
    real = ways.load_way

    def load(at: Path, parts: Any, way: Way, device: Device, single: Any) -> Any:
        tried.append(way)
        if len(tried) == 1:
            raise MemoryError
        return real(at, parts, way, device, single)

    large = Work(Size(width=2048, height=2048))
    monkeypatch.setattr(ways, "load_way", load)
    monkeypatch.setattr(ways, "machine_here", lambda: here(64 * GB))
    told: list[Happening] = []
    loaded = ways.load_fitting(folder, large, Placement(1, tell=told.append))
    assert [one.code for one in told if isinstance(one, Notice)] == ["less_memory"]
    assert len(tried) == 2
    assert loaded.way == tried[1] != tried[0]


def test_what_was_done_is_not_tried_again() -> None:
    names = [one.name for one in eases("cuda")]
    assert len(names) == 3
    assert [one.name for one in eases("cuda", names[:2])] == names[2:]
    assert eases("cuda", names) == ()
    blocks = eased(Way("bfloat16", offload="group"))
    assert [one.name for one in eases("cuda", blocks)] == names[:1]
    assert eased(Way("bfloat16", offload="sequential", tiling=True)) == (names[0], names[2])
    assert eased(Way("bfloat16")) == ()


def test_memory_is_planned_for_the_size_that_is_asked_for() -> None:
    facts = facts_of("sdxl", "base")
    usual = facts.size
    card: Any = SimpleNamespace(
        capability=Capability(
            tasks=(),
            sizes=Sizes(default=usual, drawn=facts.area, multiple=8),
            negative_prompt=True,
            sees=True,
        )
    )
    small, large = Size(width=512, height=512), Size(width=2048, height=1536)
    assert _work_of(card, None, 0).size == usual
    for size in (small, large):
        assert _work_of(card, size, 3) == Work(size, references=3, least=facts.area[0])


@pytest.mark.parametrize("folder", ["flux"], indirect=True)
def test_a_size_that_nothing_fits_is_loaded_in_the_smallest_way_and_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Work(Size(width=2048, height=2048), guided=False)
    least = plans(take_inventory(folder), large, here(64 * GB))[-1]
    free = round(least.demand.needed / 1.2)
    monkeypatch.setattr(ways, "machine_here", lambda: here(free))
    told: list[Happening] = []
    loaded = ways.load_fitting(folder, large, Placement(1, tell=told.append))
    assert loaded.way == least.way
    assert loaded.way.tiling
    (notice,) = (one for one in told if isinstance(one, Notice))
    assert notice.code == "less_memory"
    assert "2048×2048" in notice.message
    assert f"{free / GB:.1f} GB free" in notice.message
    assert re.search(r"at least \d\.\d GB.* (\d+)×\1 would fit", notice.message)


def test_after_the_last_try_no_size_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ways, "load_way", load)
    monkeypatch.setattr(ways, "machine_here", lambda: here(8 * GB))
    with pytest.raises(OutOfMemory, match="even in the way that takes least") as failure:
        ways.load_fitting(folder, Work(Size(width=512, height=512)), Placement(1))
    assert "would fit" not in failure.value.message
