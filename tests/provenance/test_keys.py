"""A chain of keys: made whole or not at all, readable by its owner alone, renewed in time."""

import os
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from limner.domain.errors import InvalidRequest, LimnerError, SigningFailed, StorageFailed
from limner.provenance import keys
from limner.provenance.keys import (
    ANCHOR,
    Link,
    make_keys,
    read_anchor,
    read_anchors,
    read_certificates,
    read_link,
    read_signer,
)

FILES = ("root.pem", "issuing.pem", "leaf.pem")


def read_chain(folder: Path, passphrase: str | None = None) -> list[Link]:
    return [read_link(folder / name, passphrase) for name in FILES]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    make_keys(made, "Test studio")
    return made


def test_each_certificate_is_signed_by_the_one_above(folder: Path) -> None:
    root, issuing, leaf = (link.certificate for link in read_chain(folder))
    root.verify_directly_issued_by(root)
    issuing.verify_directly_issued_by(root)
    leaf.verify_directly_issued_by(issuing)
    assert read_anchors(folder) == read_chain(folder)[0].pem
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    limits = issuing.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (limits.ca, limits.path_length) == (True, 0)


def test_only_the_owner_can_read_keys(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in FILES} == {0o600}
    assert b"PRIVATE" not in (folder / ANCHOR).read_bytes()
    assert {path.name for path in folder.parent.iterdir()} == {"keys"}


def test_keys_are_never_overwritten(folder: Path) -> None:
    before = (folder / "leaf.pem").read_bytes()
    with pytest.raises(InvalidRequest, match="already"):
        make_keys(folder, "Test studio")
    assert (folder / "leaf.pem").read_bytes() == before
    assert {path.name for path in folder.parent.iterdir()} == {"keys"}


def test_of_several_who_make_keys_at_once_one_wins(tmp_path: Path) -> None:
    def attempt(_: int) -> bool:
        try:
            make_keys(tmp_path / "keys", "Test studio")
        except InvalidRequest:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1
    read_chain(tmp_path / "keys")[2].certificate.verify_directly_issued_by(
        read_chain(tmp_path / "keys")[1].certificate
    )


def test_what_was_left_half_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = keys._write

    def stopped(path: Path, content: bytes, mode: int) -> None:
        if path.name == "leaf.pem":
            raise KeyboardInterrupt
        real(path, content, mode)

    monkeypatch.setattr(keys, "_write", stopped)
    with pytest.raises(KeyboardInterrupt):
        make_keys(tmp_path / "keys", "Test studio")
    assert list(tmp_path.iterdir()) == []
    assert read_signer(tmp_path / "keys") is None


def test_a_passphrase_protects_every_key(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, "Test studio", "open sesame")
    assert all(b"ENCRYPTED" in (folder / name).read_bytes() for name in FILES)
    assert read_signer(folder, "open sesame") is not None
    with pytest.raises(SigningFailed, match="LIMNER_KEY_PASSPHRASE"):
        read_signer(folder)
    with pytest.raises(SigningFailed, match="LIMNER_KEY_PASSPHRASE"):
        read_signer(folder, "close sesame")


def test_a_passphrase_for_open_keys_is_told(folder: Path) -> None:
    with pytest.raises(SigningFailed, match="passphrase"):
        read_signer(folder, "open sesame")


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_damaged_keys_are_told(folder: Path, content: bytes) -> None:
    (folder / "leaf.pem").write_bytes(content)
    with pytest.raises(SigningFailed, match=r"leaf\.pem"):
        read_signer(folder)


def test_a_missing_issuing_key_is_told(folder: Path) -> None:
    (folder / "issuing.pem").unlink()
    with pytest.raises(SigningFailed, match=r"issuing\.pem"):
        read_signer(folder)


@pytest.mark.parametrize("owner", ["", "  ", "a" * 65, "line\nbreak"])
def test_owners_that_no_certificate_can_name(tmp_path: Path, owner: str) -> None:
    with pytest.raises(InvalidRequest):
        make_keys(tmp_path / "keys", owner)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed):
        make_keys(tmp_path / "file" / "keys", "Test studio")


def test_a_leaf_is_renewed_before_it_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_link(folder / "leaf.pem")
    assert read_signer(folder).certificates.startswith(before.pem)  # type: ignore[union-attr]
    later = before.certificate.not_valid_after_utc - timedelta(days=10)
    _at(monkeypatch, later)
    signer = read_signer(folder)
    after = read_link(folder / "leaf.pem")
    assert signer is not None
    assert signer.certificates.startswith(after.pem)
    assert after.certificate.not_valid_after_utc > later + timedelta(days=300)
    after.certificate.verify_directly_issued_by(read_link(folder / "issuing.pem").certificate)
    assert stat.S_IMODE((folder / "leaf.pem").stat().st_mode) == 0o600


