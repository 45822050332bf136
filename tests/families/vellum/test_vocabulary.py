"""What Vellum says when it is asked for a thing that it never learned."""

import json
from pathlib import Path

import numpy as np
import pytest

from limner.domain.card import ModelCard
from limner.domain.event import Notice
from limner.domain.recipe import Draft
from limner.families.family import LoadedModel, Order
from limner.families.vellum.facts import WEIGHTS
from limner.families.vellum.vocabulary import VOCABULARY, Vocabulary, read_vocabulary
from tests.families.pictures import Witness

NAMES = ("fox", "red fox", "cherry blossom", "box", "lady beetle")


def told(model: LoadedModel, card: ModelCard, prompt: str) -> list[Notice]:
    [native] = card.capability.sizes.native
    draft = Draft(prompt=prompt, seed=1, size=native, steps=1)
    witness = Witness()
    model.perform([Order(card.capability.resolve(draft, card.ref, 1))], witness.watch())
    return [event for event in witness.told if isinstance(event, Notice)]


@pytest.mark.parametrize(
    "prompt", ["a fox", "two foxes", "FOX!", "boxes on a shelf", "the cherry blossom", "fox's den"]
)
def test_names_are_found_in_any_case_and_number(prompt: str) -> None:
    assert Vocabulary(NAMES, ("fox",)).knows(prompt)


@pytest.mark.parametrize("prompt", ["", "foxglove", "an outfoxed man", "cherry pie", "boxing"])
def test_parts_of_words_are_not_names(prompt: str) -> None:
    assert not Vocabulary(NAMES, ("fox",)).knows(prompt)


def test_the_nearest_come_first() -> None:
    vectors = {"north": [0, 1], "east": [1, 0], "north-east": [1, 1], "up": [0.1, 3]}
    known = Vocabulary(("east", "north", "north-east"), ("east", "north", "north-east"))
    found = known.nearest("up", lambda texts: np.array([vectors[t] for t in texts], np.float32), 2)
    assert found == ("north", "north-east")


def test_an_unknown_thing_is_said_with_what_comes_nearest(
    model: LoadedModel, card: ModelCard
) -> None:
    [notice] = told(model, card, "a zeppelin")
    assert notice.code == "unknown"
    assert "airplane" in notice.message or "helicopter" in notice.message


def test_a_known_thing_is_drawn_in_silence(model: LoadedModel, card: ModelCard) -> None:
    assert told(model, card, "three purple foxes") == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"concepts": [1]}', '{"concepts": [{"names": ["fox"]}]}'],
)
def test_without_readable_words_nothing_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / VOCABULARY).write_text(content, "utf-8")
    assert read_vocabulary(tmp_path) is None
    assert read_vocabulary(tmp_path / "nowhere") is None


def test_the_words_that_ship_are_those_it_learned() -> None:
    listed = json.loads((WEIGHTS / VOCABULARY).read_text("utf-8"))["concepts"]
    known = read_vocabulary(WEIGHTS)
    assert known is not None
    assert all(known.knows(name) for concept in listed for name in concept["names"])
