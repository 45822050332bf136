"""Checking finds every kind of damage, and calls nothing damaged that is whole."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from limner.domain.errors import StorageFailed
from limner.domain.workspace import LOCAL_WORKSPACE
from limner.store.blobs import STALE_SECONDS
from limner.store.checking import ProblemKind
from limner.store.library import Library

from .samples import make_asset


def make_old(path: Path) -> None:
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(path, (long_ago, long_ago))


def test_an_empty_library_is_whole(library: Library) -> None:
    assert library.check() == ()


def test_missing_damaged_and_orphaned_files_are_found(library: Library) -> None:
    made = [make_asset(number) for number in range(4)]
    for asset, file in made:
        library.keep(asset, file)
    whole, missing, damaged, emptied = (asset for asset, _ in made)
    library.blobs.path(missing.id).unlink()
    library.blobs.path(damaged.id).write_bytes(b"other")
    library.blobs.path(emptied.id).write_bytes(b"")
    orphan, young = library.blobs.put(b"no row"), library.blobs.put(b"no row yet")
    make_old(library.blobs.path(orphan))
    make_old(library.blobs.path(whole.id))

    problems = library.check()
    assert {(problem.kind, problem.blob) for problem in problems} == {
        (ProblemKind.MISSING, missing.id),
        (ProblemKind.DAMAGED, damaged.id),
        (ProblemKind.DAMAGED, emptied.id),
        (ProblemKind.ORPHAN, orphan),
    }
    for problem in problems:
        assert problem.blob
        assert str(library.blobs.path(problem.blob)) in problem.message
    for asset in (missing, damaged, emptied):
        with pytest.raises(StorageFailed):
            library.read(LOCAL_WORKSPACE, asset.id)
        assert library.get(LOCAL_WORKSPACE, asset.id) == asset

    for asset, file in made:  # keeping the same pictures again mends their files
        library.keep(asset, file)
    library.blobs.remove(orphan)
    assert library.check() == ()
    assert library.blobs.exists(young)


def test_an_asset_removed_during_the_check_is_no_problem(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, file = make_asset(1)
    library.keep(asset, file)
    read = library.blobs.read

    def read_too_late(blob: str) -> bytes:
        library.remove(LOCAL_WORKSPACE, asset.id)
        return read(blob)

    monkeypatch.setattr(library.blobs, "read", read_too_late)
    assert library.check() == ()


def test_a_damaged_database_is_found(home: Path) -> None:
    with Library.open(home) as library:
        library.keep(*make_asset(1))
    file = home / "library.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ix_assets_id'"
        ).fetchone()
    content = bytearray(file.read_bytes())
    # An empty leaf page of an index: the row it should list is not in it.
    content[(page - 1) * 4096 : (page - 1) * 4096 + 8] = bytes([10, 0, 0, 0, 0, 16, 0, 0])
    file.write_bytes(content)
    with Library.open(home) as library:
        kinds = {problem.kind for problem in library.check()}
    assert kinds == {ProblemKind.DATABASE}
