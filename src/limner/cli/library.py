"""The commands on the library: what is kept, where it came from, taking it out and away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import Options, Scripted, command
from limner.cli.output import output_of
from limner.cli.targets import read_target
from limner.domain.errors import AssetNotFound, InvalidOption

if TYPE_CHECKING:
    from limner.domain.asset import Asset
    from limner.store.library import Library

_SHORT = 12
"""Digits of an id that are shown: enough to name it, few enough to read."""


@dataclass(frozen=True, kw_only=True)
class Listing(Scripted):
    """Options of `library list`."""

    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORDS", help="Only prompts with all of these.", show_default=False),
    ] = None
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Only from this model.")
    ] = None
    limit: Annotated[int, typer.Option(metavar="N", help="How many, newest first.")] = 50


@dataclass(frozen=True, kw_only=True)
class One(Scripted):
    """Options of commands on one asset."""

    asset: Annotated[
        str, typer.Argument(metavar="ID", help="The id, or its first six digits or more.")
    ]


@dataclass(frozen=True, kw_only=True)
class Export(One):
    """Options of `library export`."""

    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE_OR_DIR", help="Where to write.")
    ] = None
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", metavar="", help="Replace files that the library has no copy of."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Several(Scripted):
    """Options of commands on several assets."""

    assets: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids, or their first six digits or more.")
    ]


@contextmanager
def _opened(asked: Options, *, reading: bool = True) -> Iterator["Library"]:
    from limner.app.settings import read_settings
    from limner.store.library import Library

    with Library.open(read_settings(asked.home).home, reading=reading) as library:
        yield library


def list_assets(asked: Listing) -> None:
    """List pictures, newest first."""
    from limner.domain.workspace import LOCAL_WORKSPACE

    output = output_of(asked)
    with _opened(asked) as library:
        assets = library.list(
            LOCAL_WORKSPACE,
            words=" ".join(asked.words or ()),
            model=asked.model,
            limit=asked.limit,
        )
    if asked.json:
        for asset in assets:
            output.record(_entry(asset))
        return
    if not assets:
        output.say("No pictures yet. Draw one: limner generate “a red fox”.")
        return
    output.table(("id", "when", "size", "model", "prompt"), [_row(asset) for asset in assets])


def show(asked: One) -> None:
    """Show all that is known of a picture: recipe, environment, parents, children."""
    from limner.domain.workspace import LOCAL_WORKSPACE

    output = output_of(asked)
    with _opened(asked) as library:
        asset = library.get(LOCAL_WORKSPACE, asked.asset)
        children = library.children(LOCAL_WORKSPACE, asset.id)
    if asked.json:
        entry = asset.model_dump(mode="json")
        digest = asset.recipe.digest if asset.recipe else None
        ids = [child.id for child in children]
        output.record({**entry, "recipe_digest": digest, "children": ids})
        return
    output.table(("asset", asset.id), list(_facts(asset)))
    if asset.recipe:
        recipe = asset.recipe.model_dump(mode="json", exclude_defaults=True)
        output.table(("recipe", asset.recipe.digest), _flat(recipe))
    if asset.environment:
        output.table(("environment", ""), _flat(asset.environment.model_dump(mode="json")))
    rows = [(one.asset[:_SHORT], one.relation.value) for one in asset.parents]
    rows += [(child.id[:_SHORT], "made from this") for child in children]
    if rows:
        output.table(("lineage", ""), rows)


def export(asked: Export) -> None:
    """Write the file of a picture, byte for byte as it was kept."""
    from limner.domain.workspace import LOCAL_WORKSPACE

    def is_kept(sha256: str) -> bool:
        try:
            return bool(library.get(LOCAL_WORKSPACE, sha256))
        except AssetNotFound:
            return False

    target = read_target(asked.out, overwrite=asked.overwrite)
    with _opened(asked) as library:
        asset = library.get(LOCAL_WORKSPACE, asked.asset)
        ending = asset.media_type.removeprefix("image/").removesuffix("+xml")
        if target.format not in (None, ending):
            raise InvalidOption(
                f"{asked.asset} is a {ending} picture and is exported as it is. Name the file "
                f"….{ending}, or give a folder."
            )
        target.check(1, is_kept)
        content = library.read(LOCAL_WORKSPACE, asset.id)
        path = target.put(_stem(asset), ending, content, (1, 1), is_kept)
    output = output_of(asked)
    if asked.json:
        output.record({**_entry(asset), "path": str(path)})
    else:
        output.line(str(path))


def remove(asked: Several) -> None:
    """Remove pictures from the library; files written elsewhere stay."""
    from limner.app.journal import remove_asset
    from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE

    output = output_of(asked)
    with _opened(asked, reading=False) as library:
        found = [library.get(LOCAL_WORKSPACE, one).id for one in asked.assets]
        for asset in dict.fromkeys(found):
            remove_asset(library, LOCAL_ACTOR, LOCAL_WORKSPACE, asset)
            if asked.json:
                output.record({"removed": asset})
            else:
                output.line(asset)


def check(asked: Scripted) -> None:
    """Read every file of the library and compare it with its record."""
    output = output_of(asked)
    with _opened(asked) as library:
        problems = library.check()
    for problem in problems:
        if asked.json:
            output.record(
                {"kind": problem.kind.value, "asset": problem.blob, "message": problem.message}
            )
        else:
            output.line(problem.message)
    if problems:
        raise typer.Exit(1)
    output.say("Every picture is whole.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(
        help="What was drawn: list, show, export, remove, check.", no_args_is_help=True
    )
    command(group, Listing, "limner library list fox", name="list")(list_assets)
    command(group, One, "limner library show 3f9a2c")(show)
    command(group, Export, "limner library export 3f9a2c --out fox.png")(export)
    command(group, Several, "limner library remove 3f9a2c 77b01d")(remove)
    command(group, Scripted, "limner library check")(check)
    app.add_typer(group, name="library")


def _entry(asset: "Asset") -> dict[str, object]:
    """Return what scripts read about an asset, named as in `--json` of `generate`."""
    recipe = asset.recipe
    return {
        "asset": asset.id,
        "created": asset.created.isoformat(),
        "media_type": asset.media_type,
        "size": str(asset.size),
        "bytes": asset.bytes,
        "pixel_digest": asset.pixel_digest,
        "recipe_digest": recipe.digest if recipe else None,
        "seed": recipe.seed if recipe else None,
        "model": recipe.model.name if recipe else None,
        "prompt": recipe.prompt if recipe else None,
    }


def _row(asset: "Asset") -> tuple[str, ...]:
    recipe = asset.recipe
    return (
        asset.id[:_SHORT],
        f"{asset.created.astimezone():%Y-%m-%d %H:%M}",
        str(asset.size),
        recipe.model.name if recipe else "brought in",
        " ".join(recipe.prompt.split()) or recipe.task.value if recipe else "",
    )


def _stem(asset: "Asset") -> str:
    from limner.app.files import file_stem

    if asset.recipe and asset.recipe.prompt:
        return f"{file_stem(asset.recipe.prompt)}-{asset.recipe.seed}"
    return asset.id[:_SHORT]


def _facts(asset: "Asset") -> Iterator[tuple[str, str]]:
    from limner.app.safety import UNSAFE

    yield "when", f"{asset.created.astimezone():%Y-%m-%d %H:%M:%S}"
    yield "kind", f"{asset.media_type}, {asset.size}, {asset.bytes:,} bytes"
    yield "pixels", asset.pixel_digest
    if asset.recipe is not None:
        lacking = "none: a drawing (SVG) has none" if "svg" in asset.media_type else "none"
        yield "watermark", asset.mark or lacking
        if asset.unsafe is None:
            yield "safety check", "none ran"
        else:
            found = "nothing" if asset.unsafe < UNSAFE else "it looks unsafe"
            yield "safety check", f"{found} ({asset.unsafe:.2f}, and {UNSAFE} is where that begins)"
    if asset.seconds is not None:
        yield "took", f"{asset.seconds:.1f} s"


def _flat(values: dict[str, object], before: str = "") -> list[tuple[str, str]]:
    """Return a nested record as rows of dotted names and texts."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{before}{name}.")
        elif isinstance(value, list) and all(isinstance(one, list) for one in value):
            rows += [(f"{before}{name}.{one[0]}", str(one[1])) for one in value]
        elif isinstance(value, list):
            for number, one in enumerate(value):
                rows += _flat(one, f"{before}{name}.{number}.")
        elif value is not None:
            rows.append((f"{before}{name}", str(value)))
    return rows
