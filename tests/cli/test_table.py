"""Mass production from a table."""

import json
from pathlib import Path

import pytest

from tests.fakes import FakeEngine

from .conftest import Limner


def write(folder: Path, text: str, name: str = "prompts.csv") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_a_table_fills_a_folder_of_its_name(limner: Limner, folder: Path) -> None:
    write(folder, "prompt,style,count,name\na fox,flat,2,\na cat,sticker,,tom\n")
    ran = limner("generate", "--from", "prompts.csv", "--size", "96x96", "--json")
    assert (ran.status, ran.err) == (0, "")
    assert [record["size"] for record in ran.records] == ["96x96"] * 3
    assert ran.records[2]["path"] == "prompts/tom.png"
    assert all((folder / record["path"]).is_file() for record in ran.records)
    manifest = (folder / "prompts" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["asset"] for line in manifest] == [
        record["asset"] for record in ran.records
    ]


def test_a_finished_table_is_not_drawn_again(
    limner: Limner, folder: Path, engine: FakeEngine
) -> None:
    write(folder, "prompt\na fox\na cat\n")
    first = limner("generate", "--from", "prompts.csv", "--out", "zoo")
    drawn = len(engine.performed)
    second = limner("generate", "--from", "prompts.csv", "--out", "zoo")
    assert (first.status, second.status, drawn, len(engine.performed)) == (0, 0, 2, 2)
    assert first.lines == second.lines
    assert "2 pictures in zoo, 2 of them there before" in second.err


def test_options_hold_for_rows_that_leave_them_open(
    limner: Limner, folder: Path, engine: FakeEngine
) -> None:
    write(folder, "prompt,style,seed\na fox,,5\na cat,sticker,\n")
    arguments = ("--from", "prompts.csv", "--style", "flat", "--format", "webp", "--count", "2")
    assert limner("generate", *arguments).status == 0
    assert [recipe.extra("style") for recipe in engine.performed] == ["flat"] * 2 + ["sticker"] * 2
    assert [recipe.seed for recipe in engine.performed[:2]] == [5, 6]
    assert len(list((folder / "prompts").glob("*.webp"))) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("prompt",)),
        ("words\na fox\n", ("prompt",)),
        ("prompt\n", ("no rows",)),
        ("prompt,size\na fox,huge\na cat,64x64\na dog,-1\n", ("line 2", "line 4")),
        ("prompt\na fox, red\n", ("line 2", "quote")),
        ("prompt,count\na fox,many\n", ("line 2", "count")),
        ("prompt,count\na fox,0\n", ("line 2", "count")),
        ("prompt,style\na fox,flat\na cat,cubist\n", ("line 3", "flat, sticker")),
        ("prompt,colour\na fox,red\n", ("line 2", "colour")),
        ("prompt,seed\na fox,1.5\n", ("line 2", "seed")),
        ("prompt,transparent\na fox,perhaps\n", ("line 2", "yes or no")),
        ('prompt\n"a fox\n', ("line",)),
        (f"prompt\n{'x' * 10_000}\n", ("line 2", "10,000")),
        ("prompt,seed\n,1\n", ("line 2", "empty")),
    ],
)
def test_faults_are_named_before_anything_is_drawn(
    limner: Limner, folder: Path, engine: FakeEngine, text: str, words: tuple[str, ...]
) -> None:
    write(folder, text)
    ran = limner("generate", "--from", "prompts.csv", "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (2, "", "invalid_table")
    for word in words:
        assert word in ran.error["message"]
    assert engine.performed == []
    assert [path.name for path in folder.iterdir()] == ["prompts.csv"]


@pytest.mark.parametrize(
    ("arguments", "status", "code", "word"),
    [
        (("--from", "none.csv"), 3, "not_found", "none.csv"),
        (("--from", "."), 7, "storage_failed", "directory"),
        (("--from", "bytes.csv"), 2, "invalid_table", "UTF-8"),
        (("--from", "prompts.csv", "--out", "fox.png"), 2, "invalid_option", "folder"),
        (("--from", "prompts.csv", "--out", "bytes.csv"), 2, "invalid_option", "bytes.csv"),
        (("--from", "prompts.csv", "--model", "none"), 2, "invalid_table", "none"),
        (("--from", "prompts.csv", "--style", "cubist"), 2, "invalid_table", "flat, sticker"),
    ],
)
def test_refusals(
    limner: Limner, folder: Path, arguments: tuple[str, ...], status: int, code: str, word: str
) -> None:
    write(folder, "prompt\na fox\n")
    (folder / "bytes.csv").write_bytes(b"prompt\n\xff\xfe\x00\n")
    ran = limner("generate", *arguments, "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (status, "", code)
    assert word in ran.error["message"]
    assert sorted(path.name for path in folder.iterdir()) == ["bytes.csv", "prompts.csv"]


def test_a_table_beside_a_file_of_its_name(limner: Limner, folder: Path) -> None:
    write(folder, "prompt\na fox\n", "zoo")
    ran = limner("generate", "--from", "zoo", "--json")
    assert (ran.status, ran.error["code"]) == (2, "invalid_option")
    assert (folder / "zoo").read_text() == "prompt\na fox\n"
    assert limner("generate", "--from", "zoo", "--out", "pictures").status == 0
