"""Words that Vellum was not taught, read as what it was."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from limner.domain.card import Installed, ModelCard
from limner.domain.errors import WeightsRejected
from limner.domain.event import Notice
from limner.domain.recipe import Draft
from limner.families.checkpoint import sha256_of
from limner.families.family import LoadedModel, Order, Pixels, Placement
from limner.families.vellum import FAMILY
from limner.families.vellum.facts import FACTS, LEXICON, WEIGHTS
from limner.families.vellum.lexicon import Lexicon, plural, read_lexicon
from tests.families.pictures import Witness

LISTS = Path(__file__).parents[3] / "models" / "vellum"

NAMES = (
    *("fox", "dog", "crown", "glasses", "wolf", "t-shirt", "gem", "dress", "guard", "elephant"),
    *("house", "glass of wine", "wine", "man’s shoe", "heart", "mouse", "owl", "beach", "bee"),
)
WORDS = {
    "vixen": "fox",
    "hound": "dog",
    "tiara": "crown",
    "spectacles": "glasses",
    "jersey": "t-shirt",
    "emerald": "gem",
    "palace": "house",
    "pachyderm": "elephant",
    "merlot": "wine",
    "glass": "glass of wine",
    "house of worship": "house",
    "sea dog": "fox",
    "goose": "owl",
    "wasp": "bee",
    "hyena": "wolf",
    "cavy": "mouse",
    "cooky": "bee",
}
LEARNED = Lexicon(NAMES, WORDS)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("vixen", "fox"),
        ("A VIXEN!", "A fox!"),
        ("a red vixen, 3d", "a red fox, 3d"),
        ("the vixen's den", "the fox's den"),
        ("three vixens and a hound", "three foxes and a dog"),
        ("two hyenas", "two wolves"),
        ("wasps and cavies", "bees and mice"),
        ("cookies", "bees"),
        ("geese", "owls"),
        ("a pachyderm", "an elephant"),
        ("An  emerald", "A  gem"),
        ("an emerald and a goose", "a gem and an owl"),
        ("a spectacles", "glasses"),
        ("a sea dog", "a fox"),
        ("a sea-dog", "a fox"),
        ("a house of worship", "a house"),
        ("a vixen on the palace", "a fox on the palace"),
    ],
)
def test_words_are_read_as_names(prompt: str, text: str) -> None:
    assert LEARNED.read(prompt).text == text


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "   ",
        "a fox",
        "two wolves and mice",
        "T-shirts",
        "a man's shoe",
        "a zeppelin",
        "vixenish",
        "an emerald dress",
        "an emerald green dress",
        "emerald-green",
        "a palace guard",
        "tiara-shaped",
        "glasses of wine",
        "🦊 лиса 狐狸",
        "a dog in the palace",
        "a dog near a great palace",
        "a sea, dog",
    ],
)
def test_what_is_known_or_describes_stays(prompt: str) -> None:
    reading = LEARNED.read(prompt)
    assert reading.text == prompt
    assert reading.replaced == ()


def test_a_measure_of_something_stays() -> None:
    assert LEARNED.read("a glass of merlot").text == "a glass of wine"


def test_what_was_replaced_is_told_once_in_order() -> None:
    reading = LEARNED.read("a Tiara, a vixen, vixens, a vixen")
    assert reading.replaced == (("Tiara", "crown"), ("vixen", "fox"), ("vixens", "foxes"))


def test_long_prompts_are_read_quickly_and_whole() -> None:
    prompt = " ".join(["nothing known", *["vixen,"] * 3_000])
    assert LEARNED.read(prompt).text.count("fox") == 3_000


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("fox", "foxes"),
        ("cherry", "cherries"),
        ("monkey", "monkeys"),
        ("bus", "buses"),
        ("dress", "dresses"),
        ("glass of wine", "glasses of wine"),
        ("beach with umbrella", "beaches with umbrella"),
        ("kitchen knife", "kitchen knives"),
        ("tropical fish", "tropical fish"),
        ("french fries", "french fries"),
        ("old man", "old men"),
    ],
)
def test_plurals(name: str, many: str) -> None:
    assert plural(name) == many


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"names": []}', '{"names": ["fox"], "words": {"fox": 1}}',
     '{"names": 3, "words": {}}', '{"names": [], "words": []}', "[" * 100_000],
    ids=lambda content: content[:20],
)  # fmt: skip
def test_a_file_that_is_no_lexicon_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / LEXICON
    path.write_text(content, "utf-8")
    with pytest.raises(WeightsRejected, match=LEXICON):
        read_lexicon(path)


def test_a_lexicon_that_is_gone_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsRejected, match=LEXICON):
        read_lexicon(tmp_path / LEXICON)
    (tmp_path / LEXICON).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsRejected, match=LEXICON):
        read_lexicon(tmp_path / LEXICON)


# The lexicon that ships.


@pytest.fixture(scope="module")
def shipped() -> Lexicon:
    return read_lexicon(WEIGHTS / LEXICON)


def test_every_name_stays_alone_and_in_the_plural(shipped: Lexicon) -> None:
    changed = [
        form
        for name in shipped.names
        for form in (name, plural(name), f"a blue {name} on a red background")
        if shipped.read(form).replaced
    ]
    assert changed == []


def test_ordinary_prompts_stay(shipped: Lexicon) -> None:
    prompts = (Path(__file__).parent / "ordinary_prompts.txt").read_text("utf-8").splitlines()
    assert len(prompts) >= 200
    assert {prompt: shipped.read(prompt).text for prompt in prompts} == {
        prompt: prompt for prompt in prompts
    }


def test_words_of_looks_and_rude_words_are_not_read(shipped: Lexicon) -> None:
    styles = json.loads((WEIGHTS / FACTS).read_text("utf-8"))["styles"]
    rude = ("bitch", "cock", "pussy", "ass", "tit", "coon", "spook", "whore", "turd")
    assert not set(shipped.words) & {*styles, *rude, "red", "green", "two", "sticker", "background"}


def test_every_word_leads_to_a_name(shipped: Lexicon) -> None:
    assert set(shipped.words.values()) <= set(shipped.names)
    assert not set(shipped.words) & set(shipped.names)
    assert len(shipped.words) > 10_000
    assert (WEIGHTS / LEXICON).stat().st_size < 400_000


def test_most_held_out_words_are_read_as_what_they_mean(shipped: Lexicon) -> None:
    listed = json.loads((LISTS / "held_out.json").read_text("utf-8"))["synonyms"]
    corpus = json.loads((WEIGHTS / "concepts.json").read_text("utf-8"))["concepts"]
    heard = {word for concept in corpus for word in (*concept["names"], *concept["keywords"])}
    assert not set(listed) & heard
    right = [word for word, slug in listed.items() if _suits(shipped.read(word).text, slug)]
    assert len(listed) >= 110
    assert len(right) >= 0.9 * len(listed)


def _suits(name: str, slug: str) -> bool:
    """Whether a name is one of a concept's, as `concepts.toml` lists them or its slug spells it."""
    import tomllib

    common = tomllib.loads((LISTS / "concepts.toml").read_text("utf-8"))["common"]
    return name.replace("’", "") in common.get(slug, [slug.replace("-", " ")])


