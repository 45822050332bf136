"""The local engine: order, batches, events, residency, stopping, running out of memory."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from limner.domain.composition import Reference
from limner.domain.errors import Cancelled, InvalidRequest, ModelUnavailable, OutOfMemory
from limner.domain.event import Loading, Step
from limner.domain.recipe import AdapterRef, InputRole, Recipe, Size, Task
from limner.engine import framing, machine
from limner.engine.engine import Drawn, Engine
from limner.engine.local import EngineSettings, LocalEngine
from limner.families.family import Order, Outgrown, Placement
from tests.engine.stand_ins import (
    JUDGE,
    STEPS,
    FamilyOnDevice,
    StandInFamily,
    Studio,
    Witness,
    plain,
    recipe,
    ref,
    size,
)


@pytest.fixture
def studio() -> Studio:
    return Studio()


def engine_in(studio: Studio, memory: int = 250, batch: int = 4) -> LocalEngine:
    return LocalEngine(
        {"stand-in": StandInFamily(studio)},
        studio.locate,
        EngineSettings(memory=memory, threads=2, batch=batch),
    )


@pytest.fixture
def engine(studio: Studio) -> Iterator[LocalEngine]:
    built = engine_in(studio)
    yield built
    built.close()


def draw(engine: Engine, *recipes: Recipe, witness: Witness | None = None) -> list[Drawn]:
    watch = (witness or Witness()).watch()
    return list(engine.perform([Order(one) for one in recipes], watch))


def grey(drawn: Drawn) -> int:
    return int(drawn.pixels[0, 0, 0])


def test_nothing_asked_is_nothing_drawn(engine: LocalEngine, studio: Studio) -> None:
    assert draw(engine) == []
    assert studio.events == []


def test_pictures_come_in_the_order_asked(engine: LocalEngine) -> None:
    drawn = draw(engine, *(recipe(seed=seed) for seed in (9, 4, 7, 1, 8, 2)))
    assert [one.index for one in drawn] == list(range(6))
    assert [grey(one) for one in drawn] == [9, 4, 7, 1, 8, 2]


def test_neighbours_of_one_kind_are_drawn_together(studio: Studio) -> None:
    engine = engine_in(studio, memory=1_000, batch=3)
    wide = {"native_size": size(16, 8), "size": size(16, 8)}
    asked = [recipe(seed=seed) for seed in range(4)]
    asked += [recipe(2, seed=4), recipe(2, seed=5, **wide), recipe(2, seed=6, **wide)]
    asked += [recipe(seed=7, steps=5), recipe(seed=8, steps=5, sampler="heun"), recipe(seed=9)]
    asked += [recipe(seed=10, schedule="bent"), recipe(seed=11, guidance=2.0)]
    assert [grey(one) for one in draw(engine, *asked)] == list(range(12))
    batches = [event for event in studio.events if event.startswith("draw")]
    assert batches == [
        "draw model-1 [0, 1, 2]",
        "draw model-1 [3]",
        "draw model-2 [4]",
        "draw model-2 [5, 6]",
        "draw model-1 [7]",
        "draw model-1 [8]",
        "draw model-1 [9]",
        "draw model-1 [10]",
        "draw model-1 [11]",
    ]


def test_guidance_and_finished_size_may_differ_within_a_batch(studio: Studio) -> None:
    asked = (recipe(seed=1, guidance=1.0), recipe(seed=2, guidance=3.0, size=size(4, 4)))
    drawn = draw(engine_in(studio), *asked)
    assert studio.events[-1] == "draw model-1 [1, 2]"
    assert [one.pixels.shape[:2] for one in drawn] == [(8, 8), (4, 4)]


def test_events_name_the_picture_they_are_of(studio: Studio) -> None:
    witness = Witness()
    draw(engine_in(studio, batch=2), *(recipe(seed=seed) for seed in range(5)), witness=witness)
    assert witness.told[0] == Loading("model-1")
    steps = [event for event in witness.told if isinstance(event, Step)]
    for index in range(5):
        own = [event for event in steps if event.index == index]
        assert own == [Step(index, "draw", step, STEPS) for step in range(1, STEPS + 1)]


def test_events_begin_where_the_caller_says(engine: LocalEngine) -> None:
    witness = Witness()
    orders = [Order(recipe(seed=1)), Order(recipe(2, seed=2))]
    drawn = list(engine.perform(orders, witness.watch(first=10)))
    assert [one.index for one in drawn] == [10, 11]
    indices = {event.index for event in witness.told if isinstance(event, Step)}
    assert indices == {10, 11}


def test_a_picture_says_how_it_was_made(engine: LocalEngine) -> None:
    one, two = draw(engine, recipe(seed=1), recipe(seed=2))
    made = one.environment
    assert (made.device, made.dtype, made.threads) == ("cpu", "uint8", 2)
    assert made.libraries == (("stand-in", "1"),)
    assert all((made.limner, made.python, made.platform, made.processor))
    assert min(one.seconds, two.seconds) > 0


def test_a_picture_of_a_batch_does_not_wait_for_the_others(engine: LocalEngine) -> None:
    witness = Witness()
    watch = witness.watch()
    pictures = engine.perform([Order(recipe(seed=1)), Order(recipe(seed=2))], watch)
    assert next(pictures).index == 0
    watch.token.cancel()
    with pytest.raises(Cancelled):
        next(pictures)


def test_models_stay_until_the_room_is_needed(engine: LocalEngine, studio: Studio) -> None:
    for number in (1, 2, 1, 3):
        draw(engine, recipe(number))
    assert [one.name for one in engine.residents()] == ["model-1", "model-3"]
    assert {one.bytes for one in engine.residents()} == {100}
    loads = [event for event in studio.events if not event.startswith("draw")]
    assert loads == ["load model-1", "load model-2", "load model-3", "close model-2"]


def test_the_model_in_use_stays_however_large(studio: Studio) -> None:
    studio.bytes = 10_000
    engine = engine_in(studio, memory=100)
    draw(engine, recipe(1))
    assert [one.name for one in engine.residents()] == ["model-1"]
    draw(engine, recipe(2))
    assert [one.name for one in engine.residents()] == ["model-2"]
    assert studio.events.count("close model-1") == 1


def test_a_model_let_go_for_the_upscaler_comes_back(studio: Studio) -> None:
    engine = engine_in(studio, memory=100, batch=1)
    large = {"size": size(32, 32), "upscaler": ref(2)}
    drawn = draw(engine, recipe(seed=1, **large), recipe(seed=2, **large))
    assert [grey(one) for one in drawn] == [1, 2]
    assert studio.events.count("load model-1") == 2


def test_closing_lets_every_model_go(studio: Studio) -> None:
    engine = engine_in(studio)
    draw(engine, recipe(1), recipe(2))
    engine.close()
    assert engine.residents() == ()
    assert sorted(studio.events[-2:]) == ["close model-1", "close model-2"]
    assert [grey(one) for one in draw(engine, recipe(1, seed=5))] == [5]
    engine.close()


def test_two_names_of_the_same_weights_are_one_model(engine: LocalEngine, studio: Studio) -> None:
    twin = ref(1).model_copy(update={"name": "twin"})
    draw(engine, recipe(1), recipe(1, model=twin))
    assert [event for event in studio.events if event.startswith("load")] == ["load model-1"]


@pytest.mark.parametrize("step", [1, 2, STEPS])
def test_a_stop_takes_hold_within_a_step(studio: Studio, step: int) -> None:
    engine, witness = engine_in(studio, batch=2), Witness()
    finished: list[Drawn] = []

    def stop_in_the_second_batch(now: int) -> None:
        if len(finished) == 2 and now == step:
            witness.token.cancel()

    studio.before_step = stop_in_the_second_batch
    orders = [Order(recipe(seed=seed)) for seed in range(6)]
    with pytest.raises(Cancelled):
        finished.extend(engine.perform(orders, witness.watch()))
    assert [one.index for one in finished] == [0, 1]
    told = [event for event in witness.told if isinstance(event, Step)]
    assert sum(event.index == 2 for event in told) == step - 1
    assert not any(event.index > 3 for event in told)


def test_a_stop_before_the_start_loads_nothing(engine: LocalEngine, studio: Studio) -> None:
    witness = Witness()
    witness.token.cancel()
    with pytest.raises(Cancelled):
        draw(engine, recipe(), witness=witness)
    assert studio.events == []


def test_a_stop_while_enlarging_keeps_what_was_finished(studio: Studio) -> None:
    engine, witness = engine_in(studio, batch=1), Witness()

    def stop(_: int) -> None:
        if studio.events.count("draw model-2 [0]") == 2:
            witness.token.cancel()

    studio.before_step = stop
    large = {"size": size(32, 32), "upscaler": ref(2)}
    finished: list[Drawn] = []
    orders = [Order(recipe(seed=seed, **large)) for seed in (1, 2, 3)]
    with pytest.raises(Cancelled):
        finished.extend(engine.perform(orders, witness.watch()))
    assert [one.index for one in finished] == [0]


def test_the_engine_goes_on_after_a_stop(studio: Studio) -> None:
    engine, witness = engine_in(studio), Witness()
    studio.before_step = lambda _: witness.token.cancel()
    with pytest.raises(Cancelled):
        draw(engine, recipe(), witness=witness)
    studio.before_step = lambda _: None
    assert [grey(one) for one in draw(engine, recipe(seed=5))] == [5]


@pytest.mark.parametrize(
    ("moment", "says"),
    [
        ("load model-1", "does not fit"),
        ("draw model-1", "smaller size"),
        ("load model-2", "does not fit"),
        ("draw model-2", "smaller size"),
    ],
)
def test_too_little_memory_is_said(studio: Studio, moment: str, says: str) -> None:
    studio.out_of_memory.add(moment)
    engine = engine_in(studio)
    asked = recipe(size=size(32, 32), upscaler=ref(2))
    with pytest.raises(OutOfMemory, match=says):
        draw(engine, asked)
    studio.out_of_memory.clear()
    assert len(draw(engine, asked)) == 1


def test_a_model_that_is_not_here_is_said(engine: LocalEngine) -> None:
    with pytest.raises(ModelUnavailable, match="model-404"):
        draw(engine, recipe(404))
    with pytest.raises(ModelUnavailable, match="family strange, which is not installed"):
        draw(engine, recipe(99))
    assert engine.residents() == ()


@pytest.mark.parametrize(
    ("asked", "times"),
    [
        ((8, 8), 0),
        ((10, 10), 0),
        ((11, 11), 1),
        ((32, 32), 1),
        ((40, 40), 1),
        ((41, 41), 2),
        ((32, 8), 0),
        ((256, 16), 1),
        ((16, 256), 1),
        ((4, 256), 0),
        ((100, 64), 2),
    ],
)
def test_a_picture_is_enlarged_as_often_as_its_own_shape_needs(
    studio: Studio, asked: tuple[int, int], times: int
) -> None:
    [drawn] = draw(engine_in(studio), recipe(seed=90, size=size(*asked), upscaler=ref(2)))
    assert drawn.pixels.shape == (asked[1], asked[0], 4)
    assert (drawn.pixels[..., :3] == 90).all()
    assert sum(event.startswith("draw model-2") for event in studio.events) == times


def test_without_an_upscaler_a_picture_is_resampled(studio: Studio) -> None:
    [drawn] = draw(engine_in(studio), recipe(seed=90, size=size(100, 100)))
    assert drawn.pixels.shape == (100, 100, 4)
    assert [event for event in studio.events if event.startswith("load")] == ["load model-1"]


@pytest.mark.parametrize(
    ("finished", "times"),
    [((12, 8), 1), ((3, 2), 1), ((15, 10), 1), ((48, 32), 2), ((192, 128), 3)],
)
def test_upscaling_reaches_any_size(studio: Studio, finished: tuple[int, int], times: int) -> None:
    picture = plain(3, 2, (10, 20, 30, 255))
    asked = recipe(2, task=Task.UPSCALE, size=size(*finished), native_size=size(*finished))
    orders = [Order(asked, {InputRole.INIT: picture})]
    [drawn] = engine_in(studio).perform(orders, Witness().watch())
    assert drawn.pixels.shape == (finished[1], finished[0], 4)
    assert (drawn.pixels == (10, 20, 30, 255)).all()
    assert sum(event.startswith("draw") for event in studio.events) == times


def test_models_get_the_threads_that_are_set_or_free(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "free_cores", lambda: 3)
    chosen = LocalEngine({"stand-in": StandInFamily(studio)}, studio.locate, EngineSettings())
    [drawn] = draw(chosen, recipe())
    draw(engine_in(studio), recipe())
    assert studio.threads == [3, 2]
    assert drawn.environment.threads == 3


def test_the_budget_is_half_of_what_is_free(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 500)
    engine = LocalEngine(
        {"stand-in": StandInFamily(studio)}, studio.locate, EngineSettings(threads=1)
    )
    for number in (1, 2, 3):
        draw(engine, recipe(number))
    assert [one.name for one in engine.residents()] == ["model-2", "model-3"]


@pytest.mark.parametrize(
    ("memory", "of_device", "stay"),
    [(None, 500, 2), (100, 500, 1), (None, None, 4), (350, 500, 3)],
)
def test_models_on_a_device_are_held_within_its_memory(
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    memory: int | None,
    of_device: int | None,
    stay: int,
) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 100_000)
    families = {"stand-in": FamilyOnDevice(studio, memory=of_device)}
    engine = LocalEngine(families, studio.locate, EngineSettings(memory=memory, threads=1))
    for number in (1, 2, 3, 4):
        draw(engine, recipe(number))
    assert [one.name for one in engine.residents()] == [f"model-{n}" for n in range(5 - stay, 5)]


@pytest.mark.parametrize("kind", [StandInFamily, FamilyOnDevice])
def test_who_makes_room_while_drawing_stays_itself(
    studio: Studio, kind: type[StandInFamily]
) -> None:
    engine = LocalEngine(
        {"stand-in": kind(studio)}, studio.locate, EngineSettings(memory=1000, threads=1)
    )
    draw(engine, recipe(1), recipe(2), recipe(3))

    def make_room(_: str, placement: Placement) -> None:
        placement.make_room(150)

    studio.before_draw = make_room
    draw(engine, recipe(1, seed=9))
    assert [one.name for one in engine.residents()] == ["model-1"]
    assert "close model-1" not in studio.events


def test_a_model_that_was_planned_for_another_picture_is_planned_anew(studio: Studio) -> None:
    engine = engine_in(studio)
    draw(engine, recipe(1))
    refused = [True]

    def refuse(*_: object) -> None:
        if refused:
            refused.pop()
            raise Outgrown

    studio.before_draw = refuse
    assert [grey(one) for one in draw(engine, recipe(1, seed=7))] == [7]
    assert studio.events[-4:] == [
        "draw model-1 [7]",
        "close model-1",
        "load model-1",
        "draw model-1 [7]",
    ]
    # One that was planned for this very picture has no other way.
    refused.append(True)
    with pytest.raises(OutOfMemory, match="not enough free memory"):
        draw(engine, recipe(2))
    assert studio.events.count("load model-2") == 1


def test_pixels_do_not_depend_on_the_batch(studio: Studio) -> None:
    asked = [recipe(seed=seed, size=Size(width=9, height=5)) for seed in range(5)]
    together = draw(engine_in(studio, batch=5), *asked)
    alone = [draw(engine_in(studio, batch=1), one)[0] for one in asked]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
    assert all(a.index < b.index for a, b in pairwise(together))


def test_a_judge_is_held_like_any_model(engine: LocalEngine, studio: Studio) -> None:
    witness = Witness()
    white, black = plain(4, 4, (255, 255, 255, 255)), plain(4, 4, (0, 0, 0, 255))
    assert engine.judge(JUDGE, white, witness.watch()) == 1.0
    assert engine.judge(JUDGE, black, witness.watch()) == 0.0
    assert witness.told == [Loading(JUDGE.name)]
    assert studio.threads == [2]
    draw(engine, recipe(1), recipe(2))
    assert [one.name for one in engine.residents()] == ["model-1", "model-2"]
    assert "close model-50" in studio.events
    assert engine.judge(JUDGE, white, witness.watch()) == 1.0
    assert [one.name for one in engine.residents()] == ["model-2", JUDGE.name]


def test_judging_between_the_pictures_of_a_batch_disturbs_nothing(studio: Studio) -> None:
    engine = engine_in(studio, memory=100, batch=2)
    large = {"size": size(32, 32), "upscaler": ref(2)}
    orders = [Order(recipe(seed=seed, **large)) for seed in (10, 20, 30)]
    watch = Witness().watch()
    scores = [
        engine.judge(JUDGE, drawn.pixels, watch) * 255 for drawn in engine.perform(orders, watch)
    ]
    assert scores == pytest.approx([10, 20, 30])


def test_judges_do_not_draw_and_what_draws_does_not_judge(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequest, match="only judges"):
        draw(engine, recipe(50))
    with pytest.raises(InvalidRequest, match="cannot judge"):
        engine.judge(ref(1), plain(4, 4, (0, 0, 0, 255)), Witness().watch())


def test_a_stop_before_judging_loads_nothing(engine: LocalEngine, studio: Studio) -> None:
    witness = Witness()
    witness.token.cancel()
    with pytest.raises(Cancelled):
        engine.judge(JUDGE, plain(4, 4, (0, 0, 0, 255)), witness.watch())
    assert studio.events == []


@pytest.mark.parametrize("moment", ["load model-50", "judge model-50"])
def test_too_little_memory_to_judge_is_said(studio: Studio, moment: str) -> None:
    studio.out_of_memory.add(moment)
    engine = engine_in(studio)
    with pytest.raises(OutOfMemory):
        engine.judge(JUDGE, plain(4, 4, (0, 0, 0, 255)), Witness().watch())


def test_what_lies_around_is_laid_out_when_it_is_drawn(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[int] = []

    def laid_out(order: Order) -> Order:
        laid.append(order.recipe.seed)
        return order

    monkeypatch.setattr(framing, "laid_out", laid_out)
    engine = engine_in(studio, batch=2)
    orders = [Order(recipe(seed=seed)) for seed in range(6)]
    drawn = engine.perform(orders, Witness().watch())
    next(drawn)
    assert laid == [0, 1]
    assert len(list(drawn)) == 5
    assert laid == list(range(6))


def test_room_is_left_for_what_takes_part(studio: Studio) -> None:
    asked = recipe(
        adapters=tuple(AdapterRef(name=one.name, sha256=one.sha256) for one in (ref(7), ref(8))),
        size=size(32, 32),
        upscaler=ref(2),
    )
    draw(engine_in(studio), asked)
    assert studio.beside == [(Path("model-7"), Path("model-8")), ()]


def test_room_is_left_for_pictures_that_are_shown(studio: Studio) -> None:
    seen = (Reference(asset="a" * 64), Reference(asset="b" * 64))
    picture = plain(8, 8, (0, 0, 0, 255))
    orders = [Order(recipe(references=seen), references=(picture, picture))]
    list(engine_in(studio).perform(orders, Witness().watch()))
    assert studio.shown == [2]
