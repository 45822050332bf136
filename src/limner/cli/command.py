"""Commands whose options are the fields of a dataclass.

Typer reads a command's options from the parameters of a function. Here they are read from a
frozen dataclass instead, so that commands share options by inheritance and take one argument.
"""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that any command takes, before its name or after it."""

    home: Annotated[
        Path | None, typer.Option(help="Folder of library and models.", hidden=True)
    ] = None
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", metavar="", help="Say nothing on stderr but errors.", hidden=True
        ),
    ] = False
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", metavar="", help="Show where in the program it went wrong.", hidden=True
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Scripted(Options):
    """Options of commands whose results a script may read."""

    json: Annotated[
        bool,
        typer.Option(
            "--json", metavar="", help="Print one JSON object per line, and nothing else."
        ),
    ] = False


Asked = TypeVar("Asked", bound=Options)


def command(
    app: typer.Typer, kind: type[Asked], *examples: str, name: str | None = None
) -> Callable[[Callable[[Asked], None]], Callable[[Asked], None]]:
    """Register a function of one options object as a command, with examples under its help."""

    def register(act: Callable[[Asked], None]) -> Callable[[Asked], None]:
        def run(context: typer.Context, **given: Any) -> None:
            for option, value in (context.obj or {}).items():
                given[option] = given[option] or value
            act(kind(**given))

        run.__name__ = act.__name__
        run.__doc__ = act.__doc__
        run.__dict__["__signature__"] = Signature(list(_parameters(kind)))
        app.command(name, epilog=show_examples(*examples), no_args_is_help=False)(run)
        return act

    return register


def show_examples(*examples: str) -> str:
    """Return the text under a command's help: one example a line."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  {one}" for one in examples)])


def _parameters(kind: type[Options]) -> Iterator[Parameter]:
    """Yield a parameter for the context and each option, the command's own before shared ones.

    A shared one that a command tells otherwise is the command's own.
    """
    yield Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    hints = get_type_hints(kind, include_extras=True)
    defaults = {one.name: one.default for one in fields(kind)}
    told = (name for one in kind.__mro__ for name in vars(one).get("__annotations__", {}))
    for name in dict.fromkeys(told):
        default = defaults[name]
        yield Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            annotation=hints[name],
            default=Parameter.empty if default is MISSING else default,
        )
