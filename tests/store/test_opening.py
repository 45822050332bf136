"""Opening: new, old, newer, foreign, damaged, read-only, on a full disk."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from limner.domain.asset import Asset
from limner.domain.errors import AssetNotFound, StorageFailed, StorageFull, StorageReadOnly
from limner.domain.workspace import LOCAL_WORKSPACE
from limner.store.library import Library
from limner.store.tables import REVISION, metadata

from .samples import make_asset


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something there for the duration, or skip the test where that is not allowed."""
    mount = shutil.which("mount")
    if mount is None or sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root may mount a small or read-only disk")
    done = subprocess.run(
        [mount, *options, str(folder)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"this machine cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


def fill(home: Path, count: int = 3) -> None:
    with Library.open(home) as library:
        for number in range(count):
            library.keep(*make_asset(number))


def test_a_new_library_has_the_present_tables(home: Path) -> None:
    Library.open(home).close()
    engine = create_engine(f"sqlite:///{home / 'library.sqlite'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_the_last_revision_is_the_one_of_the_tables() -> None:
    config = Config()
    config.set_main_option("script_location", "limner.store:migrations")
    revisions = ScriptDirectory.from_config(config)
    assert revisions.get_heads() == [REVISION]
    names = [one.revision for one in revisions.walk_revisions()]
    assert names == sorted(names, reverse=True), "revisions are ordered as text"


def test_every_connection_is_strict(library: Library) -> None:
    for open_connection in (library._read, library._write):
        with open_connection() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


def test_a_current_library_opens_without_alembic(home: Path) -> None:
    fill(home, 1)
    program = (
        "import sys; from pathlib import Path; from limner.store.library import Library;"
        "Library.open(Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(home)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", ["héme 狐", "a%20b", "q?mode=memory", "hash#tag", "per%%cent"])
def test_homes_with_odd_names(tmp_path: Path, name: str) -> None:
    fill(tmp_path / name)
    assert (tmp_path / name / "library.sqlite").stat().st_size > 0
    with Library.open(tmp_path / name) as library:
        assert len(library.list(LOCAL_WORKSPACE)) == 3


def test_a_relative_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("here"))
    with Library.open(tmp_path / "here") as library:
        assert len(library.list(LOCAL_WORKSPACE)) == 3


def test_a_newer_library_is_left_alone(home: Path) -> None:
    fill(home)
    file = home / "library.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = file.read_bytes()
    with pytest.raises(StorageFailed, match=r"newer Limner.*9999.*Update") as caught:
        Library.open(home)
    assert str(file) in caught.value.message
    assert file.read_bytes() == before


def test_a_database_of_something_else_is_left_alone(home: Path) -> None:
    home.mkdir()
    file = home / "library.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE albums (name TEXT)")
        connection.commit()
    before = file.read_bytes()
    with pytest.raises(StorageFailed, match="not a library"):
        Library.open(home)
    assert file.read_bytes() == before


def test_an_empty_file_becomes_a_library(home: Path) -> None:
    home.mkdir()
    (home / "library.sqlite").touch()
    fill(home)


@pytest.mark.parametrize("keep", [0, 16, 100])
def test_a_damaged_library_is_left_alone(home: Path, keep: int) -> None:
    """Rubbish from byte `keep` on; 16 bytes are SQLite's signature, 100 its header."""
    fill(home)
    file = home / "library.sqlite"
    content = file.read_bytes()
    rubbish = random.Random(keep).randbytes(len(content) - keep)
    file.write_bytes(content[:keep] + rubbish)
    before = file.read_bytes()
    with pytest.raises(StorageFailed, match=r"damaged.*Nothing in it was changed") as caught:
        Library.open(home)
    assert type(caught.value) is StorageFailed
    assert str(file) in caught.value.message
    assert file.read_bytes() == before


def test_damage_deep_inside_is_met_when_reading(home: Path) -> None:
    fill(home, 50)
    file = home / "library.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'assets'")
        page = root.fetchone()[0]
    content = bytearray(file.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    file.write_bytes(content)
    with Library.open(home) as library:
        with pytest.raises(StorageFailed, match="damaged"):
            library.list(LOCAL_WORKSPACE)
        with pytest.raises(StorageFailed, match="damaged"):
            library.keep(*make_asset(99))


def test_a_truncated_library(home: Path) -> None:
    fill(home)
    file = home / "library.sqlite"
    file.write_bytes(file.read_bytes()[:5_000])
    with pytest.raises(StorageFailed, match="damaged"):
        Library.open(home)


def test_a_file_where_the_home_should_be(home: Path) -> None:
    home.write_text("in the way")
    with pytest.raises(StorageFailed, match="home"):
        Library.open(home)
    with pytest.raises(StorageFailed):
        Library.open(home / "deeper")


def test_a_home_whose_name_no_disk_takes(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="too long"):
        Library.open(tmp_path / ("long" * 100))


def test_a_folder_where_the_file_should_be(home: Path) -> None:
    (home / "library.sqlite").mkdir(parents=True)
    with pytest.raises(StorageFailed, match=r"library\.sqlite"):
        Library.open(home)


def test_a_read_only_library_can_be_read(home: Path) -> None:
    fill(home)
    asset, file = make_asset(1)
    with read_only(home), Library.open(home) as library:
        assert len(library.list(LOCAL_WORKSPACE)) == 3
        assert library.read(LOCAL_WORKSPACE, asset.id) == file
        assert library.check() == ()
        with pytest.raises(StorageReadOnly, match="cannot be written"):
            library.keep(*make_asset(9))
        with pytest.raises(StorageReadOnly):
            library.remove(LOCAL_WORKSPACE, asset.id)
        assert len(library.list(LOCAL_WORKSPACE)) == 3


def test_a_read_only_library_in_use_shows_its_newest_rows(home: Path) -> None:
    fill(home)
    with Library.open(home) as writer:
        newest, file = make_asset(9)
        writer.keep(newest, file)
        with read_only(home), Library.open(home) as library:
            assert library.get(LOCAL_WORKSPACE, newest.id) == newest


def test_a_read_only_library_with_a_log_it_cannot_read(home: Path) -> None:
    """Reading past the log would show the library without its newest rows."""
    fill(home)
    log = home / "library.sqlite-wal"
    with Library.open(home) as writer:
        writer.keep(*make_asset(9))
        content = log.read_bytes()
    log.write_bytes(content)
    with read_only(home), pytest.raises(StorageFailed, match=r"library\.sqlite"):
        Library.open(home)
    with Library.open(home) as library:
        assert library.check() == ()


def test_a_read_only_folder_without_library(home: Path) -> None:
    home.mkdir()
    with read_only(home), pytest.raises(StorageReadOnly, match="no library"):
        Library.open(home)


def test_a_read_only_library_of_old_tables(home: Path) -> None:
    home.mkdir()
    (home / "library.sqlite").touch()
    with read_only(home), pytest.raises(StorageReadOnly, match="brought up to date"):
        Library.open(home)


def keep_until_full(library: Library, kept: list[Asset]) -> None:
    kept.extend(library.keep(*make_asset(number)) for number in range(10_000))


def test_a_full_disk(home: Path) -> None:
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        with Library.open(home) as library:
            kept: list[Asset] = []
            with pytest.raises(StorageFull, match="full") as caught:
                keep_until_full(library, kept)
            assert str(home) in caught.value.message
            assert kept
            assert [path.name for path in (home / "blobs" / "partial").iterdir()] == []
            assert {one.id for one in library.list(LOCAL_WORKSPACE, limit=1_000)} == {
                one.id for one in kept
            }
            with pytest.raises(StorageFull):
                library.keep(*make_asset(20_000))
        with Library.open(home) as library:
            assert library.check() == ()
            with pytest.raises(StorageFull):
                library.keep(*make_asset(20_000))
            subprocess.run(["mount", "-o", "remount,size=4m", str(home)], check=True)
            again, file = make_asset(30_000)
            assert library.keep(again, file) == again


def stuff(home: Path) -> None:
    """Take all room that is left on the disk."""
    with (home / "stuffing").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4_096)


