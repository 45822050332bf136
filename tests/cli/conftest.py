"""The program in this process, on a fake engine and a library of its own."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from limner.app import wiring
from limner.cli import background
from limner.cli.main import run
from limner.domain.asset import Asset
from limner.domain.workspace import LOCAL_WORKSPACE
from limner.store.library import Library
from tests.fakes import FakeEngine, fake_desk, fake_models


@dataclass(frozen=True)
class Ran:
    """What a run of the program left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def error(self) -> dict[str, str]:
        [line] = self.err.splitlines()
        entry = json.loads(line)
        assert set(entry) == {"error"}
        assert set(entry["error"]) == {"code", "message"}
        error: dict[str, str] = entry["error"]
        return error


Limner = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: empty."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def limner(
    home: Path,
    folder: Path,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Limner:
    monkeypatch.setenv("LIMNER_HOME", str(home))
    monkeypatch.setattr(wiring, "open_desk", lambda settings: fake_desk(settings, engine))
    monkeypatch.setattr(wiring, "open_models", fake_models)
    monkeypatch.setattr(background, "go_on", lambda home, arguments: None)

    def call(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        status = run([str(one) for one in arguments])
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return call


def assets_in(home: Path) -> tuple[Asset, ...]:
    with Library.open(home) as library:
        return library.list(LOCAL_WORKSPACE)


def photo(path: Path, size: tuple[int, int] = (40, 20), colour: str = "tomato") -> Path:
    """Write a picture that no machine drew."""
    Image.new("RGB", size, colour).save(path)
    return path


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))
