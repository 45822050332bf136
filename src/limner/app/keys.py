"""The keys that sign pictures: made on first use, or kept elsewhere, or none on purpose."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from limner.app.settings import Settings
from limner.domain.errors import InvalidRequest
from limner.domain.event import Happening, Notice
from limner.provenance.signing import Signer

OWNER = "Limner user"
"""Whom certificates name where nobody said otherwise: nobody in particular."""


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
        self._signer = given
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
        """Return the certificates whose signatures are trusted, as PEM.

        Raises InvalidRequest for a file among the trusted ones that is no certificate.
        """
        from limner.provenance.keys import read_anchor, read_anchors

        folders = (self.trusted, self.folder / "trusted")
        files = sorted(file for folder in folders for file in folder.glob("*.pem"))
        return b"\n".join([read_anchors(self.folder), *map(read_anchor, files)])

    def make(self, owner: str) -> None:
        """Make keys in the home folder; raise InvalidRequest where there are some."""
        from limner.provenance.keys import make_keys

        make_keys(self.folder, owner, self._settings.key_passphrase)

    def certificates(self) -> tuple[Certificate, ...]:
        """Return the chain, root first; none where there are no keys."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.x509.oid import NameOID

        from limner.provenance.keys import ANCHOR, read_certificates

        if not (self.folder / ANCHOR).exists():
            return ()
        found = []
        for level, one in zip(
            ("root", "issuing", "leaf"), read_certificates(self.folder), strict=True
        ):
            [owner] = one.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
            [name] = one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            found.append(
                Certificate(
                    level,
                    str(owner.value),
                    str(name.value),
                    one.fingerprint(SHA256()).hex(),
                    one.not_valid_after_utc,
                )
            )
        return tuple(found)

    def _local(self, tell: Callable[[Happening], None]) -> Signer:
        from limner.provenance.keys import make_keys, read_signer

        passphrase = self._settings.key_passphrase
        found = read_signer(self.folder, passphrase)
        if found is None:
            try:
                make_keys(self.folder, OWNER, passphrase)
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
