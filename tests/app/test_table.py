"""Tables of prompts: every fault named with its line, and a run that can be stopped anywhere."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from limner.app.desk import Desk
from limner.app.drafts import make_draft
from limner.app.studio import Progress
from limner.app.table import MANIFEST, Planned, Produced, Row, plan, produce, read_table
from limner.domain.errors import (
    Cancelled,
    InvalidTable,
    NotFound,
    StorageFailed,
)
from limner.domain.event import CancelToken, Happening, Step
from limner.domain.recipe import Draft, FileFormat, Size
from tests.fakes import FakeEngine


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "prompts.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(folder: Path, text: str | bytes, count: int = 1, /, **defaults: object) -> list[Row]:
    return read_table(table(folder, text), make_draft(defaults), count)


def planned_from(desk: Desk, rows: list[Row]) -> list[Planned]:
    return plan(desk.studio, desk.actor, desk.workspace, rows)


def run(
    desk: Desk, planned: list[Planned], out: Path, progress: Progress | None = None
) -> list[Produced]:
    return list(produce(desk.studio, desk.actor, desk.workspace, planned, out, progress))


def manifest(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()]


def faults_of(folder: Path, text: str | bytes, **defaults: object) -> str:
    with pytest.raises(InvalidTable) as raised:
        rows_of(folder, text, **defaults)
    return raised.value.message


def test_columns_are_fields_and_options(tmp_path: Path) -> None:
    [row] = rows_of(
        tmp_path,
        "prompt,Negative, SEED ,size,steps,guidance,format,transparent,model,sampler,count,"
        "name,style\n"
        '"a fox, red",text,7,64x32,5,2.5,jpg,no,vellum,heun,3,My Fox,flat\n',
    )
    assert (row.line, row.count, row.name) == (2, 3, "My Fox")
    assert row.draft == Draft(
        prompt="a fox, red",
        negative_prompt="text",
        seed=7,
        size=Size(width=64, height=32),
        steps=5,
        guidance=2.5,
        format=FileFormat.JPEG,
        transparent=False,
        model="vellum",
        sampler="heun",
        extras=(("style", "flat"),),
    )


def test_empty_cells_take_the_defaults(tmp_path: Path) -> None:
    first, second = rows_of(
        tmp_path,
        "prompt,seed,style,steps,border\nfox,,,,\nhen,0,3d,9,wide\n",
        2,
        seed=3,
        style="flat",
        steps=4,
        negative_prompt="text",
    )
    assert (first.count, second.count) == (2, 2)
    assert (first.draft.seed, first.draft.steps, first.draft.extras) == (3, 4, (("style", "flat"),))
    assert (second.draft.seed, second.draft.steps) == (0, 9)
    assert second.draft.extras == (("border", "wide"), ("style", "3d"))
    assert first.draft.negative_prompt == second.draft.negative_prompt == "text"


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfprompt\na fox\n",
        b"prompt\r\na fox\r\n",
        b"prompt\na fox",
        b"prompt\n\n  \na fox\n\n",
        b"prompt\n,\n a fox \n".replace(b"\n,", b"\n"),
    ],
)
def test_tables_from_any_program_are_read(tmp_path: Path, text: bytes) -> None:
    assert [row.draft.prompt for row in rows_of(tmp_path, text)] == ["a fox"]


def test_a_cell_may_hold_lines_and_quotes_and_any_script(tmp_path: Path) -> None:
    [one, two] = rows_of(
        tmp_path, 'prompt\n"a ""red""\nfox 🦊"\nлиса, красная\n'.replace(", ", " ")
    )
    assert one.draft.prompt == 'a "red"\nfox 🦊'
    assert (one.line, two.line) == (3, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column “prompt”"),
        ("\n", "no column “prompt”"),
        ("fox\nhen\n", "no column “prompt”"),
        ("prompt;size\nfox;64\n", "with commas"),
        ("prompt\n", "no rows"),
        ("prompt,seed\n,\n", "no rows"),
        ("prompt,style,Prompt\na,b,c\n", "two columns “prompt”"),
        ('prompt\n"fox\n', "line 2"),
        ('prompt\n"fox"x\n', "line 2"),
        ("fox".encode("utf-16"), "not UTF-8"),
        (b"prompt\nf\xfcchsin\n", "not UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00", "no column “prompt”"),
        ("prompt\n" + "x" * 200_000, "line 2"),
    ],
    ids=range(13),
)
def test_what_is_no_table_is_said(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in faults_of(tmp_path, text)


def test_every_bad_row_is_listed_with_its_line_and_what_is_wrong(tmp_path: Path) -> None:
    said = faults_of(
        tmp_path,
        "prompt,seed,size,guidance,transparent,count,format\n"
        "good,1,64,2,yes,1,png\n"
        "bad,one,,,,,\n"
        "bad,,huge,,,,\n"
        "bad,,,warm,,,\n"
        "bad,,,,maybe,,\n"
        "bad,,,,,0,\n"
        "bad,,,,,many,\n"
        "bad,,,,,,gif\n"
        "bad,-1,,,,,\n"
        "bad,,,nan,,,\n"
        "bad,1,64,2,yes,1,png,more\n"
        "bad\x1b,,,,,,\n"
        "bad,,,,,99999999999,\n",
    )
    told = [line for line in said.splitlines() if line.startswith("line ")]
    assert [line.partition(":")[0] for line in told] == [f"line {n}" for n in range(3, 15)]
    words = "seed huge guidance transparent count count gif seed guidance cells control count"
    for line, word in zip(told, words.split(), strict=True):
        assert word in line


def test_of_many_bad_rows_the_first_are_listed(tmp_path: Path) -> None:
    said = faults_of(tmp_path, "prompt,seed\n" + "fox,x\n" * 50)
    assert said.count("line ") == 20
    assert said.endswith("… and 30 more")


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Check the path"):
        read_table(tmp_path / "none.csv", Draft())
    with pytest.raises(StorageFailed):
        read_table(tmp_path, Draft())


def test_rows_the_model_cannot_draw_are_listed_before_any_is_drawn(
    desk: Desk, tmp_path: Path, engine: FakeEngine
) -> None:
    rows = rows_of(
        tmp_path,
        "prompt,style,model,steps,task\ngood,flat,,,\n,flat,,,\nbad,cubist,,,\nbad,,velum,,\n"
        "bad,,,0,\nbad,,,,cutout\n",
    )
    with pytest.raises(InvalidTable) as raised:
        planned_from(desk, rows)
    told = raised.value.message.splitlines()[1:]
    assert [line.partition(":")[0] for line in told] == [f"line {n}" for n in range(3, 8)]
    for line, word in zip(told, ("empty", "cubist", "vellum", "steps", "init"), strict=True):
        assert word in line
    assert engine.performed == []


def test_the_same_table_asks_for_the_same_pictures(desk: Desk, tmp_path: Path) -> None:
    text = "prompt,style\nfox,\nfox,flat\nhen,\n"
    one, two = (planned_from(desk, rows_of(tmp_path, text)) for _ in range(2))
    assert one == two
    assert len({item.recipe.seed for item in one}) == 3
    moved = planned_from(desk, rows_of(tmp_path, "prompt,style\nowl,\n" + text.partition("\n")[2]))
    assert [item.recipe for item in moved[1:]] == [item.recipe for item in one]


def test_files_are_named_by_line_and_words_or_by_their_name(desk: Desk, tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        "prompt,name,count,seed,format\n"
        "A red fox!,,,1,\n"
        "a hen,Hen,,1,webp\n"
        "a hen,hen,,2,webp\n"
        "a hen,HEN,,2,webp\n"
        "an owl,owl,2,7,\n"
        "an owl,owl,2,7,\n"
        "🦊,,,1,\n"
        "a,../../etc/passwd,,1,\n"
        "лиса,,,1,svg\n",
    )
    assert [item.file for item in planned_from(desk, rows)] == [
        "00002-a-red-fox.png",
        "hen.webp",
        "hen-2.webp",
        "hen-2-2.webp",
        "owl-7.png",
        "owl-8.png",
        "owl-7-2.png",
        "owl-8-2.png",
        "00008-picture.png",
        "etc-passwd.png",
        "00010-лиса.svg",
    ]


def small(desk: Desk, folder: Path, count: int = 20) -> list[Planned]:
    prompts = "".join(f"fox {number}\n" for number in range(count))
    return planned_from(desk, rows_of(folder, "prompt\n" + prompts))


def test_every_picture_is_a_file_and_a_line(desk: Desk, tmp_path: Path, out: Path) -> None:
    planned = small(desk, tmp_path)
    produced = run(desk, planned, out)
    assert not any(one.was_there for one in produced)
    entries = manifest(out)
    assert entries == [one.entry for one in produced]
    assert [entry["line"] for entry in entries] == list(range(2, 22))
    for entry, item in zip(entries, planned, strict=True):
        assert (entry["path"], entry["recipe_digest"]) == (item.file, item.recipe.digest)
        asset = desk.studio.library.get(desk.workspace, str(entry["asset"]))
        file = desk.studio.library.read(desk.workspace, asset.id)
        assert (out / item.file).read_bytes() == file
        assert (entry["seed"], entry["pixel_digest"]) == (item.recipe.seed, asset.pixel_digest)
    assert {path.name for path in out.iterdir()} == {MANIFEST, *(item.file for item in planned)}


def test_a_table_drawn_twice_draws_nothing(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine
) -> None:
    planned = small(desk, tmp_path)
    first = run(desk, planned, out)
    before = (out / MANIFEST).read_bytes()
    engine.performed.clear()
    second = run(desk, small(desk, tmp_path), out)
    assert engine.performed == []
    assert all(one.was_there for one in second)
    assert [one.entry for one in second] == [one.entry for one in first]
    assert (out / MANIFEST).read_bytes() == before


def test_into_another_folder_pictures_are_written_without_drawing(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine
) -> None:
    planned = small(desk, tmp_path)
    run(desk, planned, out)
    engine.performed.clear()
    again = run(desk, planned, tmp_path / "other")
    assert engine.performed == []
    assert all(one.was_there for one in again)
    assert [entry["asset"] for entry in manifest(tmp_path / "other")] == [
        entry["asset"] for entry in manifest(out)
    ]


def stop_after(steps: int) -> Progress:
    token = CancelToken()
    seen: list[Happening] = []

    def tell(happening: Happening) -> None:
        if isinstance(happening, Step):
            seen.append(happening)
            if len(seen) == steps:
                token.cancel()

    return Progress(tell, token)


@pytest.mark.parametrize("steps", [1, 4, 30, 33, 61])
def test_a_run_that_was_stopped_goes_on_where_it_ended(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine, steps: int
) -> None:
    planned = small(desk, tmp_path)
    with pytest.raises(Cancelled):
        run(desk, planned, out, stop_after(steps))
    finished = len(engine.performed)
    assert finished < 20
    assert len(manifest(out)) == finished if finished else not out.exists()
    produced = run(desk, planned, out)
    assert sum(one.was_there for one in produced) == finished
    assert len(engine.performed) == 20
    assert {entry["path"] for entry in manifest(out)} == {item.file for item in planned}


def without_asset(line: bytes) -> bytes:
    entry = json.loads(line)
    del entry["asset"]
    return json.dumps(entry).encode() + b"\n"


SPOILED: dict[str, Callable[[list[bytes]], bytes]] = {
    "whole": b"".join,
    "torn": lambda lines: b"".join(lines)[:-40],
    "torn within a letter": lambda lines: b"".join(lines) + '{"path": "л'.encode()[:-1],
    "without its last newline": lambda lines: b"".join(lines)[:-1],
    "with other things": lambda lines: b'[]\n42\nnull\n{}\n{"path": 1}\n\n' + b"".join(lines),
    "with a line lacking its asset": lambda lines: b"".join([without_asset(lines[0]), *lines[1:]]),
    "empty": lambda _: b"",
    "zeros": lambda lines: b"\0" * 4_096,
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
@pytest.mark.parametrize("picture", [None, b"damaged", b""], ids=["gone", "damaged", "empty"])
def test_what_was_lost_is_written_again_without_drawing(
    desk: Desk,
    tmp_path: Path,
    out: Path,
    engine: FakeEngine,
    spoiled: Callable[[list[bytes]], bytes],
    picture: bytes | None,
) -> None:
    planned = small(desk, tmp_path, 3)
    whole = {str(one.entry["path"]): one.entry["asset"] for one in run(desk, planned, out)}
    engine.performed.clear()
    before = (out / MANIFEST).read_bytes().splitlines(keepends=True)
    (out / MANIFEST).write_bytes(spoiled(before))
    if picture is None:
        (out / planned[0].file).unlink()
    else:
        (out / planned[0].file).write_bytes(picture)
    again = run(desk, planned, out)
    assert engine.performed == []
    assert {one.entry["path"]: one.entry["asset"] for one in again} == whole
    written = (out / MANIFEST).read_bytes()
    last = [json.loads(line) for line in written.splitlines()[-len(again) :]]
    assert {entry["path"] for entry in last} <= set(whole)
    assert len(run(desk, planned, out)) == 3
    assert (out / MANIFEST).read_bytes() == written
    for name, asset in whole.items():
        stored = desk.studio.library.get(desk.workspace, str(asset))
        assert (out / name).stat().st_size == stored.bytes


@pytest.mark.parametrize("lost", ["manifest", "folder"])
def test_a_manifest_that_was_lost_is_written_again(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine, lost: str
) -> None:
    planned = small(desk, tmp_path, 3)
    run(desk, planned, out)
    before = manifest(out)
    engine.performed.clear()
    if lost == "manifest":
        (out / MANIFEST).unlink()
    else:
        shutil.rmtree(out)
    run(desk, planned, out)
    assert engine.performed == []
    assert manifest(out) == before


def test_a_prompt_of_several_lines_is_one_line_of_the_manifest(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine
) -> None:
    planned = planned_from(desk, rows_of(tmp_path, 'prompt\n"a\u2028fox\u2029or\nhen"\n'))
    run(desk, planned, out)
    [one] = run(desk, planned, out)
    assert one.was_there
    assert (out / MANIFEST).read_bytes().count(b"\n") == 1


def test_what_the_library_lost_too_is_drawn_again(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine
) -> None:
    planned = small(desk, tmp_path, 5)
    first = run(desk, planned, out)[0].entry
    (out / str(first["path"])).unlink()
    desk.studio.library.blobs.path(str(first["asset"])).unlink()
    engine.performed.clear()
    run(desk, planned, out)
    assert engine.performed == [planned[0].recipe]


def test_a_changed_row_is_drawn_and_the_others_are_not(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine
) -> None:
    run(desk, planned_from(desk, rows_of(tmp_path, "prompt,name\nfox,a\nhen,b\n")), out)
    engine.performed.clear()
    changed = planned_from(desk, rows_of(tmp_path, "prompt,name\nfox,a\nowl,b\n"))
    run(desk, changed, out)
    assert [one.prompt for one in engine.performed] == ["owl"]
    assert len(manifest(out)) == 3


def test_a_folder_that_cannot_be_filled_is_said_and_the_picture_is_kept(
    desk: Desk, tmp_path: Path, out: Path
) -> None:
    out.write_text("a file is in the way")
    with pytest.raises(StorageFailed):
        run(desk, small(desk, tmp_path), out)
    assert desk.studio.library.sizes(desk.workspace).assets >= 1


def test_a_manifest_that_cannot_be_written_is_said(desk: Desk, tmp_path: Path, out: Path) -> None:
    (out / MANIFEST).mkdir(parents=True)
    with pytest.raises(StorageFailed, match="manifest"):
        run(desk, small(desk, tmp_path), out)


def test_a_thousand_rows_run_with_steady_memory(
    desk: Desk, tmp_path: Path, out: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # most of the time, and not the question
    planned = small(desk, tmp_path, 1_000)
    process = psutil.Process()
    held: list[int] = []
    for number, _ in enumerate(
        produce(desk.studio, desk.actor, desk.workspace, planned, out), start=1
    ):
        if number % 100 == 0:
            held.append(process.memory_info().rss)
    assert len(manifest(out)) == 1_000
    assert len(engine.performed) == 1_000
    assert max(held[2:]) - held[1] < 30_000_000
