"""Digests of large files are read once, and again when the file changes."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from limner.catalog import digests
from limner.catalog.digests import Digests
from limner.domain.errors import Cancelled, StorageFailed
from limner.domain.event import CancelToken, Happening, Hashing
from limner.families.family import Watch


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files were read whole; anything above ten bytes counts as large."""
    seen: list[Path] = []

    def sha256_of(path: Path) -> str:
        seen.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(digests, "sha256_of", sha256_of)
    monkeypatch.setattr(digests, "SMALL", 10)
    return seen


def test_a_large_file_is_read_once(tmp_path: Path, read: list[Path]) -> None:
    path, kept = tmp_path / "a.safetensors", tmp_path / "models" / "digests.json"
    path.write_bytes(b"x" * 100)
    whole = hashlib.sha256(b"x" * 100).hexdigest()
    first = Digests(kept)
    assert [first.of(path), first.of(path), Digests(kept).of(path)] == [whole] * 3
    assert read == [path]


def test_a_changed_file_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    path, known = tmp_path / "a.safetensors", Digests(tmp_path / "digests.json")
    path.write_bytes(b"x" * 100)
    before = known.of(path)
    status = path.stat()
    path.write_bytes(b"y" * 100)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert known.of(path) != before
    other = tmp_path / "b"
    other.write_bytes(b"z" * 100)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    other.replace(path)
    assert known.of(path) == hashlib.sha256(b"z" * 100).hexdigest()
    assert len(read) == 3


def test_a_small_file_is_read_every_time(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x" * 10)
    known = Digests(tmp_path / "digests.json")
    assert known.of(path) == known.of(path)
    assert len(read) == 2
    assert not known.kept.exists()


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"%s": [1, 2]}', '{"%s": 1}'])
def test_a_damaged_record_is_no_record(tmp_path: Path, read: list[Path], text: str) -> None:
    path, kept = tmp_path / "a", tmp_path / "digests.json"
    path.write_bytes(b"x" * 100)
    kept.write_text(text.replace("%s", str(path)))
    assert Digests(kept).of(path) == hashlib.sha256(b"x" * 100).hexdigest()
    assert Digests(kept).of(path)
    assert len(read) == 1


def test_two_processes_keep_what_both_learned(tmp_path: Path, read: list[Path]) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(path.name.encode() * 100)
    one, two = Digests(tmp_path / "digests.json"), Digests(tmp_path / "digests.json")
    one.of(paths[0])
    two.of(paths[1])
    one.of(paths[1])
    assert set(json.loads((tmp_path / "digests.json").read_text())) == {str(p) for p in paths}


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path: Path, read: list[Path]) -> None:
    path, file = tmp_path / "a", tmp_path / "file"
    path.write_bytes(b"x" * 100)
    file.write_bytes(b"")
    known = Digests(file / "digests.json")
    assert known.of(path) == known.of(path)
    assert len(read) == 1


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        Digests(tmp_path / "digests.json").of(tmp_path / "none")


def test_reading_a_large_file_is_told_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SMALL", 10)
    monkeypatch.setattr(digests, "_CHUNK", 40)
    monkeypatch.setattr(digests, "_EVERY", 0.0)
    path, known = tmp_path / "a.safetensors", Digests(tmp_path / "digests.json")
    path.write_bytes(b"x" * 100)
    heard: list[Happening] = []
    token = CancelToken()

    def stop(event: Happening) -> None:
        heard.append(event)
        token.cancel()

    with known.told(Watch(stop, token)), pytest.raises(Cancelled):
        known.of(path)
    assert heard == [Hashing("a.safetensors", 40, 100)]
    assert not known.kept.exists()
    heard.clear()
    with known.told(Watch(heard.append, CancelToken())):
        whole = known.of(path)
        assert known.of(path) == whole == hashlib.sha256(b"x" * 100).hexdigest()
    assert heard == [Hashing("a.safetensors", done, 100) for done in (40, 80, 100)]
    path.write_bytes(b"y" * 101)
    known.of(path)
    assert len(heard) == 3


def test_reading_all_of_it_is_told_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SMALL", 10)
    path, known = tmp_path / "a.safetensors", Digests(tmp_path / "digests.json")
    path.write_bytes(b"x" * 100)
    known.of(path)
    token, told = CancelToken(), list[Happening]()
    with known.told(Watch(told.append, token)):
        assert known.read(path) == hashlib.sha256(b"x" * 100).hexdigest()
        token.cancel()
        with pytest.raises(Cancelled):
            known.read(path)
    assert [type(one) for one in told] == [Hashing]
