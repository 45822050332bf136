"""The visible label: every language, legible on any ground, in its corner, the rest untouched."""

import io
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import resvg_py
from PIL import Image, ImageFont

from limner.app.sealing import disclosed
from limner.domain.disclosure import DISCLOSURES
from limner.domain.errors import InvalidOption, InvalidSize
from limner.domain.policy import Label, Policy
from limner.domain.recipe import Draft, FileFormat, ModelRef, Recipe, Size, Task
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance import label
from limner.provenance.label import check_label, label_drawing, labelled
from limner.provenance.seal import SealTerms, seal

OFFICIAL = {
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "ga", "hr"),
    *("hu", "it", "lt", "lv", "mt", "nl", "pl", "pt", "ro", "sk", "sl", "sv"),
}
GROUNDS = {
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "black": (0, 0, 0),
    "red": (255, 0, 0),
}


def plain(width: int, height: int, *colour: int) -> Pixels:
    pixels = np.empty((height, width, 4), np.uint8)
    pixels[...] = colour
    return pixels


def recipe(file_format: FileFormat, language: str | None, side: int = 256) -> Recipe:
    size = Size(width=side, height=side)
    return Recipe(
        task=Task.TEXT_TO_IMAGE,
        model=ModelRef(name="vellum", sha256="a" * 64),
        prompt="a fox",
        size=size,
        native_size=size,
        format=file_format,
        label=language,
    )


def luminance(pixels: Pixels) -> np.ndarray:
    """Relative luminance of sRGB colours, as WCAG 2 has it."""
    encoded = pixels[..., :3] / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    found: np.ndarray = linear @ (0.2126, 0.7152, 0.0722)
    return found


def changed(before: Pixels, after: Pixels) -> tuple[slice, slice]:
    """Return the rectangle in which two pictures differ."""
    rows, columns = np.nonzero((before != after).any(axis=-1))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_all_official_languages_of_the_union_are_there() -> None:
    assert set(DISCLOSURES) >= OFFICIAL
    assert len(OFFICIAL) == 24


@pytest.mark.parametrize("language", DISCLOSURES)
def test_the_font_has_every_letter(language: str) -> None:
    path = Path(label.__file__).parent / "label.ttf"
    font = ImageFont.truetype(str(path), 64, layout_engine=ImageFont.Layout.BASIC)
    missing = bytes(font.getmask("\uffff"))
    for letter in set(DISCLOSURES[language]) - {" "}:
        assert bytes(font.getmask(letter)) != missing, letter
    assert path.stat().st_size <= 100_000


