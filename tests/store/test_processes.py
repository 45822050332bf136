"""Several processes on one library, and processes that die in the middle of a write."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from limner.domain.errors import LibraryBusy
from limner.domain.workspace import LOCAL_WORKSPACE
from limner.store import opening
from limner.store.blobs import STALE_SECONDS
from limner.store.checking import ProblemKind
from limner.store.library import Library

from .samples import make_asset


def start(home: Path, first: int, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "store.keeper", str(home), str(first), str(count)],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> list[str]:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.split()


def test_two_processes_keep_in_one_new_library(home: Path) -> None:
    processes = [start(home, 0, 50), start(home, 40, 50)]  # ten assets are the same
    for process in processes:
        go(process)
    kept = {asset for process in processes for asset in finish(process)}
    assert kept == {make_asset(number)[0].id for number in range(90)}
    with Library.open(home) as library:
        assert {asset.id for asset in library.list(LOCAL_WORKSPACE, limit=1_000)} == kept
        assert library.check() == ()


@pytest.mark.parametrize("trial", range(3))
def test_many_processes_open_a_new_library_at_the_same_moment(home: Path, trial: int) -> None:
    processes = [start(home, number, 1) for number in range(4)]
    for process in processes:
        go(process)
    assert all(len(finish(process)) == 1 for process in processes)
    with Library.open(home) as library:
        assert len(library.list(LOCAL_WORKSPACE)) == 4


def test_a_process_killed_in_the_middle_leaves_nothing_broken(home: Path) -> None:
    """SIGKILL at random moments, the first ones while the library is being made."""
    moments = random.Random(7)
    told: set[str] = set()
    first = 0
    for trial in range(15):
        process = start(home, first, 10_000)
        go(process)
        time.sleep(moments.uniform(0, 0.3) if trial < 5 else moments.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        output, errors = process.communicate(timeout=60)
        assert errors == ""
        told |= {line for line in output.split("\n")[:-1] if line}

        with Library.open(home) as library:
            kept = {asset.id for asset in library.list(LOCAL_WORKSPACE, limit=1_000)}
            assert told <= kept, "what was told to be kept is kept"
            problems = library.check()
            assert all(problem.kind is ProblemKind.ORPHAN for problem in problems), problems
            for blob in (home / "blobs").glob("??/??/*"):
                assert len(blob.name) == 64
                library.blobs.read(blob.name)
            first = len(kept)
            again, file = make_asset(first)
            assert library.keep(again, file) == again
            told.add(again.id)
            first += 1
    assert first > 15
    assert len(told) >= first - 15


def test_partial_files_of_dead_processes_are_swept(home: Path) -> None:
    partial = home / "blobs" / "partial"
    with Library.open(home) as library:
        library.keep(*make_asset(1))
    (partial / "dead").write_bytes(b"half")
    (partial / "at-work").write_bytes(b"half")
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(partial / "dead", (long_ago, long_ago))
    with Library.open(home) as library:
        assert [path.name for path in partial.iterdir()] == ["at-work"]
        assert library.blobs.sweep() == 0
        assert library.check() == ()


def test_threads_share_a_library(library: Library) -> None:
    def keep_and_look(number: int) -> int:
        asset, file = make_asset(number // 2)
        library.keep(asset, file)
        assert library.read(LOCAL_WORKSPACE, asset.id) == file
        return len(library.list(LOCAL_WORKSPACE, limit=1_000))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(keep_and_look, range(80)))
    assert len(library.list(LOCAL_WORKSPACE, limit=1_000)) == 40
    assert library.check() == ()


def test_a_library_held_too_long_is_busy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.05)
    with Library.open(home) as holder, Library.open(home) as library:
        first, file = make_asset(1)
        holder.keep(first, file)
        with holder._write():
            assert library.get(LOCAL_WORKSPACE, first.id) == first  # readers do not wait
            with pytest.raises(LibraryBusy, match="another process"):
                library.keep(*make_asset(2))
            with pytest.raises(LibraryBusy):
                library.remove(LOCAL_WORKSPACE, first.id)
        second, file = make_asset(2)
        assert library.keep(second, file) == second


def test_a_new_library_held_by_another_is_busy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BUSY_SECONDS", 0.05)
    home.mkdir()
    with closing(sqlite3.connect(home / "library.sqlite")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LibraryBusy):
            Library.open(home)
        holder.rollback()
    Library.open(home).close()


def test_a_new_library_waits_for_another_that_makes_it(home: Path) -> None:
    """SQLite refuses at once to switch the log while another writes; opening waits instead."""
    home.mkdir()
    file = home / "library.sqlite"
    with closing(sqlite3.connect(file, check_same_thread=False)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, holder.rollback)
        release.start()
        Library.open(home).close()
        assert release.finished.is_set()
        release.join()


def test_a_file_kept_again_while_it_is_removed_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between removing the row and removing the file, another process keeps the same file."""
    asset, file = make_asset(1)
    with Library.open(home) as library, Library.open(home) as other:
        library.keep(asset, file)
        write = library._write
        calls: list[int] = []

        def interrupted() -> AbstractContextManager[Connection]:
            calls.append(len(calls))
            if len(calls) == 2:
                other.keep(asset, file)
            return write()

        monkeypatch.setattr(library, "_write", interrupted)
        library.remove(LOCAL_WORKSPACE, asset.id)
        assert len(calls) == 2
        assert library.read(LOCAL_WORKSPACE, asset.id) == file


def test_a_file_removed_while_it_is_kept_is_written_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, file = make_asset(1)
    with Library.open(home) as library, Library.open(home) as other:
        other.keep(asset, file)
        put = library.blobs.put

        def put_then_lose(content: bytes) -> str:
            monkeypatch.undo()
            blob = put(content)
            other.remove(LOCAL_WORKSPACE, asset.id)
            return blob

        monkeypatch.setattr(library.blobs, "put", put_then_lose)
        library.keep(asset, file)
        assert library.read(LOCAL_WORKSPACE, asset.id) == file
