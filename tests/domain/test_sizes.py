"""Sizes: read from text, bounded, brought to what a model draws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.capability import Capability, Sizes, TaskInputs
from limner.domain.errors import InvalidSize
from limner.domain.recipe import (
    Draft,
    FileFormat,
    InputRole,
    ModelRef,
    RecipeInput,
    Size,
    Task,
)
from tests.domain.strategies import SIZES


def size(width: int, height: int) -> Size:
    return Size(width=width, height=height)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("512x384", size(512, 384)),
        ("512X384", size(512, 384)),
        ("512×384", size(512, 384)),
        (" 512 x 384 ", size(512, 384)),
        ("512", size(512, 512)),
        ("1x65535", size(1, 65_535)),
        ("00064x064", size(64, 64)),
    ],
)
def test_a_size_is_read(text: str, read: Size) -> None:
    assert Size.parse(text) == read


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "x", "512x", "x512", "0x5", "5x0", "0", "-5x5", "5.5x5", "65536x1", "99999x1"],
        *["1e3x5", "512x384x3", "512,384", "wide", "512x384px", "512 384", "\udcff", "🦊"],
        "9" * 5_000,
    ],
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidSize, match="512x512") as raised:
        Size.parse(text)
    assert len(raised.value.message) < 150


def test_a_side_that_is_too_long_is_told_with_the_longest() -> None:
    with pytest.raises(InvalidSize, match="a side has 1 to 65,535 pixels"):
        Size.parse("100000")


@given(SIZES)
def test_a_size_reads_back_what_it_writes(one: Size) -> None:
    assert Size.parse(str(one)) == one
    assert one.pixels == one.width * one.height


@given(SIZES, SIZES)
def test_a_fitted_size_lies_inside_and_touches(one: Size, into: Size) -> None:
    inner = one.fitted(into)
    assert inner.width <= into.width
    assert inner.height <= into.height
    assert inner.width == into.width or inner.height == into.height
    # within half a pixel of the exact shape, unless that would be less than a pixel
    exact = min(into.width / one.width, into.height / one.height)
    assert abs(inner.width - max(1, one.width * exact)) <= 0.5
    assert abs(inner.height - max(1, one.height * exact)) <= 0.5


def test_a_size_fits_itself_and_its_multiples_exactly() -> None:
    assert size(300, 200).fitted(size(300, 200)) == size(300, 200)
    assert size(300, 200).fitted(size(1200, 800)) == size(1200, 800)
    assert size(300, 200).fitted(size(64, 64)) == size(64, 43)


@pytest.mark.parametrize("wrong", [size(15, 512), size(512, 15), size(8_193, 16), size(16, 8_193)])
def test_sides_have_bounds(wrong: Size) -> None:
    with pytest.raises(InvalidSize, match=r"16 to 8192"):
        Sizes().check(wrong)


def test_so_has_the_area() -> None:
    Sizes().check(size(6_000, 6_000))
    with pytest.raises(InvalidSize, match=r"67 megapixels.*36"):
        Sizes().check(size(8_192, 8_192))


@pytest.mark.parametrize(
    ("asked", "native"),
    [
        (size(512, 512), size(128, 128)),
        (size(70, 70), size(64, 64)),
        (size(1024, 512), size(96, 48)),
        (size(100, 1000), size(48, 96)),
        (size(48, 96), size(48, 96)),
    ],
)
def test_the_native_size_is_nearest_in_shape_then_in_area(asked: Size, native: Size) -> None:
    sizes = Sizes(native=(size(64, 64), size(96, 48), size(48, 96), size(128, 128)))
    assert sizes.native_for(asked) == native


@given(SIZES, st.lists(SIZES, max_size=4).map(tuple))
def test_the_native_size_is_one_of_them(asked: Size, native: tuple[Size, ...]) -> None:
    assert Sizes(native=native).native_for(asked) in (native or (asked,))


def test_formats_say_what_they_hold() -> None:
    assert [one.value for one in FileFormat if not one.has_alpha] == ["jpeg"]
    assert FileFormat.SVG.media_type == "image/svg+xml"
    assert FileFormat.PNG.media_type == "image/png"


def test_tasks_say_whether_they_take_words() -> None:
    wordless = {one for one in Task if not one.takes_words}
    assert wordless == {Task.ERASE, Task.UPSCALE, Task.CUTOUT}


@pytest.mark.parametrize(
    ("asked", "native"),
    [
        ("1024x1024", "1024x1024"),
        ("1216x832", "1216x832"),
        ("1000x1000", "1008x1008"),
        ("4096x4096", "2048x2048"),
        ("8000x2000", "4096x1024"),
        ("64x64", "512x512"),
        ("100x3000", "112x3008"),
    ],
)
def test_a_model_of_any_size_draws_between_two_areas(asked: str, native: str) -> None:
    sizes = Sizes(default=Size.parse("1024x1024"), drawn=(512 * 512, 2048 * 2048), multiple=16)
    found = sizes.native_for(Size.parse(asked))
    assert found.width % 16 == found.height % 16 == 0
    assert found.pixels <= 2048 * 2048
    assert str(found) == native


def test_a_part_of_a_picture_is_drawn_as_a_square() -> None:
    sizes = Sizes(default=Size.parse("1024x1024"), drawn=(512 * 512, 2048 * 2048), multiple=16)
    inputs = (InputRole.INIT, InputRole.MASK)
    able = Capability(tasks=(TaskInputs(task=Task.INPAINT, required=inputs),), sizes=sizes)
    draft = Draft(
        task=Task.INPAINT,
        prompt="a fox",
        size=Size.parse("3000x500"),
        inputs=tuple(RecipeInput(asset="0" * 64, role=role) for role in inputs),
    )
    recipe = able.resolve(draft, ModelRef(name="any", sha256="0" * 64), 1)
    assert str(recipe.native_size) == "1024x1024"
    assert str(recipe.size) == "3000x500"
