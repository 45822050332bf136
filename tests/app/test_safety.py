"""The safety check: what it does with a picture, when it asks, and what it needs first."""

import numpy as np
import pytest

from limner.app.safety import UNSAFE, Outcome, blurred, check, require_judge, shielded
from limner.app.settings import Settings
from limner.domain.errors import ModelUnavailable, PullFailed, WeightsRejected
from limner.domain.event import CancelToken, Happening, Notice, Preview
from limner.domain.policy import Safety
from limner.families.family import Pixels
from tests.fakes import ABSENT, JUDGE, fake_models
from tests.families.pictures import photo, sticker

ACTING = (Safety.FLAG, Safety.BLUR, Safety.REFUSE)


def never(_: Pixels) -> float:
    raise AssertionError("the check is off")


@pytest.fixture
def picture() -> Pixels:
    return photo(64, 48)


def test_off_asks_nobody(picture: Pixels) -> None:
    verdict = check(picture, Safety.OFF, never)
    assert verdict.pixels is picture
    assert (verdict.unsafe, verdict.outcome, verdict.notice) == (None, Outcome.PASSED, None)


@pytest.mark.parametrize("safety", ACTING)
def test_a_safe_picture_passes_with_its_score(picture: Pixels, safety: Safety) -> None:
    verdict = check(picture, safety, lambda _: 0.123456)
    assert verdict.pixels is picture
    assert (verdict.unsafe, verdict.outcome, verdict.notice) == (0.1235, Outcome.PASSED, None)


@pytest.mark.parametrize("safety", ACTING)
@pytest.mark.parametrize(
    ("score", "passes"), [(UNSAFE, False), (UNSAFE - 0.0001, True), (1, False)]
)
def test_unsafe_begins_at_the_threshold(
    picture: Pixels, safety: Safety, score: float, passes: bool
) -> None:
    assert (check(picture, safety, lambda _: score).outcome is Outcome.PASSED) is passes


def test_a_judge_that_gives_no_number_passes_nothing(picture: Pixels) -> None:
    assert check(picture, Safety.REFUSE, lambda _: float("nan")).outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("safety", "outcome", "says"),
    [
        (Safety.FLAG, Outcome.FLAGGED, "kept and flagged"),
        (Safety.BLUR, Outcome.BLURRED, "kept blurred"),
        (Safety.REFUSE, Outcome.REFUSED, "not kept"),
    ],
)
def test_what_the_workspace_says_is_done_and_told(
    picture: Pixels, safety: Safety, outcome: Outcome, says: str
) -> None:
    before = picture.copy()
    verdict = check(picture, safety, lambda _: 0.9)
    assert (verdict.unsafe, verdict.outcome) == (0.9, outcome)
    assert verdict.notice is not None
    assert verdict.notice.code == outcome.value
    assert says in verdict.notice.message
    assert "0.90" in verdict.notice.message
    assert np.array_equal(picture, before)
    same = np.array_equal(verdict.pixels, picture)
    assert same is (outcome is not Outcome.BLURRED)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (300, 40), (12, 12), (3, 5), (1, 1)])
def test_blurring_leaves_only_broad_colours(width: int, height: int) -> None:
    sharp = photo(width, height)
    soft = blurred(sharp)
    assert (soft.shape, soft.dtype) == (sharp.shape, sharp.dtype)
    assert (soft[..., 3] == 255).all()
    assert np.array_equal(soft, blurred(sharp))
    assert abs(soft.mean() - sharp.mean()) < 12
    if width > 100:
        edges = np.abs(np.diff(soft[..., :3].astype(int), axis=1))
        assert edges.max() < 16
        assert np.abs(np.diff(sharp[..., :3].astype(int), axis=1)).max() > 60


def test_blurring_hides_the_outline_too() -> None:
    cut = sticker(200)
    soft = blurred(cut)
    rise = np.abs(np.diff(soft[100, :, 3].astype(int)))
    assert rise.max() < 20
    assert np.abs(np.diff(cut[100, :, 3].astype(int))).max() > 100
    assert 0 < soft[..., 3].mean() < 255


def test_fine_marks_cannot_be_read_after_blurring() -> None:
    """Two pictures that differ only in a checkerboard look the same once blurred."""
    board = np.indices((400, 400)).sum(axis=0) % 2
    one, other = photo(400, 400), photo(400, 400)
    for picture, phase in ((one, board), (other, 1 - board)):
        picture[..., :3] = np.where(phase[..., None] == 1, 255, picture[..., :3])
    assert np.abs(blurred(one).astype(int) - blurred(other).astype(int)).max() <= 4


def silent(_: Happening) -> None:
    return


def test_the_judge_is_made_sure_of(settings: Settings) -> None:
    assert require_judge(fake_models(settings), silent, CancelToken()) == JUDGE.ref


def test_a_judge_that_is_not_here_stops_everything(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = fake_models(settings)
    monkeypatch.setattr(models, "judge", lambda: ABSENT)
    with pytest.raises(ModelUnavailable, match=r"Nothing was drawn.*limner models pull brush"):
        require_judge(models, silent, CancelToken())
    online = Settings(home=settings.home, hub="http://127.0.0.1:9", threads=1)
    models = fake_models(online)
    monkeypatch.setattr(models, "judge", lambda: ABSENT)
    with pytest.raises(PullFailed, match="Nothing was drawn"):
        require_judge(models, silent, CancelToken())


def test_a_judge_with_other_bytes_stops_everything(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = fake_models(settings)
    there = settings.home / "models" / ABSENT.name / ABSENT.files[0].name
    there.parent.mkdir(parents=True)
    there.write_bytes(b"x" * ABSENT.bytes)
    monkeypatch.setattr(models, "judge", lambda: ABSENT)
    with pytest.raises(WeightsRejected):
        require_judge(models, silent, CancelToken())


@pytest.mark.parametrize(
    ("safety", "shown"),
    [(Safety.OFF, True), (Safety.FLAG, True), (Safety.BLUR, False), (Safety.REFUSE, False)],
)
def test_unfinished_pictures_are_not_shown_where_finished_ones_may_be_hidden(
    safety: Safety, shown: bool
) -> None:
    told: list[Happening] = []
    tell = shielded(told.append, safety)
    notice, preview = Notice("a", "b"), Preview(0, 1, 1, bytes(4))
    tell(notice)
    tell(preview)
    assert told == ([notice, preview] if shown else [notice])
