"""A time authority that does not answer costs a time stamp, never a picture."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limner.app.settings import Settings, read_settings
from limner.app.studio import Progress
from limner.app.wiring import open_desk
from limner.domain.errors import InvalidOption, SigningFailed
from limner.domain.event import Happening, Notice
from limner.provenance.manifest import read_manifest
from limner.provenance.signing import CallbackSigner
from tests.provenance.signed import signer_in


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address on this machine where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/stamp"


def test_the_picture_is_kept_without_a_stamp_and_it_is_told(tmp_path: Path, nobody: str) -> None:
    heard: list[Happening] = []
    options: dict[str, Any] = {"seed": 1, "steps": 1, "size": "128x128"}
    with open_desk(Settings(home=tmp_path, offline=True, time_authority=nobody)) as desk:
        made = desk.generate("a fox", count=2, progress=Progress(heard.append), **options)
        assert len(desk.studio.library.list(desk.workspace)) == 2
    for one in made:
        manifest = read_manifest(one.file, "image/png")
        assert manifest is not None
        assert manifest.signed_at is None
    notices = [event for event in heard if isinstance(event, Notice) and event.code == "unstamped"]
    assert len(notices) == 1, "the authority is asked once"
    assert nobody in notices[0].message


def test_keys_that_fail_are_told_as_such(tmp_path: Path, nobody: str) -> None:
    keys = signer_in(tmp_path / "keys")

    def broken(content: bytes) -> bytes:
        raise RuntimeError("the module is locked")

    signer = CallbackSigner(broken, keys.certificates, nobody)
    settings = Settings(home=tmp_path / "home", offline=True)
    with (
        open_desk(settings, signer) as desk,
        pytest.raises(SigningFailed, match="the module is locked"),
    ):
        desk.generate("a fox", seed=1, steps=1, size="128x128")


@pytest.mark.parametrize("address", ["foo", "ftp://example.org/", "https://", "http:///stamp"])
def test_an_address_that_is_none_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("LIMNER_TIME_AUTHORITY", address)
    with pytest.raises(InvalidOption, match="LIMNER_TIME_AUTHORITY is “"):
        read_settings()


def test_offline_no_authority_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_TIME_AUTHORITY", "https://example.org/stamp")
    assert read_settings().time_authority == "https://example.org/stamp"
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    with pytest.raises(InvalidOption, match="Unset one of them"):
        read_settings()
