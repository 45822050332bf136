"""Mass production: a table of prompts in, pictures and one manifest out.

The manifest (`manifest.jsonl` in the output folder) gets a line per picture once its file is
written, so a run that was stopped, however roughly, goes on where it ended.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from limner.app.drafts import make_draft
from limner.app.files import OTHERWISE, file_stem, read_file
from limner.app.safety import refusal
from limner.app.studio import MOST_PICTURES, Made, Progress, Studio
from limner.domain.canonical import digest
from limner.domain.errors import (
    InvalidRequest,
    InvalidTable,
    LicenceForbids,
    NotFound,
    PictureRefused,
    PromptRefused,
    storage_failure,
)
from limner.domain.recipe import Draft, Recipe
from limner.domain.workspace import Actor, Workspace
from limner.provenance.manifest import has_manifest

MANIFEST = "manifest.jsonl"
_WHOLE = ("seed", "steps", "count")
_DECIMAL = ("guidance",)
_CHUNK = 8


@dataclass(frozen=True)
class Row:
    """A row of the table: its line in the file (the header is 1), its Draft, how many of it."""

    line: int
    draft: Draft
    count: int
    name: str | None = None


@dataclass(frozen=True)
class Planned:
    """One picture to make: the row's line, its Recipe, and the file name it will have."""

    line: int
    recipe: Recipe
    file: str


@dataclass(frozen=True)
class Produced:
    """A picture of the table that is finished: its line of the manifest."""

    entry: dict[str, object]
    was_there: bool


