"""The safety check: what it does with a picture, when it asks, and what it needs first."""

from pathlib import Path

import numpy as np
import pytest

from limner.app.desk import Desk
from limner.app.drafts import make_draft
from limner.app.safety import UNSAFE, Outcome, blurred, check, require_judge, shielded
from limner.app.settings import Settings
from limner.app.studio import Made, Progress
from limner.app.table import Planned, Produced, plan, produce, read_table
from limner.domain.errors import (
    Cancelled,
    ModelUnavailable,
    PictureRefused,
    PullFailed,
    WeightsRejected,
)
from limner.domain.event import CancelToken, Happening, Notice, Preview
from limner.domain.policy import Policy, Safety
from limner.domain.recipe import Recipe
from limner.domain.record import RecordKind
from limner.families.family import Pixels
from limner.families.raster import pixel_digest
from limner.provenance.formats import encode_png
from limner.provenance.intake import read_picture
from tests.fakes import ABSENT, JUDGE, FakeEngine, fake_models, gradient, set_policy
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


def policy_of(desk: Desk, safety: Safety) -> None:
    set_policy(desk.studio.library, desk.workspace, Policy(safety=safety))


def fox_recipes(desk: Desk, count: int) -> list[Recipe]:
    draft = make_draft({"prompt": "fox", "seed": 1})
    return desk.studio.resolve(desk.actor, desk.workspace, draft, count)


def find_unsafe(engine: FakeEngine, recipes: list[Recipe], *places: int) -> None:
    for place in places:
        engine.scores[pixel_digest(gradient(recipes[place]))] = 0.9


def listed(desk: Desk) -> set[str]:
    return {asset.id for asset in desk.studio.library.list(desk.workspace)}


def test_without_a_check_nothing_is_judged_or_written_down(desk: Desk, engine: FakeEngine) -> None:
    engine.unsafe = 1.0
    (made,) = desk.generate("fox")
    assert (made.asset.unsafe, made.asset.blurred) == (None, False)
    assert engine.judged == []
    assert desk.studio.library.records(desk.workspace) == ()


def test_a_safe_picture_keeps_its_score(desk: Desk, engine: FakeEngine) -> None:
    policy_of(desk, Safety.REFUSE)
    engine.unsafe = 0.25
    (made,) = desk.generate("fox")
    assert desk.studio.library.get(desk.workspace, made.asset.id).unsafe == 0.25
    assert desk.studio.library.records(desk.workspace) == ()


def test_a_flagged_picture_is_kept_as_it_is(desk: Desk, engine: FakeEngine) -> None:
    policy_of(desk, Safety.FLAG)
    engine.unsafe = 0.9
    told: list[Happening] = []
    (made,) = desk.generate("fox", seed=1, progress=Progress(told.append))
    kept = desk.studio.library.get(desk.workspace, made.asset.id)
    assert (kept.unsafe, kept.blurred) == (0.9, False)
    assert kept.pixel_digest == pixel_digest(gradient(made.recipe))
    assert [one.code for one in told if isinstance(one, Notice)] == ["flagged"]
    (record,) = desk.studio.library.records(desk.workspace)
    assert (record.kind, record.asset, record.actor) == (
        RecordKind.PICTURE_FLAGGED,
        kept.id,
        desk.actor.id,
    )
    assert dict(record.detail) == {"unsafe": "0.9000", "recipe": made.recipe.digest}


def test_a_blurred_picture_says_so_and_its_recipe_stays(desk: Desk, engine: FakeEngine) -> None:
    recipes = fox_recipes(desk, 1)
    policy_of(desk, Safety.BLUR)
    engine.unsafe = 0.9
    (made,) = desk.perform(recipes)
    kept = desk.studio.library.get(desk.workspace, made.asset.id)
    assert (kept.unsafe, kept.blurred, kept.recipe) == (0.9, True, recipes[0])
    assert kept.pixel_digest == pixel_digest(blurred(gradient(recipes[0])))
    assert np.array_equal(read_picture(made.file).pixels, blurred(gradient(recipes[0])))
    assert [one.kind for one in desk.studio.library.records(desk.workspace)] == [
        RecordKind.PICTURE_BLURRED
    ]
    (again,) = desk.perform(recipes)
    assert again.asset.pixel_digest == kept.pixel_digest


