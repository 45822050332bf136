"""Making pictures: every option, what is printed, what is written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limner.cli.targets import read_target
from limner.domain.recipe import FileFormat, InputRole, Size, Task
from tests.fakes import NATIVE, FakeEngine
from tests.store.test_opening import read_only

from .conftest import Limner, assets_in, opened, photo

FIELDS = [
    "path",
    "asset",
    "recipe_digest",
    "pixel_digest",
    "seed",
    "model",
    "seconds",
    "prompt",
    "size",
    "signed",
    "unsafe",
]


def test_a_prompt_becomes_a_file_named_after_it(limner: Limner, folder: Path) -> None:
    ran = limner("generate", "a red fox", "--seed", "42")
    assert (ran.status, ran.out) == (0, "a-red-fox-42.png\n")
    assert opened(folder / "a-red-fox-42.png").size == (64, 64)
    assert [path.name for path in folder.iterdir()] == ["a-red-fox-42.png"]


def test_words_without_quotes_are_one_prompt(limner: Limner, engine: FakeEngine) -> None:
    assert limner("generate", "a", "red", "fox").status == 0
    assert engine.performed[0].prompt == "a red fox"


def test_a_prompt_may_begin_with_a_dash(limner: Limner, engine: FakeEngine) -> None:
    assert limner("generate", "--seed", "1", "--", "--json", "-fox").status == 0
    assert engine.performed[0].prompt == "--json -fox"


def test_two_who_write_one_name_at_once_get_a_file_each(folder: Path) -> None:
    target = read_target("foxes/")

    def put(number: int) -> Path:
        return target.put("fox", "png", b"%d" % number, (1, 1), lambda _: False)

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(put, range(40)))
    assert len(set(paths)) == 40
    assert {path.read_bytes() for path in paths} == {b"%d" % number for number in range(40)}


def test_every_combination_goes_by_its_own_words(limner: Limner, folder: Path) -> None:
    ran = limner("generate", "a {red|blue} fox", "--every", "--seed", "7", "--out", "foxes/")
    assert ran.status == 0, ran.err
    assert [one.name for one in sorted((folder / "foxes").iterdir())] == [
        "a-blue-fox-7.png",
        "a-red-fox-7.png",
    ]
    ran = limner("generate", "--every", "--from", "prompts.csv")
    assert ran.status == 2
    assert "--every goes with a prompt" in ran.err


def test_the_shape_of_json(limner: Limner, folder: Path, home: Path) -> None:
    ran = limner("generate", "a fox", "--count", "2", "--seed", "7", "--json")
    assert ran.status == 0
    assert ran.err == ""
    first, second = ran.records
    assert list(first) == FIELDS
    assert (first["seed"], second["seed"]) == (7, 8)
    assert (first["path"], first["model"], first["size"]) == ("a-fox-7.png", "vellum", "64x64")
    assert isinstance(first["seconds"], float)
    assert {first["asset"], second["asset"]} == {asset.id for asset in assets_in(home)}
    kept = next(asset for asset in assets_in(home) if asset.id == first["asset"])
    assert kept.recipe is not None
    assert (first["recipe_digest"], first["pixel_digest"]) == (
        kept.recipe.digest,
        kept.pixel_digest,
    )


def test_every_drawing_option_reaches_the_recipe(limner: Limner, engine: FakeEngine) -> None:
    ran = limner(
        "generate",
        "a fox",
        *("--model", "vellum", "--seed", "5", "--size", "96x80", "--steps", "3"),
        *("--style", "flat", "--negative", "grass", "--format", "webp", "--guidance", "2.5"),
        *("--sampler", "heun", "--opaque", "--out", "foxes", "--no-preview"),
    )
    assert (ran.status, ran.lines) == (0, ["foxes/a-fox-5.webp"])
    [recipe] = engine.performed
    assert recipe.model.name == "vellum"
    assert (recipe.seed, recipe.size, recipe.native_size) == (5, Size(width=96, height=80), NATIVE)
    assert (recipe.steps, recipe.guidance, recipe.sampler) == (3, 2.5, "heun")
    assert (recipe.extra("style"), recipe.negative_prompt) == ("flat", "grass")
    assert (recipe.format, recipe.transparent) == (FileFormat.WEBP, False)


def test_options_of_a_model_s_own_are_given_by_name(limner: Limner, engine: FakeEngine) -> None:
    assert limner("generate", "a fox", "--option", "style=sticker", "--no-preview").status == 0
    assert engine.performed[0].extra("style") == "sticker"


@pytest.mark.parametrize(
    ("arguments", "name", "kind"),
    [
        (("--out", "fox.png"), "fox.png", "PNG"),
        (("--out", "fox.jpg", "--opaque"), "fox.jpg", "JPEG"),
        (("--out", "fox.JPEG", "--format", "jpg"), "fox.JPEG", "JPEG"),
        (("--out", "deep/er/fox.webp"), "deep/er/fox.webp", "WEBP"),
        (("--out", "v1.2"), "v1.2/a-fox-1.png", "PNG"),
        (("--out", "new/", "--format", "jpeg"), "new/a-fox-1.jpeg", "JPEG"),
        (("--format", "jpg"), "a-fox-1.jpeg", "JPEG"),
    ],
)
def test_the_name_says_what_is_written(
    limner: Limner, folder: Path, arguments: tuple[str, ...], name: str, kind: str
) -> None:
    ran = limner("generate", "a fox", "--seed", "1", *arguments)
    assert (ran.status, ran.lines) == (0, [name])
    assert opened(folder / name).format == kind


def test_svg_is_written_as_text(limner: Limner, folder: Path) -> None:
    assert limner("generate", "a fox", "--out", "fox.svg").status == 0
    assert "<svg" in (folder / "fox.svg").read_text()


def test_several_pictures_of_one_name_are_numbered(limner: Limner) -> None:
    ran = limner("generate", "a fox", "--out", "fox.png", "--count", "3")
    assert ran.lines == ["fox-1.png", "fox-2.png", "fox-3.png"]


def test_the_same_seed_draws_the_same_file_again(limner: Limner, folder: Path) -> None:
    first = limner("generate", "a fox", "--seed", "1", "--json").records[0]
    second = limner("generate", "a fox", "--seed", "1", "--json").records[0]
    assert (first["asset"], first["path"]) == (second["asset"], second["path"])
    assert len(list(folder.iterdir())) == 1


def test_a_foreign_file_of_the_same_name_is_left_alone(limner: Limner, folder: Path) -> None:
    (folder / "a-fox-1.png").write_text("my notes")
    assert limner("generate", "a fox", "--seed", "1").lines == ["a-fox-1-2.png"]
    assert (folder / "a-fox-1.png").read_text() == "my notes"
    assert limner("generate", "a fox", "--seed", "1", "--overwrite").lines == ["a-fox-1.png"]
    assert opened(folder / "a-fox-1.png").format == "PNG"


def test_a_named_file_is_replaced_only_if_it_is_kept(limner: Limner, folder: Path) -> None:
    assert limner("generate", "a fox", "--out", "it.png").status == 0
    assert limner("generate", "a cat", "--out", "it.png").status == 0
    (folder / "it.png").write_text("my notes")
    ran = limner("generate", "a dog", "--out", "it.png", "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (2, "", "invalid_option")
    assert "--overwrite" in ran.error["message"]
    assert (folder / "it.png").read_text() == "my notes"
    assert limner("generate", "a dog", "--out", "it.png", "--overwrite").status == 0
    assert opened(folder / "it.png").format == "PNG"


def test_nothing_is_drawn_when_a_numbered_file_would_be_lost(
    limner: Limner, folder: Path, engine: FakeEngine
) -> None:
    (folder / "fox-3.png").write_text("my notes")
    assert limner("generate", "a fox", "--out", "fox.png", "--count", "3").status == 2
    assert engine.performed == []


def test_quiet_says_nothing(limner: Limner) -> None:
    assert "enlarged" in limner("generate", "a fox", "--size", "128x128").err
    assert limner("generate", "a fox", "--size", "128x128", "--quiet").err == ""
    assert limner("--quiet", "generate", "a fox", "--size", "128x128").err == ""


def test_a_notice_is_printed_once(limner: Limner) -> None:
    ran = limner("generate", "an unheard fox", "--count", "3")
    assert ran.err.count("not known to this model") == 1


def test_home_may_stand_before_or_after(limner: Limner, tmp_path: Path) -> None:
    for number, arguments in enumerate((("--home", "A", "generate", "x"), ("generate", "x"))):
        home = tmp_path / f"home-{number}"
        given = [str(home) if one == "A" else one for one in arguments]
        given += [] if "A" in arguments else ["--home", str(home)]
        assert limner(*given).status == 0
        assert len(assets_in(home)) == 1


def test_edit_starts_from_a_picture(limner: Limner, folder: Path, engine: FakeEngine) -> None:
    photo(folder / "room.png", (64, 64))
    ran = limner("edit", "room.png", "a blue room", "--strength", "0.7", "--style", "flat")
    assert (ran.status, ran.lines) == (0, ["room-edited.png"])
    [recipe] = engine.performed
    init = recipe.input(InputRole.INIT)
    assert recipe.task is Task.IMAGE_TO_IMAGE
    assert init is not None
    assert init.strength == 0.7


def test_vary_takes_the_words_from_the_picture(
    limner: Limner, folder: Path, engine: FakeEngine
) -> None:
    limner("generate", "a red fox", "--style", "flat", "--seed", "3", "--out", "fox.png")
    ran = limner("vary", "fox.png", "--count", "2", "--seed", "9", "--json")
    assert ran.status == 0
    assert [record["seed"] for record in ran.records] == [9, 10]
    for recipe in engine.performed[-2:]:
        assert (recipe.prompt, recipe.task.value) == ("a red fox", "image_to_image")
        assert recipe.extra("style") == "flat"
        assert recipe.inputs[0].strength == 0.5


def test_vary_needs_words_for_a_picture_from_outside(
    limner: Limner, folder: Path, engine: FakeEngine
) -> None:
    picture = photo(folder / "dog.png")
    ran = limner("vary", picture)
    assert ran.status == 2
    assert "Give a prompt" in ran.err
    assert limner("vary", picture, "--prompt", "a dog", "--strength", "0.2").status == 0
    assert [recipe.inputs[0].strength for recipe in engine.performed] == [0.2] * 4


def test_edit_within_a_mask(limner: Limner, folder: Path, engine: FakeEngine) -> None:
    photo(folder / "room.png", (64, 64))
    photo(folder / "mask.png", (64, 64), "white")
    assert limner("edit", "room.png", "a cactus", "--mask", "mask.png").status == 0
    assert engine.performed[0].task is Task.INPAINT


@pytest.mark.parametrize(
    ("command", "task", "size"),
    [("upscale", Task.UPSCALE, (160, 80)), ("cutout", Task.CUTOUT, (40, 20))],
)
def test_finishing(
    limner: Limner,
    folder: Path,
    engine: FakeEngine,
    command: str,
    task: Task,
    size: tuple[int, int],
) -> None:
    photo(folder / "photo.jpg")
    name = f"photo-{'upscaled' if command == 'upscale' else command}.png"
    ran = limner(command, "photo.jpg", "--json")
    assert (ran.status, ran.records[0]["path"]) == (0, name)
    assert list(ran.records[0]) == FIELDS
    assert engine.performed[0].task is task
    assert opened(folder / name).size == size


def test_finishing_lands_in_the_current_folder(limner: Limner, folder: Path) -> None:
    (folder / "far").mkdir()
    photo(folder / "far" / "photo.png")
    assert limner("upscale", "far/photo.png").lines == ["photo-upscaled.png"]
    assert limner("upscale", "far/photo.png", "--out", "far").lines == ["far/photo-upscaled.png"]
    ran = limner("upscale", "far/photo.png", "--size", "100x50", "--out", "big.webp")
    assert ran.lines == ["big.webp"]
    assert opened(folder / "big.webp").size == (100, 50)


def test_erase_takes_a_mask(limner: Limner, folder: Path, engine: FakeEngine) -> None:
    photo(folder / "photo.png")
    photo(folder / "mask.png", colour="white")
    assert limner("erase", "photo.png", "--mask", "mask.png").lines == ["photo-erased.png"]
    assert engine.performed[0].task is Task.ERASE
    ran = limner("erase", "photo.png", "--json")
    assert (ran.status, ran.error["code"]) == (2, "invalid_option")
    assert "white" in ran.error["message"]


def test_a_folder_that_cannot_be_written_is_told_before_drawing(
    limner: Limner, folder: Path, engine: FakeEngine
) -> None:
    shelf = folder / "shelf"
    shelf.mkdir()
    with read_only(shelf):
        for out in (shelf, shelf / "new" / "fox.png"):
            ran = limner("generate", "a fox", "--out", out)
            assert ran.status == 2
            assert "cannot be written" in ran.err
    assert engine.performed == []
    assert list(folder.rglob(".limner-*")) == []
