"""A chain of keys of one's own: root, issuing, leaf. The leaf signs pictures.

ES256 throughout (ECDSA on P-256 with SHA-256). The certificates follow the profile of the C2PA
specification 2.2: the leaf for e-mail protection and digital signatures only.
Each level is one file with key and certificate, so that neither is ever without the other.
"""

import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from limner.domain.errors import InvalidRequest, SigningFailed, storage_failure
from limner.provenance.signing import LocalSigner

ANCHOR = "anchor.pem"
"""The root's certificate alone: what others need in order to trust the pictures."""

_ROOT, _ISSUING, _LEAF = "root.pem", "issuing.pem", "leaf.pem"
_TRUSTED = "trusted"
"""Where others' certificates were once put; they lie beside the folder of keys now."""

_CERTIFICATE = b"-----BEGIN CERT"

_YEARS = {_ROOT: 20, _ISSUING: 10, _LEAF: 2}
_HALF_MADE = 600.0
"""Seconds after which keys that are not in their place are nobody's work any more."""

_RENEWED_BEFORE = timedelta(days=30)
_STARTED_BEFORE = timedelta(minutes=5)
"""A certificate is valid from a little earlier, as clocks differ."""


@dataclass(frozen=True)
class Link:
    """A key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def common_name(self) -> str:
        """The name that the certificate is made out to."""
        [attribute] = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(attribute.value)


def make_keys(folder: Path, owner: str, passphrase: str | None = None) -> None:
    """Make a chain in `folder`, all of it or nothing; keys are readable by their owner alone.

    `owner` is the organisation the certificates name; `passphrase` encrypts the keys. Raises
    InvalidRequest for an owner no certificate can name, or if the folder holds keys already,
    StorageFailed where the folder cannot be written.
    """
    if not 1 <= len(owner.strip()) <= 64 or not owner.isprintable():
        raise InvalidRequest("The owner's name must have 1 to 64 letters.")
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        fresh.mkdir(mode=0o700)
        try:
            root = _issue(_ROOT, f"{owner} root", owner, None)
            issuing = _issue(_ISSUING, f"{owner} issuing", owner, root)
            leaf = _issue(_LEAF, f"{owner} pictures", owner, issuing)
            for name, link in ((_ROOT, root), (_ISSUING, issuing), (_LEAF, leaf)):
                _write(fresh / name, _sealed(link, passphrase), 0o600)
            _write(fresh / ANCHOR, root.pem, 0o644)
            _make_way(folder)
            fresh.rename(folder)  # fails if another process has made keys in the meantime
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    except OSError as error:
        if (folder / ANCHOR).exists():
            raise InvalidRequest(
                f"There are keys in {folder} already. What was signed with them stays tied to "
                "them; move the folder away first if you really want new ones."
            ) from error
        raise storage_failure(error, folder, "name another folder with --home") from error


def sweep(folder: Path) -> None:
    """Take away keys that a process left half made; one that makes some now is younger."""
    renewed = (one for level in (_ISSUING, _LEAF) for one in folder.glob(f".{level}.*"))
    for left in (*folder.parent.glob(f".{folder.name}.*"), *renewed):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _HALF_MADE:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _make_way(folder: Path) -> None:
    """Move certificates to trust out of a folder that holds nothing else, and take it away."""
    if not folder.is_dir() or {one.name for one in folder.iterdir()} != {_TRUSTED}:
        return
    beside = folder.with_name(_TRUSTED)
    beside.mkdir(exist_ok=True)
    for file in (folder / _TRUSTED).iterdir():
        taken = (beside / file.name).exists()
        file.rename(beside / (f"{secrets.token_hex(3)}-{file.name}" if taken else file.name))
    (folder / _TRUSTED).rmdir()
    folder.rmdir()


def read_signer(folder: Path, passphrase: str | None = None) -> LocalSigner | None:
    """Return the signer whose keys are in `folder`, or None where there are none.

    What has less than 30 days left is renewed first, the leaf by the issuing key, that one by the
    root where it is here; a leaf that is missing, or that another issuing key signed, is made
    anew. Raises SigningFailed for keys that cannot be read, a wrong passphrase, or an expired
    chain, StorageFailed where what was renewed cannot be kept.
    """
    if not any((folder / name).exists() for name in (_LEAF, _ISSUING, ANCHOR)):
        return None
    now = datetime.now(UTC)
    issuing = read_link(folder / _ISSUING, passphrase)
    if _ends(issuing, now) and (folder / _ROOT).exists():
        root = read_link(folder / _ROOT, passphrase)
        if not _ends(root, now):
            issuing = _renewed(folder, _ISSUING, root, issuing, passphrase)
    leaf = read_link(folder / _LEAF, passphrase) if (folder / _LEAF).exists() else None
    if leaf is None or _ends(leaf, now) or not _signed_by(leaf, issuing):
        if issuing.certificate.not_valid_after_utc <= now:
            raise SigningFailed(
                f"The issuing certificate in {folder} has expired. Put root.pem back there, and it "
                "is renewed; or move the folder away and run limner keys init."
            )
        leaf = _renewed(folder, _LEAF, issuing, leaf, passphrase)
    return LocalSigner(leaf.key, leaf.pem + issuing.pem)


def _signed_by(link: Link, above: Link) -> bool:
    """Whether a link hangs on another: two processes that renew at once may leave one of each."""
    try:
        link.certificate.verify_directly_issued_by(above.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _ends(link: Link, now: datetime) -> bool:
    return link.certificate.not_valid_after_utc - now < _RENEWED_BEFORE


def read_certificates(folder: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of root, issuing and leaf; no key and no passphrase is needed.

    Raises SigningFailed where one cannot be read.
    """
    found = []
    for name in (ANCHOR, _ISSUING, _LEAF):
        try:
            content = (folder / name).read_bytes()
            found.append(x509.load_pem_x509_certificate(content[content.index(_CERTIFICATE) :]))
        except (OSError, ValueError) as error:
            raise SigningFailed(
                f"{folder / name} cannot be read as a certificate. Restore it from a copy; the "
                "signing one is made anew with the next picture if its file is gone."
            ) from error
    return tuple(found)


