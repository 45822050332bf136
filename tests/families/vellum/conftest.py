"""Vellum as it ships, loaded once."""

from collections.abc import Iterator

import pytest

from limner.domain.card import Installed, ModelCard
from limner.families.family import LoadedModel, Placement
from limner.families.vellum import FAMILY
from tests.families.pictures import files_of


@pytest.fixture(scope="session")
def card() -> ModelCard:
    [card] = FAMILY.cards()
    return card


@pytest.fixture(scope="session")
def installed(card: ModelCard) -> Installed:
    return Installed(card, files_of(card))


@pytest.fixture(scope="session")
def model(installed: Installed) -> Iterator[LoadedModel]:
    loaded = FAMILY.load(installed, Placement(threads=1))
    yield loaded
    loaded.close()
