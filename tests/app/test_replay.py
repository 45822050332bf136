"""Drawing again: the rules of a workspace hold there too, and what comes of it is sealed."""

import pytest

from limner.app.desk import Desk
from limner.app.replay import Change, Likeness, replay
from limner.app.studio import Made, Progress
from limner.domain.errors import PictureRefused, PromptRefused
from limner.domain.event import Happening, Preview
from limner.domain.policy import Policy, PromptRule, Safety
from limner.domain.record import RecordKind
from limner.provenance.manifest import Standing, read_manifest
from tests.fakes import FakeEngine, set_policy


@pytest.fixture
def made(desk: Desk) -> Made:
    return desk.generate("fox", seed=1)[0]


def rule(desk: Desk, **rules: object) -> None:
    set_policy(desk.studio.library, desk.workspace, Policy.model_validate(rules))


def kinds(desk: Desk) -> list[RecordKind]:
    return [one.kind for one in desk.studio.library.records(desk.workspace)]


@pytest.mark.parametrize("by", ["file", "asset"])
def test_a_word_refused_is_not_drawn_again(desk: Desk, made: Made, by: str) -> None:
    rule(desk, prompt_rules=(PromptRule(pattern="fox"),))
    given = made.file if by == "file" else made.asset
    with pytest.raises(PromptRefused):
        replay(desk.studio, desk.actor, desk.workspace, given)
    assert kinds(desk) == [RecordKind.PROMPT_REFUSED]


def test_a_picture_refused_is_not_handed_out(desk: Desk, made: Made, engine: FakeEngine) -> None:
    rule(desk, safety=Safety.REFUSE)
    engine.unsafe = 0.9
    told: list[Happening] = []
    with pytest.raises(PictureRefused):
        replay(desk.studio, desk.actor, desk.workspace, made.file, Progress(told.append))
    assert kinds(desk) == [RecordKind.PICTURE_REFUSED]
    assert not [one for one in told if isinstance(one, Preview)]


def test_a_picture_to_be_blurred_is(desk: Desk, made: Made, engine: FakeEngine) -> None:
    rule(desk, safety=Safety.BLUR)
    engine.unsafe = 0.9
    found = replay(desk.studio, desk.actor, desk.workspace, made.asset)
    assert found.likeness is not Likeness.IDENTICAL
    assert kinds(desk) == [RecordKind.PICTURE_BLURRED]


def test_what_is_written_is_signed(desk: Desk, made: Made) -> None:
    found = replay(desk.studio, desk.actor, desk.workspace, made.asset)
    assert found.likeness is Likeness.IDENTICAL
    keyring = desk.studio.keyring
    manifest = read_manifest(found.file, made.asset.media_type, keyring.anchors())
    assert manifest is not None
    assert manifest.state is Standing.TRUSTED


def test_what_differs_of_the_environment_is_told(
    desk: Desk, made: Made, engine: FakeEngine
) -> None:
    engine.environment = engine.environment.model_copy(
        update={"dtype": "bfloat16", "libraries": (("torch", "2.13.0"),)}
    )
    found = replay(desk.studio, desk.actor, desk.workspace, made.asset)
    assert found.changes == (
        Change("dtype", "uint8", "bfloat16"),
        Change("torch", "none", "2.13.0"),
    )


@pytest.mark.parametrize(("lighter", "likeness"), [(1, Likeness.ALIKE), (60, Likeness.DIFFERENT)])
def test_how_alike_two_pictures_are_is_measured(
    desk: Desk, made: Made, engine: FakeEngine, lighter: int, likeness: Likeness
) -> None:
    engine.lighter = lighter
    found = replay(desk.studio, desk.actor, desk.workspace, made.asset)
    assert found.likeness is likeness
    assert found.mean is not None
    assert found.largest is not None
    assert 0 < found.mean <= found.largest
    assert found.changes == ()


def test_where_a_file_from_elsewhere_was_made_is_not_known(desk: Desk, made: Made) -> None:
    found = replay(desk.studio, desk.actor, desk.workspace, made.file)
    assert found.likeness is Likeness.IDENTICAL
    assert found.changes is None
