"""The grammar of weighted prompts."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.prompting import MOST, Phrase, changing, is_weighted, parse, plain

HOSTILE = st.text(alphabet="()[]\\: \n.1-aBREAK", max_size=60)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red fox", [("a red fox", 1.0)]),
        ("a (red:1.3) fox", [("a ", 1.0), ("red", 1.3), (" fox", 1.0)]),
        ("(red), (( blue ))", [("red", 1.1), (", ", 1.0), (" blue ", 1.21)]),
        ("[red] [[blue]]", [("red", 0.909090909), (" ", 1.0), ("blue", 0.826446281)]),
        ("(a (b:1.5) c:2)", [("a ", 2.0), ("b", 3.0), (" c", 2.0)]),
        ("[(a)]", [("a", 1.0)]),
        ("(a: .5 )", [("a", 0.5)]),
        ("(a:-1)", [("a", -1.0)]),
        ("(two:\nlines:1.2)", [("two:\nlines", 1.2)]),
        ("(ratio 3:4)", [("ratio 3", 4.0)]),
        ("(Mars: the planet)", [("Mars: the planet", 1.1)]),
        ("[a:b:0.5]", [("a:b:0.5", 0.909090909)]),
        ("a:1.3", [("a:1.3", 1.0)]),
        ("{a|b} <lora:c:1> __d__ a AND b", [("{a|b} <lora:c:1> __d__ a AND b", 1.0)]),
        ("", []),
        ("()", []),
        ("(:1.2)", []),
    ],
)
def test_weights(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert [(phrase.text, phrase.weight) for phrase in parse(prompt)] == expected


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (r"a \(painted\) \[sign\]", "a (painted) [sign]"),
        (r"(\):1.2)", ")"),
        (r"back\slash \\( a)", "back\\slash \\ a"),
        ("ends with \\", "ends with \\"),
        (":) smile", ":) smile"),
        ("(never closed", "(never closed"),
        ("(a [b:1.2)", "a [b"),
        ("[a (b]", "a (b"),
        ("(a]", "(a]"),
        ("a) (b) (c", "a) b (c"),
    ],
)
def test_characters_that_stay(prompt: str, words: str) -> None:
    assert plain(prompt) == words


def test_what_follows_break_stands_apart() -> None:
    assert parse("a fox  BREAK\n(snow:1.2) fell") == (
        Phrase("a fox"),
        Phrase("snow", 1.2, apart=True),
        Phrase(" fell"),
    )
    assert parse("(a BREAK b:1.2)") == (Phrase("a", 1.2), Phrase("b", 1.2, apart=True))
    assert plain("a BREAK b") == "a b"


@pytest.mark.parametrize("prompt", ["BREAK a", "a BREAK", "BREAK BREAK a BREAK BREAK"])
def test_breaks_with_nothing_to_break_do_nothing(prompt: str) -> None:
    assert parse(prompt) == (Phrase("a"),)


@pytest.mark.parametrize("prompt", ["a BREAKFAST", "break a", "OUTBREAK"])
def test_break_is_a_word_of_its_own(prompt: str) -> None:
    assert parse(prompt) == (Phrase(prompt),)


def test_weights_end_somewhere() -> None:
    assert parse("(a:99999)(b:-99999)") == (Phrase("a", MOST), Phrase("b", -MOST))
    assert parse("(" * 400 + "a" + ")" * 400) == (Phrase("a", MOST),)
    number = "9" * 400
    assert parse(f"(a:{number})") == (Phrase(f"a:{number}", 1.1),)


@pytest.mark.parametrize(
    ("prompt", "weighted"),
    [("a fox", False), ("(a:1.0) fox", False), ("[(a)]", False), ("a (fox)", True), ("(a", False)],
)
def test_whether_it_is_weighted(prompt: str, weighted: bool) -> None:
    assert is_weighted(prompt) is weighted


@given(st.text(max_size=80) | HOSTILE)
def test_escaped_words_come_back(text: str) -> None:
    words = text.replace("B", "b")
    escaped = re.sub(r"([\\()\[\]])", r"\\\1", words)
    assert plain(escaped) == words
    assert not is_weighted(escaped)


@given(HOSTILE)
def test_every_text_is_a_prompt(text: str) -> None:
    phrases = parse(text)
    assert all(phrase.text and abs(phrase.weight) <= MOST for phrase in phrases)
    assert not any(phrase.apart for phrase in phrases[:1])
    assert all(two.apart or one.weight != two.weight for one, two in pairwise(phrases))
    # Nothing is added and nothing changes places: the words are what is left of the prompt.
    left = iter(text)
    assert all(letter in left for phrase in phrases for letter in phrase.text)


@given(
    st.lists(
        st.tuples(
            st.text(alphabet="abc ,é", min_size=1, max_size=8),
            st.integers(-40, 40).map(lambda number: number / 8),
        ),
        max_size=6,
    )
)
def test_written_weights_are_read(written: list[tuple[str, float]]) -> None:
    prompt = "".join(f"({text}:{weight})" for text, weight in written)
    per_letter = [(letter, weight) for text, weight in written for letter in text]
    assert [(letter, p.weight) for p in parse(prompt) for letter in p.text] == per_letter


@pytest.mark.parametrize(
    "prompt",
    [
        "(" * 100_000,
        "([" * 50_000 + ")",
        "(a" * 50_000 + ":2)" * 50_000,
        "(:" * 50_000 + "1)" * 50_000,
        "(" + ":" * 100_000 + ")",
        "\\" * 100_001,
        " " * 100_000 + "BREAK" + " " * 100_000,
    ],
)
def test_hostile_prompts_take_no_longer_than_others(prompt: str) -> None:
    started = time.perf_counter()
    parse(prompt)
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("a [cat:dog:0.5]", ["[cat:dog:0.5]"]),
        ("[cat:10] [cat::.5]", ["[cat:10]", "[cat::.5]"]),
        ("[cat|dog] and [a|b|c]", ["[cat|dog]", "[a|b|c]"]),
        ("[[a|b]:c:0.5]", ["[a|b]", "[[a|b]:c:0.5]"]),
        ("[(cat:1.2):dog: 12 ]", ["[(cat:1.2):dog: 12 ]"]),
        (r"[cat] [(cat:1.3)] \[a|b\] \[a:b:1\] [a: b] | [ ]|] [a", []),
        ('{"colours": ["red", "a:b"], "steps": [1, 2]}', []),
    ],
)
def test_words_that_would_change_between_steps_are_found(prompt: str, pieces: list[str]) -> None:
    assert list(changing(prompt)) == pieces
