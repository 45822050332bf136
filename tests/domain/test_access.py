"""Who may do what where, and how work is stopped."""

from threading import Thread

import pytest

from limner.domain.errors import AccessDenied, Cancelled
from limner.domain.event import CancelToken
from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE, Actor, Role, Workspace

STUDIO = Workspace(id="studio", name="The studio")


@pytest.mark.parametrize("held", Role)
@pytest.mark.parametrize("needed", Role)
def test_a_role_includes_those_before_it(held: Role, needed: Role) -> None:
    order = [Role.VIEWER, Role.MAKER, Role.OWNER]
    actor = Actor(id="ada", name="Ada", roles=(("studio", held),))
    if order.index(held) >= order.index(needed):
        actor.require(STUDIO, needed)
        return
    with pytest.raises(AccessDenied, match=f"Ada.*The studio.*{needed.value}"):
        actor.require(STUDIO, needed)


def test_a_role_counts_in_its_own_workspace_only() -> None:
    actor = Actor(id="ada", name="Ada", roles=(("other", Role.OWNER), ("studio", Role.VIEWER)))
    actor.require(STUDIO, Role.VIEWER)
    with pytest.raises(AccessDenied):
        actor.require(STUDIO, Role.MAKER)
    with pytest.raises(AccessDenied):
        Actor(id="eve", name="Eve").require(STUDIO, Role.VIEWER)


def test_a_workspace_is_told_by_its_id_and_not_its_name() -> None:
    actor = Actor(id="ada", name="Ada", roles=(("The studio", Role.OWNER),))
    with pytest.raises(AccessDenied):
        actor.require(STUDIO, Role.VIEWER)


def test_the_person_at_the_keyboard_owns_their_workspace_and_no_other() -> None:
    LOCAL_ACTOR.require(LOCAL_WORKSPACE, Role.OWNER)
    with pytest.raises(AccessDenied):
        LOCAL_ACTOR.require(STUDIO, Role.VIEWER)


def test_work_is_stopped_from_any_thread() -> None:
    token = CancelToken()
    token.check()
    thread = Thread(target=token.cancel)
    thread.start()
    thread.join()
    assert token.cancelled
    with pytest.raises(Cancelled, match="kept"):
        token.check()