def read_anchors(folder: Path) -> bytes:
    """Return the certificate that says whose pictures to trust, as PEM; empty where none is."""
    try:
        return (folder / ANCHOR).read_bytes()
    except OSError:
        return b""


def read_anchor(path: Path) -> bytes:
    """Return the certificates in a file, PEM or DER, as PEM; raise InvalidRequest for others."""
    try:
        content = path.read_bytes()
        if b"-----BEGIN" in content:
            found = x509.load_pem_x509_certificates(content)
        else:
            found = [x509.load_der_x509_certificate(content)]
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{path} is no certificate that can be read, so nothing can be said of whom you "
            "trust. Copy it again from its owner, or take it out of that folder."
        ) from error
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in found)


def holds_private_key(content: bytes) -> bool:
    """Whether the content of a file has a private key in it, which is nobody else's business."""
    if b"PRIVATE KEY-----" in content:
        return True
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        serialization.load_der_private_key(content, None)
        return True
    return False


def certificates_in(content: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates in PEM that `read_anchor` made."""
    return tuple(x509.load_pem_x509_certificates(content))


def read_link(path: Path, passphrase: str | None = None) -> Link:
    """Return the key and certificate in a file; raise SigningFailed, saying why not."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SigningFailed(
            f"{path} cannot be read: {error.strerror}. Restore it, or move its folder away and "
            "run limner keys init."
        ) from error
    try:
        secret = None if passphrase is None else passphrase.encode()
        key = serialization.load_pem_private_key(content, secret)
        certificate = x509.load_pem_x509_certificate(content[content.index(_CERTIFICATE) :])
    except TypeError as error:
        raise SigningFailed(
            f"{path} is protected by a passphrase (or you gave one that it has not). Set "
            "LIMNER_KEY_PASSPHRASE to it."
        ) from error
    except ValueError as error:
        raise SigningFailed(
            f"{path} is damaged, or the passphrase in LIMNER_KEY_PASSPHRASE is not its own."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SigningFailed(f"{path} holds a key of another kind than ES256.")
    return Link(key, certificate)


def _renewed(
    folder: Path, level: str, above: Link, before: Link | None, passphrase: str | None
) -> Link:
    """Make a link anew under the one above it, and put it in the place of the one before."""
    [owner] = above.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    role = "issuing" if level == _ISSUING else "pictures"
    name = before.common_name if before else f"{owner.value!s} {role}"
    fresh = _issue(level, name, str(owner.value), above)
    path = folder / f".{level}.{secrets.token_hex(6)}"
    try:
        _write(path, _sealed(fresh, passphrase), 0o600)
        path.replace(folder / level)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise storage_failure(error, folder, "renew its certificate elsewhere") from error
    return fresh


def _issue(level: str, name: str, owner: str, issuer: Link | None) -> Link:
    """Return a new key with its certificate, signed by the issuer or, without one, by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    signing = issuer.key if issuer else key
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner),
            x509.NameAttribute(NameOID.COMMON_NAME, name[:64]),
        ]
    )
    now = datetime.now(UTC)
    end = now + timedelta(days=365 * _YEARS[level])
    if issuer:
        end = min(end, issuer.certificate.not_valid_after_utc)
    above = level != _LEAF
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _STARTED_BEFORE)
        .not_valid_after(end)
        .add_extension(
            x509.BasicConstraints(above, 0 if level == _ISSUING else None), critical=True
        )
        .add_extension(_key_usage(above=above), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
            critical=False,
        )
    )
    if not above:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(usage, critical=False)
    return Link(key, builder.sign(signing, hashes.SHA256()))


def _key_usage(*, above: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not above,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=above,
        crl_sign=above,
        encipher_only=False,
        decipher_only=False,
    )


def _sealed(link: Link, passphrase: str | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    key = link.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return key + link.pem


def _write(path: Path, content: bytes, mode: int) -> None:
    def private(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    opener: Callable[[str, int], int] = private
    with open(path, "xb", opener=opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
