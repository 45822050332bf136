"""What verify says of files that someone made to look like ours, and of ours grown old."""

import struct
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.app.verdict import Integrity, Looked
from limner.domain.errors import InvalidImage
from limner.domain.recipe import FileFormat
from limner.provenance import keys
from limner.provenance.keys import read_anchors, read_link
from limner.provenance.manifest import Ingredient, Standing, read_manifest, sign_file
from limner.provenance.signing import LocalSigner
from limner.provenance.watermark import embed
from tests import fakes
from tests.app.test_verify import hills, photo_of, pixels_of, saved
from tests.provenance.containers import with_xmp
from tests.provenance.signed import SVG, claim, picture, signer_in

_LEFT = timedelta(seconds=5)


def ending_signer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalSigner:
    """A signer whose certificate ends within seconds."""

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Earlier":
            years = timedelta(days=365 * keys._YEARS[keys._LEAF])
            return cls.fromtimestamp((datetime.now(tz) - years + _LEFT).timestamp(), tz)

    issuing = read_link(folder / "issuing.pem")
    monkeypatch.setattr(keys, "datetime", Earlier)
    leaf = keys._issue(keys._LEAF, "pictures", "Test studio", issuing)
    monkeypatch.setattr(keys, "datetime", datetime)
    return LocalSigner(leaf.key, leaf.pem + issuing.pem)


def test_a_certificate_that_ended_does_not_make_a_picture_changed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = desk.studio.keyring.folder
    ending = ending_signer(folder, monkeypatch)
    lasting = keys.read_signer(folder)
    assert lasting is not None
    file = sign_file(picture("image/png"), "image/png", claim(), ending)
    before = Ingredient(file, "image/png", "parent", "before")
    edited = sign_file(picture("image/png", 1), "image/png", claim(before), lasting)
    assert desk.verify(file).integrity is Integrity.INTACT
    time.sleep(_LEFT.total_seconds() + 1)
    verdict = desk.verify(file)
    assert verdict.integrity is Integrity.UNPROVEN
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.EXPIRED
    assert "cannot be proven" in verdict.summary
    place = file.index(b"IDAT") + 40
    changed = file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :]
    assert desk.verify(changed).integrity is Integrity.CHANGED
    later = read_manifest(edited, "image/png", read_anchors(folder))
    assert later is not None
    assert later.state is Standing.TRUSTED
    assert later.ingredients[0].state is Standing.VALID


