"""Opening the database of a library: made if new, brought up to date if old, never by halves."""

import os
import sqlite3
import time
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, QueuePool, column, create_engine, event, inspect, select
from sqlalchemy import table as light_table
from sqlalchemy.exc import OperationalError

from limner.domain.errors import StorageFailed, StorageReadOnly
from limner.store.failures import database_at, files_at, is_locked
from limner.store.tables import REVISION

BUSY_SECONDS = 10.0
"""How long a write waits for another process before LibraryBusy."""

_alembic_version = light_table("alembic_version", column("version_num"))


def open_database(file: Path) -> Engine:
    """Return an engine on the database file, with the present tables in it.

    A library that cannot be written is opened for reading. Raises StorageFailed or a kind of it.
    """
    with files_at(file.parent):
        writable = _is_writable(file)
        if writable:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        elif not file.exists():
            raise StorageReadOnly(
                f"There is no library in {file.parent}, and the folder cannot be written to make "
                "one. Make it writable for this user, or choose another home folder."
            )
        mode = "mode=rw" if writable else _reading_mode(file)
    with database_at(file):
        engine = _engine(file, mode)
        try:
            _bring_up_to_date(engine, file, writable=writable)
        except BaseException:
            engine.dispose()
            raise
    return engine


def for_writing(engine: Engine) -> Engine:
    """Return the engine with transactions that take the write lock when they begin.

    So writers wait for each other, instead of failing half-way because a row changed.
    """
    return engine.execution_options(begins="BEGIN IMMEDIATE")


def _is_writable(file: Path) -> bool:
    if file.exists():
        return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    nearest = next(folder for folder in file.absolute().parents if folder.exists())
    return os.access(nearest, os.W_OK)


def _reading_mode(file: Path) -> str:
    """Return how to open a database in a folder that cannot be written.

    SQLite in WAL mode keeps two files beside the database even to read it. Where they are missing
    and cannot be made, the database is read as it lies. That would lose the rows of a log, so
    not where there is one.
    """
    log, index = (file.with_name(file.name + ending) for ending in ("-wal", "-shm"))
    if index.exists() or (log.exists() and log.stat().st_size):
        return "mode=ro"
    return "mode=ro&immutable=1"


def _engine(file: Path, mode: str) -> Engine:
    engine = create_engine("sqlite://", creator=partial(_connect, file, mode), poolclass=QueuePool)
    event.listen(engine, "begin", _begin)
    return engine


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin where we say so
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get("begins", "BEGIN")
    if statement:
        connection.exec_driver_sql(statement)


def _bring_up_to_date(engine: Engine, file: Path, *, writable: bool) -> None:
    with engine.connect() as connection:
        found = _revision(connection, file)
    if found == REVISION:
        return
    if not writable:
        raise StorageReadOnly(
            f"The library {file} is of an older Limner and must be brought up to date first, but "
            "its folder cannot be written. Make it writable for this user once."
        )
    _use_log(engine)
    with for_writing(engine).begin() as connection:
        # Another process may have done it while this one waited for the lock.
        if _revision(connection, file) != REVISION:
            # Loading alembic takes as long as all the rest; a current library is spared it.
            from limner.store.migrate import migrate

            migrate(connection)


def _revision(connection: Connection, file: Path) -> str:
    """Return the revision of the tables, "" where there are none yet."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if tables:
            raise StorageFailed(
                f"{file} is a database, but not a library of Limner. Nothing in it was changed. "
                "Choose another home folder."
            )
        return ""
    found = connection.scalar(select(_alembic_version.c.version_num)) or ""
    if found > REVISION:
        raise StorageFailed(
            f"The library {file} was made by a newer Limner (tables {found}, this one knows "
            f"{REVISION}). Nothing in it was changed. Update Limner, or choose another home folder."
        )
    return str(found)


def _use_log(engine: Engine) -> None:
    """Switch to write-ahead logging, which stays with the file.

    SQLite does not wait for others here, whatever the timeout: of two processes that open a new
    library at once, one would be refused.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    with engine.connect().execution_options(begins="") as connection:
        while True:
            try:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            except OperationalError as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return
