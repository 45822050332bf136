"""Prompts of several things are understood as such, and no others."""

import pytest

from limner.families.vellum.grammar import Relation, grammar
from limner.families.vellum.lexicon import Lexicon
from limner.families.vellum.scene import Group, Node, Pair, Scene, Thing, read_scene

NAMES = (
    *("cat", "dog", "fox", "bear", "house", "star", "apple", "banana", "cactus", "cake", "candle"),
    *("crown", "top hat", "glasses", "scissors", "tree", "box", "fish", "orange", "moon"),
    *("house with garden", "cup of coffee", "two hearts", "heart", "salt"),
)
LEXICON = Lexicon(NAMES, {"vixen": "fox", "sunglasses": "glasses"})


def scene(prompt: str) -> Scene | None:
    return read_scene(prompt, LEXICON, ("3d", "flat"))


def shown(node: Node) -> str:
    """Write a tree of things in a line."""
    if isinstance(node, Thing):
        return node.words
    if isinstance(node, Group):
        return f"[{', '.join(map(shown, node.members))}]"
    return f"({shown(node.first)} {node.relation} {shown(node.second)})"


@pytest.mark.parametrize(
    ("prompt", "tree"),
    [
        ("a cat and a dog", "[a cat, a dog]"),
        ("cat, dog & fox", "[a cat, a dog, a fox]"),
        ("two cats and a dog", "[a cat, a cat, a dog]"),
        ("cats and dogs", "[a cat, a cat, a dog, a dog]"),
        ("3 stars", "[a star, a star, a star]"),
        ("a couple of blue stars", "[a blue star, a blue star]"),
        ("two fish", "[a fish, a fish]"),
        ("a blue cat left of a red dog", "(a blue cat left_of a red dog)"),
        ("a cat to the right of a dog", "(a cat right_of a dog)"),
        ("a heart above a house", "(a heart above a house)"),
        ("a fox sleeping under a tree", "(a fox below a tree)"),
        ("a cat on top of a house", "(a cat on a house)"),
        ("a cat in a box", "(a cat in a box)"),
        ("a fox behind a tree", "(a fox behind a tree)"),
        ("a fox in front of a tree", "(a fox in_front_of a tree)"),
        ("a bear eating an apple", "(a bear holding an apple)"),
        ("a cat between two dogs", "((a dog left_of a cat) left_of a dog)"),
        ("a cat between a dog and a fox", "((a dog left_of a cat) left_of a fox)"),
        ("a cat wearing a crown", "(a cat wearing_on_head a crown)"),
        ("a cat with a top hat", "(a cat wearing_on_head a top hat)"),
        ("a dog in glasses", "(a dog wearing_on_eyes glasses)"),
        ("a cat and a top hat", "[a cat, a top hat]"),
        (
            "a fox with a crown and glasses",
            "((a fox wearing_on_eyes glasses) wearing_on_head a crown)",
        ),
        (
            "a fox wearing a crown and glasses",
            "((a fox wearing_on_eyes glasses) wearing_on_head a crown)",
        ),
        (
            "two cats wearing top hats",
            "[(a cat wearing_on_head a top hat), (a cat wearing_on_head a top hat)]",
        ),
        ("a cat and a dog on a house", "([a cat, a dog] on a house)"),
        ("a dog on a house and a cat", "[(a dog on a house), a cat]"),
        ("two cakes with candles", "[a cake with candles, a cake with candles]"),
        ("a 3d sticker of a cat and a dog, flat style", "[a cat, a dog]"),
        ("an orange cat and an orange", "[an orange cat, an orange]"),
    ],
)
def test_a_scene_is_read(prompt: str, tree: str) -> None:
    found = scene(prompt)
    assert found is not None
    assert shown(found.root) == tree


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a cat",
        "a star",
        "stars",
        "a cup of coffee",
        "a house with garden",
        "two hearts",
        "a pair of scissors",
        "a cake with candles",
        "an orange cat",
        "a cat on a blue background",
        "a zeppelin and a cat",
        "a cat that once upon a time long ago met a dog",
        "a cat's dog",
        "a hundred and one stars, 101 dogs",
        "30 stars",
    ],
)
def test_what_is_no_scene_stays_one_prompt(prompt: str) -> None:
    assert scene(prompt) is None


@pytest.mark.parametrize(
    ("prompt", "ground"),
    [
        ("a cat and a dog on a blue background", "blue"),
        ("a cat and a dog, on a plain pink backdrop", "pink"),
        ("two stars against a gray background", "grey"),
        ("two stars on a transparent background", None),
        ("two stars", None),
    ],
)
def test_a_ground_is_told_apart_from_things(prompt: str, ground: str | None) -> None:
    found = scene(prompt)
    assert found is not None
    assert found.ground == ground


@pytest.mark.parametrize("prompt", ["on a blue background", "a plain blue backdrop, flat"])
def test_a_bare_ground_is_a_scene_of_nothing(prompt: str) -> None:
    assert scene(prompt) == Scene(Group(()), "blue")


def test_sizes_are_beside_others() -> None:
    found = scene("a tiny cat next to a big dog")
    assert found is not None
    small, large = found.things
    assert small.scale < 1 < large.scale
    assert (small.words, large.words) == ("a cat", "a dog")


def test_what_is_read_as_something_else_is_told() -> None:
    found = scene("a vixen and a dog")
    assert found is not None
    assert found.replaced == (("vixen", "fox"),)


def test_what_is_not_drawn_is_told() -> None:
    found = scene("a fox sleeping under a tree in the rain, flat")
    assert found is not None
    assert found.unread == "sleeping rain"


def test_things_alike_are_drawn_once() -> None:
    found = scene("a cat between two dogs")
    assert found is not None
    assert found.words == ("a dog", "a cat")
    assert len(found.things) == 3


def test_every_relation_has_words_but_the_one_that_names_decide() -> None:
    assert set(grammar().relations.values()) == set(Relation) - {Relation.WEARING_ON_EYES}


def test_a_pair_is_a_node() -> None:
    found = scene("a cat on a house")
    assert found is not None
    assert isinstance(found.root, Pair)
