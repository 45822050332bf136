"""The registry of everything that was ever kept: found again by mark, pixels or fingerprint."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Label, exists, select

from limner.domain.recipe import Sha256
from limner.domain.workspace import Workspace
from limner.store.tables import assets, registry

FINGERPRINT_BITS = 256


@dataclass(frozen=True)
class Known:
    """A picture the registry knows: its asset, and whether that is still here.

    `distance` is how many bits of the fingerprint differ, 0 where something else was compared.
    """

    asset: Sha256
    here: bool
    distance: int = 0


def find_known(connection: Connection, workspace: Workspace, **wanted: str) -> tuple[Known, ...]:
    """Return what has these values in its row of the registry, newest first."""
    query = (
        select(registry.c.asset, _is_here())
        .where(registry.c.workspace == workspace.id)
        .where(*(registry.c[name] == value for name, value in wanted.items()))
        .order_by(registry.c.created.desc(), registry.c.asset)
    )
    return tuple(Known(row.asset, bool(row.here)) for row in connection.execute(query))


def find_alike(
    connection: Connection, workspace: Workspace, fingerprint: str, within: int
) -> tuple[Known, ...]:
    """Return what has a fingerprint that differs in at most `within` bits, nearest first.

    Every fingerprint of the workspace is compared: a hundred thousand take a fifth of a second.
    """
    query = select(registry.c.asset, registry.c.fingerprint).where(
        registry.c.workspace == workspace.id, registry.c.fingerprint.is_not(None)
    )
    rows = connection.execute(query).all()
    if not rows:
        return ()
    kept = np.frombuffer(b"".join(row.fingerprint for row in rows), np.uint64).reshape(-1, 4)
    sought = np.frombuffer(bytes.fromhex(fingerprint), np.uint64)
    apart = np.bitwise_count(kept ^ sought).sum(1)
    near = [int(place) for place in np.argsort(apart, kind="stable") if apart[place] <= within]
    found = {rows[place].asset: int(apart[place]) for place in near}
    here = set(
        connection.scalars(
            select(assets.c.id).where(assets.c.workspace == workspace.id, assets.c.id.in_(found))
        )
    )
    return tuple(Known(asset, asset in here, distance) for asset, distance in found.items())


def _is_here() -> Label[bool]:
    kept = exists().where(
        assets.c.workspace == registry.c.workspace, assets.c.id == registry.c.asset
    )
    return kept.label("here")
