"""Whose a picture is: read from files, and kept in what is made of them."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from limner.domain.recipe import FileFormat
from limner.provenance.rights import Rights, read_rights
from limner.provenance.seal import SealTerms, seal
from tests.fakes import gradient
from tests.provenance.test_seal import recipe


def photograph(artist: str | bytes = b"", notice: str | bytes = b"") -> bytes:
    image, file = Image.new("RGB", (8, 8), "tomato"), io.BytesIO()
    exif = image.getexif()
    if artist:
        exif[0x013B] = artist
    if notice:
        exif[0x8298] = notice
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(
    ("artist", "notice", "expected"),
    [
        ("Ana Ruiz; Bo", "(c) Ana", Rights(("Ana Ruiz", "Bo"), "(c) Ana")),
        ("Ana", "", Rights(("Ana",))),
        ("", "Ana\0Bo", Rights((), "Ana, Bo")),
        ("", "", Rights()),
    ],
)
def test_exif_says_whose_a_picture_is(artist: str, notice: str, expected: Rights) -> None:
    assert read_rights(photograph(artist, notice)) == expected


def test_no_more_is_read_than_every_format_holds() -> None:
    many = read_rights(photograph("; ".join(["x" * 900] * 30), "y" * 5_000))
    assert [len(one) for one in many.creators] == [900, 900, 900, 900, 400]
    assert len(many.notice) == 1_000
    assert len(read_rights(photograph("; ".join("abcdefghijklmnopqrstuvwxyz"))).creators) == 20


def test_what_is_no_picture_is_nobodys() -> None:
    for file in (b"", b"words", photograph("Ana")[:40]):
        assert not read_rights(file)


@pytest.mark.parametrize("kind", list(FileFormat))
def test_a_sealed_file_goes_on_saying_whose_it_is(kind: FileFormat) -> None:
    rights = Rights(("Ana Ruiz & Co", "Bo <b>"), "© 2026 Ana")
    asked = recipe(kind)
    pixels = gradient(asked)
    pixels[..., 3] = 255
    assert read_rights(seal(pixels, asked, SealTerms(rights=rights)).file) == rights
    assert not read_rights(seal(pixels, asked, SealTerms()).file)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_whose_it_is(tmp_path: Path) -> None:
    file = tmp_path / "fox.png"
    rights = Rights(("Ana Ruiz", "Bo"), "© 2026 Ana")
    file.write_bytes(seal(gradient(recipe()), recipe(), SealTerms(rights=rights)).file)
    asked = ["exiftool", "-s3", "-XMP-dc:Creator", "-XMP-dc:Rights", str(file)]
    said = subprocess.run(asked, capture_output=True, check=True, text=True).stdout
    assert said.splitlines() == ["Ana Ruiz, Bo", "© 2026 Ana"]
