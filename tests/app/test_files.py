"""Files for the maker: whole or not at all, whatever the disk does."""

import errno
import os
import stat
import threading
from itertools import islice
from pathlib import Path

import pytest

from limner.app.files import file_stem, free_paths, read_file, write_file, write_new
from limner.domain.errors import NotFound, StorageFailed, StorageFull, StorageReadOnly


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_its_folders_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "fox.png"
    assert write_file(path, b"fox") == path
    assert path.read_bytes() == b"fox"
    assert names_in(path.parent) == ["fox.png"]


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "fox.png"
    path.write_bytes(b"a longer text than the new one")
    write_file(path, b"")
    assert path.read_bytes() == b""


@pytest.mark.skipif(os.name == "nt", reason="no such modes there")
def test_a_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = write_file(tmp_path / "fox.png", b"fox")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_names_may_be_long_and_of_any_script(tmp_path: Path) -> None:
    for name in ("狐" * 80 + ".png", "fox." + "x" * 200, ".hidden", "no extension"):
        assert write_file(tmp_path / name, b"fox").read_bytes() == b"fox"


class Disk:
    """Fails one of the system's calls as a disk would."""

    def __init__(self, code: int) -> None:
        self.code = code

    def fail(self, *_: object, **__: object) -> None:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("moment", ["write", "fsync", "replace", "mkdir"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EROFS, StorageReadOnly),
        (errno.EACCES, StorageReadOnly),
        (errno.EIO, StorageFailed),
    ],
)
def test_when_the_disk_fails_what_was_there_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    code: int,
    kind: type[StorageFailed],
) -> None:
    path = tmp_path / "fox.png"
    path.write_bytes(b"old")
    fail = Disk(code).fail
    with monkeypatch.context() as patched:
        if moment == "fsync":
            patched.setattr(os, "fsync", fail)
        elif moment == "write":
            patched.setattr(Path, "open", fail)
        else:
            patched.setattr(Path, moment, fail)
        with pytest.raises(StorageFailed) as raised:
            write_file(path, b"new")
    assert raised.type is kind
    assert str(path) in raised.value.message
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["fox.png"]


def test_a_stop_in_the_middle_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "fox.png", b"new")
    assert names_in(tmp_path) == []


def test_places_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for path in (
        tmp_path / "folder",
        tmp_path / "file" / "fox.png",
        tmp_path / ("x" * 300),
        Path("/proc/nothing/fox.png"),
    ):
        with pytest.raises(StorageFailed):
            write_file(path, b"fox")
    assert names_in(tmp_path) == ["file", "folder"]


def test_many_may_write_one_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "fox.png"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=write_file, args=(path, one)) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert names_in(tmp_path) == ["fox.png"]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Check the path"):
        read_file(tmp_path / "none")
    with pytest.raises(StorageFailed, match=str(tmp_path)):
        read_file(tmp_path)


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("A red fox!", "a-red-fox"),
        ("  a / b\\c: d?  ", "a-b-c-d"),
        ("../../etc/passwd", "etc-passwd"),
        ("лиса, красная", "лиса-красная"),
        ("🦊", "picture"),
        ("", "picture"),
        ("...", "picture"),
        ("a\x00b\nc", "a-b-c"),
        ("x" * 500, "x" * 48),
        ("a " * 100, "a-" * 23 + "a"),
    ],
)
def test_words_become_a_name_that_any_disk_takes(prompt: str, stem: str) -> None:
    found = file_stem(prompt)
    assert found.startswith(stem[:40])
    assert len(found) <= 48
    if len(prompt) < 100:
        assert found == stem


def test_a_path_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    path = tmp_path / "fox.png"
    assert next(free_paths(path)) == path
    path.touch()
    (tmp_path / "fox-2.png").touch()
    assert list(islice(free_paths(path), 2)) == [tmp_path / "fox-3.png", tmp_path / "fox-4.png"]


def test_what_is_new_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "fox.png"
    assert write_new(path, b"one")
    assert not write_new(path, b"another")
    assert path.read_bytes() == b"one"
    assert [one.name for one in path.parent.iterdir()] == ["fox.png"]


def test_a_disk_without_links_loses_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    test_what_is_new_replaces_nothing(tmp_path)
