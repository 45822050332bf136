"""A desk on a library of its own, with an engine that draws at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.app.desk import Desk
from limner.app.settings import Settings
from tests.fakes import FakeEngine, fake_desk


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, threads=1, hub="http://127.0.0.1:9", offline=True)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def desk(settings: Settings, engine: FakeEngine) -> Iterator[Desk]:
    with fake_desk(settings, engine) as opened:
        yield opened
