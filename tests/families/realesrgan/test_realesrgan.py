"""Real-ESRGAN with its real small network: no seams, no halos, any size, stoppable."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from limner.domain.card import Installed, ModelCard
from limner.domain.errors import Cancelled, InvalidRequest, WeightsRejected
from limner.domain.event import Step
from limner.domain.recipe import Size, Task
from limner.families import raster
from limner.families.checkpoint import sha256_of
from limner.families.family import LoadedModel, Pixels, Placement
from limner.families.realesrgan import FAMILY
from limner.families.realesrgan.architecture import read_architecture
from limner.families.realesrgan.upscaler import Tiling, Upscaler, spans
from tests.families.pictures import PACKAGE, Witness, files_of, order, photo, sticker

FAST, GENERAL, ANIME = FAMILY.cards()
WEIGHTS = PACKAGE / "families/realesrgan/weights"
PARAM = WEIGHTS / "realesr-animevideov3-x4.param"
BIN = WEIGHTS / "realesr-animevideov3-x4.bin"
WHOLE = Tiling(core=1_000, margin=20, ramp=8)


def load(card: ModelCard, threads: int = 1) -> LoadedModel:
    return FAMILY.load(Installed(card, files_of(card)), Placement(threads))


def enlarge(model: LoadedModel, pixels: Pixels) -> Pixels:
    return model.perform([order(Task.UPSCALE, pixels)], Witness().watch())[0]


def difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.fixture(scope="module")
def fast() -> LoadedModel:
    return load(FAST)


def test_packaged_files_are_the_pinned_ones() -> None:
    for card in FAMILY.cards():
        for file in card.files:
            path = WEIGHTS / file.name
            if path.exists():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
                assert path.stat().st_size == file.bytes
    assert all((WEIGHTS / file.name).exists() for file in FAST.files)


def test_cards_upscale_by_four_and_keep_alpha() -> None:
    for card in FAMILY.cards():
        assert card.capability.supports(Task.UPSCALE)
        assert card.capability.scale == 4
        assert card.capability.alpha
        assert card.licence.commercial
    assert [card.name for card in FAMILY.cards()] == [
        "realesr-fast",
        "realesrgan-general",
        "realesrgan-anime",
    ]


def test_tiles_agree_with_the_whole(fast: LoadedModel) -> None:
    picture = photo(170, 130)
    tiled = Upscaler(PARAM, BIN, Tiling(core=48, margin=20, ramp=8), 1)
    one, other = enlarge(tiled, picture), enlarge(Upscaler(PARAM, BIN, WHOLE, 1), picture)
    assert difference(one[80:-80, 80:-80], other[80:-80, 80:-80]) <= 1


def test_tiles_without_context_would_show() -> None:
    picture = photo(170, 130)
    careless = Upscaler(PARAM, BIN, Tiling(core=48, margin=1, ramp=0), 1)
    one, other = enlarge(careless, picture), enlarge(Upscaler(PARAM, BIN, WHOLE, 1), picture)
    assert difference(one[80:-80, 80:-80], other[80:-80, 80:-80]) > 8


@pytest.mark.parametrize("length", [1, 50, 216, 217, 400, 5_000])
def test_spans_cover_a_length_without_gaps_in_windows_of_one_size(length: int) -> None:
    tiling = Tiling(core=192, margin=20, ramp=8)
    found = spans(length, tiling)
    assert [span.start for span in found] == [0, *(span.end for span in found[:-1])]
    assert found[-1].end == length
    assert len({span.last - span.first for span in found}) == 1
    for span in found:
        start, end = span.kept(tiling.ramp)
        assert span.first <= start < end <= span.last
        assert len(span.fade(tiling.ramp)) == (end - start) * 4
        assert span.last - span.first <= tiling.core + 2 * tiling.margin


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 1), (1, 2), (5_000, 7), (7, 430)])
def test_any_size(fast: LoadedModel, width: int, height: int) -> None:
    large = enlarge(fast, photo(width, height))
    assert raster.size_of(large) == Size(width=width * 4, height=height * 4)
    assert raster.is_opaque(large)


def test_it_looks_like_the_picture(fast: LoadedModel) -> None:
    picture = photo(96, 64)
    back = raster.resize(enlarge(fast, picture), Size(width=96, height=64))
    assert np.abs(back.astype(int) - picture).mean() < 6


def test_hidden_colours_never_show(fast: LoadedModel) -> None:
    green, black = sticker(40, (0, 255, 0)), sticker(40)
    assert np.array_equal(enlarge(fast, green), enlarge(fast, black))


def test_a_sticker_keeps_clean_edges(fast: LoadedModel) -> None:
    small = sticker(40, (0, 255, 0))
    large = enlarge(fast, small)
    seen = large[large[..., 3] > 16].astype(int)
    assert np.abs(seen[:, :3] - (220, 40, 30)).max() < 24
    assert not large[:16, :, 3].any()
    assert (large[72:88, 72:88, 3] == 255).all()
    truth = sticker(160)
    assert np.abs(large[..., 3].astype(int) - truth[..., 3]).mean() < 1.5


def test_the_network_draws_sharper_alpha_than_a_filter(fast: LoadedModel) -> None:
    small, truth = sticker(40), sticker(160)[..., 3].astype(int)
    filtered = raster.resize(small, Size(width=160, height=160))[..., 3]
    drawn = enlarge(fast, small)[..., 3]
    assert np.abs(drawn - truth).mean() < np.abs(filtered - truth).mean()


def test_a_fully_transparent_picture_stays_so(fast: LoadedModel) -> None:
    assert not enlarge(fast, np.zeros((20, 20, 4), np.uint8)).any()


def test_even_transparency_stays_even(fast: LoadedModel) -> None:
    picture = photo(24, 24)
    picture[..., 3] = 100
    assert np.abs(enlarge(fast, picture)[..., 3].astype(int) - 100).max() <= 6


def test_threads_and_company_change_nothing(fast: LoadedModel) -> None:
    pictures = [photo(60, 40, seed) for seed in range(2)]
    alone = [enlarge(fast, picture) for picture in pictures]
    orders = [order(Task.UPSCALE, picture) for picture in pictures]
    together = load(FAST, threads=2).perform(orders, Witness().watch())
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_input_is_left_alone(fast: LoadedModel) -> None:
    picture = sticker(20, (0, 255, 0))
    before = picture.copy()
    enlarge(fast, picture)
    assert np.array_equal(picture, before)


def test_steps_count_tiles_of_each_picture() -> None:
    model = Upscaler(PARAM, BIN, Tiling(core=24, margin=4, ramp=2), 1)
    witness = Witness()
    orders = [order(Task.UPSCALE, photo(60, 40)), order(Task.UPSCALE, photo(8, 8))]
    model.perform(orders, witness.watch(first=5))
    assert witness.told == [
        *(Step(5, "upscale", step, 6) for step in range(1, 7)),
        Step(6, "upscale", 1, 1),
    ]


def test_it_stops_between_tiles() -> None:
    model = Upscaler(PARAM, BIN, Tiling(core=24, margin=4, ramp=2), 1)
    witness = Witness(stop_after=2)
    with pytest.raises(Cancelled):
        model.perform([order(Task.UPSCALE, photo(60, 40))], witness.watch())
    assert len(witness.told) == 2


def test_an_order_without_a_picture_is_refused(fast: LoadedModel) -> None:
    with pytest.raises(InvalidRequest):
        fast.perform([order(Task.UPSCALE, None)], Witness().watch())


def test_the_engine_learns_what_ran(fast: LoadedModel) -> None:
    assert fast.dtype == "float32"
    assert fast.bytes > 1_247_368
    assert "ncnn" in dict(fast.libraries)


def copy_to(folder: Path, stem: str) -> Path:
    shutil.copy(PARAM, folder / f"{stem}.param")
    shutil.copy(BIN, folder / f"{stem}.bin")
    return folder / f"{stem}.bin"


def test_a_known_network_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    path = copy_to(tmp_path, "mine")
    for given in (path, path.with_suffix(".param")):
        card = FAMILY.recognise(given, sha256_of)
        assert card is not None
        assert card.name == "realesr-fast"
        assert [file.name for file in card.files] == ["mine.param", "mine.bin"]


def test_a_network_of_ones_own_is_recognised_by_its_shape(tmp_path: Path) -> None:
    path = copy_to(tmp_path, "mine")
    changed = bytearray(path.read_bytes())
    changed[5_000] ^= 1
    path.write_bytes(changed)
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert card.name == "mine"
    assert card.licence.spdx == "NOASSERTION"
    assert card.files[1].sha256 == hashlib.sha256(changed).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "7767517\n",
        "7767517\n1 1\nInput a 0 1 data\n",
        "7767517\n2 2\nInput a 0 1 data\nReLU b 1 1 data output\n",
        "7767517\n2 2\nInput a 0 1 data\nPixelShuffle b 1 1 data output 0=2\n",
        "7767517\n2 2\nInput a 0 1 data\nPixelShuffle b 1 1 data output 0=four\n",
        "7767517\n2 2\nInput a 0 1 data\nPixelShuffle b 1 1 data output 0=1e999\n",
        "7767517\n2 2\nInput a 0 1 data\nPixelShuffle b 1 1 data output 0=nan\n",
    ],
)
def test_other_descriptions_are_not_recognised(tmp_path: Path, text: str) -> None:
    path = copy_to(tmp_path, "other")
    path.with_suffix(".param").write_text(text)
    assert FAMILY.recognise(path, sha256_of) is None
    with pytest.raises(WeightsRejected):
        FAMILY.load(
            Installed(FAST, {"a.param": path.with_suffix(".param"), "a.bin": path}), Placement(1)
        )


def test_other_files_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "x.param").write_bytes(b"\xff\xfe" * 100)
    (tmp_path / "x.bin").write_bytes(b"")
    assert FAMILY.recognise(tmp_path / "x.bin", sha256_of) is None
    assert FAMILY.recognise(tmp_path / "missing.bin", sha256_of) is None
    assert FAMILY.recognise(tmp_path, sha256_of) is None
    assert FAMILY.recognise(tmp_path / "x.onnx", sha256_of) is None


def test_a_cut_off_file_is_rejected(tmp_path: Path) -> None:
    path = copy_to(tmp_path, "cut")
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsRejected):
        FAMILY.load(
            Installed(FAST, {"a.param": path.with_suffix(".param"), "a.bin": path}), Placement(1)
        )


def test_packaged_descriptions_are_read() -> None:
    for card in FAMILY.cards():
        found = read_architecture(WEIGHTS / card.files[0].name)
        assert found is not None
        assert found.scale == 4


@pytest.mark.parametrize("card", [GENERAL, ANIME], ids=lambda card: card.name)
def test_the_large_networks_show_no_seams(card: ModelCard) -> None:
    model = load(card)
    picture = photo(112, 40)
    large = enlarge(model, picture).astype(int)
    architecture, weights = files_of(card).values()
    whole = Upscaler(architecture, weights, WHOLE, 1)
    expected = enlarge(whole, picture).astype(int)
    jump = np.abs(np.diff(large - expected, axis=1)).mean(axis=(0, 2))
    assert jump.max() < 4
    assert np.abs(large - expected).mean() < 1.5
