"""The registry of everything that was ever kept: found again by mark, pixels or fingerprint."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Label, exists, select

from limner.domain.recipe import Sha256
from limner.domain.workspace import Workspace
from limner.store.tables import assets, registry

MOST_ALIKE = 100
"""The most pictures one search by fingerprint returns: the nearest."""


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

    No more than MOST_ALIKE. Every fingerprint of the workspace is compared, read from the index
    alone: a hundred thousand take a fifth of a second of processor time.
    """
    of_workspace = registry.c.workspace == workspace.id
    query = select(registry.c.fingerprint).where(of_workspace, registry.c.fingerprint.is_not(None))
    every = connection.scalars(query.distinct()).all()
    kept = np.frombuffer(b"".join(every), np.uint64).reshape(-1, 4)
    sought = np.frombuffer(bytes.fromhex(fingerprint), np.uint64)
    apart = np.bitwise_count(kept ^ sought).sum(axis=1, dtype=np.int64)
    near = np.flatnonzero(apart <= within)
    nearest = near[np.argsort(apart[near], kind="stable")][:MOST_ALIKE]
    distances = {every[place]: int(apart[place]) for place in nearest}
    found = connection.execute(
        select(registry.c.asset, registry.c.fingerprint, _is_here())
        .where(of_workspace, registry.c.fingerprint.in_(distances))
        .order_by(registry.c.created.desc(), registry.c.asset)
    )
    known = (Known(row.asset, bool(row.here), distances[row.fingerprint]) for row in found)
    return tuple(sorted(known, key=lambda one: one.distance))[:MOST_ALIKE]


def _is_here() -> Label[bool]:
    kept = exists().where(
        assets.c.workspace == registry.c.workspace, assets.c.id == registry.c.asset
    )
    return kept.label("here")
