"""The Signer seam: what puts a signature under a picture's manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from limner.domain.errors import SigningFailed

SIGNATURE_BYTES = 64
"""The length of an ES256 signature: two numbers of 32 bytes."""


class Signer(Protocol):
    """Signs with ES256. Where there is no Signer, files are left unsigned and it is said."""

    @property
    def certificates(self) -> bytes:
        """The chain as PEM: the signing certificate first, then those above it without root."""

    @property
    def time_authority(self) -> str | None:
        """The address of an RFC 3161 authority that stamps the time, or None."""

    def sign(self, content: bytes) -> bytes:
        """Return r and s, 32 bytes each; raise SigningFailed."""


@dataclass(frozen=True)
class LocalSigner:
    """Signs with a key in memory."""

    key: ec.EllipticCurvePrivateKey
    certificates: bytes
    time_authority: str | None = None

    def sign(self, content: bytes) -> bytes:
        """Return the signature as two numbers of 32 bytes, as COSE wants it (RFC 9053)."""
        r, s = decode_dss_signature(self.key.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@dataclass(frozen=True)
class CallbackSigner:
    """Signs with a key that is kept elsewhere: a hardware module or a key service."""

    callback: Callable[[bytes], bytes]
    certificates: bytes
    time_authority: str | None = None

    def sign(self, content: bytes) -> bytes:
        """Return what the callback returns for `content`, checked for its form."""
        try:
            signature: object = self.callback(content)
        except Exception as error:  # whatever a key service's library may raise
            raise SigningFailed(
                f"The signing callback failed: {error}. Check the key service."
            ) from error
        if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
            raise SigningFailed(
                "The signing callback must return the 64 bytes of an ES256 signature, r and s, "
                "not DER."
            )
        return signature


@dataclass(frozen=True)
class Unstamped:
    """Signs as another signer does, and asks no authority for the time."""

    signer: Signer
    time_authority: None = None

    @property
    def certificates(self) -> bytes:
        """The other signer's chain."""
        return self.signer.certificates

    def sign(self, content: bytes) -> bytes:
        """Return the other signer's signature."""
        return self.signer.sign(content)
