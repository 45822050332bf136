"""Whose pictures are trusted: told, listed, taken back."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from .conftest import Limner


def anchor_of(limner: Limner, folder: Path, owner: str) -> Path:
    """Somebody else's anchor.pem."""
    other = folder / owner.replace(" ", "-")
    assert limner("keys", "init", "--owner", owner, "--home", other).status == 0
    return other / "keys" / "anchor.pem"


def test_somebody_is_trusted_and_then_not(limner: Limner, folder: Path) -> None:
    assert "Nobody else is trusted" in limner("keys", "trusted").err
    anchor = anchor_of(limner, folder, "Studio Aurora")
    ran = limner("keys", "trust", anchor, "--json")
    [record] = ran.records
    assert record["owner"] == "Studio Aurora"
    [listed] = limner("keys", "trusted", "--json").records
    assert listed["sha256"] == record["sha256"]
    assert str(listed["name"]).startswith("studio-aurora-")
    assert "Studio Aurora" in limner("keys", "trusted").out
    [doctor] = [one for one in limner("doctor", "--json").records if one["name"] == "keys"]
    assert "1 of others trusted" in str(doctor) or "none yet" in str(doctor)
    assert limner("keys", "distrust", "nobody").status == 2
    assert limner("keys", "distrust", str(listed["name"])).status == 0
    assert limner("keys", "trusted", "--json").records == []


def test_der_is_taken_and_nonsense_is_not(limner: Limner, folder: Path) -> None:
    anchor = anchor_of(limner, folder, "Studio Boreas")
    der = folder / "boreas.cer"
    certificate = x509.load_pem_x509_certificate(anchor.read_bytes())
    der.write_bytes(certificate.public_bytes(Encoding.DER))
    assert limner("keys", "trust", der).status == 0
    assert limner("keys", "distrust", "Studio Boreas").status == 0
    wrong = folder / "wrong.pem"
    wrong.write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    ran = limner("keys", "trust", wrong)
    assert ran.status == 2
    assert "no certificate" in ran.err
    ran = limner("keys", "trust", folder / "none.pem")
    assert ran.status == 3
    assert "There is no file" in ran.err
    assert limner("keys", "trusted", "--json").records == []


def test_a_private_key_is_not_trusted(limner: Limner, folder: Path) -> None:
    anchor = anchor_of(limner, folder, "Studio Boreas")
    ran = limner("keys", "trust", anchor.with_name("root.pem"))
    assert ran.status == 2
    assert "anchor.pem instead" in ran.err
    key = serialization.load_pem_private_key(anchor.with_name("root.pem").read_bytes(), None)
    der = folder / "key.der"
    der.write_bytes(
        key.private_bytes(
            Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert "private key" in limner("keys", "trust", der).err
    assert limner("keys", "trusted", "--json").records == []


def test_an_owner_without_a_name_is_none(limner: Limner, folder: Path) -> None:
    ran = limner("keys", "init", "--owner", "", "--home", folder / "other")
    assert ran.status == 2
    assert "1 to 64 letters" in ran.err


def test_two_strangers_are_not_called_the_same(limner: Limner, folder: Path) -> None:
    owners = set()
    for name in ("one", "two"):
        limner("keys", "init", "--home", folder / name)
        records = limner("keys", "show", "--home", folder / name, "--json").records
        owners |= {str(one["owner"]) for one in records}
    assert len(owners) == 2
    assert all(owner.startswith("Limner studio ") for owner in owners)
