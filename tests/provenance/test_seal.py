"""Sealed files: the same bytes each time, the Recipe inside, the pixels whole."""

import io
import json
import re
import struct
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import resvg_py
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from limner.app.sealing import disclosed
from limner.domain.composition import Box, Region
from limner.domain.errors import InvalidOption, InvalidSize
from limner.domain.policy import Detail, Mining, Policy
from limner.domain.recipe import (
    Draft,
    FileFormat,
    InputRole,
    ModelRef,
    Recipe,
    RecipeInput,
    Size,
    Task,
)
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance.formats import encode_png
from limner.provenance.intake import read_picture
from limner.provenance.label import labelled
from limner.provenance.metadata import read_digest, read_recipe
from limner.provenance.rights import Rights, read_rights
from limner.provenance.seal import Sealed, SealTerms
from limner.provenance.seal import seal as sealed_with
from limner.provenance.watermark import detect
from limner.provenance.xmp import read_statement

WITH_ALPHA = [FileFormat.PNG, FileFormat.WEBP, FileFormat.SVG]
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def disc(side: int = 96, colour: tuple[int, int, int] = (220, 40, 30)) -> Pixels:
    """Return a disc with a soft edge and a yellow square in it, on nothing."""
    image = Image.new("RGBA", (side * 4, side * 4), (*colour, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((side // 2, side // 2, side * 7 // 2, side * 7 // 2), fill=(*colour, 255))
    draw.rectangle((side * 3 // 2, side * 3 // 2, side * 5 // 2, side * 5 // 2), fill="#ffd800")
    return np.array(image.resize((side, side), Image.Resampling.BOX))


def recipe(file_format: FileFormat = FileFormat.PNG, prompt: str = "a red disc") -> Recipe:
    size = Size(width=96, height=96)
    return Recipe(
        task=Task.TEXT_TO_IMAGE,
        model=ModelRef(name="vellum", sha256="a" * 64),
        prompt=prompt,
        seed=7,
        size=size,
        native_size=size,
        guidance=3.5,
        format=file_format,
        extras=(("style", "flat"),),
    )


def seal(pixels: Pixels, made: Recipe, terms: SealTerms | None = None) -> Sealed:
    return sealed_with(pixels, made, terms or SealTerms())


def pixels_for(file_format: FileFormat) -> Pixels:
    return disc() if file_format.has_alpha else raster.over(disc())


def rendered(file: bytes, side: int) -> Pixels:
    png = resvg_py.svg_to_bytes(svg_string=file.decode(), width=side)
    return np.array(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


@pytest.mark.parametrize("file_format", FileFormat)
def test_a_seal_is_repeatable_and_carries_its_recipe(file_format: FileFormat) -> None:
    given = recipe(file_format)
    sealed = seal(pixels_for(file_format), given)
    assert sealed == seal(pixels_for(file_format), given)
    assert sealed.media_type == file_format.media_type
    assert sealed.pixel_digest == raster.pixel_digest(pixels_for(file_format))
    assert read_recipe(sealed.file) == given
    other = seal(pixels_for(file_format), recipe(file_format, "another"))
    assert other.file != sealed.file


@pytest.mark.parametrize("file_format", [FileFormat.PNG, FileFormat.WEBP])
def test_lossless_files_hold_exactly_the_pixels(file_format: FileFormat) -> None:
    for pixels in (disc(), raster.over(disc())):
        sealed = seal(pixels, recipe(file_format))
        picture = read_picture(sealed.file)
        assert picture.media_type == file_format.media_type
        assert raster.pixel_digest(picture.pixels) == sealed.pixel_digest


def test_jpeg_is_fine_and_in_full_colour_resolution() -> None:
    sealed = seal(raster.over(disc()), recipe(FileFormat.JPEG))
    picture = read_picture(sealed.file)
    assert np.abs(picture.pixels.astype(int) - raster.over(disc())).mean() < 3
    frame = sealed.file.index(b"\xff\xc0")
    assert sealed.file[frame + 11] == 0x11


def test_jpeg_refuses_transparency() -> None:
    with pytest.raises(InvalidOption, match="png or webp"):
        seal(disc(), recipe(FileFormat.JPEG))


@pytest.mark.parametrize(
    ("file_format", "width"), [(FileFormat.WEBP, 16_384), (FileFormat.JPEG, 65_501)]
)
def test_what_a_format_cannot_hold_is_refused(file_format: FileFormat, width: int) -> None:
    with pytest.raises(InvalidSize, match="Use png"):
        seal(np.full((1, width, 4), 255, np.uint8), recipe(file_format))


def chunks(file: bytes) -> dict[bytes, bytes]:
    found, place = {}, 8
    while place < len(file):
        length = struct.unpack(">I", file[place : place + 4])[0]
        found[file[place + 4 : place + 8]] = file[place + 8 : place + 8 + length]
        place += length + 12
    return found


def test_png_is_tagged_as_srgb_and_shows_the_recipe_as_text() -> None:
    given = recipe(prompt="ein Fuchs 🦊 – größer")
    sealed = seal(disc(), given)
    assert chunks(sealed.file)[b"sRGB"] == b"\x00"
    with Image.open(io.BytesIO(sealed.file)) as image:
        text = json.loads(image.info["limner:recipe"])
    assert Recipe.model_validate(text) == given
    assert text["prompt"] == "ein Fuchs 🦊 – größer"


@pytest.mark.parametrize("file_format", FileFormat)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (False, "trainedAlgorithmicMedia"),
        (True, "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_every_file_says_that_a_model_made_it(
    file_format: FileFormat, given: bool, expected: str
) -> None:
    start = RecipeInput(asset="b" * 64, role=InputRole.INIT)
    made = recipe(file_format).model_copy(update={"inputs": (start,) if given else ()})
    file = seal(pixels_for(file_format), made, SealTerms(composite=given)).file
    if file_format is FileFormat.SVG:
        packet = file
    else:
        with Image.open(io.BytesIO(file)) as image:
            image.load()
            packet = image.info["xmp"]
    (kind,) = ET.fromstring(packet).iter(IPTC)
    assert kind.text == f"http://cv.iptc.org/newscodes/digitalsourcetype/{expected}"


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=300), st.sampled_from(list(FileFormat)))
def test_any_words_come_back_from_any_format(words: str, file_format: FileFormat) -> None:
    made = recipe(file_format, words)
    small = raster.over(disc(8)) if file_format is FileFormat.JPEG else disc(8)
    file = seal(small, made).file
    assert read_recipe(file) == made
    if file_format is FileFormat.SVG:
        ET.fromstring(file)


@pytest.mark.parametrize("character", ["&", "<", "\x01", "\x85", "\ufffe", "🦊", '"', "]]>"])
def test_the_longest_prompts_fit_every_format(character: str) -> None:
    words = (character * 4_000)[:4_000]
    for file_format in FileFormat:
        made = recipe(file_format, words).model_copy(update={"negative_prompt": words})
        file = seal(pixels_for(file_format), made).file
        assert read_recipe(file) == made


@pytest.mark.parametrize("detail", list(Detail))
def test_what_is_too_long_for_a_jpeg_never_drives_out_the_rest(detail: Detail) -> None:
    region = Region(box=Box(left=0, top=0, right=1, bottom=1), prompt="&" * 4_000)
    rights = Rights(("&" * 1_000,) * 4, "&" * 1_000)  # the most that is ever read
    asked = recipe(FileFormat.JPEG).model_copy(update={"layout": (region,) * 8})
    for made in (asked, recipe(FileFormat.JPEG)):
        terms = SealTerms(detail=detail, mining=Mining.NOT_ALLOWED, rights=rights)
        file = seal(pixels_for(FileFormat.JPEG), made, terms).file
        said = read_statement(file)
        assert said is not None
        assert (said.digital_source_type, said.data_mining) == (
            "trainedAlgorithmicMedia",
            "DMI-PROHIBITED-AIMLTRAINING",
        )
        assert read_digest(file) == (None if detail is Detail.NONE else made.digest)
        assert read_rights(file) == rights
    whole = seal(pixels_for(FileFormat.PNG), asked.model_copy(update={"format": FileFormat.PNG}))
    assert read_recipe(whole.file) is not None


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"no picture",
        encode_png(disc(8)),
        b"<limner:recipe></limner:recipe>",
        b"<limner:recipe>{}</limner:recipe>",
        b"<limner:recipe>\xff\xfe</limner:recipe>",
        b"<limner:recipe>" + b"[" * 60_000 + b"</limner:recipe>",
        b"<limner:recipe>" + b"1" * 70_000 + b"</limner:recipe>",
        b"</limner:recipe><limner:recipe>",
        b"<limner:recipe>&#xffffffff;&bogus;</limner:recipe>",
    ],
)
def test_files_without_a_recipe_have_none(file: bytes) -> None:
    assert read_recipe(file) is None


def test_a_plain_png_carries_only_pixels() -> None:
    file = encode_png(disc())
    assert set(chunks(file)) == {b"IHDR", b"sRGB", b"IDAT", b"IEND"}
    assert raster.pixel_digest(read_picture(file).pixels) == raster.pixel_digest(disc())


def test_svg_draws_the_picture_at_any_size() -> None:
    sealed = seal(disc(256), recipe(FileFormat.SVG))
    for side in (64, 256, 1_024):
        expected = raster.resize(disc(1_024), Size(width=side, height=side)).astype(int)
        drawn = rendered(sealed.file, side).astype(int)
        assert drawn.shape == expected.shape
        assert np.abs(drawn - expected)[..., 3].mean() < 4
        inside = (expected[..., 3] == 255) & (drawn[..., 3] == 255)
        assert np.abs(drawn - expected)[inside].mean() < 4


def test_svg_has_no_background_and_few_colours() -> None:
    file = seal(disc(256), recipe(FileFormat.SVG)).file
    drawn = rendered(file, 256)
    assert not drawn[:16, :, 3].any()
    assert len(set(re.findall(rb'fill="(#\w+)"', file))) <= 6


def test_svg_keeps_the_asked_size_and_a_view_box() -> None:
    pixels = raster.resize(disc(), Size(width=60, height=30))
    root = ET.fromstring(seal(pixels, recipe(FileFormat.SVG)).file)
    assert (root.get("width"), root.get("height")) == ("60", "30")
    assert root.get("viewBox") == "0 0 512 256"


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.full((1, 1, 4), 255, np.uint8),
        np.full((3, 900, 4), 200, np.uint8),
        np.full((8, 8, 4), 100, np.uint8),
    ],
    ids=["nothing", "one pixel", "thin", "half there"],
)
@pytest.mark.parametrize("file_format", WITH_ALPHA)
def test_odd_pictures_are_sealed_too(file_format: FileFormat, pixels: Pixels) -> None:
    file = seal(pixels, recipe(file_format)).file
    assert read_recipe(file) is not None
    if file_format is FileFormat.SVG:
        drawn = rendered(file, 64)
        assert drawn[..., 3].any() == (pixels[..., 3] >= 128).any()


def test_sealing_leaves_the_pixels_alone() -> None:
    for file_format in FileFormat:
        pixels = pixels_for(file_format)
        seal(pixels, recipe(file_format))
        assert np.array_equal(pixels, pixels_for(file_format))


def textured(side: int) -> Pixels:
    """Return a disc on soft, grainy ground: enough to hide a mark in."""
    drawn = np.random.default_rng(3)
    coarse = drawn.integers(60, 200, (12, 12, 3), dtype=np.uint8)
    ground = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    pixels = np.full((side, side, 4), 255, np.uint8)
    grain = drawn.normal(0, 4, (side, side, 3))
    pixels[..., :3] = np.clip(np.asarray(ground) + grain, 0, 255).astype(np.uint8)
    cover = disc(side)
    return np.where(cover[..., 3:] == 255, cover, pixels)


def marked_recipe(file_format: FileFormat, prompt: str = "a red disc") -> Recipe:
    return recipe(file_format, prompt).model_copy(update={"watermark": True})


@pytest.mark.parametrize("file_format", [one for one in FileFormat if one is not FileFormat.SVG])
def test_the_mark_of_a_seal_is_in_the_file(file_format: FileFormat) -> None:
    pixels = textured(320)
    sealed = seal(pixels, marked_recipe(file_format))
    found = detect(read_picture(sealed.file).pixels)
    assert found is not None
    assert found.mark == sealed.mark
    assert sealed.pixel_digest == raster.pixel_digest(pixels)
    assert read_recipe(sealed.file) == marked_recipe(file_format)


def test_a_mark_names_its_recipe_and_pixels() -> None:
    once = seal(textured(256), marked_recipe(FileFormat.PNG))
    again = seal(textured(256), marked_recipe(FileFormat.PNG))
    other = seal(textured(256), marked_recipe(FileFormat.PNG, "another"))
    flipped = seal(np.ascontiguousarray(textured(256)[::-1]), marked_recipe(FileFormat.PNG))
    assert once == again
    assert once.mark is not None
    assert re.fullmatch("[0-9a-f]{12}", once.mark)
    assert len({once.mark, other.mark, flipped.mark}) == 3
    assert once.fingerprint == other.fingerprint != flipped.fingerprint


@pytest.mark.parametrize(
    ("pixels", "file_format"),
    [
        (textured(64), FileFormat.PNG),
        (np.zeros((256, 256, 4), np.uint8), FileFormat.PNG),
        (textured(256), FileFormat.SVG),
    ],
    ids=["small", "nothing there", "a drawing"],
)
def test_what_cannot_hide_a_mark_says_so(pixels: Pixels, file_format: FileFormat) -> None:
    sealed = seal(pixels, marked_recipe(file_format))
    assert sealed.mark is None
    if file_format is FileFormat.PNG:
        assert raster.pixel_digest(read_picture(sealed.file).pixels) == sealed.pixel_digest


def test_without_the_wish_there_is_no_mark() -> None:
    sealed = seal(textured(256), recipe())
    assert sealed.mark is None
    assert np.array_equal(read_picture(sealed.file).pixels, textured(256))


def test_a_label_is_under_the_mark() -> None:
    made = marked_recipe(FileFormat.PNG).model_copy(update={"label": "de"})
    sealed = seal(textured(320), made)
    found = detect(read_picture(sealed.file).pixels)
    assert found is not None
    assert found.mark == sealed.mark
    assert sealed.pixel_digest == raster.pixel_digest(labelled(textured(320), "de"))


def test_masked_edits_are_not_marked() -> None:
    bare, masks = recipe(), RecipeInput(asset="c" * 64, role=InputRole.MASK)
    start = RecipeInput(asset="b" * 64, role=InputRole.INIT)
    edit = bare.model_copy(update={"inputs": (start,)})
    inpaint = bare.model_copy(update={"inputs": (start, masks)})
    marked = [disclosed(one, Draft(), Policy()).watermark for one in (bare, edit, inpaint)]
    assert marked == [True, True, False]
    assert not disclosed(bare, Draft(), Policy(watermark=False)).watermark
    drawing = bare.model_copy(update={"format": FileFormat.SVG})
    assert not disclosed(drawing, Draft(), Policy()).watermark