def test_our_picture_signed_again_by_a_stranger_of_the_same_name_is_changed(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    (made,) = desk.generate("hills", seed=5, size="512x512")
    stranger = signer_in(tmp_path / "stranger")
    bare = saved(pixels_of(made.file), "PNG")
    verdict = desk.verify(sign_file(bare, "image/png", claim(), stranger))
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.VALID
    assert verdict.integrity is Integrity.CHANGED
    assert "not the file that was signed here" in verdict.summary
    other = desk.verify(sign_file(picture("image/png"), "image/png", claim(), stranger))
    assert other.integrity is Integrity.INTACT
    assert "anyone can sign" in other.summary


def test_a_mark_that_was_put_onto_another_picture_proves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    (made,) = desk.generate("hills", seed=5, size="512x512")
    assert made.asset.mark is not None
    for kept in (True, False):
        forged = embed(np.asarray(photo_of(400)), made.asset.mark)
        verdict = desk.verify(saved(Image.fromarray(forged), "PNG"))
        assert verdict.mark == made.asset.mark
        assert verdict.integrity is Integrity.UNPROVEN
        assert "the picture looks different" in verdict.summary
        assert (verdict.matches[0].distance or 0) > 60
        assert not verdict.matches[0].sure
        if kept:
            desk.studio.library.remove(desk.workspace, made.asset.id)


def test_a_mark_of_another_library_is_told_as_that(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    with fakes.fake_desk(Settings(home=tmp_path / "other")) as other:
        (made,) = other.generate("hills", seed=5, size="512x512")
    verdict = desk.verify(saved(pixels_of(made.file), "JPEG", quality=80))
    assert verdict.integrity is Integrity.UNPROVEN
    assert "not of this library" in verdict.summary


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_manifest_that_is_kept_elsewhere_is_told_and_not_fetched(desk: Desk, kind: str) -> None:
    def pointing(to: str) -> bytes:
        rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
        description = f'<rdf:Description dcterms:provenance="{to}"/>'
        terms = 'xmlns:dcterms="http://purl.org/dc/terms/"'
        return with_xmp(kind, f'<rdf:RDF xmlns:rdf="{rdf}" {terms}>{description}</rdf:RDF>')

    verdict = desk.verify(pointing("https://example.invalid/manifest.c2pa"))
    assert verdict.integrity is Integrity.UNPROVEN
    assert "at https://example.invalid/manifest.c2pa" in verdict.summary
    assert "made with AI" not in verdict.summary
    assert desk.verify(pointing("self#jumbf=c2pa")).integrity is Integrity.UNMARKED


def test_a_signed_gif_and_an_avif_of_other_brands_are_read(desk: Desk) -> None:
    signer = keys.read_signer(desk.studio.keyring.folder)
    assert signer is not None
    avif = picture("image/avif")
    assert avif[8:12] == b"avif"
    assert b"mif1" in avif[16:32]
    avif = avif[:8] + b"mif1" + avif[12:]
    gif = saved(Image.new("RGBA", (20, 20), "tomato"), "GIF")
    for file, media_type in ((gif, "image/gif"), (avif, "image/avif")):
        verdict = desk.verify(sign_file(file, media_type, claim(), signer))
        assert verdict.manifest is not None
        assert verdict.manifest.state is Standing.TRUSTED
        assert verdict.integrity is Integrity.INTACT


def test_comments_around_a_drawing_are_no_damage(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1, format=FileFormat.SVG)
    unsigned = made.file[: made.file.index(b"<c2pa:manifest")] + b"</metadata></svg>"
    for file in (made.file + b"<!-- x -->\n", b"<!-- x -->" + SVG, unsigned + b"<!-- > -->"):
        assert desk.verify(file).looked is Looked.DRAWING
    for file in (made.file[:-9], made.file + b"<g>", b"<!-- <svg> --><html><svg></svg></html>"):
        with pytest.raises(InvalidImage):
            desk.verify(file)
    place = made.file.index(b"<c2pa:manifest>") + 15
    broken = made.file[:place] + b"!!!!" + made.file[place + 4 :]
    assert desk.verify(broken).integrity is Integrity.CHANGED


@pytest.mark.parametrize("start", [b"<svg>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_a_file_too_large_is_refused_before_anything_reads_it(desk: Desk, start: bytes) -> None:
    with pytest.raises(InvalidImage, match="MB; the most is"):
        desk.verify(start + bytes(100_000_000))


@pytest.mark.parametrize("kind", [b"free", b"skip", b"ftyp", b"mfra"])
def test_boxes_that_no_signature_covers_hold_nothing(desk: Desk, kind: bytes) -> None:
    (made,) = desk.generate("a fox", seed=1, format=FileFormat.AVIF, transparent=False)
    box = struct.pack(">I4s", 24, kind) + b"something hidden"
    assert desk.verify(made.file + box).integrity is Integrity.CHANGED
    endless = struct.pack(">I4s", 0, kind) + b"something hidden"
    long = struct.pack(">I4sQ", 1, kind, 32) + b"something hidden"
    for more in (endless, long, b"some", b"something loose"):
        assert desk.verify(made.file + more).integrity is Integrity.CHANGED
    empty = struct.pack(">I4s", 24, b"free") + bytes(16)
    assert desk.verify(made.file + empty).integrity is Integrity.INTACT
    brands = struct.unpack(">I", made.file[:4])[0]
    longer = struct.pack(">I", brands + 200) + made.file[4:brands] + b"some" * 50
    assert desk.verify(longer + made.file[brands:]).integrity is Integrity.CHANGED
