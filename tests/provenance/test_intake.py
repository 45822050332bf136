"""Pictures from outside: every common kind read rightly, everything else refused with a reason."""

import io
import pickle
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from limner.domain.errors import InvalidImage
from limner.domain.recipe import Size
from limner.provenance import intake
from limner.provenance.intake import Limits, read_mask, read_picture


def noise(width: int = 24, height: int = 16, channels: int = 3) -> np.ndarray:
    generator = np.random.default_rng(7)
    return generator.integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(width: int = 24, height: int = 16) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.dstack([rows * 9, columns * 7, rows * 4 + columns * 3]).astype(np.uint8)


def save(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of(width: int, height: int, *, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """Return a PNG whose header says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "media_type", "loss"),
    [
        ("PNG", "image/png", 0),
        ("BMP", "image/bmp", 0),
        ("TIFF", "image/tiff", 0),
        ("WEBP", "image/webp", 0),
        ("JPEG", "image/jpeg", 24),
        ("AVIF", "image/avif", 24),
    ],
)
def test_every_format_is_read(kind: str, media_type: str, loss: int) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    picture = read_picture(save(Image.fromarray(smooth()), kind, **options))
    assert picture.media_type == media_type
    assert picture.size == Size(width=24, height=16)
    assert np.abs(picture.pixels[..., :3].astype(int) - smooth()).max() <= loss
    assert (picture.pixels[..., 3] == 255).all()
    picture.pixels[...] = 0


def test_of_an_animation_the_first_frame_is_read() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    for kind in ("GIF", "WEBP", "PNG"):
        file = save(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(read_picture(file).pixels[0, 0].astype(int) - (255, 0, 0, 255)).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int) -> None:
    upright = Image.fromarray(noise(6, 4))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(back[orientation]) if orientation in back else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "TIFF"):
        picture = read_picture(save(stored, kind, exif=exif))
        assert np.array_equal(picture.pixels[..., :3], noise(6, 4))


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_unknown_orientation_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(save(Image.fromarray(noise()), exif=exif))
    assert np.array_equal(picture.pixels[..., :3], noise())


def test_damaged_exif_does_not_cost_the_picture() -> None:
    file = save(Image.fromarray(noise()), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert np.array_equal(read_picture(file).pixels[..., :3], noise())


def lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@cache
def swapped_profile() -> bytes:
    """Return sRGB with the primaries of red and blue exchanged, and another name."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {}
    for index in range(struct.unpack(">I", profile[128:132])[0]):
        place = 132 + 12 * index
        tags[bytes(profile[place : place + 4])] = place
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_profiles_are_converted_to_srgb(mode: str) -> None:
    image = Image.new("RGB", (4, 4), (200, 10, 20)).convert(mode)
    pixels = read_picture(save(image, icc_profile=swapped_profile())).pixels
    red, green, blue, alpha = pixels[0, 0].astype(int)
    assert blue > 150
    assert red < 60
    assert green < 60
    assert alpha == 255


def test_alpha_goes_through_a_profile_untouched() -> None:
    straight = noise(channels=4)
    file = save(Image.fromarray(straight), icc_profile=swapped_profile())
    assert np.array_equal(read_picture(file).pixels[..., 3], straight[..., 3])


def test_pictures_in_srgb_keep_their_bytes() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = save(Image.fromarray(noise()), icc_profile=profile)
    assert np.array_equal(read_picture(file).pixels[..., :3], noise())


@pytest.mark.parametrize("profile", [b"junk" * 50, b"\x00", lab_profile()])
def test_a_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    file = save(Image.fromarray(noise()), icc_profile=profile)
    assert np.array_equal(read_picture(file).pixels[..., :3], noise())


def test_cmyk_is_read_with_and_without_a_profile() -> None:
    image = Image.new("RGB", (8, 8), (250, 250, 250)).convert("CMYK")
    for options in ({}, {"icc_profile": swapped_profile()}):
        pixels = read_picture(save(image, "JPEG", **options)).pixels
        assert (pixels[..., :3] > 235).all()


def test_sixteen_bits_are_brought_to_eight() -> None:
    values = np.array([[0, 65_535, 32_768, 257, 128, 129]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        pixels = read_picture(save(Image.fromarray(values), kind)).pixels
        assert pixels[0, :, 0].tolist() == [0, 255, 128, 1, 0, 1]
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_grey_palette_and_bilevel_pictures_are_read() -> None:
    grey = Image.fromarray(noise(channels=1)[..., 0])
    assert np.array_equal(read_picture(save(grey)).pixels[..., 1], np.asarray(grey))
    both = Image.merge("LA", [grey, grey])
    assert np.array_equal(read_picture(save(both)).pixels[..., 3], np.asarray(grey))
    lines = Image.new("1", (4, 4), 1)
    assert (read_picture(save(lines)).pixels == 255).all()
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putdata([0, 1])
    pixels = read_picture(save(palette, transparency=1)).pixels
    assert pixels[0].tolist() == [[255, 0, 0, 255], [0, 255, 0, 0]]
    named = read_picture(save(Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3)))
    assert not named.pixels[..., 3].any()


def test_floating_point_is_refused_with_the_way_out() -> None:
    floats = Image.fromarray(np.zeros((4, 4), np.float32))
    with pytest.raises(InvalidImage, match="8 or 16 bits"):
        read_picture(save(floats, "TIFF"))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"", "empty"),
        (b"hello, this is text", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf  <SVG/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "XML"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (pickle.dumps([1, 2, 3]), "pickle"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (b"\x7fELF" + bytes(60), "program"),
        (b"P6 1 1 255 abc", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "no picture"),
        (bytes(1_000), "no picture"),
        (b"\xff" * 1_000, "no picture"),
    ],
)
def test_what_is_no_picture_is_named(file: bytes, said: str) -> None:
    with pytest.raises(InvalidImage, match=said) as caught:
        read_picture(file)
    assert "PNG, JPEG, WebP" in caught.value.message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_cut_off_files_are_refused(kind: str) -> None:
    file = save(Image.fromarray(noise(64, 64)), kind)
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(InvalidImage):
            read_picture(file[: int(len(file) * share)])


def test_too_large_a_file_is_refused_unread() -> None:
    with pytest.raises(InvalidImage, match="MB"):
        read_picture(bytes(2_000_000), Limits(bytes=1_000_000))


@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 30_000), (65_535, 65_535), (2**31 - 1, 1), (9_000, 9_000)]
)
def test_a_bomb_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    with pytest.raises(InvalidImage, match="megapixels"):
        read_picture(png_of(width, height))


