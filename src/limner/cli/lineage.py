"""The command on where a picture came from and what became of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import Scripted, command
from limner.cli.named import id_of
from limner.cli.output import output_of

if TYPE_CHECKING:
    from limner.app.lineage import Relative
    from limner.domain.asset import Asset

_SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Traced(Scripted):
    """Options of `lineage`."""

    asset: Annotated[
        str,
        typer.Argument(metavar="FILE_OR_ID", help="A picture, or its id or first six digits."),
    ]


def lineage(asked: Traced) -> None:
    """Show what a picture was made from, and what was made from it."""
    from limner.app.files import read_file
    from limner.app.lineage import lineage_of
    from limner.app.recognition import known_as
    from limner.app.settings import read_settings
    from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
    from limner.store.library import Library

    output = output_of(asked)
    with Library.open(read_settings(asked.home).home, reading=True) as library:
        named = id_of(asked.asset)
        if Path(asked.asset).is_file():
            named = known_as(library, LOCAL_WORKSPACE, read_file(Path(asked.asset)))
            if named != id_of(asked.asset):
                output.say(
                    f"{asked.asset} is not in the library as it is; it comes from {named[:_SHORT]}."
                )
        found = lineage_of(library, LOCAL_ACTOR, LOCAL_WORKSPACE, named)
    if asked.json:
        output.record(
            {
                "asset": found.asset.id,
                "ancestors": [_entry(one) for one in found.ancestors],
                "descendants": [_entry(one) for one in found.descendants],
            }
        )
        return
    rows = [*_rows(found.ancestors, "from ", 1)][::-1]
    rows.append((found.asset.id[:_SHORT], "this picture", _told(found.asset)))
    rows += _rows(found.descendants, "became ", 1)
    output.table(("id", "how", "what"), rows)


def add_to(app: typer.Typer) -> None:
    """Add this command to the program."""
    command(app, Traced, "limner lineage 3f9a2c", "limner lineage fox.png --json")(lineage)


def _entry(relative: "Relative") -> dict[str, object]:
    asset = relative.asset
    return {
        "asset": relative.id,
        "relation": relative.relation.value,
        "removed": asset is None,
        "repeated": relative.repeated,
        "cut": relative.cut,
        "task": asset.recipe.task.value if asset and asset.recipe else None,
        "prompt": asset.recipe.prompt if asset and asset.recipe else None,
        "relatives": [_entry(one) for one in relative.relatives],
    }


def _rows(
    relatives: tuple["Relative", ...], words: str, depth: int
) -> Iterator[tuple[str, str, str]]:
    for one in relatives:
        how = f"{'  ' * depth}{words}{one.relation.value}"
        what = "removed from the library" if one.asset is None else _told(one.asset)
        more = " (see above)" if one.repeated else " (and further; ask for this one)"
        yield one.id[:_SHORT], how, f"{what}{more if one.repeated or one.cut else ''}"
        yield from _rows(one.relatives, words, depth + 1)


def _told(asset: "Asset") -> str:
    recipe = asset.recipe
    if recipe is None:
        return f"brought in, {asset.size}"
    words = " ".join(recipe.prompt.split()) or recipe.task.value
    return f"{words}, {recipe.model.name}, {asset.size}"
