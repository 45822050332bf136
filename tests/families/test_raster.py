"""Pixels operations: colours under transparency must never show, and digests must be exact."""

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels

SIDES = st.integers(min_value=1, max_value=40)


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 4), dtype=np.uint8)


def plain(width: int, height: int, *rgba: int) -> Pixels:
    return np.full((height, width, 4), rgba, dtype=np.uint8)


def test_resize_does_not_bleed_the_colours_of_transparent_pixels() -> None:
    pixels = plain(32, 32, 0, 255, 0, 0)
    pixels[:, 16:] = (255, 0, 0, 255)
    small = raster.resize(pixels, Size(width=9, height=9))
    seen = small[small[..., 3] > 8]
    assert len(seen)
    assert seen[:, 0].min() == 255
    assert seen[:, 1].max() == 0


def test_resize_of_an_opaque_picture_is_the_plain_filter() -> None:
    pixels = noise(37, 23)
    pixels[..., 3] = 255
    expected = Image.fromarray(pixels[..., :3]).resize((15, 50), Image.Resampling.LANCZOS)
    resized = raster.resize(pixels, Size(width=15, height=50))
    assert np.array_equal(resized[..., :3], np.array(expected))
    assert raster.is_opaque(resized)


def test_resize_to_the_same_size_keeps_every_byte_and_shares_none() -> None:
    pixels = noise(8, 5)
    same = raster.resize(pixels, Size(width=8, height=5))
    assert np.array_equal(same, pixels)
    same[...] = 0
    assert pixels.any()


@given(SIDES, SIDES, SIDES, SIDES)
def test_resize_and_fit_give_exactly_the_size(
    width: int, height: int, wide: int, high: int
) -> None:
    size = Size(width=wide, height=high)
    for result in (
        raster.resize(noise(width, height), size),
        raster.fit(noise(width, height), size),
    ):
        assert raster.size_of(result) == size
        assert result.dtype == np.uint8
        assert result.flags.writeable


def test_over_mixes_by_alpha() -> None:
    pixels = np.array(
        [[[200, 100, 0, 255], [9, 9, 9, 0], [255, 0, 0, 128]]],
        dtype=np.uint8,
    )
    flat = raster.over(pixels, (0, 0, 255))
    assert flat[0].tolist() == [[200, 100, 0, 255], [0, 0, 255, 255], [128, 0, 127, 255]]


def test_fit_pads_a_sticker_with_transparency() -> None:
    pixels = plain(10, 10, 255, 0, 0, 255)
    pixels[0, 0] = 0
    fitted = raster.fit(pixels, Size(width=30, height=10))
    assert not fitted[:, :10, 3].any()
    assert not fitted[:, 20:, 3].any()
    assert np.array_equal(fitted[:, 10:20], pixels)


def test_fit_pads_an_opaque_picture_with_its_border_colour() -> None:
    pixels = plain(9, 9, 12, 34, 56, 255)
    pixels[2:7, 2:7, :3] = 200
    fitted = raster.fit(pixels, Size(width=9, height=21))
    assert (fitted[:6] == (12, 34, 56, 255)).all()
    assert (fitted[-6:] == (12, 34, 56, 255)).all()
    assert np.array_equal(fitted[6:15], pixels)


def test_fit_keeps_at_least_one_pixel_of_an_extreme_shape() -> None:
    fitted = raster.fit(plain(5000, 1, 255, 0, 0, 254), Size(width=16, height=16))
    assert fitted[..., 3].any()


def test_bleed_continues_visible_colours_and_keeps_alpha() -> None:
    pixels = plain(21, 13, 0, 255, 0, 0)
    pixels[4:9, 7:12] = (200, 10, 30, 255)
    filled = raster.bleed(pixels)
    assert np.array_equal(filled[..., 3], pixels[..., 3])
    assert np.abs(filled[..., :3].astype(int) - (200, 10, 30)).max() <= 1


def test_bleed_leaves_what_is_well_visible() -> None:
    pixels = noise(15, 9)
    pixels[..., 3] |= 64
    assert np.array_equal(raster.bleed(pixels), pixels)


def test_bleed_of_nothing_is_nothing() -> None:
    assert not raster.bleed(plain(5, 3, 9, 9, 9, 0))[..., :3].any()


def test_bleed_takes_the_nearer_colour() -> None:
    pixels = plain(32, 1, 0, 0, 0, 0)
    pixels[0, 0], pixels[0, 31] = (255, 0, 0, 255), (0, 0, 255, 255)
    filled = raster.bleed(pixels)
    assert filled[0, 3, 0] > filled[0, 3, 2]
    assert filled[0, 28, 2] > filled[0, 28, 0]


def test_region_is_what_is_white() -> None:
    mask = plain(3, 1, 0, 0, 0, 255)
    mask[0, 1], mask[0, 2] = 127, 128
    assert raster.region(mask).tolist() == [[False, False, True]]


def test_pixel_digest_is_the_documented_one() -> None:
    pixels = noise(3, 2)
    pixels[..., 3] |= 1
    expected = hashlib.sha256(b"RGBA8" + struct.pack(">II", 3, 2) + pixels.tobytes())
    assert raster.pixel_digest(pixels) == expected.hexdigest()
    assert raster.pixel_digest(np.asfortranarray(pixels)) == expected.hexdigest()


def test_pixel_digest_ignores_colours_nobody_sees_and_nothing_else() -> None:
    pixels = noise(4, 4)
    pixels[0, 0, 3] = 0
    pixels[0, 1, 3] = 1
    digest = raster.pixel_digest(pixels)
    unseen, seen = pixels.copy(), pixels.copy()
    unseen[0, 0, :3] ^= 255
    seen[0, 1, 0] ^= 1
    assert raster.pixel_digest(unseen) == digest
    assert raster.pixel_digest(seen) != digest


def test_pixel_digest_tells_shapes_apart() -> None:
    pixels = plain(6, 2, 1, 2, 3, 255)
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    assert raster.pixel_digest(pixels) != raster.pixel_digest(turned)


def test_unit_conversions_are_inverse_and_clip() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(raster.from_unit(raster.to_unit(every)), every)
    wild = np.array([-3.0, 7.0], dtype=np.float32)
    assert raster.from_unit(wild).tolist() == [0, 255]


@pytest.mark.parametrize("side", [1, 7])
def test_operations_leave_their_input_alone(side: int) -> None:
    pixels = noise(side, side)
    before = pixels.copy()
    raster.over(pixels)
    raster.fit(pixels, Size(width=3, height=9))
    raster.pixel_digest(pixels)
    assert np.array_equal(pixels, before)