def test_limits_count_pixels() -> None:
    file = save(Image.fromarray(noise(40, 25)))
    assert read_picture(file, Limits(pixels=1_000)).size.pixels == 1_000
    with pytest.raises(InvalidImage, match="40x25"):
        read_picture(file, Limits(pixels=999))


def test_a_gif_whose_frame_is_larger_than_its_screen_counts_in_full() -> None:
    gif = bytearray(save(Image.new("L", (4, 4)), "GIF"))
    frame = gif.index(b"\x2c")
    gif[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    with pytest.raises(InvalidImage):
        read_picture(bytes(gif))


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(InvalidImage):
        read_picture(png_of(width, height))


def test_no_warning_leaks_and_the_filters_are_restored() -> None:
    file = bytearray(save(Image.fromarray(noise()), "TIFF"))
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for cut in range(8, len(file), 37):
            try:
                read_picture(bytes(file[:cut]))
            except InvalidImage:
                continue
    assert not caught
    assert list(warnings.filters) == before


def test_files_are_decoded_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=20)
    decode = intake._decode

    def meet(file: bytes, limits: Limits) -> intake.Picture:
        together.wait()
        return decode(file, limits)

    monkeypatch.setattr(intake, "_decode", meet)
    file = save(Image.fromarray(noise()), "PNG")
    with ThreadPoolExecutor(3) as threads:
        pictures = list(threads.map(read_picture, [file] * 3))
    assert all(np.array_equal(one.pixels[..., :3], noise()) for one in pictures)


