"""What is stated of licences is kept entry by entry."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limner.catalog.statements import Statements
from limner.domain.card import Licence, ModelCard

from .workbench import make_card, some_bytes, weight

LICENCE = Licence(spdx="Apache-2.0", commercial=True, url="", attribution="")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "licences.json"


def card(name: str) -> ModelCard:
    return make_card(name, weight(f"{name}.bin", some_bytes(100) + name.encode()))


def test_an_entry_that_cannot_be_read_takes_no_other_with_it(kept: Path) -> None:
    one, other = card("one"), card("other")
    Statements(kept).state(one, None, LICENCE)
    content = json.loads(kept.read_text())
    kept.write_text(json.dumps({"from another Limner": {"terms": []}, **content}))
    statements = Statements(kept)
    assert statements.on(one).licence == LICENCE
    statements.state(other, None, LICENCE)
    assert statements.on(one).licence == statements.on(other).licence == LICENCE
    assert "from another Limner" in json.loads(kept.read_text())


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000])
def test_a_damaged_record_is_put_aside(kept: Path, text: str) -> None:
    kept.write_text(text)
    assert Statements(kept).on(card("one")).licence != LICENCE
    Statements(kept).state(card("one"), None, LICENCE)
    assert Statements(kept).on(card("one")).licence == LICENCE
    assert kept.with_name("licences.json.damaged").read_text() == text


def test_two_at_once_lose_no_statement(kept: Path) -> None:
    cards = [card(f"net{number}") for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: Statements(kept).state(one, None, LICENCE), cards))
    assert all(Statements(kept).on(one).licence == LICENCE for one in cards)
