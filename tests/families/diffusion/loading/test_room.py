"""A model that is in memory is planned for every picture, not for its first one alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limner.domain.errors import OutOfMemory
from limner.domain.event import Notice
from limner.domain.recipe import Recipe, Size, Task
from limner.families.diffusion.known.facts import facts_of
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.planning.demand import Machine, Way, demand_of
from limner.families.diffusion.planning.inventory import Role, take_inventory
from limner.families.family import Order, Outgrown, Placement

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.calls.arguments import manner_of  # noqa: E402
from limner.families.diffusion.drawing.model import Beside, DiffusionModel  # noqa: E402
from limner.families.diffusion.loading import room as rooms  # noqa: E402
from limner.families.diffusion.loading.pipelines import (  # noqa: E402
    load_pipeline,
)
from limner.families.diffusion.loading.room import Room  # noqa: E402
from limner.families.diffusion.loading.ways import Loaded  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import (  # noqa: E402
    CPU,
    Witness,
    order_of,
)

GB = 2**30
PLAIN = Way("float32")


class Place:
    """A machine with some memory free, in which others let go of what they are asked for."""

    def __init__(self, free: float, others: float = 0.0, device: str = "cpu") -> None:
        self.free, self.others = round(free * GB), round(others * GB)
        self.device: Any = device
        self.asked: list[int] = []

    def here(self) -> Machine:
        return Machine(self.device, "this computer", self.free, self.free)

    def make_room(self, wanted: int) -> None:
        self.asked.append(wanted)
        given = min(wanted, self.others)
        self.free, self.others = self.free + given, self.others - given


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    torch.manual_seed(0)
    folder = tiny.save(tiny.flux(), tmp_path_factory.mktemp("room") / "flux")
    return Loaded(load_pipeline(folder, CPU), CPU, PLAIN, take_inventory(folder))


def work_of(recipe: Recipe, pictures: int) -> Work:
    return Work(recipe.native_size, pictures, guided=False)


def order(side: int) -> Order:
    plain = order_of(Task.TEXT_TO_IMAGE)
    size = Size(width=side, height=side)
    recipe = plain.recipe.model_copy(update={"size": size, "native_size": size})
    return replace(plain, recipe=recipe)


def asked(
    loaded: Loaded,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    *orders: Order,
    holding: tuple[str, ...] = (),
) -> Way:
    monkeypatch.setattr(rooms, "machine_here", place.here)
    room = Room(loaded, Placement(1, place.make_room), work_of)
    return room.way_for(orders, holding)


def more(loaded: Loaded, side: int, way: Way = PLAIN) -> float:
    work = Work(Size(width=side, height=side), guided=False)
    return demand_of(loaded.parts, work, "cpu", way).more / GB


def test_what_fits_is_drawn_as_it_was_loaded(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(1.2 * more(loaded, 1024))
    assert asked(loaded, place, monkeypatch, order(1024)) == PLAIN
    assert place.asked == []


def test_others_leave_for_a_larger_picture(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(1.2 * more(loaded, 512), others=64)
    assert asked(loaded, place, monkeypatch, order(2048)) == PLAIN
    assert len(place.asked) == 1
    assert place.free >= 1.1 * more(loaded, 2048) * GB


def test_where_nobody_can_leave_it_is_decoded_in_tiles(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiled = replace(PLAIN, tiling=True)
    free = 1.2 * more(loaded, 2048, tiled)
    assert free < more(loaded, 2048)
    assert asked(loaded, Place(free), monkeypatch, order(2048)) == tiled


def test_a_picture_like_the_last_is_drawn_as_that_was(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(1.2 * more(loaded, 2048))
    monkeypatch.setattr(rooms, "machine_here", place.here)
    room = Room(loaded, Placement(1, place.make_room), work_of)
    assert room.way_for([order(2048)], ()) == PLAIN
    place.free = round(1.05 * more(loaded, 2048) * GB)
    assert room.way_for([order(2048)], ()) == PLAIN
    assert place.asked == []
    assert asked(loaded, place, monkeypatch, order(2048)) == replace(PLAIN, tiling=True)


def test_a_processor_refuses_what_is_hopeless_and_says_what_would_fit(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiled = replace(PLAIN, tiling=True)
    least = more(loaded, 4096, tiled)
    with pytest.raises(OutOfMemory, match=r"4096×4096 .*free\. (\d+)×\1 would fit"):
        asked(loaded, Place(least / 2), monkeypatch, order(4096))
    # Predictions err: what lacks little is tried.
    assert asked(loaded, Place(least / 1.05), monkeypatch, order(4096)) == tiled
    # On a GPU nothing is lost by trying, and not for tiles that would not do.
    gpu = Place(0.1, device="cuda")
    assert asked(loaded, gpu, monkeypatch, order(4096)) == PLAIN
    assert len(gpu.asked) == 1


def test_a_model_that_would_fit_loaded_anew_says_so(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights, in fewer bits, would leave the room that the picture lacks."""
    large = tuple(
        replace(one, parameters=one.parameters + 2 * 10**9, matrices=one.matrices + 2 * 10**9)
        if one.role is Role.DENOISER
        else one
        for one in loaded.parts
    )
    place = Place(0.5 * more(loaded, 1024, replace(PLAIN, tiling=True)))
    with pytest.raises(Outgrown):
        asked(replace(loaded, parts=large), place, monkeypatch, order(1024))
    with pytest.raises(OutOfMemory):
        asked(loaded, place, monkeypatch, order(1024))


