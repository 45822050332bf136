"""Blobs in a directory: whole or not there, and honest about what went wrong."""

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limner.domain.errors import StorageFailed, StorageFull, StorageReadOnly
from limner.store.blobs import STALE_SECONDS, Blobs

CONTENT = b"a picture" * 1_000


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def files(blobs: Blobs) -> list[Path]:
    return [path for path in blobs.folder.rglob("*") if path.is_file()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=2_000))
def test_what_is_put_is_read(blobs: Blobs, content: bytes) -> None:
    blob = blobs.put(content)
    assert blob == hashlib.sha256(content).hexdigest()
    assert blobs.put(content) == blob
    assert blobs.read(blob) == content
    assert blobs.exists(blob)
    assert blobs.path(blob) == blobs.folder / blob[:2] / blob[2:4] / blob
    assert list((blobs.folder / "partial").iterdir()) == []


def test_remove(blobs: Blobs) -> None:
    blob = blobs.put(CONTENT)
    blobs.remove(blob)
    blobs.remove(blob)
    assert not blobs.exists(blob)
    with pytest.raises(StorageFailed, match="missing"):
        blobs.read(blob)


@pytest.mark.parametrize("damaged", [b"", CONTENT[:-1], CONTENT[:-1] + b"?", CONTENT * 2])
def test_damage_is_noticed_and_mended(blobs: Blobs, damaged: bytes) -> None:
    blob = blobs.put(CONTENT)
    blobs.path(blob).write_bytes(damaged)
    with pytest.raises(StorageFailed, match="damaged") as caught:
        blobs.read(blob)
    assert str(blobs.path(blob)) in caught.value.message
    assert blobs.put(CONTENT) == blob
    assert blobs.read(blob) == CONTENT


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageReadOnly),
        (errno.EACCES, StorageReadOnly),
        (errno.EPERM, StorageReadOnly),
        (errno.EIO, StorageFailed),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails(
    blobs: Blobs,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[StorageFailed],
    step: str,
) -> None:
    kept = blobs.put(b"kept before")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    owner = os if step == "fsync" else Path
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail)
        with pytest.raises(StorageFailed) as caught:
            blobs.put(CONTENT)
    assert type(caught.value) is kind
    assert str(blobs.folder) in caught.value.message
    assert files(blobs) == [blobs.path(kept)]
    assert blobs.read(blobs.put(CONTENT)) == CONTENT


def test_stopped_in_the_middle_leaves_no_half(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        blobs.put(CONTENT)
    assert files(blobs) == []


def test_everything_is_flushed_before_it_counts(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is flushed under its partial name, then renamed, then the folders are flushed."""
    happened: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        happened.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> Path:
        happened.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    blob = blobs.put(CONTENT)
    partial, *rest = happened
    assert partial.startswith(str(blobs.folder / "partial" / blob))
    folder = blobs.path(blob).parent
    assert rest == ["rename", str(folder), str(folder.parent), str(blobs.folder)]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"in the way")
    with pytest.raises(StorageFailed, match="blobs"):
        Blobs(tmp_path / "blobs").put(CONTENT)


def test_sweep_of_nothing(blobs: Blobs) -> None:
    assert blobs.sweep() == 0
    assert not blobs.folder.exists()


def test_settled_are_the_older_ones(blobs: Blobs) -> None:
    old, new = blobs.put(b"old"), blobs.put(b"new")
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(blobs.path(old), (long_ago, long_ago))
    (blobs.path(new).parent / "notes.txt").write_text("not a blob")
    os.utime(blobs.path(new).parent / "notes.txt", (long_ago, long_ago))
    assert list(blobs.settled()) == [old]
