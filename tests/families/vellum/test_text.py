"""Words: what Vellum reads of them, and what it says it did not."""

import numpy as np
import pytest

from limner.domain.card import Installed
from limner.families.session import open_session
from limner.families.vellum.facts import ENCODER, TOKENIZER
from limner.families.vellum.text import (
    MOST_TOKENS,
    TextEncoder,
    is_foreign,
    load_tokenizer,
    read_tokens,
    spell_out,
)


@pytest.fixture(scope="module")
def encoder(installed: Installed) -> TextEncoder:
    session = open_session(installed.files[ENCODER], threads=1)
    return TextEncoder(session, load_tokenizer(installed.files[TOKENIZER]))


@pytest.mark.parametrize(
    ("prompt", "spelled"),
    [
        ("a red fox", "a red fox"),
        ("  a \n red\tfox ", "a red fox"),
        ("🦊", "fox face"),
        ("a 🦊 in the 🌲🌲", "a fox face in the evergreen tree evergreen tree"),
        ("🦊🏽\ufe0f", "fox face"),
        ("👩\u200d🚀", "woman rocket"),
        ("❤️", "heavy black heart"),
        ("50% off!", "50% off!"),
        ("лиса", "лиса"),
        ("", ""),
        ("\u200d\ufe0f", ""),
    ],
)
def test_emoji_are_spelled_out(prompt: str, spelled: str) -> None:
    assert spell_out(prompt) == spelled


@pytest.mark.parametrize(
    "prompt", ["лиса", "キツネ", "红狐狸", "ثعلب", "αλεπού", "שועל a", "ёж 3d"]
)
def test_other_scripts_are_foreign(prompt: str) -> None:
    assert is_foreign(prompt)


@pytest.mark.parametrize("prompt", ["a fox", "der süße Fuchs", "3 × 4", "", "42", "fox лис", "Ⅷ"])
def test_latin_ones_and_those_without_letters_are_not(prompt: str) -> None:
    assert not is_foreign(prompt)


def test_what_is_read_ends_with_the_end_mark_and_is_never_too_long(encoder: TextEncoder) -> None:
    tokenizer = encoder._tokenizer
    short, long = read_tokens(tokenizer, "a fox"), read_tokens(tokenizer, "a fox " * 50)
    assert len(short) == 4
    assert len(long) == MOST_TOKENS
    assert (long[0], long[-1]) == (short[0], short[-1])
    assert len(read_tokens(tokenizer, "")) == 2


def test_what_was_not_read_is_the_rest_of_the_words(encoder: TextEncoder) -> None:
    read, rest = "fox " * (MOST_TOKENS - 2), "hen under a blue moon"
    assert encoder.unheard(read) == ""
    assert encoder.unheard(read + rest) == rest
    assert encoder.unheard("") == ""
    assert encoder.unheard("a fox, " + "é" * 3_000) == "é" * 3_000
    assert encoder.unheard("a \U0001fabf fox") == "\U0001fabf"


def test_an_empty_text_counts_nothing(encoder: TextEncoder) -> None:
    states = encoder.encode(["", "a fox"])
    assert not states.mask[0].any()
    assert not states.states[0].any()
    assert not states.pooled[0].any()
    assert states.mask[1].sum() == 4
    assert np.abs(states.pooled[1]).sum() > 0


def test_a_text_is_the_same_beside_any_other(encoder: TextEncoder) -> None:
    alone = encoder.encode(["a fox"])
    together = encoder.encode(["a castle on a hill at night with many stars", "a fox", ""])
    assert alone.states.shape == (1, MOST_TOKENS, 384)
    assert np.array_equal(alone.states[0], together.states[1])
    assert np.array_equal(alone.mask[0], together.mask[1])
    assert np.array_equal(alone.pooled[0], together.pooled[1])


def test_words_of_one_meaning_are_near_and_case_does_not_matter(encoder: TextEncoder) -> None:
    fox, shouted, vixen, pizza = encoder.encode(["a fox", "A FOX", "a red vixen", "a pizza"]).pooled

    def nearness(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    assert nearness(fox, shouted) > 0.999
    assert nearness(fox, vixen) > nearness(fox, pizza)
