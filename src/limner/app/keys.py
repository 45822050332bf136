"""The keys that sign pictures: made on first use, or kept elsewhere, or none on purpose."""

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from limner.app.files import read_file, write_file
from limner.app.settings import Settings
from limner.domain.errors import InvalidRequest, StorageFailed, storage_failure
from limner.domain.event import Happening, Notice
from limner.provenance.signing import Signer

if TYPE_CHECKING:
    from cryptography import x509


def new_owner() -> str:
    """Return whom certificates name where nobody said otherwise: no person, and no two alike."""
    return f"Limner studio {secrets.token_hex(3)}"


@dataclass(frozen=True)
class Certificate:
    """One certificate of the chain, for people to read."""

    level: str
    owner: str
    name: str
    fingerprint: str
    expires: datetime


class Keyring:
    """The signer of a studio. `given` takes the place of keys in the home folder."""

    def __init__(self, settings: Settings, given: Signer | None = None) -> None:
        self._settings = settings
        self._given = self._signer = given
        self._is_told = False

    @property
    def folder(self) -> Path:
        """Where local keys are kept."""
        return self._settings.home / "keys"

    @property
    def trusted(self) -> Path:
        """Where certificates of others are kept whose pictures are trusted."""
        return self._settings.home / "trusted"

    def signer(self, tell: Callable[[Happening], None]) -> Signer | None:
        """Return what signs pictures; None where the settings say that nothing does, and tell it.

        The first call makes keys where there are none. Raises SigningFailed for keys that
        cannot be used.
        """
        if not self._settings.signing:
            if not self._is_told:
                self._is_told = True
                tell(Notice("unsigned", "Pictures are not signed: LIMNER_SIGNING is “none”."))
            return None
        if self._signer is None:
            self._signer = self._local(tell)
        return self._signer

    def anchors(self) -> bytes:
        """Return the certificates whose signatures are trusted, as PEM: one's own come first.

        Raises InvalidRequest for a file among the trusted ones that is no certificate.
        """
        from limner.provenance.keys import read_anchor

        others = map(read_anchor, self._trusted_files())
        return b"\n".join(filter(None, [self.own_anchors(), *others]))

    def own_anchors(self) -> bytes:
        """Return the certificates that one's own pictures are signed under, as PEM."""
        from limner.provenance.keys import read_anchors

        given = self._given.certificates if self._given else b""
        return b"\n".join(filter(None, [read_anchors(self.folder), given]))

    def trust(self, file: Path) -> tuple[Certificate, ...]:
        """Trust pictures signed under the certificates in a file, PEM or DER; return these.

        Raises InvalidRequest for a file that holds none, or a private key too, NotFound or
        StorageFailed where it cannot be read or kept.
        """
        from limner.provenance.keys import certificates_in, holds_private_key, read_anchor

        if holds_private_key(read_file(file)):
            raise InvalidRequest(
                f"{file} holds a private key: whoever has this file can sign in its owner's name. "
                "Delete it, tell its owner, and ask for their anchor.pem instead."
            )
        content = read_anchor(file)
        found = tuple(map(_described, certificates_in(content)))
        name = re.sub(r"[^a-z0-9]+", "-", found[0].owner.lower()).strip("-")[:40] or "certificate"
        write_file(self.trusted / f"{name}-{found[0].fingerprint[:8]}.pem", content)
        return found

    def distrust(self, name: str) -> int:
        """Trust a certificate no longer, named by its file, owner or fingerprint's beginning.

        Returns how many were meant. Raises InvalidRequest where none is, StorageFailed.
        """
        meant = {
            file
            for file, one in self.others()
            if name in (file.stem, file.name, one.owner)
            or (len(name) >= 6 and one.fingerprint.startswith(name.lower()))
        }
        if not meant:
            raise InvalidRequest(
                f"No trusted certificate is called “{name[:80]}”. See limner keys trusted."
            )
        for file in meant:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise storage_failure(error, file, "take it away by hand") from error
        return len(meant)

    def others(self) -> Iterator[tuple[Path, Certificate]]:
        """Yield each certificate of others that is trusted, with its file.

        Raises InvalidRequest for a file among them that is no certificate.
        """
        from limner.provenance.keys import certificates_in, read_anchor

        for file in self._trusted_files():
            for one in certificates_in(read_anchor(file)):
                yield file, _described(one)

    def _trusted_files(self) -> list[Path]:
        folders = (self.trusted, self.folder / "trusted")
        return sorted(file for folder in folders for file in folder.glob("*.pem"))

    def make(self, owner: str) -> None:
        """Make keys in the home folder; raise InvalidRequest where there are some."""
        from limner.provenance.keys import make_keys

        make_keys(self.folder, owner, self._settings.key_passphrase)

    def certificates(self) -> tuple[Certificate, ...]:
        """Return the chain, root first; none where there are no keys.

        Raises StorageFailed where there can be none, SigningFailed for one that cannot be read.
        """
        from limner.provenance.keys import ANCHOR, read_certificates

        home = self._settings.home
        if home.exists() and not home.is_dir():
            raise StorageFailed(
                f"{home} is a file, so there can be no keys in it. Choose another home folder with "
                "--home or LIMNER_HOME."
            )
        if not (self.folder / ANCHOR).exists():
            return ()
        levels = zip(("root", "issuing", "leaf"), read_certificates(self.folder), strict=True)
        return tuple(replace(_described(one), level=level) for level, one in levels)

    def _local(self, tell: Callable[[Happening], None]) -> Signer:
        from limner.provenance.keys import make_keys, read_signer, sweep

        sweep(self.folder)
        passphrase = self._settings.key_passphrase
        found = read_signer(self.folder, passphrase)
        if found is None:
            try:
                make_keys(self.folder, new_owner(), passphrase)
            except InvalidRequest:  # another process made them a moment ago
                tell(Notice("keys", f"Pictures are signed with the keys in {self.folder}."))
            else:
                tell(
                    Notice(
                        "keys",
                        f"Made keys to sign pictures with, in {self.folder}. Give others "
                        "anchor.pem to let them check that a picture is yours.",
                    )
                )
            found = read_signer(self.folder, passphrase)
        if found is None:
            raise InvalidRequest(f"The keys in {self.folder} vanished. Run limner keys init.")
        return replace(found, time_authority=self._settings.time_authority)


def _described(certificate: "x509.Certificate") -> Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import NameOID

    def said(kind: "x509.ObjectIdentifier") -> str:
        found = certificate.subject.get_attributes_for_oid(kind)
        return str(found[0].value) if found else ""

    name = said(NameOID.COMMON_NAME)
    return Certificate(
        "trusted",
        said(NameOID.ORGANIZATION_NAME) or name,
        name,
        certificate.fingerprint(SHA256()).hex(),
        certificate.not_valid_after_utc,
    )