@pytest.mark.parametrize("language", DISCLOSURES)
@pytest.mark.parametrize("side", [label.ROOMY, 256, 1_024])
def test_a_label_lies_in_its_corner_and_leaves_the_rest(language: str, side: int) -> None:
    before = plain(side, side, 200, 210, 190, 255)
    after = labelled(before, language)
    rows, columns = changed(before, after)
    margin = max(3, round(0.018 * side))
    assert (rows.stop, columns.stop) == (side - margin, side - margin)
    assert rows.stop - rows.start >= max(11, side / 32)
    assert (rows.stop - rows.start) * (columns.stop - columns.start) < 0.13 * side * side
    assert np.array_equal(before, plain(side, side, 200, 210, 190, 255))
    assert np.array_equal(after, labelled(before, language))


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS.keys())
def test_the_letters_stand_out_on_any_ground(ground: tuple[int, int, int]) -> None:
    before = plain(256, 256, *ground, 255)
    after = labelled(before, "de")
    rows, columns = changed(before, after)
    badge = luminance(after[rows, columns])
    middle = badge[badge.shape[0] // 2]
    assert badge.max() > 0.9
    lightest_ground = np.quantile(badge, 0.4)
    assert (badge.max() + 0.05) / (lightest_ground + 0.05) > 4.5
    assert np.count_nonzero(np.diff((middle > 0.4).astype(int)) > 0) >= 10


def test_on_nothing_the_label_has_its_own_ground() -> None:
    after = labelled(plain(256, 256, 0, 0, 0, 0), "en")
    rows, columns = changed(plain(256, 256, 0, 0, 0, 0), after)
    badge = after[rows, columns]
    assert (badge[4:-4, 8:-8, 3] >= 170).all()
    assert not after[:200, :, 3].any()
    on_white = luminance(raster.over(badge))
    assert (on_white.max() + 0.05) / (np.quantile(on_white, 0.4) + 0.05) > 4.5


def test_languages_are_understood_with_their_region() -> None:
    ground = plain(256, 256, 0, 0, 0, 255)
    assert np.array_equal(labelled(ground, "de-AT"), labelled(ground, "de"))
    assert not np.array_equal(labelled(ground, "en"), labelled(ground, "de"))
    with pytest.raises(InvalidOption, match=r"no label in “tlh”.*de, el, en"):
        labelled(ground, "tlh")


@pytest.mark.parametrize("sides", [(1, 1), (95, 95), (2_000, 64), (64, 2_000), (100, 900)])
def test_where_it_could_not_be_read_there_is_none(sides: tuple[int, int]) -> None:
    with pytest.raises(InvalidSize, match="192x192 has room for every language"):
        labelled(plain(*sides, 0, 0, 0, 255), "pl")
    with pytest.raises(InvalidSize):
        check_label(Size(width=sides[0], height=sides[1]), "pl")


@pytest.mark.parametrize("language", ["de", "el", "bg", "hu", "mt", "tr"])
@pytest.mark.parametrize("side", [200, 700])
def test_a_drawing_has_the_label_as_outlines(language: str, side: int) -> None:
    made = recipe(FileFormat.SVG, language, side)
    sealed = seal(plain(side, side, 250, 200, 60, 255), made, SealTerms())
    ET.fromstring(sealed.file)
    assert b"<text" not in sealed.file
    png = resvg_py.svg_to_bytes(svg_string=sealed.file.decode(), width=side)
    with Image.open(io.BytesIO(bytes(png))) as image:
        drawn = np.array(image.convert("RGB")).astype(int)
    expected = labelled(plain(side, side, 250, 200, 60, 255), language)
    rows, columns = changed(plain(side, side, 250, 200, 60, 255), expected)
    apart = np.abs(drawn - expected[..., :3])
    assert apart[rows, columns].mean() < 8
    assert apart.mean() < 1


def test_a_drawing_s_label_grows_with_it() -> None:
    small, large = (label_drawing(Size(width=n, height=n), "en") for n in (256, 1_024))
    assert small != large
    assert small == label_drawing(Size(width=256, height=256), "en")


@pytest.mark.parametrize("file_format", [one for one in FileFormat if one is not FileFormat.SVG])
def test_the_label_is_in_the_file_and_in_its_digest(file_format: FileFormat) -> None:
    pixels = plain(256, 256, 40, 90, 160, 255)
    sealed = seal(pixels, recipe(file_format, "fr"), SealTerms())
    assert sealed.pixel_digest == raster.pixel_digest(labelled(pixels, "fr"))
    assert sealed.pixel_digest != seal(pixels, recipe(file_format, None), SealTerms()).pixel_digest


def test_a_workspace_labels_every_picture_and_a_draft_may_ask() -> None:
    bare, rule = recipe(FileFormat.PNG, None), Policy(label=Label(language="fr"))
    assert disclosed(bare, Draft(), Policy()).label is None
    assert disclosed(bare, Draft(label="de"), Policy()).label == "de"
    assert disclosed(bare, Draft(label="de"), rule).label == "fr"
    with pytest.raises(InvalidOption, match="no label"):
        disclosed(bare, Draft(label="xx"), Policy())
    with pytest.raises(InvalidSize, match="too small for a label"):
        disclosed(recipe(FileFormat.PNG, None, 64), Draft(), rule)
