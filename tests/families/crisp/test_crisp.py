"""Crisp with the weights that ship: exact size, transparency kept, no seams, clear refusals."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from limner.domain.card import UNSTATED, Installed
from limner.domain.errors import Cancelled, InvalidRequest, WeightsRejected
from limner.domain.event import Step
from limner.domain.recipe import InputRole, Recipe, Size, Task
from limner.families import raster
from limner.families.checkpoint import sha256_of
from limner.families.crisp import FAMILY, upscaler
from limner.families.crisp.facts import FACTS, NETWORK, WEIGHTS
from limner.families.crisp.upscaler import CrispUpscaler
from limner.families.family import LoadedModel, Order, Pixels, Placement
from tests.families.pictures import Witness, files_of, sticker


@pytest.fixture(scope="module")
def model() -> Iterator[LoadedModel]:
    [card] = FAMILY.cards()
    loaded = FAMILY.load(Installed(card, files_of(card)), Placement(threads=1))
    assert isinstance(loaded, CrispUpscaler)
    yield loaded
    loaded.close()


def order(pixels: Pixels | None) -> Order:
    [card] = FAMILY.cards()
    size = Size(width=8, height=8) if pixels is None else raster.size_of(pixels)
    recipe = Recipe(task=Task.UPSCALE, model=card.ref, size=size, native_size=size)
    return Order(recipe, {} if pixels is None else {InputRole.INIT: pixels})


def enlarged(model: LoadedModel, pixels: Pixels, witness: Witness | None = None) -> Pixels:
    [large] = model.perform([order(pixels)], (witness or Witness()).watch())
    return large


def apart(one: Pixels, other: Pixels) -> float:
    return float(np.abs(raster.over(one).astype(int) - raster.over(other)).mean())


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (40, 24)])
def test_every_side_becomes_four_times_as_long(model: LoadedModel, size: tuple[int, int]) -> None:
    height, width = size
    pixels = np.full((height, width, 4), (200, 90, 30, 255), np.uint8)
    large = enlarged(model, pixels)
    assert large.shape == (4 * height, 4 * width, 4)
    assert (large[..., 3] == 255).all()


def test_a_sticker_stays_itself(model: LoadedModel) -> None:
    small = sticker(64)
    large = enlarged(model, small)
    back = raster.resize(large, Size(width=64, height=64))
    assert apart(back, small) < 3
    assert (large[small.repeat(4, 0).repeat(4, 1)[..., 3] == 0][:, 3] < 128).mean() > 0.99


def test_edges_are_sharper_than_by_resampling(model: LoadedModel) -> None:
    true = sticker(256)
    small = raster.resize(true, Size(width=64, height=64))
    plain = raster.resize(small, Size(width=256, height=256))
    assert apart(enlarged(model, small), true) < apart(plain, true)


def test_strips_leave_no_seams(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = sticker(96)
    whole = enlarged(model, pixels)
    monkeypatch.setattr(upscaler, "_STRIP", 96 * 20)
    witness = Witness()
    assert np.abs(enlarged(model, pixels, witness).astype(int) - whole).max() <= 1
    steps = [event for event in witness.told if isinstance(event, Step)]
    assert [(one.step, one.steps) for one in steps] == [(n, 5) for n in range(1, 6)]


def test_it_stops_when_asked(model: LoadedModel) -> None:
    witness = Witness()
    watch = witness.watch()
    watch.token.cancel()
    with pytest.raises(Cancelled):
        model.perform([order(sticker(32))], watch)


def test_without_a_picture_there_is_nothing_to_enlarge(model: LoadedModel) -> None:
    with pytest.raises(InvalidRequest, match="needs a picture"):
        model.perform([order(None)], Witness().watch())


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / NETWORK).write_bytes(b"no network")
    with pytest.raises(WeightsRejected):
        CrispUpscaler(tmp_path / NETWORK, 1)


def test_an_export_is_recognised(tmp_path: Path) -> None:
    found = FAMILY.recognise(WEIGHTS, sha256_of)
    assert found is not None
    assert found.weights_digest == FAMILY.cards()[0].weights_digest
    assert found.licence == FAMILY.cards()[0].licence
    facts = json.loads((WEIGHTS / FACTS).read_text())
    (tmp_path / FACTS).write_text(json.dumps({**facts, "sha256": "0" * 64}))
    other = FAMILY.recognise(tmp_path, sha256_of)
    assert other is not None
    assert other.licence.spdx == UNSTATED
    (tmp_path / FACTS).unlink()
    assert FAMILY.recognise(tmp_path, sha256_of) is None
    (tmp_path / "facts.json").write_text("{}")
    assert FAMILY.recognise(tmp_path, sha256_of) is None
