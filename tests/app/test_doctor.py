"""The doctor: finds what is wrong, says what to do, and changes nothing."""

import errno
import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from limner.app import doctor
from limner.app.desk import Desk
from limner.app.doctor import Finding, State, examine
from limner.app.settings import Settings
from limner.domain.errors import ModelUnavailable
from limner.engine import machine
from tests.fakes import ABSENT, PAINTER, FakeFamily, fake_desk, fake_models


@pytest.fixture(autouse=True)
def _fake_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "open_models", fake_models)


def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(settings)}


def failures(settings: Settings) -> dict[str, Finding]:
    found = findings(settings)
    return {name: one for name, one in found.items() if one.state is State.FAIL}


def test_a_machine_without_a_library_is_well_and_stays_so(settings: Settings, home: Path) -> None:
    found = findings(settings)
    assert failures(settings) == {}
    assert "first picture" in found["library"].detail
    assert not home.exists()
    for name in ("python", "processor", "cores", "memory", "home", "onnxruntime", "ncnn", "torch"):
        assert found[name].detail


def test_a_healthy_library_is_well(settings: Settings, desk: Desk) -> None:
    desk.generate("a fox", count=3)
    assert failures(settings) == {}
    assert findings(settings)["library"].detail == "every picture is whole"


def test_models_that_are_here_and_not_here(settings: Settings) -> None:
    found = findings(settings)
    assert found[PAINTER.name].detail.startswith("here and whole")
    assert "models pull" in found[ABSENT.name].detail
    assert found[ABSENT.name].state is State.OK


def test_a_damaged_model_is_named(settings: Settings) -> None:
    folder = settings.home / "models" / ABSENT.name
    folder.mkdir(parents=True)
    (folder / ABSENT.files[0].name).write_bytes(b"x" * ABSENT.files[0].bytes)
    found = failures(settings)
    assert list(found) == [ABSENT.name]
    assert "sha256" in found[ABSENT.name].detail
    assert found[ABSENT.name].advice


def test_a_damaged_picture_is_named_in_words(settings: Settings, desk: Desk) -> None:
    [made] = desk.generate("a fox")
    path = desk.studio.library.blobs.path(made.asset.id)
    path.write_bytes(b"damaged")
    found = failures(settings)["library"]
    assert found.detail.startswith(f"1 problem(s): The file {path}")
    assert "library check" in found.advice


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_database_that_is_none_is_named(settings: Settings, home: Path, content: bytes) -> None:
    home.mkdir()
    (home / "library.sqlite").write_bytes(content)
    found = findings(settings)["library"]
    # An empty file is a database that was not written yet.
    assert found.state is (State.FAIL if content else State.OK)
    if content:
        assert (home / "library.sqlite").read_bytes() == content


def test_a_library_of_a_later_limner_is_named(settings: Settings, home: Path) -> None:
    fake_desk(settings).close()
    with sqlite3.connect(home / "library.sqlite") as database:
        database.execute("update alembic_version set version_num = 'r9999'")
    database.close()
    assert "library" in failures(settings)


def test_a_home_in_the_way_is_named(settings: Settings, home: Path) -> None:
    home.write_text("a file")
    found = failures(settings)["home"]
    assert str(home) in found.detail
    assert "--home" in found.advice


def test_a_home_that_cannot_be_written_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert "Read-only" in failures(settings)["home"].detail


def test_a_home_that_cannot_be_entered_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.exists

    def refuse(path: Path) -> bool:
        if path.is_relative_to(settings.home):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path)

    monkeypatch.setattr(Path, "exists", refuse)
    found = failures(settings)
    assert "Permission denied" in found["home"].detail
    assert "Permission denied" in found["library"].detail


def test_what_is_scarce_is_warned_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_cores", lambda: 1)
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "free_memory", lambda: 100 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = findings(settings)
    for name in ("cores", "memory", "home", "npm"):
        assert found[name].state is State.WARN
        assert found[name].advice
    assert found["cores"].detail == "1 of 8 free"


def test_a_missing_runtime_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("ncnn", "torch"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = findings(settings)
    assert (found["ncnn"].state, found["onnxruntime"].state) == (State.FAIL, State.OK)
    assert "absent" in found["torch"].detail
    assert "limner[torch]" in found["torch"].detail
    assert "gpu" not in found


def test_what_open_models_run_on_is_told(settings: Settings) -> None:
    pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
    found = findings(settings)
    assert found["torch"].detail == f"{importlib.metadata.version('torch')} (open models)"
    assert found["gpu"].detail
    assert failures(settings) == {}


def test_a_package_that_lacks_a_model_s_facts_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cards(_: FakeFamily) -> None:
        raise ModelUnavailable("Vellum is missing from the installed package.")

    monkeypatch.setattr(FakeFamily, "cards", cards)
    assert "Vellum is missing" in failures(settings)["models"].detail


def test_whoever_is_told_of_a_failure_is_told_what_to_do(settings: Settings, home: Path) -> None:
    home.write_text("a file")
    bad = examine(replace(settings, home=home / "below"))
    assert any(finding.state is State.FAIL for finding in bad)
    assert all(finding.advice for finding in bad if finding.state is not State.OK)