def test_a_leaf_of_another_issuing_key_is_made_anew(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_keys(other, "Test studio")
    (other / "leaf.pem").replace(folder / "leaf.pem")
    assert read_signer(folder) is not None
    _, issuing, leaf = (link.certificate for link in read_chain(folder))
    leaf.verify_directly_issued_by(issuing)


def test_what_a_killed_renewal_left_is_taken_away(folder: Path) -> None:
    left = folder / ".leaf.pem.0123456789ab"
    left.write_bytes(b"a private key")
    keys.sweep(folder)
    assert left.exists()  # it may be at work right now
    os.utime(left, (0, 0))
    keys.sweep(folder)
    assert not left.exists()
    assert {one.name for one in folder.iterdir()} == {*FILES, ANCHOR}


def test_a_missing_leaf_is_made_anew(folder: Path) -> None:
    before = read_link(folder / "leaf.pem").certificate
    (folder / "leaf.pem").unlink()
    assert read_signer(folder) is not None
    after = read_link(folder / "leaf.pem").certificate
    assert after.subject == before.subject
    assert after.serial_number != before.serial_number
    after.verify_directly_issued_by(read_link(folder / "issuing.pem").certificate)


@pytest.mark.parametrize("is_there", [True, False])
def test_the_issuing_key_is_renewed_where_the_root_is_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    before = read_link(folder / "issuing.pem").certificate
    if not is_there:
        (folder / "root.pem").unlink()
    later = before.not_valid_after_utc + timedelta(days=1)
    _at(monkeypatch, later)
    if not is_there:
        with pytest.raises(SigningFailed, match=r"Put root\.pem back"):
            read_signer(folder)
        return
    assert read_signer(folder) is not None
    after = read_link(folder / "issuing.pem").certificate
    assert after.not_valid_after_utc > later + timedelta(days=300)
    after.verify_directly_issued_by(read_link(folder / "root.pem").certificate)


def test_certificates_are_public(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, "Test studio", "a secret")
    chain = [link.certificate for link in read_chain(folder, "a secret")]
    (folder / "root.pem").unlink()
    assert list(read_certificates(folder)) == chain
    (folder / "issuing.pem").write_bytes(b"no")
    with pytest.raises(SigningFailed, match=r"issuing\.pem cannot be read as a certificate"):
        read_certificates(folder)


def test_an_expired_chain_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, datetime.now(UTC) + timedelta(days=365 * 30))
    with pytest.raises(SigningFailed, match="expired"):
        read_signer(folder)


def test_keys_of_another_kind_are_refused(folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "leaf.pem").write_bytes(other + read_link(folder / "leaf.pem").pem)
    with pytest.raises(LimnerError, match="ES256"):
        read_signer(folder)


def test_no_keys_no_signer(tmp_path: Path) -> None:
    assert read_signer(tmp_path / "keys") is None
    assert read_anchors(tmp_path / "keys") == b""


def test_every_chain_is_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_keys(tmp_path / name, "Test studio")
    numbers = [
        key.key.private_numbers().private_value
        for name in ("one", "two")
        for key in read_chain(tmp_path / name)
    ]
    assert len(set(numbers)) == 6
    assert isinstance(read_chain(tmp_path / "one")[0].key, ec.EllipticCurvePrivateKey)


def _at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Let it be another time."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return moment

    monkeypatch.setattr(keys, "datetime", Clock)


def test_certificates_to_trust_are_not_in_the_way_of_keys(tmp_path: Path) -> None:
    make_keys(tmp_path / "other", "Other studio")
    trusted = tmp_path / "keys" / "trusted"
    trusted.mkdir(parents=True)
    (trusted / "other.pem").write_bytes((tmp_path / "other" / ANCHOR).read_bytes())
    make_keys(tmp_path / "keys", "Test studio")
    assert read_signer(tmp_path / "keys") is not None
    assert read_anchor(tmp_path / "trusted" / "other.pem") == read_anchors(tmp_path / "other")


def test_an_anchor_is_read_from_der_too(folder: Path) -> None:
    path = folder / "der.pem"
    path.write_bytes(ssl.PEM_cert_to_DER_cert(read_anchors(folder).decode()))
    assert read_anchor(path) == read_anchors(folder)


@pytest.mark.parametrize("content", [None, b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_an_anchor_that_is_no_certificate_is_named(folder: Path, content: bytes | None) -> None:
    path = folder / "bad.pem"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"bad\.pem"):
        read_anchor(path)


def test_keys_that_a_killed_process_left_half_made_are_taken_away(tmp_path: Path) -> None:
    old, young = tmp_path / ".keys.0123456789ab", tmp_path / ".keys.ba9876543210"
    for left in (old, young):
        left.mkdir()
        (left / "root.pem").write_text("half a key")
    os.utime(old, (1, 1))
    make_keys(tmp_path / "keys", "Studio Aurora", None)
    assert not old.exists()
    assert young.exists()
