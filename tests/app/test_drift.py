"""What is said of pixels outside the mask is true of the file that is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.app.studio import Progress
from limner.domain.event import Happening, Notice
from limner.domain.recipe import InputRole
from limner.engine.engine import Drawn
from limner.families import raster
from limner.families.family import Order, Pixels, Watch
from limner.provenance.intake import read_picture
from tests.fakes import FakeEngine, fake_desk


class Careful(FakeEngine):
    """An engine that changes nothing outside the mask, and says so."""

    def perform(self, orders: Sequence[Order], watch: Watch) -> Iterator[Drawn]:
        for order, drawn in zip(orders, super().perform(orders, watch), strict=True):
            pixels = order.inputs[InputRole.INIT].copy()
            pixels[raster.region(order.inputs[InputRole.MASK])] = (200, 30, 30, 255)
            yield replace(drawn, pixels=pixels, drift=0.0)


@pytest.fixture
def careful(settings: Settings) -> Iterator[Desk]:
    with fake_desk(settings, Careful()) as desk:
        yield desk


def png(pixels: Pixels) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("format_", "label", "same"),
    [
        ("png", None, True),
        ("tiff", None, True),
        ("webp", None, True),
        ("jpeg", None, False),
        ("avif", None, False),
        ("png", "en", False),
    ],
)
def test_drift_is_that_of_the_file(
    careful: Desk, format_: str, label: str | None, same: bool
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    mask = np.zeros((256, 256, 3), np.uint8)
    mask[100:140, 100:140] = 255
    told: list[Happening] = []
    made = careful.edit(
        png(noise),
        "a hat",
        mask=png(mask),
        format=format_,
        label=label,
        progress=Progress(told.append),
    )
    outside = mask[..., 0] == 0
    kept = read_picture(made.file).pixels[..., :3]
    assert np.array_equal(kept[outside], noise[outside]) is same
    assert (made.asset.drift == 0) is same
    assert ("drift" in [one.code for one in told if isinstance(one, Notice)]) is not same
