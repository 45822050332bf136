"""Things that were drawn apart stand as the scene says."""

import numpy as np
import pytest

from limner.domain.recipe import Size
from limner.families.family import Pixels
from limner.families.vellum.colours import COLOURS
from limner.families.vellum.grammar import Relation
from limner.families.vellum.scene import Group, Node, Pair, Scene, Thing
from limner.families.vellum.stage import laid_in, nothing, set_up

SQUARE = Size(width=512, height=512)
RED, BLUE = (255, 0, 0), (0, 0, 255)
FIRST, SECOND = Thing("first", "first"), Thing("second", "second")


def thing(colour: tuple[int, int, int], width: int = 80, height: int = 80) -> Pixels:
    """A rectangle of one colour in the middle of nothing."""
    picture = np.zeros((128, 128, 4), np.uint8)
    top, left = (128 - height) // 2, (128 - width) // 2
    picture[top : top + height, left : left + width] = (*colour, 255)
    return picture


def where(picture: Pixels, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what has a colour."""
    same = (np.abs(picture[..., :3].astype(int) - colour).max(-1) < 60) & (picture[..., 3] > 128)
    rows, columns = np.nonzero(same)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def stood(relation: Relation, second: Thing = SECOND) -> Pixels:
    return set_up(Scene(Pair(FIRST, relation, second)), [thing(RED), thing(BLUE)], SQUARE)


def test_a_scene_has_the_shape_of_its_picture() -> None:
    drawn = [thing(RED)]
    assert set_up(Scene(FIRST), drawn, SQUARE).shape == (256, 256, 4)
    assert set_up(Scene(FIRST), drawn, Size(width=1024, height=512)).shape == (128, 256, 4)
    assert nothing(Size(width=300, height=600)).shape == (256, 128, 4)


@pytest.mark.parametrize(
    ("relation", "first_is_left"), [(Relation.LEFT_OF, True), (Relation.RIGHT_OF, False)]
)
def test_sides_are_as_told(relation: Relation, first_is_left: bool) -> None:
    picture = stood(relation)
    first, second = where(picture, RED), where(picture, BLUE)
    assert (first[2] < second[0]) is first_is_left
    assert (second[2] < first[0]) is not first_is_left
    assert first[3] == pytest.approx(second[3], abs=1)


@pytest.mark.parametrize(
    ("relation", "first_is_higher"), [(Relation.ABOVE, True), (Relation.BELOW, False)]
)
def test_heights_are_as_told(relation: Relation, first_is_higher: bool) -> None:
    picture = stood(relation)
    first, second = where(picture, RED), where(picture, BLUE)
    assert (first[3] < second[1]) is first_is_higher
    assert (second[3] < first[1]) is not first_is_higher


def test_what_is_on_another_touches_it() -> None:
    picture = stood(Relation.ON)
    first, second = where(picture, RED), where(picture, BLUE)
    assert first[1] < second[1] < first[3] + 2 < second[3]


def test_what_is_in_a_box_is_behind_its_front_and_else_before() -> None:
    hidden = stood(Relation.IN, Thing("second", "box"))
    first, second = where(hidden, RED), where(hidden, BLUE)
    assert first[1] < second[1]
    assert second[3] - second[1] > first[3] - first[1]
    shown = stood(Relation.IN, Thing("second", "tree"))
    first, second = where(shown, RED), where(shown, BLUE)
    assert second[0] < first[0] < first[2] < second[2]
    assert second[1] < first[1] < first[3] < second[3]


def test_who_is_in_front_hides_the_other() -> None:
    for relation, front in ((Relation.IN_FRONT_OF, RED), (Relation.BEHIND, BLUE)):
        picture = stood(relation)
        back = BLUE if front is RED else RED
        area = {c: np.abs(picture[..., :3].astype(int) - c).max(-1) < 60 for c in (front, back)}
        seen = {c: int((mask & (picture[..., 3] > 128)).sum()) for c, mask in area.items()}
        assert seen[front] > seen[back]


def test_a_hat_sits_where_the_middle_begins() -> None:
    wearer = thing(RED, 100, 60)
    wearer[20:34, 14:30] = wearer[20:34, 98:114] = (*RED, 255)  # ears higher than the head
    scene = Scene(Pair(FIRST, Relation.WEARING_ON_HEAD, SECOND))
    picture = set_up(scene, [wearer, thing(BLUE, 60, 40)], SQUARE)
    ears, hat = where(picture, RED), where(picture, BLUE)
    assert hat[1] < ears[1] < hat[3]
    assert (hat[0] + hat[2]) / 2 == pytest.approx((ears[0] + ears[2]) / 2, abs=3)


def test_glasses_sit_on_the_face() -> None:
    scene = Scene(Pair(FIRST, Relation.WEARING_ON_EYES, SECOND))
    picture = set_up(scene, [thing(RED), thing(BLUE, 80, 20)], SQUARE)
    face, glasses = where(picture, RED), where(picture, BLUE)
    assert face[1] < glasses[1] < glasses[3] < (face[1] + face[3]) / 2 + 10


def test_what_is_held_is_smaller_and_before() -> None:
    picture = stood(Relation.HOLDING)
    holder, held = where(picture, RED), where(picture, BLUE)
    assert held[2] - held[0] < holder[2] - holder[0]
    assert held[2] > holder[2]


@pytest.mark.parametrize("count", [2, 3, 5, 7, 12, 24])
def test_as_many_as_asked_lie_apart(count: int) -> None:
    picture = set_up(Scene(Group((FIRST,) * count)), [thing(RED)], SQUARE)
    seen = picture[..., 3] > 128
    assert _islands(seen) == count


def test_a_wide_picture_has_them_in_a_row() -> None:
    scene = Scene(Group((FIRST,) * 4))
    picture = set_up(scene, [thing(RED)], Size(width=1200, height=300))
    assert where(picture, RED)[3] - where(picture, RED)[1] > 0.7 * picture.shape[0]


def test_sizes_are_kept_beside_others() -> None:
    members: tuple[Node, ...] = (Thing("first", "first", 0.5), SECOND)
    picture = set_up(Scene(Group(members)), [thing(RED), thing(BLUE)], SQUARE)
    small, large = where(picture, RED), where(picture, BLUE)
    assert (small[2] - small[0]) * 2 == pytest.approx(large[2] - large[0], abs=4)


def test_a_ground_fills_all_that_is_clear() -> None:
    picture = set_up(Scene(FIRST, "pink"), [thing(RED)], SQUARE)
    assert (picture[..., 3] == 255).all()
    assert tuple(picture[0, 0, :3]) == COLOURS["pink"]


def test_a_thing_of_which_nothing_was_drawn_does_no_harm() -> None:
    blank = np.zeros((128, 128, 4), np.uint8)
    assert not set_up(Scene(FIRST), [blank], SQUARE)[..., 3].any()


def test_places_hold_what_is_laid_in_them_in_its_shape() -> None:
    tall = thing(RED, 40, 80)
    picture = laid_in(nothing(SQUARE), [tall], [(0.5, 0.0, 1.0, 0.5)], SQUARE)
    left, top, right, bottom = where(picture, RED)
    assert left >= 128
    assert bottom <= 129
    assert (bottom - top) == pytest.approx(2 * (right - left), abs=3)
    assert (bottom - top) >= 126


def _islands(seen: np.ndarray) -> int:
    seen, count = seen.copy(), 0
    while seen.any():
        count += 1
        stack = [tuple(np.argwhere(seen)[0])]
        while stack:
            row, column = stack.pop()
            inside = 0 <= row < seen.shape[0] and 0 <= column < seen.shape[1]
            if inside and seen[row, column]:
                seen[row, column] = False
                stack += [
                    (row + 1, column),
                    (row - 1, column),
                    (row, column + 1),
                    (row, column - 1),
                ]
    return count
