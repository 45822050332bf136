"""The commands on the keys that sign pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import Scripted, command
from limner.cli.output import output_of

if TYPE_CHECKING:
    from limner.app.keys import Keyring


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
    from limner.app.keys import Keyring, new_owner
    from limner.app.settings import read_settings

    keyring = Keyring(read_settings(asked.home))
    keyring.make(new_owner() if asked.owner is None else asked.owner)
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


@dataclass(frozen=True, kw_only=True)
class Trust(Scripted):
    """Options of `keys trust`."""

    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Somebody's anchor.pem, or a root of theirs.")
    ]


@dataclass(frozen=True, kw_only=True)
class Distrust(Scripted):
    """Options of `keys distrust`."""

    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name or fingerprint that keys trusted shows.")
    ]


def trust(asked: Trust) -> None:
    """Trust pictures that somebody else signs."""
    keyring = _keyring(asked)
    output = output_of(asked)
    for one in keyring.trust(asked.file):
        if asked.json:
            output.record({"owner": one.owner, "sha256": one.fingerprint})
        else:
            output.line(f"{one.owner}, {one.fingerprint}")
    output.say("Compare the fingerprint with its owner's, by telephone for one: who sent the file")
    output.say("could have sent another.")


def trusted(asked: Scripted) -> None:
    """Show whose signatures are trusted besides your own."""
    output = output_of(asked)
    found = list(_keyring(asked).others())
    for file, one in found if asked.json else ():
        ends = one.expires.isoformat()
        record = {"name": file.stem, "owner": one.owner, "sha256": one.fingerprint}
        output.record({**record, "expires": ends})
    if not found:
        output.say("Nobody else is trusted. limner keys trust FILE adds somebody's anchor.pem.")
    elif not asked.json:
        rows = [
            (file.stem, one.owner, f"{one.expires:%Y-%m-%d}", one.fingerprint)
            for file, one in found
        ]
        output.table(("name", "owner", "expires", "sha256"), rows)


def distrust(asked: Distrust) -> None:
    """Trust somebody's pictures no longer."""
    count = _keyring(asked).distrust(asked.name)
    output = output_of(asked)
    if asked.json:
        output.record({"removed": count})
    else:
        output.line(f"{asked.name} is trusted no longer.")


def _keyring(asked: Scripted) -> "Keyring":
    from limner.app.keys import Keyring
    from limner.app.settings import read_settings

    return Keyring(read_settings(asked.home))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(
        help="The keys that sign pictures, and whose are trusted: init, show, trust, trusted, "
        "distrust.",
        no_args_is_help=True,
    )
    command(group, Init, 'limner keys init --owner "Studio Aurora"')(init)
    command(group, Scripted, "limner keys show", "limner keys show --json")(show)
    command(group, Trust, "limner keys trust aurora.pem")(trust)
    command(group, Scripted, "limner keys trusted", "limner keys trusted --json")(trusted)
    command(group, Distrust, "limner keys distrust studio-aurora-1f0c9b2e")(distrust)
    app.add_typer(group, name="keys")
