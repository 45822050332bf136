"""From pinned packages to pictures and captions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.catalog.client import archive_name
from limner.domain.errors import WeightsRejected
from limner.families.vellum.colours import COLOURS
from limner.training.vellum.captions import Chances, Easel, grounded, plural, recoloured
from limner.training.vellum.corpus import CorpusConfig, build_corpus, read_corpus
from limner.training.vellum.emoji import Emoji, plain_code, slug
from limner.training.vellum.render import VectorSet, fit
from limner.training.vellum.sources import Shelf, read_sources
from tests.training.vellum import tiny

NAMES = {
    "🦊": {"name": "fox"},
    "⭐": {"name": "star"},
    "🏴": {"name": "waving flag"},
    "👍🏻": {"name": "thumbs up"},
}
WORDS = {"annotations": {"annotations": {"🦊": {"default": ["animal", "Fox"]}}}}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Lists and archives of three pretend packages."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    contents = {
        "icons": tiny.icon_set("fox", "star", "waving-flag"),
        "more-icons": tiny.icon_set("fox", "star"),
        "unicode-emoji-json": {"data-by-emoji.json": json.dumps(NAMES).encode()},
        "cldr-annotations-full": {"annotations/en/annotations.json": json.dumps(WORDS).encode()},
        "emojilib": {"dist/emoji-en-US.json": json.dumps({"🦊": ["fox", "wild_animal"]}).encode()},
    }
    listed = []
    for name, members in contents.items():
        path = tmp_path / "archives" / f"npm-{name}-1.0.0.tgz"
        sha256 = tiny.archive(path, members)
        about = {"version": "1.0.0", "licence": "MIT", "author": "A", "work": "W", "home": "H"}
        fields = {"name": name, "sha256": sha256, **about}
        listed.append("[[package]]\n" + "".join(f'{k} = "{v}"\n' for k, v in fields.items()))
    for word, package in (("flat", "icons"), ("soft", "more-icons")):
        listed.append(f'[[style]]\nword = "{word}"\nphrase = "{word}"\npackage = "{package}"\n')
    (folder / "sources.toml").write_text("\n".join(listed))
    (folder / "concepts.toml").write_text(
        '[common]\nfox = ["fox", "red fox"]\n[more]\nconcepts = ["star", "waving-flag"]\n'
    )
    held = {"pairs": [{"concept": "fox", "style": "soft"}], "concepts": [], "prompts": []}
    (folder / "held_out.json").write_text(json.dumps(held))
    return folder


def build(recipe: Path) -> CorpusConfig:
    return CorpusConfig(recipe, recipe.parent / "archives", recipe.parent / "corpus", pixels=16)


def test_a_corpus_is_built_from_packages_and_read_back(recipe: Path) -> None:
    config = build(recipe)
    built = build_corpus(config)
    assert [concept.slug for concept in built.concepts] == ["fox"]  # others: too few styles
    assert built.concepts[0].keywords == ("animal", "wild animal")
    assert [picture.held_out for picture in built.pictures] == [False, True]
    assert built.pictures[0].package == "icons 1.0.0"
    again = read_corpus(config.target)
    assert again.concepts == built.concepts
    assert again.styles == built.styles
    assert again.pictures == built.pictures
    assert (again.pixels == built.pixels).all()


def test_the_same_lists_give_the_same_bytes(recipe: Path) -> None:
    config = build(recipe)
    build_corpus(config)
    first = {path.name: path.read_bytes() for path in config.target.iterdir()}
    build_corpus(config)
    assert {path.name: path.read_bytes() for path in config.target.iterdir()} == first


def test_an_archive_that_differs_from_its_pin_is_refused(recipe: Path) -> None:
    sources = read_sources(recipe / "sources.toml")
    package = sources.packages[0]
    path = recipe.parent / "archives" / archive_name(package.source)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsRejected, match=r"sources\.toml"):
        Shelf(path.parent).members(package, ["icons.json"])


def test_a_picture_is_trimmed_fitted_and_premultiplied() -> None:
    drawn = VectorSet(tiny.icon_set("fox")).draw(Emoji("1f98a", "fox", "fox", ()), 32)
    assert drawn is not None
    fitted = fit(drawn, 32)
    assert fitted is not None
    assert fitted.shape == (4, 32, 32)
    assert (fitted[:3] <= fitted[3]).all()
    rows = np.nonzero(fitted[3].max(1))[0]
    assert (rows[0], rows[-1]) == (1, 29)  # 92 % of 32, centred
    assert fitted[:, 16, 16].tolist() == [255, 0, 0, 255]


def test_an_empty_picture_is_none() -> None:
    assert fit(Image.new("RGBA", (32, 32)), 16) is None


def test_names_become_slugs_and_codes_lose_variants() -> None:
    assert slug("Jack-O’-Lantern (big)") == "jack-o-lantern-big"
    assert plain_code("2764-fe0f") == "2764"


def test_held_out_pictures_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    corpus = tiny.corpus()
    easel = Easel(corpus, np.random.default_rng(0), Chances(no_words=0, no_style=0))
    for _ in range(400):
        example = easel.example()
        shown.append(f"{'star' in example.caption} {example.style}")
    assert "True 0" in shown
    assert "True 1" not in shown


def test_captions_tell_every_change() -> None:
    chances = Chances(recolour=1, ground=1, article=1, style=1, no_words=0, keyword=0)
    easel = Easel(tiny.corpus(), np.random.default_rng(1), chances)
    for _ in range(30):
        example = easel.example()
        assert (example.picture[3] == 1).all()
        assert example.caption.endswith("background")
        ground = example.caption.split(" on a ")[1].split()[0]
        corner = example.picture[:3, 0, 0] * 255
        assert np.allclose(corner, COLOURS[ground], atol=0.5)


def test_most_examples_are_plain_and_transparent() -> None:
    easel = Easel(tiny.corpus(), np.random.default_rng(2))
    made = [easel.example() for _ in range(300)]
    plain = [one for one in made if "background" not in one.caption]
    assert len(plain) > 200
    assert all(one.picture[3, 0, 0] == 0 for one in plain if one.caption)


def test_recolouring_keeps_outline_and_shading() -> None:
    picture = np.zeros((4, 2, 2), np.float32)
    picture[3, 0] = 1
    picture[:3, 0, 0], picture[:3, 0, 1] = 0.8, 0.3
    painted = recoloured(picture, (0, 0, 255))
    assert (painted[3] == picture[3]).all()
    assert (painted[:, 1] == 0).all()
    light, dark = painted[:3, 0, 0], painted[:3, 0, 1]
    assert light[2] > dark[2] > light[0] - 0.5
    assert dark[0] == 0


def test_a_ground_fills_only_what_is_transparent() -> None:
    picture = np.zeros((4, 1, 2), np.float32)
    picture[:, 0, 0] = 1
    laid = grounded(picture, (255, 0, 0))
    assert laid[:, 0, 0].tolist() == [1, 1, 1, 1]
    assert laid[:, 0, 1].tolist() == [1, 0, 0, 1]


def test_every_colour_can_be_told_from_the_others() -> None:
    values = np.array(list(COLOURS.values()), float)
    apart = np.abs(values[:, None] - values[None]).sum(-1)
    assert (apart + 1000 * np.eye(len(values))).min() > 60


def test_two_things_are_where_the_caption_says() -> None:
    chances = Chances(two=1, style=0, ground=0, no_words=0, less_common=0)
    corpus = tiny.corpus(32)
    easel = Easel(corpus, np.random.default_rng(3), chances)
    levels = {"fox": (0, 40), "star": (80,)}  # tiny pictures are even squares; star 120 is held out
    seen = set()
    for _ in range(200):
        example = easel.example()
        for words in (" left of ", " above "):
            if words in example.caption:
                first, second = (part.split(" ", 1)[1] for part in example.caption.split(words))
                turned = example.picture if words == " left of " else example.picture.swapaxes(1, 2)
                middles = [float(turned[0, 12:20, at : at + 4].mean() * 255) for at in (6, 22)]
                assert round(middles[0]) in levels[first]
                assert round(middles[1]) in levels[second]
                seen.add(words)
    assert seen == {" left of ", " above "}


def test_several_are_counted() -> None:
    chances = Chances(two=0, several=1, style=0, ground=0, no_words=0)
    easel = Easel(tiny.corpus(32), np.random.default_rng(4), chances)
    for _ in range(60):
        example = easel.example()
        count, name = example.caption.split(" ", 1)
        assert name in ("foxes", "stars", "anvils")
        whole = float((tiny.corpus(32).pixels[0, 3] / 255).sum())
        shown = float(example.picture[3].sum()) / (whole / 4)
        assert round(shown) == {"two": 2, "three": 3, "four": 4}[count]


@pytest.mark.parametrize(
    "names",
    ["cat:cats", "box:boxes", "toy:toys", "cherry:cherries", "fish:fish", "mouse:mice"],
)
def test_plurals(names: str) -> None:
    one, many = names.split(":")
    assert plural(one) == many
    assert plural(f"wild {one}") == f"wild {many}"
