"""The program `limner`: its options, its commands, and the door where errors become words."""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer

from limner.cli import (
    imports,
    keys,
    library,
    lineage,
    machine,
    models,
    pictures,
    replay,
    vellum,
    verify,
    workspace,
)
from limner.cli.command import show_examples
from limner.cli.output import printable, write_error
from limner.domain.errors import Cancelled, LimnerError

UNEXPECTED = 70
"""The exit status of a fault in the program itself (EX_SOFTWARE of sysexits.h)."""


@runtime_checkable
class Misused(Protocol):
    """An error of Typer's about how the program was called."""

    exit_code: int

    def format_message(self) -> str:
        """Return what was wrong."""


def main() -> None:
    """Run the program and end the process with its exit status."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the program with these arguments and return its exit status; errors are printed."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    try:
        program = typer.main.get_command(app)
        status = program.main(list(arguments), "limner", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except Exception as error:  # noqa: BLE001 - the door: whatever happens, a person reads words
        if "--debug" in options:
            traceback.print_exc()
        return _report(error, as_json="--json" in options)


def _report(error: Exception, *, as_json: bool) -> int:
    code, message, status = _explain(error)
    if not message:  # no command was given, and the help is printed already
        return status
    if as_json:
        write_error(json.dumps({"error": {"code": code, "message": message}}))
    else:
        start = "" if isinstance(error, Cancelled) else "Error: "
        write_error(printable(f"{start}{message}"))
    return status


def _explain(error: Exception) -> tuple[str, str, int]:
    """Return the stable code of an error, what to say of it, and the exit status."""
    if isinstance(error, LimnerError):
        return error.code, error.message, error.exit_status
    if isinstance(error, Misused):
        return "invalid_option", error.format_message(), error.exit_code
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    message = (
        f"Something went wrong that should not have ({what}). Run it again with --debug to see "
        "where, and please report it."
    )
    return "unexpected", " ".join(message.split()), UNEXPECTED


def _print_version(asked: bool) -> None:
    if asked:
        from limner import __version__

        sys.stdout.write(f"limner {__version__}\n")
        raise typer.Exit


def _start(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of library and models. Left out: LIMNER_HOME, else the usual place.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", metavar="", help="Say nothing on stderr but errors.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", metavar="", help="Show where in the program it went wrong.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Limner draws what you describe, on your own machine."""
    context.obj = {"home": home, "quiet": quiet, "debug": debug}


def _build() -> typer.Typer:
    program = typer.Typer(
        name="limner",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog=show_examples(
            'limner generate "a red fox"',
            "limner upscale fox.png",
            "limner models list",
            "limner doctor",
        ),
    )
    program.callback()(_start)
    making = (pictures, imports, verify, replay, lineage)
    keeping = (library, workspace, keys, models, machine, vellum)
    for part in (*making, *keeping):
        part.add_to(program)
    return program


app = _build()

if __name__ == "__main__":
    main()
