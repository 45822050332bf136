"""A piece of work on pictures: the desk it is done at, and what becomes of each picture."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import Scripted
from limner.cli.output import Output, output_of
from limner.cli.preview import Graphics, graphics_of, render
from limner.cli.screen import Screen
from limner.cli.stopping import stopping
from limner.cli.targets import Target, read_target
from limner.domain.errors import AssetNotFound, Cancelled

if TYPE_CHECKING:
    from limner.app.desk import Desk
    from limner.app.studio import Made, Progress


def complete_model(incomplete: str) -> list[str]:
    """Return the names of models that begin so, for the shell."""
    from limner.app.settings import read_settings
    from limner.app.wiring import open_models

    names = open_models(read_settings()).catalog.names()
    return [name for name in names if name.startswith(incomplete)]


@dataclass(frozen=True, kw_only=True)
class Finishing(Scripted):
    """Options of every command that makes pictures."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME_OR_PATH",
            help="The model that does it; see limner models list.",
            autocompletion=complete_model,
        ),
    ] = None
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE_OR_DIR",
            help="Where to write. A name ending in .png, .webp, .jpeg, .tiff, .avif or .svg is a "
            "file, any other a folder.",
        ),
    ] = None
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", metavar="KIND", help="png, webp, jpeg, tiff, avif or svg."),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(metavar="LANG", help="Say in the corner that it was made with AI: en, de, …"),
    ] = None
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", metavar="", help="Replace files that the library has no copy of."
        ),
    ] = False
    preview: Annotated[
        bool,
        typer.Option(
            "--preview/--no-preview", metavar="", help="Show each picture in the terminal."
        ),
    ] = True


@dataclass
class Work:
    """One request under way: pictures are written and shown here as they are finished."""

    desk: "Desk"
    progress: "Progress"
    target: Target
    screen: Screen
    output: Output
    graphics: Graphics
    total: int = 1
    written: list[Path] = field(default_factory=list)

    def is_kept(self, sha256: str) -> bool:
        """Whether the library has this file."""
        try:
            self.desk.studio.library.get(self.desk.workspace, sha256)
        except AssetNotFound:
            return False
        return True

    def expect(self, total: int) -> None:
        """Set how many pictures there will be, where that was not known at once."""
        self.total = self.screen.total = total

    def check_target(self) -> None:
        """Raise before any work is done, if the pictures cannot be written; see `Target`."""
        self.target.check(self.total, self.is_kept)

    def write(self, made: "Made", stem: str) -> None:
        """Write a finished picture where it belongs, and tell."""
        from limner.app.table import describe

        turn = (len(self.written) + 1, self.total)
        ending = made.recipe.format.value
        path = self.target.put(stem, ending, made.file, turn, self.is_kept)
        self.written.append(path)
        self.report(describe(made, path), made)

    def report(self, entry: Mapping[str, object], made: "Made | None" = None) -> None:
        """Print a finished picture: as JSON, as a path for a pipe, as a line for a person."""
        self.screen.finished += 1
        with self.screen.aside():
            if self.output.json:
                self.output.record(entry)
                return
            if not sys.stdout.isatty():
                self.output.line(str(entry["path"]))
                return
            self._show(made)
            self.output.line(
                f"{entry['path']}  {entry['size']}, seed {entry['seed']}, {entry['seconds']:.1f} s"
            )

    def _show(self, made: "Made | None") -> None:
        """Show the picture itself, if it is one that can be (a traced one cannot)."""
        if made is None or made.asset.media_type == "image/svg+xml" or not self.output.lively:
            return
        sys.stdout.write(render(made.file, self.graphics))
        sys.stdout.flush()


@contextmanager
def at_work(asked: Finishing, count: int = 1) -> Iterator[Work]:
    """Open everything that a command on pictures needs.

    When the work is stopped, says how much was kept and raises Cancelled.
    """
    output = output_of(asked)
    target = read_target(asked.out, picture_format=asked.format, overwrite=asked.overwrite)
    graphics = graphics_of(os.environ) if asked.preview else Graphics.NONE
    with Screen(output, count) as screen, stopping(screen.say) as token:
        from limner.app import wiring
        from limner.app.settings import read_settings
        from limner.app.studio import Progress

        screen.doing("starting")
        with wiring.open_desk(read_settings(asked.home)) as desk:
            progress = Progress(screen.tell, token)
            work = Work(desk, progress, target, screen, output, graphics, count)
            try:
                with desk.studio.models.telling(screen.tell, token):
                    yield work
                token.check()
            except Cancelled as stopped:
                raise Cancelled(
                    f"Stopped. {screen.finished} of {screen.total} finished and kept."
                ) from stopped
