"""U²-Net with its real small network: the subject kept, soft clean edges, the rest gone."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from limner.domain.card import Installed, ModelCard
from limner.domain.errors import Cancelled, InvalidImage, InvalidRequest
from limner.domain.event import Step
from limner.domain.recipe import Task
from limner.families.checkpoint import sha256_of
from limner.families.family import LoadedModel, Pixels, Placement
from limner.families.u2net import FAMILY
from limner.families.u2net.matte import cut
from tests.families.pictures import PACKAGE, Witness, files_of, order, sticker, subject

SMALL, PRUNED, FULL = FAMILY.cards()


def load(card: ModelCard, threads: int = 1) -> LoadedModel:
    return FAMILY.load(Installed(card, files_of(card)), Placement(threads))


@pytest.fixture(scope="module")
def small() -> LoadedModel:
    return load(SMALL)


def cutout(model: LoadedModel, pixels: Pixels) -> Pixels:
    return model.perform([order(Task.CUTOUT, pixels)], Witness().watch())[0]


def no_check() -> None:
    return


def test_the_small_network_comes_with_the_package() -> None:
    (file,) = SMALL.files
    content = (PACKAGE / "families/u2net/weights" / file.name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert len(content) == file.bytes
    assert [card.name for card in FAMILY.cards()] == ["u2netp", "silueta", "u2net"]


def test_the_subject_stays_and_the_ground_goes(small: LoadedModel) -> None:
    picture = subject(320, 240)
    before = picture.copy()
    cleared = cutout(small, picture)
    rows, columns = np.mgrid[0:240, 0:320]
    distance = np.hypot((columns - 160) / 80, (rows - 120) / 72)
    assert (cleared[distance < 0.9, 3] > 250).mean() > 0.99
    assert (cleared[distance > 1.15, 3] < 5).mean() > 0.99
    assert np.array_equal(picture, before)


def test_sure_pixels_keep_their_bytes(small: LoadedModel) -> None:
    picture = subject(320, 240)
    cleared = cutout(small, picture)
    sure = cleared[..., 3] == 255
    assert sure.sum() > 5_000
    assert np.array_equal(cleared[sure], picture[sure])


def test_transparent_pixels_hide_nothing(small: LoadedModel) -> None:
    cleared = cutout(small, subject(320, 240))
    gone = cleared[..., 3] == 0
    assert gone.any()
    assert not cleared[gone].any()


@pytest.mark.parametrize(("width", "height"), [(640, 480), (37, 51), (1_500, 300)])
def test_sizes_are_kept(small: LoadedModel, width: int, height: int) -> None:
    assert cutout(small, subject(width, height)).shape == (height, width, 4)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (500, 1), (60, 60)])
def test_a_picture_of_nothing_is_refused(small: LoadedModel, width: int, height: int) -> None:
    with pytest.raises(InvalidImage, match="stands out"):
        cutout(small, np.full((height, width, 4), 128, np.uint8) | np.uint8(127))


def test_a_black_picture_is_refused(small: LoadedModel) -> None:
    black = np.zeros((40, 40, 4), np.uint8)
    black[..., 3] = 255
    with pytest.raises(InvalidImage, match="stands out"):
        cutout(small, black)


def test_transparency_that_was_there_stays(small: LoadedModel) -> None:
    picture = sticker(200, (0, 255, 0))
    cleared = cutout(small, picture)
    assert (cleared[..., 3] <= picture[..., 3]).all()
    assert cleared[100, 100, 3] > 240


def test_threads_and_company_change_nothing(small: LoadedModel) -> None:
    pictures = [subject(100, 80), subject(64, 64)]
    alone = [cutout(small, picture) for picture in pictures]
    together = small.perform(
        [order(Task.CUTOUT, picture) for picture in pictures], Witness().watch()
    )
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_steps_are_told_and_a_stop_is_heard(small: LoadedModel) -> None:
    given = order(Task.CUTOUT, subject(64, 64))
    witness = Witness()
    small.perform([given], witness.watch(first=2))
    assert witness.told == [Step(2, "cutout", 1, 2), Step(2, "cutout", 2, 2)]
    stopped = Witness(stop_after=1)
    with pytest.raises(Cancelled):
        small.perform([given], stopped.watch())
    assert len(stopped.told) == 1


def test_an_order_without_a_picture_is_refused(small: LoadedModel) -> None:
    with pytest.raises(InvalidRequest):
        small.perform([order(Task.CUTOUT, None)], Witness().watch())


def mixed(width: int, height: int) -> tuple[Pixels, np.ndarray]:
    """Return a red field fading into a green one over 12 pixels, and how much of it is red."""
    share = np.clip((width / 2 + 6 - np.arange(width)) / 12, 0, 1)
    red, green = np.array([220, 30, 30]), np.array([20, 200, 40])
    line = share[:, None] * red + (1 - share[:, None]) * green
    colours = np.repeat(line[None], height, axis=0)
    alpha = np.full((height, width, 1), 255.0)
    return np.dstack([colours, alpha]).round().astype(np.uint8), np.tile(share, (height, 1))


def test_edge_colours_lose_the_ground_that_shone_through() -> None:
    picture, share = mixed(200, 120)
    cleared = cut(picture, share.astype(np.float32), no_check)
    soft = (cleared[..., 3] > 40) & (cleared[..., 3] < 215)
    assert soft.any()
    green_before = picture[soft][:, 1].astype(int).mean()
    green_after = cleared[soft][:, 1].astype(int).mean()
    assert green_before > 80
    assert green_after < 60


def test_a_coarse_edge_is_drawn_to_the_edge_of_the_picture() -> None:
    picture = np.full((640, 640, 4), 255, np.uint8)
    picture[..., :3] = 30
    picture[:, 300:, :3] = 220
    coarse = np.zeros((64, 64), np.float32)
    coarse[:, 30:] = 1
    cleared = cut(picture, coarse, no_check)
    assert cleared[320, 292, 3] < 40
    assert cleared[320, 308, 3] > 215


def test_bands_of_a_large_picture_leave_no_seams() -> None:
    picture, share = mixed(300, 700)
    whole = cut(picture, share.astype(np.float32), no_check)
    assert (np.ptp(whole.astype(int), axis=0) <= 2).all()


def test_a_large_cut_stops_between_bands() -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Cancelled("stop")

    picture, share = mixed(30, 2_000)
    with pytest.raises(Cancelled):
        cut(picture, share.astype(np.float32), check)
    assert len(calls) == 3


def test_only_such_networks_are_recognised(tmp_path: Path) -> None:
    (path,) = files_of(SMALL).values()
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert card.ref == SMALL.ref
    changed = bytearray(path.read_bytes())
    changed[2_000_000] ^= 1
    (tmp_path / "own.onnx").write_bytes(changed)
    own = FAMILY.recognise(tmp_path / "own.onnx", sha256_of)
    assert own is not None
    assert own.name == "own"
    (tmp_path / "cut.onnx").write_bytes(changed[:-100])
    assert FAMILY.recognise(tmp_path / "cut.onnx", sha256_of) is None
    assert FAMILY.recognise(tmp_path / "missing.onnx", sha256_of) is None


@pytest.mark.parametrize("card", [PRUNED, FULL], ids=lambda card: card.name)
def test_the_larger_networks_run_too(card: ModelCard) -> None:
    cleared = cutout(load(card), subject(320, 240))
    assert cleared[100, 160, 3] > 200
    assert cleared[5, 5, 3] < 5
