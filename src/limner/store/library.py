"""The library: every asset with its recipe, parents and environment, in one home folder."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    select,
    tuple_,
    update,
)

from limner.domain.asset import Asset
from limner.domain.errors import AssetNotFound, InvalidRequest, NotFound, StorageFailed
from limner.domain.policy import Policy
from limner.domain.recipe import Sha256
from limner.domain.record import Record
from limner.domain.workspace import Workspace
from limner.store.blobs import Blobs
from limner.store.checking import Problem, check_library
from limner.store.failures import database_at, files_at
from limner.store.opening import for_writing, open_database
from limner.store.registry import Known, find_alike, find_known
from limner.store.rows import (
    asset_row,
    environment_row,
    folded,
    journal_row,
    microseconds,
    parent_rows,
    policy_text,
    recipe_row,
    registry_row,
    select_assets,
    select_parents,
    to_asset,
    to_policy,
    to_record,
)
from limner.store.tables import (
    asset_parents,
    assets,
    environments,
    journal,
    recipes,
    registry,
    workspaces,
)

MOST_LISTED = 1_000
"""The most assets one listing returns."""

_PREFIX = re.compile(r"[0-9a-f]{6,64}")
_MOST_SEARCHED = 1_000  # characters; SQLite bounds the depth of an expression to 1,000
_LAST_NUMBER = 2**63 - 1  # what SQLite's integers reach
_NEWEST_FIRST = (assets.c.created.desc(), assets.c.id.desc())


@dataclass(frozen=True)
class LibrarySizes:
    """What the library holds for a workspace, and the size of its database file in bytes."""

    assets: int
    asset_bytes: int
    database_bytes: int


class Library:
    """A library, opened: `library.sqlite` and `blobs/` in its home folder.

    Opening makes what is missing and brings old tables up to date. It may be used from several
    threads, and by several processes at once. Every method may raise StorageFailed or a kind of
    it: StorageFull, StorageReadOnly, or LibraryBusy after ten seconds of waiting.
    """

    def __init__(self, blobs: Blobs, file: Path, engine: Engine) -> None:
        self.blobs = blobs
        self._file = file
        self._reading = engine
        self._writing = for_writing(engine)

    @classmethod
    def open(cls, home: Path, *, reading: bool = False) -> Self:
        """Open the library in this folder, making both if need be.

        Where `reading` is all that is wanted, it works on a full disk, and in a folder that
        holds no library and cannot be written, as if one with nothing in it were there.
        """
        file = home / "library.sqlite"
        blobs = Blobs(home / "blobs")
        engine = open_database(file, reading=reading)
        try:
            blobs.sweep()
        except StorageFailed:
            engine.dispose()
            raise
        return cls(blobs, file, engine)

    def close(self) -> None:
        """Let go of the database."""
        self._reading.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def add_workspace(self, workspace: Workspace) -> None:
        """Make a workspace that assets can be kept in; nothing happens if it is there."""
        with self._write() as connection:
            _insert_once(connection, workspaces, {"id": workspace.id, "name": workspace.name})

    def keep(self, asset: Asset, file: bytes, record: Record | None = None) -> Asset:
        """Keep a file and what is known of it, durably; all or nothing is in the library.

        `record` is a line of the journal that belongs to it. If the workspace has this file, what
        is known of it stays, and is returned. Raises NotFound for an unknown workspace,
        InvalidRequest if `asset` does not describe `file`.
        """
        row = asset_row(asset)
        if len(file) != asset.bytes or hashlib.sha256(file).hexdigest() != asset.id:
            raise InvalidRequest("The file is not the one that its asset describes.")
        self.blobs.put(file)
        with self._write() as connection:
            first = _find(connection, asset.workspace, assets.c.id == asset.id)
            if not first:
                _require_workspace(connection, asset.workspace)
            if record is not None:
                connection.execute(insert(journal), journal_row(record))
            if first:
                return first[0]
            if not self.blobs.exists(asset.id):
                self.blobs.put(file)  # its last other owner removed it a moment ago
            if asset.recipe:
                _insert_once(connection, recipes, recipe_row(asset.recipe))
            if asset.environment:
                _insert_once(connection, environments, environment_row(asset.environment))
            connection.execute(insert(assets), row)
            if asset.parents:
                connection.execute(insert(asset_parents), parent_rows(asset))
            _register(connection, asset)
        return asset

    def get(self, workspace: Workspace, asset: str) -> Asset:
        """Return an asset by its id or the first digits of it, six at least.

        Raises AssetNotFound, or InvalidRequest if it is no id or begins several.
        """
        begins = _begins(assets.c.id, asset)
        with self._read() as connection:
            found = _find(connection, workspace.id, begins, limit=2)
        if len(found) > 1:
            raise InvalidRequest(f"Several assets begin with {asset}. Give more of its digits.")
        if not found:
            raise AssetNotFound(
                f"No asset of the workspace “{workspace.name}” begins with {asset}. List the "
                "library to see what is there."
            )
        return found[0]

    def read(self, workspace: Workspace, asset: str) -> bytes:
        """Return the file of an asset, checked against its id. Raises as `get` does."""
        return self.blobs.read(self.get(workspace, asset).id)

    def list(
        self,
        workspace: Workspace,
        *,
        words: str = "",
        model: str | None = None,
        limit: int = 50,
        before: Asset | None = None,
        after: Asset | None = None,
    ) -> tuple[Asset, ...]:
        """Return assets, newest first: those whose prompt has all of the words, in any case.

        The next page is `before` the last asset of this one, the page above is `after` its first;
        assets kept or removed in between neither repeat nor hide others.
        """
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidRequest(f"limit must be 1 to {MOST_LISTED:,}, not {limit}.")
        query = select_assets().where(assets.c.workspace == workspace.id)
        for word in _search_words(words):
            query = query.where(recipes.c.words.contains(word, autoescape=True))
        if model is not None:
            query = query.where(recipes.c.model == _readable(model))
        place = tuple_(assets.c.created, assets.c.id)
        if before:
            query = query.where(place < (microseconds(before.created), before.id))
        if after:
            query = query.where(place > (microseconds(after.created), after.id))
        upwards = after is not None and before is None
        order = (assets.c.created, assets.c.id) if upwards else _NEWEST_FIRST
        with self._read() as connection:
            found = _fetch(connection, workspace.id, query.order_by(*order).limit(limit))
        return found[::-1] if upwards else found

    def find_by_recipe(self, workspace: Workspace, recipe: Sha256) -> tuple[Asset, ...]:
        """Return the assets drawn by the recipe of this digest, newest first."""
        with self._read() as connection:
            return _find(connection, workspace.id, assets.c.recipe == recipe)

    def parents(self, workspace: Workspace, asset: str) -> tuple[Asset, ...]:
        """Return the assets this one was made from that are still here, in its own order."""
        ids = [parent.asset for parent in self.get(workspace, asset).parents]
        with self._read() as connection:
            here = {
                found.id: found for found in _find(connection, workspace.id, assets.c.id.in_(ids))
            }
        return tuple(here[one] for one in dict.fromkeys(ids) if one in here)

    def children(self, workspace: Workspace, asset: str) -> tuple[Asset, ...]:
        """Return the assets made from this one, newest first."""
        of_parent = select(asset_parents.c.asset).where(
            asset_parents.c.workspace == workspace.id,
            asset_parents.c.parent == self.get(workspace, asset).id,
        )
        with self._read() as connection:
            return _find(connection, workspace.id, assets.c.id.in_(of_parent))

    def find_by_mark(self, workspace: Workspace, mark: str) -> tuple[Known, ...]:
        """Return what was kept with this watermark id, newest first, removed or not."""
        with self._read() as connection:
            return find_known(connection, workspace, mark=mark)

    def find_by_pixels(self, workspace: Workspace, pixel_digest: Sha256) -> tuple[Known, ...]:
        """Return what was kept with exactly these pixels, newest first, removed or not."""
        with self._read() as connection:
            return find_known(connection, workspace, pixel_digest=pixel_digest)

    def find_by_fingerprint(
        self, workspace: Workspace, fingerprint: Sha256, within: int
    ) -> tuple[Known, ...]:
        """Return what looks alike: fingerprints that differ in `within` bits at most."""
        with self._read() as connection:
            return find_alike(connection, workspace, fingerprint, within)

    def find_file(self, workspace: Workspace, asset: Sha256) -> tuple[Known, ...]:
        """Return whether exactly this file was ever kept."""
        with self._read() as connection:
            return find_known(connection, workspace, asset=asset)

    def policy(self, workspace: Workspace) -> Policy:
        """Return the rules of a workspace, the default ones where none were set."""
        query = select(workspaces.c.policy).where(workspaces.c.id == workspace.id)
        with self._read() as connection:
            kept = connection.scalar(query)
        return to_policy(workspace, kept)

    def change_policy(
        self, workspace: Workspace, change: Callable[[Policy], tuple[Policy, Record | None]]
    ) -> Policy:
        """Set the rules of a workspace by what they are, and return what they are now.

        `change` gets the rules as they stand and returns the new ones with the line of the
        journal that says so; nobody else changes them in between, and what it raises leaves them
        as they were. Raises NotFound for an unknown workspace.
        """
        mine = workspaces.c.id == workspace.id
        with self._write() as connection:
            _require_workspace(connection, workspace.id)
            kept = connection.scalar(select(workspaces.c.policy).where(mine))
            policy, record = change(to_policy(workspace, kept))
            connection.execute(update(workspaces).where(mine).values(policy=policy_text(policy)))
            if record is not None:
                connection.execute(insert(journal), journal_row(record))
        return policy

    def record(self, record: Record) -> None:
        """Write a line of the journal; lines are never changed or removed.

        Raises NotFound for an unknown workspace.
        """
        with self._write() as connection:
            _require_workspace(connection, record.workspace)
            connection.execute(insert(journal), journal_row(record))

    def records(
        self,
        workspace: Workspace,
        *,
        asset: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> tuple[Record, ...]:
        """Return lines of the journal, newest first: those on an asset, if one is given.

        The asset may be gone, and is given by its id or the first digits of it, six at least.
        The next page is `before` the number of the last line of this one.
        """
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidRequest(f"limit must be 1 to {MOST_LISTED:,}, not {limit}.")
        query = select(journal).where(journal.c.workspace == workspace.id)
        if asset is not None:
            query = query.where(_begins(journal.c.asset, asset))
        if before is not None:
            query = query.where(journal.c.id < max(0, min(before, _LAST_NUMBER)))
        with self._read() as connection:
            rows = connection.execute(query.order_by(journal.c.id.desc()).limit(limit)).all()
        return tuple(to_record(row) for row in rows)

    def remove(
        self,
        workspace: Workspace,
        asset: str,
        record_of: Callable[[Asset], Record] | None = None,
    ) -> Asset:
        """Remove an asset and return what it was; children keep its id among their parents.

        The file goes with it unless another workspace has it too; the registry still knows what
        was made here.
        The line of the journal on it is written with the removal, or neither is done.
        """
        found = self.get(workspace, asset)
        with self._write() as connection:
            gone = connection.execute(
                delete(assets).where(assets.c.workspace == workspace.id, assets.c.id == found.id)
            )
            _forget(connection, found)
            if record_of is not None and gone.rowcount:  # else another process was faster
                connection.execute(insert(journal), journal_row(record_of(found)))
            if found.recipe:
                drawn = exists().where(assets.c.recipe == recipes.c.digest)
                connection.execute(
                    delete(recipes).where(recipes.c.digest == found.recipe.digest, ~drawn)
                )
        # The row first and for good: a crash in between leaves a file too many, not one too few.
        # The lock is held, so that nobody keeps the same file while it is being removed.
        with self._write() as connection:
            if not connection.scalar(select(exists().where(assets.c.id == found.id))):
                self.blobs.remove(found.id)
        return found

    def check(self) -> tuple[Problem, ...]:
        """Read the whole library, of all workspaces, and return what is wrong with it."""
        with database_at(self._file):
            return check_library(self._reading, self.blobs)

    def sizes(self, workspace: Workspace) -> LibrarySizes:
        """Return how much a workspace holds."""
        query = select(func.count(), func.coalesce(func.sum(assets.c.bytes), 0)).where(
            assets.c.workspace == workspace.id
        )
        with self._read() as connection:
            count, size = connection.execute(query).one()
        with files_at(self._file.parent):
            on_disk = self._file.stat().st_size
        return LibrarySizes(assets=count, asset_bytes=size, database_bytes=on_disk)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with database_at(self._file), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with database_at(self._file), self._writing.begin() as connection:
            yield connection


def _begins(column: Column[str], asset: str) -> ColumnElement[bool]:
    """Return the condition that an id begins so; raise InvalidRequest for what begins none."""
    if not _PREFIX.fullmatch(asset):
        raise InvalidRequest(
            f"“{asset[:80]}” is not the id of an asset. Give at least the first 6 of its 64 "
            "digits (0-9, a-f), as a listing of the library shows them."
        )
    # "g" comes after every digit, so this is a range of the index.
    return and_(column >= asset, column < asset + "g")


def _find(
    connection: Connection, workspace: str, condition: Any, limit: int | None = None
) -> tuple[Asset, ...]:
    query = select_assets().where(assets.c.workspace == workspace, condition)
    return _fetch(connection, workspace, query.order_by(*_NEWEST_FIRST).limit(limit))


def _fetch(connection: Connection, workspace: str, query: Select[Any]) -> tuple[Asset, ...]:
    rows = connection.execute(query).all()
    ids = [row.id for row in rows]
    parents: defaultdict[Sha256, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(select_parents(workspace, ids)):
        parents[row.asset].append(row)
    return tuple(to_asset(row, parents[row.id]) for row in rows)


def _insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row unless its key is there. The write lock is held, so nobody comes between."""
    (key,) = table.primary_key
    if not connection.scalar(select(exists().where(key == row[key.name]))):
        connection.execute(insert(table), row)


