"""Opening the database of a library: made if new, brought up to date if old, never by halves."""

import os
import sqlite3
import time
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, QueuePool, column, create_engine, event, inspect, select
from sqlalchemy import table as light_table
from sqlalchemy.exc import OperationalError

from limner.domain.errors import StorageFailed, StorageFull, StorageReadOnly
from limner.store.failures import database_at, files_at, is_locked
from limner.store.tables import REVISION

BUSY_SECONDS = 10.0
"""How long a write waits for another process before LibraryBusy."""

_AS_IT_LIES = "mode=ro&immutable=1"

_alembic_version = light_table("alembic_version", column("version_num"))


def open_database(file: Path, *, reading: bool = False) -> Engine:
    """Return an engine on the database file, with the present tables in it.

    A library that cannot be written is opened for reading. Where `reading` is all that is wanted,
    neither a full disk is in the way, nor a folder in which no library can be made: that is as
    one with nothing in it. Raises StorageFailed or a kind of it.
    """
    try:
        return _open(file)
    except (StorageFull, StorageReadOnly) as failure:
        if not reading:
            raise
        try:
            return _open_to_read(file)
        except StorageFailed:
            raise failure from None


def _open(file: Path) -> Engine:
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
    return _opened(_engine(file, mode), file, writable=writable)


def _open_to_read(file: Path) -> Engine:
    """Return an engine that needs no room on the disk, beside the database or anywhere."""
    log = file.with_name(file.name + "-wal")
    with files_at(file.parent):
        begun = file.exists() and file.stat().st_size
        logged = log.exists() and log.stat().st_size
    if begun:
        # A log is read without its index on the disk by one who is alone with the library.
        engine = _engine_of_one(file, "mode=rw") if logged else _engine(file, _AS_IT_LIES)
        with database_at(file), engine.connect() as connection:
            has_tables = bool(_revision(connection, file))
        if has_tables:
            return _opened(engine, file, writable=False)
        engine.dispose()
    return _opened(_engine_of_one(file, "mode=memory"), file, writable=True)


def _opened(engine: Engine, file: Path, *, writable: bool) -> Engine:
    with database_at(file):
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
    return _AS_IT_LIES


def _engine(file: Path, mode: str) -> Engine:
    engine = create_engine("sqlite://", creator=partial(_connect, file, mode), poolclass=QueuePool)
    event.listen(engine, "begin", _begin)
    return engine


def _engine_of_one(file: Path, mode: str) -> Engine:
    """Return an engine with one connection alone, at which threads take turns."""
    engine = create_engine(
        "sqlite://",
        creator=partial(_connect, file, mode, alone=True),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _connect(file: Path, mode: str, *, alone: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin where we say so
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )
    try:
        if alone:
            # Before anything is read: later, SQLite has chosen already how it reads the log.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()  # the error would keep it, and its locks, for as long as it lives
        raise
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
