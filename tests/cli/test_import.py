"""Pictures that other tools made, brought in from the command line."""

import json
from pathlib import Path

import pytest

from limner.domain.recipe import Size
from tests.fakes import PAINTER, FakeEngine
from tests.provenance.containers import png

from .conftest import Limner, assets_in, photo

SETTINGS = (
    "a red fox\nNegative prompt: blurry\nSteps: 12, Sampler: Heun, Schedule type: Karras, "
    "CFG scale: 4, Seed: 99, Size: 64x64, Model hash: 6ce0161689, Model: dreamer"
)


def given(folder: Path, text: str = SETTINGS, name: str = "fox.png") -> Path:
    path = folder / name
    path.write_bytes(png(parameters=text))
    return path


def test_it_shows_what_was_understood_and_what_was_not(
    limner: Limner, folder: Path, home: Path
) -> None:
    ran = limner("import", given(folder))
    assert ran.status == 0, ran.err
    [asset] = assets_in(home)
    assert asset.recipe is None
    assert ran.lines[0].endswith(asset.id)
    text = ran.out
    for word in ("AUTOMATIC1111", "a red fox", "blurry", "heun", "64x64", "99", "12"):
        assert word in text
    [lost] = [line for line in ran.lines if "6ce0161689" in line]
    assert "dreamer" in lost
    assert "vellum draws instead" in lost
    assert [line for line in ran.lines if "karras" in line and "schedule" in line]


def test_json_says_the_same(limner: Limner, folder: Path, home: Path) -> None:
    [record] = limner("import", given(folder), "--json").records
    assert record["asset"] == assets_in(home)[0].id
    assert record["tool"] == "AUTOMATIC1111"
    assert record["draft"] == {
        "prompt": "a red fox",
        "negative_prompt": "blurry",
        "seed": 99,
        "size": {"width": 64, "height": 64},
        "steps": 12,
        "guidance": 4.0,
        "sampler": "heun",
    }
    assert record["model"] == {
        "name": "dreamer",
        "hash": "6ce0161689",
        "weight": None,
        "text_weight": None,
    }
    assert record["drawn_by"] == "vellum"
    lost = {one["name"]: one for one in record["unmapped"]}
    assert lost.keys() == {"model", "schedule"}
    assert lost["schedule"]["value"] == "karras"
    assert lost["schedule"]["reason"] == "vellum has no schedule to set."


def test_adapters_are_told_where_the_model_takes_none(limner: Limner, folder: Path) -> None:
    text = SETTINGS.replace("a red fox", "(a red fox:1.2), <lora:ink:0.7>, forest")
    [record] = limner("import", given(folder, text), "--json").records
    assert record["draft"]["prompt"] == "(a red fox:1.2), forest"
    assert "adapters" not in record["draft"]
    [told] = [one for one in record["unmapped"] if one["name"] == "adapter"]
    assert (told["value"], told["reason"]) == ("ink, weight 0.7", "vellum takes no adapters")


def test_braces_of_another_tool_are_words(limner: Limner, folder: Path, engine: FakeEngine) -> None:
    text = SETTINGS.replace("a red fox", "a {red|blue} fox")
    ran = limner("import", given(folder, text), "--draw", "--out", "again.png")
    assert ran.status == 0, ran.err
    assert engine.performed[0].prompt == "a {red|blue} fox"


def test_damaged_settings_are_said_to_be_that(limner: Limner, folder: Path, home: Path) -> None:
    path = folder / "broken.png"
    path.write_bytes(png(prompt='{"3": {"class_type": "KSampler", "inputs": {"seed": 1'))
    ran = limner("import", path)
    assert ran.status == 0
    assert "ComfyUI" in ran.err
    assert "damaged" in ran.err
    [record] = limner("import", path, "--json").records
    assert (record["tool"], record["damaged"], record["draft"]) == ("ComfyUI", True, None)
    drawn = limner("import", path, "--draw")
    assert drawn.status == 3
    assert "damaged" in drawn.err


def test_it_is_drawn_again(limner: Limner, folder: Path, home: Path, engine: FakeEngine) -> None:
    ran = limner("import", given(folder), "--draw", "--out", "again.png", "--json")
    assert ran.status == 0, ran.err
    assert ran.records[1]["path"] == "again.png"
    assert (folder / "again.png").exists()
    [recipe] = engine.performed
    assert (recipe.prompt, recipe.seed, recipe.steps) == ("a red fox", 99, 12)
    assert (recipe.sampler, recipe.guidance) == ("heun", 4)
    assert recipe.size == Size(width=64, height=64)
    assert len(assets_in(home)) == 2