def _register(connection: Connection, asset: Asset) -> None:
    """Note an asset in the registry, where an earlier removed one of the same file may be.

    What was made here stays known as that when its file is brought back in.
    """
    same = and_(registry.c.workspace == asset.workspace, registry.c.asset == asset.id)
    if asset.recipe is None and connection.scalar(select(exists().where(same))):
        return
    connection.execute(delete(registry).where(same))
    connection.execute(insert(registry), registry_row(asset))


def _forget(connection: Connection, asset: Asset) -> None:
    """Take an asset that was brought in out of the registry: that knows what was made here."""
    if asset.recipe is None:
        connection.execute(
            delete(registry).where(
                registry.c.workspace == asset.workspace,
                registry.c.asset == asset.id,
                registry.c.mark.is_(None),
            )
        )


def _require_workspace(connection: Connection, workspace: str) -> None:
    if not connection.scalar(select(exists().where(workspaces.c.id == workspace))):
        raise NotFound(
            f"The library has no workspace “{workspace}”. Make it first, or use another."
        )


def _search_words(text: str) -> Sequence[str]:
    if len(text) > _MOST_SEARCHED:
        raise InvalidRequest(
            f"The search has {len(text):,} characters; the most is {_MOST_SEARCHED:,}. Use fewer "
            "words."
        )
    return sorted(set(folded(_readable(text)).split()))


def _readable(text: str) -> str:
    """Replace what cannot be written as UTF-8: it came from a broken line and is in no row."""
    return text.encode("utf-8", "replace").decode()
