"""Who asks, and where the work lives."""

from enum import StrEnum

from limner.domain.canonical import Frozen
from limner.domain.errors import AccessDenied


class Role(StrEnum):
    """What an actor may do in a workspace, each role including the ones above it."""

    VIEWER = "viewer"
    MAKER = "maker"
    OWNER = "owner"


_RANK = {role: rank for rank, role in enumerate(Role)}


class Workspace(Frozen):
    """The place that assets belong to. No query exists without one."""

    id: str
    name: str


class Actor(Frozen):
    """A person or an API key, with one role per workspace."""

    id: str
    name: str
    roles: tuple[tuple[str, Role], ...] = ()

    def require(self, workspace: Workspace, role: Role) -> None:
        """Raise AccessDenied unless this actor has at least `role` in the workspace."""
        held = dict(self.roles).get(workspace.id)
        if held is None or _RANK[held] < _RANK[role]:
            raise AccessDenied(
                f"{self.name} may not do this in the workspace “{workspace.name}”: it takes the "
                f"role {role.value}. Ask an owner of the workspace."
            )


LOCAL_WORKSPACE = Workspace(id="local", name="Local")
"""The workspace of a single person on their own machine."""

LOCAL_ACTOR = Actor(id="local", name="You", roles=((LOCAL_WORKSPACE.id, Role.OWNER),))
"""The person at the keyboard."""
