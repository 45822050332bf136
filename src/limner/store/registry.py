"""The registry of everything that was ever kept: found again by mark, pixels or fingerprint."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, and_, select

from limner.domain.recipe import Sha256
from limner.domain.workspace import Workspace
from limner.store.rows import to_moment
from limner.store.tables import assets, registry

MOST_ALIKE = 100
"""The most pictures one search by fingerprint returns: the nearest."""


@dataclass(frozen=True)
class Known:
    """A picture the registry knows: its asset, and whether that is still here.

    `made` is whether it was made here, not brought in; `since` when it was kept; `distance` how
    many bits of the fingerprint differ, 0 where something else was compared; `fingerprint` what
    was kept of its looks, None for what came without.
    """

    asset: Sha256
    here: bool
    made: bool
    since: datetime
    distance: int = 0
    fingerprint: str | None = None


def find_known(connection: Connection, workspace: Workspace, **wanted: str) -> tuple[Known, ...]:
    """Return what has these values in its row of the registry, newest first."""
    query = (
        _select_known()
        .where(registry.c.workspace == workspace.id)
        .where(*(registry.c[name] == value for name, value in wanted.items()))
        .order_by(registry.c.created.desc(), registry.c.asset)
    )
    return tuple(_known(row) for row in connection.execute(query))


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
        _select_known()
        .where(of_workspace, registry.c.fingerprint.in_(distances))
        .order_by(registry.c.created.desc(), registry.c.asset)
    )
    known = (_known(row, distances[row.fingerprint]) for row in found)
    return tuple(sorted(known, key=lambda one: one.distance))[:MOST_ALIKE]


def _select_known() -> Select[Any]:
    same = (assets.c.workspace == registry.c.workspace, assets.c.id == registry.c.asset)
    return select(registry, assets.c.id.label("kept"), assets.c.recipe.label("recipe")).select_from(
        registry.outerjoin(assets, and_(*same))
    )


def _known(row: Row[Any], distance: int = 0) -> Known:
    """Return what a row of the registry says, with that of its asset, if it is here.

    What was brought in is forgotten when it is removed; before it had fingerprints it was not.
    """
    here = row.kept is not None
    drawn = row.recipe is not None if here else row.fingerprint is not None
    made = drawn or row.mark is not None
    looks = row.fingerprint.hex() if row.fingerprint is not None else None
    return Known(row.asset, here, made, to_moment(row.created), distance, looks)