# In the model.


def _drawn(model: LoadedModel, card: ModelCard, prompt: str) -> tuple[Pixels, list[Notice]]:
    [native] = card.capability.sizes.native
    draft = Draft(prompt=prompt, seed=1, size=native, steps=1)
    witness = Witness()
    [pixels] = model.perform([Order(card.capability.resolve(draft, card.ref, 1))], witness.watch())
    return pixels, [event for event in witness.told if isinstance(event, Notice)]


def test_a_vixen_is_drawn_as_a_fox_and_said(model: LoadedModel, card: ModelCard) -> None:
    pixels, [notice] = _drawn(model, card, "a vixen")
    assert notice.code == "read_as"
    assert "“vixen” is drawn as “fox”" in notice.message
    assert np.array_equal(pixels, _drawn(model, card, "a fox")[0])


def test_an_export_without_a_lexicon_works_as_before(
    tmp_path: Path, installed: Installed, model: LoadedModel, card: ModelCard
) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for path in (WEIGHTS / "concepts.json", *installed.files.values()):
        if path.name != LEXICON:
            shutil.copyfile(path, older / path.name)
    facts = json.loads((WEIGHTS / FACTS).read_text("utf-8"))
    facts["files"] = [file for file in facts["files"] if file["name"] != LEXICON]
    (older / FACTS).write_text(json.dumps(facts), "utf-8")
    found = FAMILY.recognise(older, sha256_of)
    assert found is not None
    assert found.weights_digest != card.weights_digest
    files = {file.name: older / file.name for file in found.files}
    loaded = FAMILY.load(Installed(found, files), Placement(threads=1))
    pixels, [notice] = _drawn(loaded, found, "a vixen")
    loaded.close()
    assert notice.code == "unknown"
    assert not np.array_equal(pixels, _drawn(model, card, "a vixen")[0])


def test_what_is_not_wanted_is_read_too(model: LoadedModel, card: ModelCard) -> None:
    [native] = card.capability.sizes.native

    def without(words: str) -> Pixels:
        draft = Draft(prompt="an animal", negative_prompt=words, seed=1, size=native, steps=1)
        order = Order(card.capability.resolve(draft, card.ref, 1))
        return model.perform([order], Witness().watch())[0]

    assert np.array_equal(without("a vixen"), without("a fox"))