def test_odd_files_read_by_many_threads_warn_nobody_and_leave_the_filters() -> None:
    file = save(Image.fromarray(noise()), "TIFF")
    cut = [file[:length] for length in range(8, len(file), 37)]

    def read(file: bytes) -> None:
        with suppress(InvalidImage):
            read_picture(file)

    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, cut * 5))
    assert list(warnings.filters) == before


def test_warnings_of_others_are_heard_while_a_file_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def warn(*_: object) -> intake.Picture:
        warnings.warn("from elsewhere", UserWarning, stacklevel=1)
        raise AssertionError("the filter lets it pass")

    monkeypatch.setattr(intake, "_decode", warn)
    with pytest.raises(UserWarning, match="from elsewhere"):
        read_picture(save(Image.fromarray(noise()), "PNG"))


SAMPLES = [
    save(Image.fromarray(smooth()), "PNG"),
    save(Image.fromarray(smooth()), "PNG", icc_profile=swapped_profile()),
    save(Image.fromarray(smooth()), "JPEG"),
    save(Image.fromarray(smooth()).convert("CMYK"), "JPEG"),
    save(Image.fromarray(smooth()), "WEBP"),
    save(Image.fromarray(smooth()), "GIF"),
    save(Image.fromarray(smooth()), "BMP"),
    save(Image.fromarray(smooth()), "TIFF"),
    save(Image.fromarray(smooth()), "TIFF", compression="tiff_lzw"),
    save(Image.fromarray(smooth()), "TIFF", compression="jpeg"),
    save(Image.fromarray(smooth()), "AVIF"),
    save(Image.fromarray(noise(channels=4)), "PNG"),
    save(Image.fromarray(smooth()).quantize(8), "PNG"),
]
CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SAMPLES), CHANGES, st.booleans())
def test_no_damage_makes_it_fall(file: bytes, changes: list[Any], early: bool) -> None:
    damaged = bytearray(file)
    for place, value, remove in changes:
        index = int(place * min(len(damaged), 120 if early else len(damaged)))
        if remove and len(damaged) > 1:
            del damaged[index]
        else:
            damaged[index] = value
    try:
        picture = read_picture(bytes(damaged), Limits(pixels=1_000_000))
    except InvalidImage:
        return
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape[2] == 4
    assert picture.size.pixels <= 1_000_000


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fall(file: bytes) -> None:
    with pytest.raises(InvalidImage):
        read_picture(file)


SIZE = Size(width=6, height=4)


def marked(image: Image.Image) -> list[tuple[int, int]]:
    mask = read_mask(save(image), SIZE)
    assert (mask[..., 3] == 255).all()
    assert set(np.unique(mask[..., :3])) <= {0, 255}
    return [(int(row), int(column)) for row, column in np.argwhere(mask[..., 0] == 255)]


def test_white_is_what_changes() -> None:
    mask = Image.new("L", (6, 4), 127)
    mask.putpixel((5, 1), 128)
    assert marked(mask) == [(1, 5)]
    assert marked(mask.convert("RGB")) == [(1, 5)]


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0)])
def test_in_a_mask_painted_on_nothing_the_paint_counts(colour: tuple[int, int, int]) -> None:
    mask = Image.new("RGBA", (6, 4), (*colour, 0))
    mask.putpixel((2, 3), (*colour, 255))
    mask.putpixel((3, 3), (*colour, 100))
    assert marked(mask) == [(3, 2)]


def test_black_and_white_on_nothing_goes_by_luminance() -> None:
    mask = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    mask.putpixel((0, 0), (255, 255, 255, 255))
    mask.putpixel((1, 0), (0, 0, 0, 255))
    assert marked(mask) == [(0, 0)]


def test_a_mask_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(InvalidImage, match=r"4x6.*6x4"):
        read_mask(save(Image.new("L", (4, 6), 255)), SIZE)


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_a_mask_that_marks_nothing_is_refused(mode: str) -> None:
    with pytest.raises(InvalidImage, match="marks nothing"):
        read_mask(save(Image.new(mode, (6, 4))), SIZE)
