"""What is written down of a workspace: reading it, and removals, which are part of it."""

from datetime import UTC, datetime

from limner.domain.asset import Asset
from limner.domain.record import Record, RecordKind
from limner.domain.workspace import Actor, Role, Workspace
from limner.store.library import Library


def read_journal(
    library: Library,
    actor: Actor,
    workspace: Workspace,
    *,
    asset: str | None = None,
    limit: int = 100,
    before: int | None = None,
) -> tuple[Record, ...]:
    """Return lines of the journal, newest first; see `Library.records`.

    Raises AccessDenied for anyone but an owner: the lines say who was refused what.
    """
    actor.require(workspace, Role.OWNER)
    return library.records(workspace, asset=asset, limit=limit, before=before)


def remove_asset(library: Library, actor: Actor, workspace: Workspace, asset: str) -> Asset:
    """Remove an asset and return what it was; who did so is in the journal.

    The registry still knows that it was made here. Raises as `Library.get` does.
    """
    actor.require(workspace, Role.MAKER)

    def record_of(found: Asset) -> Record:
        return Record(
            workspace=workspace.id,
            actor=actor.id,
            kind=RecordKind.ASSET_REMOVED,
            at=datetime.now(UTC),
            asset=found.id,
        )

    return library.remove(workspace, asset, record_of)