@pytest.mark.parametrize("name", ["vellum", "Vellum.safetensors", "models/vellum.ckpt"])
def test_a_model_that_is_here_is_known_by_its_name(limner: Limner, folder: Path, name: str) -> None:
    text = f"a fox\nSteps: 12, Seed: 1, Size: 64x64, Model: {name}"
    [record] = limner("import", given(folder, text), "--json").records
    assert record["drawn_by"] == "vellum"
    assert record["unmapped"] == []


def test_a_model_that_is_here_is_known_by_its_hash(limner: Limner, folder: Path) -> None:
    text = f"a fox\nSteps: 12, Seed: 1, Model hash: {PAINTER.weights_digest[:10]}, Model: other"
    [record] = limner("import", given(folder, text), "--json").records
    assert record["unmapped"] == []


def test_another_model_can_be_asked_for(limner: Limner, folder: Path) -> None:
    [record] = limner("import", given(folder), "--model", "brush", "--json").records
    assert record["drawn_by"] == "brush"
    assert {"negative_prompt", "steps", "guidance", "sampler"} <= {
        one["name"] for one in record["unmapped"]
    }
    assert limner("import", given(folder), "--model", "nobody").status == 3


def test_our_own_picture_is_drawn_again_exactly(
    limner: Limner, folder: Path, engine: FakeEngine
) -> None:
    made = limner("generate", "a red fox", "--style", "flat", "--out", "fox.png", "--json")
    assert made.status == 0, made.err
    [first] = engine.performed
    ran = limner("import", "fox.png", "--draw", "--out", "again.png", "--json")
    assert ran.status == 0, ran.err
    told = limner("import", "fox.png").lines
    assert len([line for line in told if line.split()[:1] == ["model"]]) == 1
    shown, drawn = ran.records
    assert shown["tool"] == "Limner"
    assert shown["recipe_digest"] == first.digest
    assert shown["unmapped"] == []
    assert engine.performed == [first, first]
    assert drawn["pixel_digest"] == made.records[0]["pixel_digest"]
    assert (folder / "again.png").read_bytes() == (folder / "fox.png").read_bytes()


def test_our_own_picture_keeps_its_format(limner: Limner, folder: Path) -> None:
    assert limner("generate", "a red fox", "--out", "fox.png").status == 0
    ran = limner("import", "fox.png", "--draw", "--out", "again.webp")
    assert ran.status == 2
    assert "png" in ran.err
    assert not (folder / "again.webp").exists()


def test_another_format_can_be_asked_for(limner: Limner, folder: Path) -> None:
    ran = limner("import", given(folder), "--draw", "--out", "again.jpeg")
    assert ran.status == 0, ran.err
    assert (folder / "again.jpeg").read_bytes().startswith(b"\xff\xd8")


def test_a_picture_without_settings_is_kept(limner: Limner, folder: Path, home: Path) -> None:
    ran = limner("import", photo(folder / "dog.png"))
    assert ran.status == 0
    assert "no settings" in ran.err
    assert len(assets_in(home)) == 1
    [record] = limner("import", folder / "dog.png", "--json").records
    assert (record["tool"], record["draft"], record["unmapped"]) == (None, None, [])
    assert limner("import", folder / "dog.png", "--draw").status == 3


def test_what_is_no_picture_is_refused(limner: Limner, folder: Path, home: Path) -> None:
    (folder / "x.png").write_text(json.dumps({"prompt": "a fox"}))
    assert limner("import", "x.png").status == 2
    assert limner("import", "missing.png").status == 3
    assert assets_in(home) == ()


def test_settings_no_model_of_ours_can_do_are_left_out(limner: Limner, folder: Path) -> None:
    text = "a fox\nSteps: 5000, CFG scale: 400, Seed: 1, Size: 9000x9000, Sampler: DPM++ 2M"
    [record] = limner("import", given(folder, text), "--json").records
    assert record["draft"] == {"prompt": "a fox", "seed": 1}
    assert {one["name"] for one in record["unmapped"]} == {"steps", "guidance", "size", "sampler"}
    assert limner("import", folder / "fox.png", "--draw", "--out", "again.png").status == 0


def test_too_many_words_are_not_drawn(limner: Limner, folder: Path) -> None:
    text = f"{'fox ' * 2_000}\nSteps: 5, CFG scale: 4, Seed: 1"
    [record] = limner("import", given(folder, text), "--json").records
    assert [one["name"] for one in record["unmapped"]] == ["prompt"]
    assert "prompt" not in record["draft"]


def test_nothing_in_a_file_reaches_the_terminal_unclean(limner: Limner, folder: Path) -> None:
    text = "a \x1b[31mfox\nSteps: 5, CFG scale: 4, Seed: 1, Model: \x1b]0;x\x07y, Odd: \x9b1m"
    ran = limner("import", given(folder, text))
    assert ran.status == 0
    assert not set(ran.out) & set("\x1b\x07\x9b")
