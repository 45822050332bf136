"""A models folder, a local web server, and clients that know nothing but it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .workbench import Listener, Site, serving


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "models"


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as started:
        yield started


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip knows."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def registry(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A local registry that is all npm knows."""
    settings = tmp_path / "npmrc"
    settings.touch()
    monkeypatch.setenv("npm_config_registry", site.address)
    monkeypatch.setenv("npm_config_userconfig", str(settings))
    return site