def test_a_refused_picture_is_not_kept_and_the_others_are(desk: Desk, engine: FakeEngine) -> None:
    recipes = fox_recipes(desk, 4)
    find_unsafe(engine, recipes, 1, 2)
    policy_of(desk, Safety.REFUSE)
    told: list[Happening] = []
    made: list[Made] = []
    with pytest.raises(PictureRefused, match=r"2 of 4 .*others are kept") as caught:
        made.extend(desk.studio.perform(desk.actor, desk.workspace, recipes, Progress(told.append)))
    assert caught.value.exit_status == 9
    assert [one.index for one in made] == [0, 3]
    assert [one.recipe for one in made] == [recipes[0], recipes[3]]
    assert listed(desk) == {one.asset.id for one in made}
    assert [one.code for one in told if isinstance(one, Notice)] == ["refused", "refused"]
    records = desk.studio.library.records(desk.workspace)
    assert {one.kind for one in records} == {RecordKind.PICTURE_REFUSED}
    assert {dict(one.detail)["recipe"] for one in records} == {
        recipes[1].digest,
        recipes[2].digest,
    }
    assert {one.asset for one in records} == {None}


def test_one_refused_picture_leaves_nothing_behind(
    desk: Desk, engine: FakeEngine, home: Path
) -> None:
    policy_of(desk, Safety.REFUSE)
    engine.unsafe = 0.9
    with pytest.raises(PictureRefused, match="1 of 1 pictures looked unsafe and was not kept"):
        desk.generate("fox")
    assert listed(desk) == set()
    assert [path for path in (home / "blobs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("task", ["edit", "upscale", "cutout"])
def test_every_task_is_checked(desk: Desk, engine: FakeEngine, task: str) -> None:
    policy_of(desk, Safety.REFUSE)
    engine.unsafe = 0.9
    picture = encode_png(photo(64, 64))
    words = ("fox",) if task == "edit" else ()
    with pytest.raises(PictureRefused):
        getattr(desk, task)(picture, *words)
    assert len(engine.performed) == 1
    assert len(listed(desk)) == 1  # the picture that was brought


@pytest.mark.parametrize("safety", ACTING)
def test_without_a_judge_nothing_is_drawn(
    desk: Desk, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, safety: Safety
) -> None:
    monkeypatch.setattr(desk.studio.models, "judge", lambda: ABSENT)
    policy_of(desk, safety)
    with pytest.raises(ModelUnavailable, match="Nothing was drawn"):
        desk.generate("fox")
    assert engine.performed == []
    policy_of(desk, Safety.OFF)
    assert len(desk.generate("fox")) == 1


def test_a_stop_while_judging_keeps_what_was_kept(desk: Desk, engine: FakeEngine) -> None:
    policy_of(desk, Safety.FLAG)
    progress = Progress()
    made = desk.draw(make_draft({"prompt": "fox"}), 3, progress)
    first = next(made)
    progress.token.cancel()
    with pytest.raises(Cancelled):
        next(made)
    assert listed(desk) == {first.asset.id}


def table_of(desk: Desk, folder: Path, rows: int) -> list[Planned]:
    folder.mkdir()
    table = folder / "prompts.csv"
    table.write_text("prompt,seed\n" + "".join(f"fox,{seed}\n" for seed in range(rows)))
    return plan(desk.studio, desk.actor, desk.workspace, read_table(table, make_draft({})))


def test_a_table_goes_on_past_refused_rows(desk: Desk, engine: FakeEngine, tmp_path: Path) -> None:
    planned = table_of(desk, tmp_path / "in", 20)
    find_unsafe(engine, [one.recipe for one in planned], 0, 9, 19)
    policy_of(desk, Safety.REFUSE)
    out = tmp_path / "out"
    finished: list[Produced] = []
    with pytest.raises(PictureRefused, match="3 of 20"):
        finished.extend(produce(desk.studio, desk.actor, desk.workspace, planned, out))
    wanted = [one for place, one in enumerate(planned) if place not in (0, 9, 19)]
    assert [one.entry["path"] for one in finished] == [one.file for one in wanted]
    assert [one.entry["recipe_digest"] for one in finished] == [one.recipe.digest for one in wanted]
    engine.scores.clear()
    rest = list(produce(desk.studio, desk.actor, desk.workspace, planned, out))
    assert len(rest) == 20
    assert sum(not one.was_there for one in rest) == 3


def test_what_was_kept_otherwise_is_drawn_again_under_new_rules(
    desk: Desk, engine: FakeEngine
) -> None:
    (recipe,) = fox_recipes(desk, 1)
    engine.unsafe = 0.9

    def found() -> bool:
        return desk.studio.find_made(desk.actor, desk.workspace, recipe) is not None

    policy_of(desk, Safety.BLUR)
    desk.perform([recipe])
    assert found()
    for safety in (Safety.OFF, Safety.FLAG, Safety.REFUSE):
        policy_of(desk, safety)
        assert not found()
    policy_of(desk, Safety.FLAG)
    desk.perform([recipe])
    assert found()
    policy_of(desk, Safety.OFF)
    assert found()
    policy_of(desk, Safety.REFUSE)
    assert not found()


def test_a_picture_from_before_the_check_stands(desk: Desk) -> None:
    (made,) = desk.generate("fox")
    policy_of(desk, Safety.REFUSE)
    assert desk.studio.find_made(desk.actor, desk.workspace, made.recipe) is not None