def test_a_full_disk_is_no_matter_to_those_who_only_read(home: Path) -> None:
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        fill(home)
        asset, file = make_asset(1)
        stuff(home)
        with pytest.raises(StorageFull):
            Library.open(home)
        with Library.open(home, reading=True) as library, Library.open(home, reading=True):
            assert len(library.list(LOCAL_WORKSPACE)) == 3
            assert library.read(LOCAL_WORKSPACE, asset.id) == file
            assert library.check() == ()


def test_a_full_disk_with_a_log_in_it(home: Path) -> None:
    """Newest rows may be in the log alone, left by a process that died."""
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        fill(home)
        log = home / "library.sqlite-wal"
        newest, file = make_asset(9)
        with Library.open(home) as writer:
            writer.keep(newest, file)
            content = log.read_bytes()
            database = (home / "library.sqlite").read_bytes()
        (home / "library.sqlite").write_bytes(database)
        log.write_bytes(content)
        stuff(home)
        with pytest.raises(StorageFull):
            Library.open(home)
        with Library.open(home, reading=True) as library:
            assert library.get(LOCAL_WORKSPACE, newest.id) == newest
            assert library.check() == ()
        (home / "stuffing").unlink()
        with Library.open(home) as library:
            assert library.get(LOCAL_WORKSPACE, newest.id) == newest
            assert library.check() == ()


def test_old_tables_on_a_full_disk(home: Path) -> None:
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        with closing(sqlite3.connect(home / "library.sqlite")) as connection:
            connection.executescript(
                "CREATE TABLE alembic_version (version_num VARCHAR(32)); "
                "INSERT INTO alembic_version VALUES ('0000')"
            )
        stuff(home)
        with pytest.raises(StorageFull):
            Library.open(home, reading=True)


def test_reading_where_there_is_nothing(home: Path) -> None:
    home.mkdir()
    with read_only(home), Library.open(home, reading=True) as library:
        assert library.list(LOCAL_WORKSPACE) == ()
        assert library.check() == ()
        with pytest.raises(AssetNotFound):
            library.get(LOCAL_WORKSPACE, "abcdef")
    assert list(home.iterdir()) == []


def test_no_room_for_a_new_library(home: Path) -> None:
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        with pytest.raises(StorageFull):
            Library.open(home)
        with Library.open(home, reading=True) as library:
            assert library.list(LOCAL_WORKSPACE) == ()
        subprocess.run(["mount", "-o", "remount,size=4m", str(home)], check=True)
        fill(home)
