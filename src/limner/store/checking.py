"""Checking a whole library: every row against its file, every file against its name."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine, exists, select

from limner.domain.errors import StorageFailed
from limner.domain.recipe import Sha256
from limner.store.blobs import Blobs
from limner.store.tables import assets


class ProblemKind(StrEnum):
    """What can be wrong in a library."""

    MISSING = "missing"
    DAMAGED = "damaged"
    ORPHAN = "orphan"
    DATABASE = "database"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, which file it concerns, and what to do about it."""

    kind: ProblemKind
    blob: Sha256 | None
    message: str


def check_library(engine: Engine, blobs: Blobs) -> tuple[Problem, ...]:
    """Return everything that is wrong, in the order of ids; reads every file."""
    problems = _check_database(engine)
    # Files before rows, since every new file gets its row a moment later.
    files = set(blobs.settled())
    with engine.begin() as connection:
        rows = set(connection.scalars(select(assets.c.id).distinct()))
    for blob in sorted(rows):
        problem = _check_blob(blobs, blob)
        if problem and _is_kept(engine, blob):
            problems.append(problem)
    problems += [
        Problem(
            ProblemKind.ORPHAN,
            blob,
            f"The file {blobs.path(blob)} belongs to no asset. It can be deleted.",
        )
        for blob in sorted(files - rows)
        if not _is_kept(engine, blob)
    ]
    return tuple(problems)


def _check_database(engine: Engine) -> list[Problem]:
    with engine.begin() as connection:
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [
        Problem(
            ProblemKind.DATABASE,
            None,
            f"The database is damaged ({one}). Put back a copy of it.",
        )
        for one in found
        if one != "ok"
    ]


def _check_blob(blobs: Blobs, blob: Sha256) -> Problem | None:
    try:
        blobs.read(blob)
    except StorageFailed as failure:
        kind = ProblemKind.DAMAGED if blobs.exists(blob) else ProblemKind.MISSING
        return Problem(kind, blob, failure.message)
    return None


def _is_kept(engine: Engine, blob: Sha256) -> bool:
    """Whether an asset has this blob now: it may have been removed during the check."""
    with engine.begin() as connection:
        return bool(connection.scalar(select(exists().where(assets.c.id == blob))))