def read_table(path: Path, defaults: Draft, count: int = 1) -> list[Row]:
    """Read a CSV (UTF-8, header row) whose columns are Draft fields or model options.

    Columns: prompt (needed), negative_prompt (or negative), seed, size, steps, guidance,
    format, transparent, model, sampler, count, name (of the file), and the model's own, such
    as style. An empty cell takes the default. Raises InvalidTable listing every bad row.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidTable(f"{path} is not UTF-8 text. Save it as CSV UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
    rows: list[Row] = []
    faults: list[str] = []
    try:
        header = [name.strip().lower() for name in reader.fieldnames or []]
        if "prompt" not in header:
            raise InvalidTable(
                f"{path} has no column “prompt”. Its first row names the columns, with commas "
                "between them."
            )
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InvalidTable(f"{path} has two columns “{twice[0]}”. Remove one of them.")
        reader.fieldnames = header
        for cells in reader:
            _read_row(reader.line_num, cells, defaults, count, rows, faults)
    except csv.Error as error:
        raise InvalidTable(f"{path}, line {reader.reader.line_num}: {error}.") from error
    if faults:
        raise _bad_rows(f"{path} was not started", faults)
    if not rows:
        raise InvalidTable(f"{path} has no rows below its header.")
    return rows


def plan(studio: Studio, actor: Actor, workspace: Workspace, rows: Sequence[Row]) -> list[Planned]:
    """Resolve every row into Recipes and file names, so that all faults show before drawing.

    A row without a seed gets one made from its own content: the same table always asks for the
    same pictures. Raises InvalidTable listing every row that cannot be drawn.
    """
    planned: list[Planned] = []
    faults: list[str] = []
    names: set[str] = set()
    for row in rows:
        draft = row.draft
        if draft.seed is None:
            seed = int(digest(draft.model_dump(mode="json"))[:8], 16)
            draft = draft.model_copy(update={"seed": seed})
        try:
            recipes = studio.resolve(actor, workspace, draft, row.count)
        except (InvalidRequest, NotFound, LicenceForbids, PromptRefused) as error:
            faults.append(f"line {row.line}: {error.message}")
            continue
        planned += [Planned(row.line, one, _file_name(row, one, names)) for one in recipes]
    if faults:
        raise _bad_rows("Nothing was drawn", faults)
    return planned


def produce(
    studio: Studio,
    actor: Actor,
    workspace: Workspace,
    planned: Sequence[Planned],
    folder: Path,
    progress: Progress | None = None,
) -> Iterator[Produced]:
    """Make what the folder's manifest does not hold yet, yielding each picture when it is safe.

    Pictures that are already in the folder are yielded as they are; pictures in the library but
    not in the folder are written again without drawing. When the safety check refused some,
    raises PictureRefused after the others.
    """
    done = _read_manifest(folder / MANIFEST)
    waiting: list[Planned] = []
    for item in planned:
        entry = done.get((item.file, item.recipe.digest))
        if entry is not None and _intact(folder / item.file, str(entry["asset"])):
            yield Produced(entry, was_there=True)
            continue
        kept = studio.find_made(actor, workspace, item.recipe)
        if kept is not None:
            yield Produced(_finish(folder, item, kept), was_there=True)
            continue
        waiting.append(item)
    refused = 0
    for start in range(0, len(waiting), _CHUNK):
        chunk = waiting[start : start + _CHUNK]
        refused += len(chunk)
        with suppress(PictureRefused):
            made = studio.perform(actor, workspace, [item.recipe for item in chunk], progress)
            for picture in made:
                refused -= 1
                entry = _finish(folder, chunk[picture.index], picture)
                yield Produced(entry, was_there=False)
    if refused:
        raise refusal(refused, len(planned))


def describe(made: Made, path: Path | str) -> dict[str, object]:
    """Return what scripts read about a picture: the fields of `--json` and of the manifest.

    `unsafe` is what the safety check found, from 0 to 1; None where no check ran.
    """
    recipe = made.recipe
    return {
        "path": str(path),
        "asset": made.asset.id,
        "recipe_digest": recipe.digest,
        "pixel_digest": made.asset.pixel_digest,
        "seed": recipe.seed,
        "model": recipe.model.name,
        "seconds": round(made.seconds, 3),
        "prompt": recipe.prompt,
        "size": str(made.asset.size),
        "signed": has_manifest(made.file),
        "unsafe": made.asset.unsafe,
    }


def _bad_rows(what: str, faults: Sequence[str]) -> InvalidTable:
    listed = "\n".join(faults[:20])
    more = f"\n… and {len(faults) - 20} more" if len(faults) > 20 else ""
    return InvalidTable(f"{what}; these rows need mending:\n{listed}{more}")


def _read_row(
    line: int,
    cells: dict[str, str | None],
    defaults: Draft,
    count: int,
    rows: list[Row],
    faults: list[str],
) -> None:
    if None in cells:
        faults.append(f"line {line}: more cells than columns; quote texts that hold commas")
        return
    given = {name: cell.strip() for name, cell in cells.items() if cell and cell.strip()}
    if not given:
        return
    try:
        values = {name: _value(name, cell) for name, cell in given.items()}
        times = int(str(values.pop("count", count)))
        if not 1 <= times <= MOST_PICTURES:
            raise InvalidTable(f"count must be 1 to {MOST_PICTURES:,}")
        values.pop("name", None)
        rows.append(Row(line, _merged(defaults, values), times, given.get("name")))
    except InvalidRequest as error:
        faults.append(f"line {line}: {error.message}")


def _value(name: str, cell: str) -> object:
    try:
        if name in _WHOLE:
            return int(cell)
        if name in _DECIMAL:
            return float(cell)
    except ValueError:
        raise InvalidTable(f"{name} must be a number, not “{cell[:40]}”") from None
    if name == "transparent":
        words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
        if cell.lower() not in words:
            raise InvalidTable(f"transparent must be yes or no, not “{cell[:40]}”")
        return words[cell.lower()]
    return cell


def _merged(defaults: Draft, values: dict[str, object]) -> Draft:
    if "negative" in values:
        values["negative_prompt"] = values.pop("negative")
    row = make_draft(values)
    given = {name: getattr(row, name) for name in row.model_fields_set if name != "extras"}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    extras = tuple({**dict(defaults.extras), **dict(row.extras)}.items())
    return Draft.model_validate({**dict(defaults), **given, "extras": extras})


def _file_name(row: Row, recipe: Recipe, names: set[str]) -> str:
    stem = file_stem(row.name) if row.name else f"{row.line:05d}-{file_stem(recipe.prompt)}"
    if row.count > 1 or stem in names:
        stem = f"{stem}-{recipe.seed}"
    base, number = stem, 1
    while stem in names:
        number += 1
        stem = f"{base}-{number}"
    names.add(stem)
    return f"{stem}.{recipe.format.value}"


def _finish(folder: Path, item: Planned, made: Made) -> dict[str, object]:
    made.save(folder / item.file)
    entry = {"line": item.line, **describe(made, item.file)}
    _append(folder / MANIFEST, entry)
    return entry


def _append(manifest: Path, entry: dict[str, object]) -> None:
    try:
        with manifest.open("ab") as file:
            file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_failure(error, manifest, OTHERWISE) from error


def _read_manifest(manifest: Path) -> dict[tuple[str, str], dict[str, object]]:
    entries: dict[tuple[str, str], dict[str, object]] = {}
    if not manifest.exists():
        return entries
    *lines, last = read_file(manifest).split(b"\n")
    if last:
        _mend_end(manifest, last)
    for line in (*lines, last):
        entry = _read_entry(line)
        if entry is not None:
            entries[(str(entry["path"]), str(entry["recipe_digest"]))] = entry
    return entries


def _mend_end(manifest: Path, last: bytes) -> None:
    """Take away a last line that a crash tore; end one that only lacks its newline."""
    try:
        with manifest.open("ab") as file:
            if _read_entry(last) is None:
                file.truncate(file.tell() - len(last))
            else:
                file.write(b"\n")
    except OSError as error:
        raise storage_failure(error, manifest, OTHERWISE) from error


def _read_entry(line: bytes) -> dict[str, object] | None:
    """Return a line of a manifest, None where it is torn: the library knows its picture."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    needed = {"path", "recipe_digest", "asset"}
    return entry if isinstance(entry, dict) and needed <= entry.keys() else None


def _intact(path: Path, asset: str) -> bool:
    return path.is_file() and sha256(read_file(path)).hexdigest() == asset