def test_pictures_at_once_take_as_much_more(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(1.2 * more(loaded, 1024), others=64)
    asked(loaded, place, monkeypatch, *(order(1024),) * 4)
    assert place.asked


def test_room_is_made_for_a_controlnet_that_joins_once(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    numbers = 30_000_000
    save_file({"a": torch.zeros(numbers, dtype=torch.float16)}, tmp_path / "net.safetensors")
    (tmp_path / "config.json").write_text("{}")
    files = {one.name: one for one in tmp_path.iterdir()}
    with_net = replace(order(512), parts={"0" * 64: files})
    free = 1.15 * more(loaded, 512)
    place = Place(free, others=64)
    assert asked(loaded, place, monkeypatch, with_net) == PLAIN
    missing = 1.1 * (more(loaded, 512) * GB + 4 * numbers) - free * GB
    assert place.asked == [pytest.approx(missing, abs=1000)]
    # Once it is held it takes nothing more.
    place = Place(free, others=64)
    asked(loaded, place, monkeypatch, with_net, holding=("0" * 64,))
    assert place.asked == []
    # What another net left there is no room for this one.
    asked(loaded, place, monkeypatch, with_net, holding=("1" * 64,))
    assert place.asked


def test_a_model_asks_before_it_draws(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(1.2 * more(loaded, 64))
    monkeypatch.setattr(rooms, "machine_here", place.here)
    room = Room(loaded, Placement(1, place.make_room), work_of)
    manner = manner_of(facts_of("flux1", "dev"), "")
    model = DiffusionModel(loaded.pipeline, manner, CPU, 1, PLAIN, Beside(room=room))
    witness = Witness()
    fittings = []

    def draw(side: int) -> None:
        try:
            model.perform([order(side)], witness.watch)
        finally:
            fittings.append(model.fitting)

    draw(64)
    with pytest.raises(OutOfMemory, match="4096×4096"):
        draw(4096)
    monkeypatch.setattr(room, "way_for", lambda *_: replace(PLAIN, tiling=True))
    draw(64)
    draw(64)
    assert fittings == ["", "", "tiled decoder", "tiled decoder"]
    assert loaded.pipeline.vae.use_tiling
    told = [one.message for one in witness.heard if isinstance(one, Notice)]
    assert told == ["To fit into memory: the picture decoded in tiles."]
