"""A library in a temporary home."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.store.library import Library


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def library(home: Path) -> Iterator[Library]:
    with Library.open(home) as opened:
        yield opened
