"""Bytes of a manifest that no signature covers are found to be changed."""

import random

import pytest

from limner.app.desk import Desk
from limner.app.verdict import Integrity
from limner.domain.recipe import FileFormat
from limner.provenance.manifest import Standing, read_manifest
from limner.provenance.padding import is_padding_touched
from tests.app.conftest import desk, engine, home, settings

__all__ = ["desk", "engine", "home", "settings"]

_DRAWN = [one for one in FileFormat if one is not FileFormat.SVG]


def store_of(file: bytes) -> range:
    start = file.index(b"jumdc2pa") - 12
    return range(start, start + int.from_bytes(file[start : start + 4], "big"))


def changed(file: bytes, place: int, by: int = 1) -> bytes:
    return file[:place] + bytes([file[place] ^ by]) + file[place + 1 :]


@pytest.mark.parametrize("file_format", FileFormat)
def test_what_we_sign_is_whole(desk: Desk, file_format: FileFormat) -> None:
    (made,) = desk.generate("a fox", seed=1, format=file_format, transparent=False)
    assert not is_padding_touched(made.file)


@pytest.mark.parametrize("file_format", _DRAWN)
def test_any_byte_of_the_manifest_that_changes_is_told(desk: Desk, file_format: FileFormat) -> None:
    (made,) = desk.generate("a fox", seed=1, format=file_format, transparent=False)
    places = random.Random(7).sample(store_of(made.file), 60)
    for place in places:
        verdict = desk.verify(changed(made.file, place, 1 << place % 8))
        assert verdict.integrity is Integrity.CHANGED, place


def test_every_head_and_label_of_the_manifest_counts(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1)
    store = store_of(made.file)
    signature = made.file.rindex(b"c2pa.signature", store.start, store.stop)
    parts = made.file.index(b"c2pa.assertions", store.start)
    for place in (*range(store.start, store.start + 38), *range(parts - 25, parts + 16),
                  *range(signature - 33, signature + 24), *store[-68:]):  # fmt: skip
        manifest = read_manifest(changed(made.file, place, 32), "image/png")
        assert manifest is None or manifest.state is Standing.INVALID, place - store.start


def test_padding_that_holds_something_is_told_as_that(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1)
    place = made.file.index(b"cpad\x59") + 3_000
    manifest = read_manifest(changed(made.file, place), "image/png")
    assert manifest is not None
    assert [one.code for one in manifest.failures] == ["padding"]


@pytest.mark.parametrize("file", [b"", b"\xff\xd8\xff\xeb", b"jumdc2pa", b"\x89PNG" * 9])
def test_a_file_without_a_manifest_has_no_padding(file: bytes) -> None:
    assert not is_padding_touched(file)
