"""open_nsfw with its real network: known scores, transparency, sizes, and what it is not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from limner.domain.card import Installed
from limner.domain.errors import WeightsRejected
from limner.families.checkpoint import sha256_of
from limner.families.family import Judge, LoadedModel, Pixels, Placement
from limner.families.opennsfw import FAMILY
from tests.families.pictures import files_of, photo, sticker, subject

(CARD,) = FAMILY.cards()


@pytest.fixture(scope="module")
def judge() -> Judge:
    return FAMILY.load(Installed(CARD, files_of(CARD)), Placement(threads=1))


def plain(value: int, alpha: int = 255) -> Pixels:
    pixels = np.full((64, 64, 4), value, np.uint8)
    pixels[..., 3] = alpha
    return pixels


def blobs(seed: int, count: int) -> Pixels:
    """Return blurred ellipses in the colours of skin: abstract, and not to the network."""
    generator = np.random.default_rng(seed)
    ground = tuple(int(value) for value in generator.integers(30, 200, 3))
    image = Image.new("RGB", (256, 256), ground)
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        left, top = generator.integers(20, 200, 2)
        width, height = generator.integers(40, 160, 2)
        light = generator.uniform(0.75, 1.08)
        colour = tuple(int(min(255, value * light)) for value in (228, 170, 140))
        box = (left - width // 2, top - height // 2, left + width // 2, top + height // 2)
        draw.ellipse(box, fill=colour)
    return np.array(image.filter(ImageFilter.GaussianBlur(6)).convert("RGBA"))


def test_the_card_draws_nothing() -> None:
    assert CARD.capability.judges
    assert CARD.capability.tasks == ()
    assert CARD.capability.uses == ("safety check",)


def test_it_is_held_and_let_go(judge: Judge) -> None:
    assert isinstance(judge, Judge)
    assert not isinstance(judge, LoadedModel)
    assert judge.bytes == CARD.bytes
    own = FAMILY.load(Installed(CARD, files_of(CARD)), Placement(threads=1))
    own.close()


@pytest.mark.parametrize("side", [1, 3, 640])
def test_harmless_pictures_are_found_harmless(judge: Judge, side: int) -> None:
    assert 0 <= judge.score(photo(max(side, 60), 60)) < 0.3
    assert 0 <= judge.score(plain(255)[:side, :side]) < 0.3
    assert 0 <= judge.score(sticker(64)) < 0.3


@pytest.mark.parametrize(
    ("picture", "published"),
    [
        (subject(320, 240), 0.005),
        (sticker(256), 0.003),
        (blobs(45, 6), 0.691),
        (blobs(21, 10), 0.823),
    ],
    ids=["subject", "sticker", "some blobs", "many blobs"],
)
def test_scores_are_those_of_the_publishers_own_program(
    judge: Judge, picture: Pixels, published: float
) -> None:
    assert judge.score(picture) == pytest.approx(published, abs=0.02)


def test_what_is_transparent_is_judged_over_white(judge: Judge) -> None:
    assert judge.score(plain(0, alpha=0)) == judge.score(plain(255))
    hidden = sticker(64, hidden=(255, 0, 0))
    assert judge.score(hidden) == judge.score(sticker(64))


def test_judging_changes_nothing(judge: Judge) -> None:
    picture = subject(320, 240)
    before = picture.copy()
    picture.setflags(write=False)
    assert judge.score(picture) == judge.score(picture.copy())
    assert np.array_equal(picture, before)


def test_only_this_network_is_recognised(tmp_path: Path) -> None:
    (path,) = files_of(CARD).values()
    found = FAMILY.recognise(path, sha256_of)
    assert found is not None
    assert found.ref == CARD.ref
    changed = bytearray(path.read_bytes())
    changed[5_000_000] ^= 1
    (tmp_path / "own.onnx").write_bytes(changed)
    own = FAMILY.recognise(tmp_path / "own.onnx", sha256_of)
    assert own is not None
    assert (own.name, own.licence.commercial, own.capability.judges) == ("own", False, True)
    (tmp_path / "cut.onnx").write_bytes(changed[:-100])
    assert FAMILY.recognise(tmp_path / "cut.onnx", sha256_of) is None
    assert FAMILY.recognise(tmp_path / "missing.onnx", sha256_of) is None


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "open-nsfw.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(WeightsRejected, match="Pull it again"):
        FAMILY.load(Installed(CARD, {broken.name: broken}), Placement(threads=1))
