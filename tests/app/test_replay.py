"""Drawing again: the rules of a workspace hold there too, and what comes of it is sealed."""

import pytest

from limner.app.desk import Desk
from limner.app.replay import Likeness, replay
from limner.app.studio import Made, Progress
from limner.domain.errors import PictureRefused, PromptRefused
from limner.domain.event import Happening, Preview
from limner.domain.policy import Policy, PromptRule, Safety
from limner.domain.record import RecordKind
from limner.provenance.manifest import Standing, read_manifest
from tests.fakes import FakeEngine


@pytest.fixture
def made(desk: Desk) -> Made:
    return desk.generate("fox", seed=1)[0]


def rule(desk: Desk, **rules: object) -> None:
    desk.studio.library.set_policy(desk.workspace, Policy.model_validate(rules))


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
