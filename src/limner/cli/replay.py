"""The command that draws a picture again and compares."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import Scripted, command
from limner.cli.output import Output, output_of
from limner.cli.screen import Screen
from limner.cli.stopping import stopping
from limner.cli.targets import Target
from limner.domain.errors import AssetNotFound, InvalidOption

if TYPE_CHECKING:
    from limner.app.desk import Desk
    from limner.app.replay import Replayed
    from limner.domain.asset import Asset

_IDLE = ("threads",)
"""What differs from run to run; where the picture is the same, it is not worth a line."""

_SAID = {
    "identical": "the same picture, to the last pixel",
    "alike": "the same picture to the eye",
    "different": "a different picture",
}


@dataclass(frozen=True, kw_only=True)
class Replay(Scripted):
    """Options of `replay`."""

    picture: Annotated[
        str, typer.Argument(metavar="FILE_OR_ID", help="A picture, or its id in the library.")
    ]
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write what was drawn, sealed like any other."
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a file that is there.")
    ] = False


def replay(asked: Replay) -> None:
    """Draw a picture again and say whether it is the same.

    Ends with 0 for the same picture, to the last pixel or to the eye, with 1 for a different
    one. Nothing is kept in the library.
    """
    from limner.app import wiring
    from limner.app.replay import replay as draw_again
    from limner.app.settings import read_settings
    from limner.app.studio import Progress

    output = output_of(asked)
    if asked.out is not None:
        target = Target(asked.out, is_file=True, format=None, overwrite=asked.overwrite)
        target.check(1, lambda _: False)
    with (
        Screen(output) as screen,
        stopping(screen.say) as token,
        wiring.open_desk(read_settings(asked.home)) as desk,
    ):
        given = _given(desk, asked.picture)
        if asked.out is not None:
            _check_name(asked.out, given)
        progress = Progress(screen.tell, token)
        found = draw_again(desk.studio, desk.actor, desk.workspace, given, progress)
        if asked.out is not None:
            target.put("", "", found.file, (1, 1), lambda _: False)
    _tell(output, found)
    if asked.out is not None:
        output.say(f"Written to {asked.out}.")
    if found.likeness.value == "different":
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add this command to the program."""
    command(app, Replay, "limner replay fox.png", "limner replay 3f9a2c --json")(replay)


def _given(desk: "Desk", picture: str) -> "Asset | bytes":
    """Return the asset that is meant, or the file where the library has none like it."""
    from limner.app.files import read_file

    library, path = desk.studio.library, Path(picture)
    if not path.exists() and re.fullmatch("[0-9a-f]{6,64}", picture):
        return library.get(desk.workspace, picture)
    content = read_file(path)
    try:
        return library.get(desk.workspace, sha256(content).hexdigest())
    except AssetNotFound:
        return content


def _check_name(path: Path, given: "Asset | bytes") -> None:
    """Raise InvalidOption for a file name that is not one of the format that will be written."""
    from limner.app.drafts import read_format
    from limner.provenance.metadata import read_recipe

    recipe = read_recipe(given) if isinstance(given, bytes) else given.recipe
    if recipe is None or not path.suffix:
        return
    own = recipe.format
    if read_format(path.suffix) is not own:
        raise InvalidOption(
            f"This picture is drawn again exactly as it was, as {own.value}, so a file of it "
            f"cannot be called {path.name}. Call it {path.stem}.{own.value}."
        )


def _tell(output: Output, found: "Replayed") -> None:
    if output.json:
        output.record(
            {
                "likeness": found.likeness.value,
                "mean_difference": found.mean,
                "largest_difference": found.largest,
                "recipe_digest": found.recipe.digest,
                "environment": None
                if found.changes is None
                else {one.name: {"then": one.then, "now": one.now} for one in found.changes},
            }
        )
        return
    measured = ""
    if found.mean is not None and found.largest:
        measured = f" (ΔE00 {found.mean:.2f} on average, {found.largest:.1f} at most)"
    output.line(f"{_SAID[found.likeness.value]}{measured}")
    if found.changes is None and found.likeness.value != "identical":
        output.line("  · what it was made in is not known here; the library that kept it knows")
    same = found.likeness.value == "identical"
    for one in found.changes or ():
        if same and one.name in _IDLE:
            continue
        output.line(f"  · {one.name}: was {one.then}, is {one.now}")
