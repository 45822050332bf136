"""A few use cases with the real Vellum and upscaler, from words to the kept file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.app.studio import Made, Progress
from limner.app.wiring import open_desk
from limner.domain.errors import Cancelled
from limner.domain.event import CancelToken, Happening, Loading, Notice, Preview, Step
from limner.domain.recipe import Draft, FileFormat, Size
from limner.families.family import Pixels
from limner.provenance.formats import encode_png
from limner.provenance.intake import read_picture
from tests.families.pictures import mask_of, photo

STEPS = 4


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("real") / "home"
    with open_desk(Settings(home=home, threads=1, offline=True)) as opened:
        yield opened


def pixels_of(made: Made) -> Pixels:
    return read_picture(made.file).pixels


@pytest.fixture(scope="module")
def native(real: Desk) -> Size:
    [native] = real.studio.models.catalog.find("vellum").capability.sizes.native
    return native


def test_words_become_a_kept_picture(real: Desk, native: Size) -> None:
    told: list[Happening] = []
    made = real.generate(
        "a red fox", count=2, seed=1, size=native, steps=STEPS, progress=Progress(told.append)
    )
    assert next(event for event in told if not isinstance(event, Notice)) == Loading("vellum")
    assert [event for event in told if isinstance(event, Step) and event.index == 1] == [
        Step(1, "draw", step, STEPS) for step in range(1, STEPS + 1)
    ]
    for one in made:
        environment = one.asset.environment
        assert environment is not None
        assert dict(environment.libraries).keys() == {"numpy", "onnxruntime"}
        assert (environment.dtype, environment.threads) == ("float32", 1)
        assert one.asset.size == native
        assert pixels_of(one)[..., 3].min() == 0


def test_a_picture_is_the_same_alone_and_in_a_run(real: Desk, native: Size) -> None:
    together = real.generate("a castle", count=5, seed=10, size=native, steps=STEPS)
    [alone] = real.generate("a castle", seed=13, size=native, steps=STEPS)
    assert alone.asset.pixel_digest == together[3].asset.pixel_digest
    assert alone.asset.id == together[3].asset.id


def test_replaying_gives_identical_pixels(real: Desk, tmp_path: Path) -> None:
    picture = photo(90, 60)
    region = np.zeros((60, 90), bool)
    region[20:40, 30:60] = True
    made = [
        *real.generate("a tree", seed=3, steps=STEPS, size="100x80", style="flat"),
        real.edit(encode_png(picture), "a blue room", strength=0.5, steps=STEPS, seed=3),
        real.edit(encode_png(picture), "a hat", mask=encode_png(mask_of(region)), steps=STEPS),
        real.upscale(encode_png(picture), size="200x200"),
    ]
    for again, one in zip(real.perform([one.recipe for one in made]), made, strict=True):
        assert again.asset.pixel_digest == one.asset.pixel_digest
        assert again.asset.id == one.asset.id
    other = Settings(home=tmp_path, threads=2, offline=True)
    with open_desk(other) as elsewhere:
        [fresh] = elsewhere.perform([made[0].recipe])
    assert fresh.asset.pixel_digest == made[0].asset.pixel_digest


def test_above_native_a_picture_is_enlarged_to_the_size_asked(real: Desk) -> None:
    told: list[Happening] = []
    [made] = real.generate(
        "an apple", seed=1, size="300x200", steps=STEPS, progress=Progress(told.append)
    )
    pixels = pixels_of(made)
    assert pixels.shape == (200, 300, 4)
    assert (pixels[:, [0, -1], 3] == 0).all()
    assert [event.code for event in told if isinstance(event, Notice)] == ["enlarged"]
    assert {event.stage for event in told if isinstance(event, Step)} == {"draw", "upscale"}


def test_an_edited_picture_keeps_its_size_and_place(real: Desk) -> None:
    picture = photo(150, 90)
    kept = real.edit(encode_png(picture), "a room", strength=0.0, steps=STEPS)
    pixels = pixels_of(kept)
    assert pixels.shape == picture.shape
    assert np.abs(pixels[..., :3].astype(int) - picture[..., :3]).mean() < 20
    redrawn = real.edit(encode_png(picture), "a room", strength=0.9, steps=STEPS, seed=1)
    assert redrawn.asset.pixel_digest != kept.asset.pixel_digest


def test_inpainting_leaves_the_rest_byte_for_byte(real: Desk) -> None:
    picture = photo(200, 140)
    region = np.zeros((140, 200), bool)
    region[100:140, 150:200] = True
    made = real.edit(
        encode_png(picture), "a ball", mask=encode_png(mask_of(region)), steps=STEPS, seed=1
    )
    pixels = pixels_of(made)
    assert np.array_equal(pixels[~region], picture[~region])
    assert not np.array_equal(pixels[region], picture[region])
    assert made.asset.drift == 0
    assert made.asset.mark is None


def test_opaque_formats_and_drawings(real: Desk, native: Size) -> None:
    asked = Draft(prompt="a star", seed=2, size=native, steps=STEPS)
    flat = next(real.draw(asked.model_copy(update={"format": FileFormat.JPEG})))
    assert (pixels_of(flat)[..., 3] == 255).all()
    assert (pixels_of(flat)[0, 0, :3] > 240).all()
    drawing = next(real.draw(asked.model_copy(update={"format": FileFormat.SVG})))
    assert drawing.file.count(b"<path") >= 1


@pytest.mark.parametrize("prompt", ["🦊", "лиса", "x" * 4_000, "a fox\nand a hen", "!?", "0"])
def test_any_prompt_gives_a_picture(real: Desk, native: Size, prompt: str) -> None:
    [made] = real.generate(prompt, size=native, steps=1)
    assert made.recipe.prompt == prompt


def test_a_stop_keeps_what_is_finished(real: Desk, native: Size) -> None:
    token, told = CancelToken(), list[Happening]()

    def tell(happening: Happening) -> None:
        told.append(happening)
        if isinstance(happening, Step) and happening.index == 5:
            token.cancel()

    finished: list[Made] = []
    draft = Draft(prompt="a boat", seed=100, size=native, steps=STEPS)
    with pytest.raises(Cancelled):
        finished.extend(real.draw(draft, 8, Progress(tell, token)))
    assert [one.recipe.seed for one in finished] == [100, 101, 102, 103]
    assert max(event.index for event in told if isinstance(event, Step | Preview)) <= 7
    for one in finished:
        assert real.studio.find_made(real.actor, real.workspace, one.recipe) is not None
