"""The watermark: unseen, found again after what happens to pictures, and never where it is not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.families import raster
from limner.families.family import Pixels
from limner.provenance import coding, watermark

MARK = "0123456789ab"
OTHER = "fedcba987654"


def scene(width: int = 512, height: int = 384, seed: int = 1) -> Pixels:
    """A picture with soft ground, texture and edges, as photographs have."""
    drawn = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    pixels = np.full((height, width, 4), 255, np.uint8)
    for channel in range(3):
        coarse = Image.fromarray(drawn.randint(0, 256, (5, 6)).astype(np.uint8))
        fine = Image.fromarray(drawn.randint(0, 256, (height // 6, width // 6)).astype(np.uint8))
        ground = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
        grain = np.asarray(fine.resize((width, height), Image.Resampling.BICUBIC), np.float64)
        plane = 0.6 * ground + 0.1 * grain + 30
        plane[(rows - height / 2) ** 2 + (columns - width / 3) ** 2 < (height / 5) ** 2] += 40
        pixels[..., channel] = np.clip(plane, 0, 255)
    return pixels


def badge(side: int = 512) -> Pixels:
    """A picture as Limner draws most: flat colours on nothing."""
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    distance = np.hypot(rows, columns)
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[distance < 0.42] = (70, 120, 200, 255)
    pixels[distance < 0.25] = (230, 110, 60, 255)
    pixels[..., 3] = np.clip((0.42 - distance) * side * 255, 0, 255)
    return pixels


def saved(pixels: Pixels, kind: str, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(raster.over(pixels)[..., :3]).save(file, kind, quality=quality)
    return np.asarray(Image.open(file).convert("RGBA"))


def scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def signal_to_noise(one: Pixels, other: Pixels) -> float:
    difference = raster.over(one).astype(float) - raster.over(other)
    return float(10 * np.log10(255**2 / np.mean(difference[..., :3] ** 2)))


@pytest.fixture(scope="module")
def marked() -> Pixels:
    return watermark.embed(scene(), MARK)


@pytest.fixture(scope="module")
def marked_badge() -> Pixels:
    return watermark.embed(badge(), MARK)


def test_a_mark_is_read_back_surely(marked: Pixels) -> None:
    found = watermark.detect(marked)
    assert found is not None
    assert found.mark == MARK
    assert 0.9 < found.certainty <= 1


def test_the_same_picture_and_mark_give_the_same_bytes(marked: Pixels) -> None:
    assert np.array_equal(watermark.embed(scene(), MARK), marked)
    assert not np.array_equal(watermark.embed(scene(), OTHER), marked)


def test_the_picture_given_is_left_as_it_is() -> None:
    pixels = scene()
    watermark.embed(pixels, MARK)
    assert np.array_equal(pixels, scene())


@pytest.mark.parametrize("mark", ["000000000000", "ffffffffffff", "800000000001"])
def test_every_mark_can_be_written(mark: str) -> None:
    found = watermark.detect(watermark.embed(scene(), mark))
    assert found is not None
    assert found.mark == mark


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: saved(p, "JPEG", 50), id="jpeg 50"),
        pytest.param(lambda p: saved(p, "WEBP", 60), id="webp 60"),
        pytest.param(lambda p: scaled(scaled(p, 256, 192), 512, 384), id="half and back"),
        pytest.param(lambda p: saved(scaled(p, 374, 280), "JPEG", 85), id="screenshot"),
        pytest.param(lambda p: scaled(p, 700, 300), id="squeezed"),
        pytest.param(lambda p: p[19:-19, 26:-26], id="cropped on every side"),
        pytest.param(lambda p: p[:, : -p.shape[1] // 10], id="cropped on one side"),
        pytest.param(lambda p: saved(p[10:, 40:], "JPEG", 75), id="cropped and jpeg 75"),
    ],
)
def test_a_mark_outlives_what_happens_to_pictures(
    marked: Pixels, change: Callable[[Pixels], Pixels]
) -> None:
    found = watermark.detect(change(marked))
    assert found is not None
    assert found.mark == MARK


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_mark_outlives_a_change_of_brightness(marked: Pixels, factor: float) -> None:
    changed = marked.copy()
    changed[..., :3] = np.clip(marked[..., :3] * factor, 0, 255)
    found = watermark.detect(changed)
    assert found is not None
    assert found.mark == MARK


def test_a_second_mark_takes_the_place_of_the_first(marked: Pixels) -> None:
    found = watermark.detect(watermark.embed(marked, OTHER))
    assert found is not None
    assert found.mark == OTHER


def test_a_mark_is_not_seen(marked: Pixels) -> None:
    assert signal_to_noise(scene(), marked) > 41


def test_noise_gets_no_more_than_the_largest_change() -> None:
    noise = np.full((512, 512, 4), 255, np.uint8)
    noise[..., :3] = np.random.RandomState(3).randint(90, 170, (512, 512, 1))
    assert signal_to_noise(noise, watermark.embed(noise, MARK)) > 40.5


def test_what_is_too_busy_to_be_marked_unseen_is_left_alone() -> None:
    noise = np.full((512, 512, 4), 255, np.uint8)
    noise[..., :3] = np.random.RandomState(3).randint(0, 256, (512, 512, 1))
    assert watermark.embed(noise, MARK) is noise


def test_flat_colours_stay_flat(marked_badge: Pixels) -> None:
    shares = np.array((0.299, 0.587, 0.114))
    change = marked_badge[..., :3] @ shares - badge()[..., :3] @ shares
    assert np.abs(change[badge()[..., 3] == 255]).max() < 2.5
    assert np.abs(change[150:160, 250:260]).mean() > 0.1
    assert signal_to_noise(badge(), marked_badge) > 47


def test_what_is_transparent_stays_and_so_does_alpha(marked_badge: Pixels) -> None:
    unmarked = badge()
    unseen = unmarked[..., 3] == 0
    assert not np.array_equal(marked_badge, unmarked)
    assert np.array_equal(marked_badge[..., 3], unmarked[..., 3])
    assert np.array_equal(marked_badge[unseen], unmarked[unseen])


@pytest.mark.parametrize("background", [(255, 255, 255), (240, 240, 240)])
def test_flat_art_is_known_when_laid_over_light_paper(
    marked_badge: Pixels, background: raster.Colour
) -> None:
    found = watermark.detect(saved(raster.over(marked_badge, background), "JPEG", 75))
    assert found is not None
    assert found.mark == MARK


def test_nothing_is_found_in_pictures_without_a_mark() -> None:
    found = [watermark.detect(scene(192, 160, seed)) for seed in range(8)]
    assert found == [None] * 8


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (127, 300)])
def test_small_pictures_are_left_alone(size: tuple[int, int]) -> None:
    pixels = scene(400, 400)[: size[1], : size[0]]
    assert watermark.embed(pixels, MARK) is pixels
    assert watermark.detect(pixels) is None


def test_the_smallest_picture_that_is_marked_can_be_read() -> None:
    found = watermark.detect(watermark.embed(scene(watermark.SMALLEST, watermark.SMALLEST), MARK))
    assert found is not None
    assert found.mark == MARK


@pytest.mark.parametrize("colour", [(0, 0, 0, 255), (255, 255, 255, 255), (9, 9, 9, 0)])
def test_where_nothing_can_hide_nothing_is_half_done(colour: tuple[int, ...]) -> None:
    pixels = np.full((200, 200, 4), colour, np.uint8)
    marked = watermark.embed(pixels, MARK)
    found = watermark.detect(marked)
    assert marked is pixels or (found is not None and found.mark == MARK)
    assert found is None or marked is not pixels


def test_a_thin_drawing_is_marked_wholly_or_not_at_all() -> None:
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[100:103, 20:230] = (200, 30, 30, 255)
    assert watermark.embed(pixels, MARK) is pixels


def test_a_long_strip_is_marked_too() -> None:
    found = watermark.detect(watermark.embed(scene(1600, 130), MARK))
    assert found is not None
    assert found.mark == MARK


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_code_word_is_read_through_noise(number: int, seed: int) -> None:
    mark = f"{number:012x}"
    noise = np.random.RandomState(seed).standard_normal(coding.LENGTH)
    decoded = coding.decode(coding.encode(mark) + 0.8 * noise)
    assert decoded is not None
    assert decoded[0] == mark


def test_no_word_is_read_from_noise_or_from_nothing() -> None:
    drawn = np.random.RandomState(5)
    assert all(coding.decode(drawn.standard_normal(coding.LENGTH)) is None for _ in range(200))
    assert coding.decode(np.zeros(coding.LENGTH)) is None


def test_the_certainty_is_that_of_the_angle() -> None:
    word = coding.encode(MARK)
    decoded = coding.decode(word)
    assert decoded is not None
    assert decoded[1] == pytest.approx(1)
    noisy = word + np.random.RandomState(2).standard_normal(coding.LENGTH)
    decoded = coding.decode(noisy)
    assert decoded is not None
    assert decoded[1] == pytest.approx(word @ noisy / np.linalg.norm(noisy) / np.linalg.norm(word))
