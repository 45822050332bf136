"""The judge, and what is measured without one."""

from pathlib import Path

import numpy as np
import pytest

from limner.families.family import Pixels
from limner.training.vellum import evaluate
from limner.training.vellum.evaluate import features
from limner.training.vellum.judge import JUDGE, trained_judge
from limner.training.vellum.sheets import straight
from tests.training.vellum import tiny


def blank(side: int = 128) -> Pixels:
    return np.zeros((side, side, 4), np.uint8)


def painted(*boxes: tuple[int, int, int], colour: tuple[int, int, int] = (214, 50, 47)) -> Pixels:
    """Squares on nothing, each given by its top, left and side."""
    picture = blank()
    for top, left, side in boxes:
        picture[top : top + side, left : left + side] = (*colour, 255)
    return picture


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
def test_shapes_are_counted(count: int) -> None:
    places = [(4, 4, 50), (4, 70, 50), (70, 4, 50), (70, 70, 50)]
    assert evaluate._shapes(painted(*places[:count])) == count


def test_crumbs_are_no_shapes_and_a_bent_shape_is_one() -> None:
    assert evaluate._shapes(painted((4, 4, 50), (100, 100, 8))) == 1
    assert evaluate._shapes(painted((4, 4, 40), (40, 4, 40), (40, 40, 40), (4, 76, 60))) == 1


@pytest.mark.parametrize(("colour", "word"), [((60, 120, 220), "blue"), ((30, 30, 30), "black")])
def test_a_colour_is_that_of_most_of_the_picture(colour: tuple[int, int, int], word: str) -> None:
    picture = painted((10, 10, 90), colour=colour)
    picture[20:30, 20:30, :3] = 255
    assert evaluate._nearest_colour(picture) == word
    assert evaluate._nearest_colour(blank()) == ""


def test_halves_are_where_two_things_are_drawn() -> None:
    beside = painted((32, 0, 64))
    left, right = evaluate._halves(beside, upright=False)
    assert left[..., 3].all()
    assert not right[..., 3].any()
    above, below = evaluate._halves(beside.swapaxes(0, 1), upright=True)
    assert above.shape == (64, 64, 4)
    assert above[..., 3].all()
    assert not below[..., 3].any()


def test_features_are_means_on_white() -> None:
    found = features([blank(32), painted((0, 0, 128))[:32, :32]])
    assert found.shape == (2, 16 * 16 * 3)
    assert (found[0] == 1).all()
    assert found[1].reshape(-1, 3)[0] * 255 == pytest.approx((214, 50, 47), abs=0.01)


def test_a_judge_is_trained_once_and_kept(tmp_path: Path) -> None:
    corpus = tiny.corpus(64)
    pictures = [straight(picture) for picture in corpus.pixels]
    first = trained_judge(corpus, tmp_path, minutes=0.02).look(pictures)
    assert first.concepts.shape == (6, 3)
    assert sorted(first.concepts[0].tolist()) == [0, 1, 2]
    assert set(first.styles.tolist()) <= {0, 1}
    kept = (tmp_path / JUDGE).read_bytes()
    again = trained_judge(corpus, tmp_path, minutes=60).look(pictures)
    assert (again.concepts == first.concepts).all()
    assert (tmp_path / JUDGE).read_bytes() == kept
