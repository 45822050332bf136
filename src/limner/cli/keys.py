"""The commands on the keys that sign pictures."""

from dataclasses import dataclass
from typing import Annotated

import typer

from limner.cli.command import Scripted, command
from limner.cli.output import output_of


@dataclass(frozen=True, kw_only=True)
class Init(Scripted):
    """Options of `keys init`."""

    owner: Annotated[
        str | None,
        typer.Option(
            "--owner",
            metavar="NAME",
            help="The organisation that certificates name, for all to see.",
        ),
    ] = None


def init(asked: Init) -> None:
    """Make keys to sign pictures with: a root, an issuing and a signing one.

    LIMNER_KEY_PASSPHRASE, where it is set, protects them.
    """
    from limner.app.keys import OWNER, Keyring
    from limner.app.settings import read_settings

    keyring = Keyring(read_settings(asked.home))
    keyring.make(asked.owner or OWNER)
    output = output_of(asked)
    if asked.json:
        output.record({"folder": str(keyring.folder)})
        return
    output.line(str(keyring.folder))
    output.say("Pictures are signed with these keys from now on. Keep a copy of the folder.")
    output.say("Give others anchor.pem: with it they can check that a picture is yours.")
    output.say(
        "root.pem is needed again only when issuing.pem ends, in ten years; you may keep it "
        "elsewhere."
    )


def show(asked: Scripted) -> None:
    """Show the certificates that pictures are signed under."""
    from limner.app.keys import Keyring
    from limner.app.settings import read_settings

    output = output_of(asked)
    keyring = Keyring(read_settings(asked.home))
    chain = keyring.certificates()
    for one in chain if asked.json else ():
        output.record(
            {
                "level": one.level,
                "owner": one.owner,
                "name": one.name,
                "sha256": one.fingerprint,
                "expires": one.expires.isoformat(),
            }
        )
    if not chain:
        output.say("There are no keys yet. The first picture makes some, or limner keys init.")
    elif not asked.json:
        rows = [(one.level, one.owner, f"{one.expires:%Y-%m-%d}", one.fingerprint) for one in chain]
        output.table(("level", "owner", "expires", "sha256"), rows)
        output.say(f"Kept in {keyring.folder}.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(help="The keys that sign pictures: init, show.", no_args_is_help=True)
    command(group, Init, 'limner keys init --owner "Studio Aurora"')(init)
    command(group, Scripted, "limner keys show", "limner keys show --json")(show)
    app.add_typer(group, name="keys")
