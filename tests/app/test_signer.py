"""A signer of one's own: its pictures are trusted where they are made, and its faults are told."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.app.desk import Desk
from limner.app.keys import Keyring
from limner.app.settings import Settings
from limner.domain.errors import SigningFailed
from limner.provenance.keys import make_keys, read_signer
from limner.provenance.manifest import Standing
from limner.provenance.signing import CallbackSigner, LocalSigner
from tests.fakes import fake_desk


@pytest.fixture
def away(tmp_path: Path) -> LocalSigner:
    """Keys that are kept elsewhere."""
    make_keys(tmp_path / "elsewhere", "Key Service", None)
    found = read_signer(tmp_path / "elsewhere", None)
    assert found is not None
    return found


@pytest.fixture
def desk(settings: Settings, engine: Any) -> Iterator[Desk]:
    with fake_desk(settings, engine) as opened:
        yield opened


def test_a_studio_trusts_what_it_signs_elsewhere(
    desk: Desk, settings: Settings, away: LocalSigner
) -> None:
    signer = CallbackSigner(away.sign, away.certificates)
    desk.studio.keyring = Keyring(settings, signer)
    (made,) = desk.generate("a fox", seed=1)
    verdict = desk.verify(made.file)
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.TRUSTED
    desk.studio.keyring = Keyring(settings)
    stranger = desk.verify(made.file).manifest
    assert stranger is not None
    assert stranger.state is Standing.VALID


@pytest.mark.parametrize("answer", [None, b"short", "text"])
def test_an_answer_that_is_no_signature_is_told(away: LocalSigner, answer: Any) -> None:
    signer = CallbackSigner(lambda _: answer, away.certificates)
    with pytest.raises(SigningFailed, match="must return the 64 bytes"):
        signer.sign(b"content")


def test_what_a_key_service_raises_is_told(away: LocalSigner) -> None:
    def broken(_: bytes) -> bytes:
        raise ConnectionError("no route to the module")

    with pytest.raises(SigningFailed, match="no route to the module"):
        CallbackSigner(broken, away.certificates).sign(b"content")


def test_half_made_keys_are_swept_whenever_keys_are_read(settings: Settings) -> None:
    keyring = Keyring(settings)
    keyring.signer(lambda _: None)
    left = settings.home / ".keys.0123456789ab"
    left.mkdir()
    (left / "root.pem").write_text("half a key")
    os.utime(left, (1, 1))
    Keyring(settings).signer(lambda _: None)
    assert not left.exists()
