"""The commands on models: which there are, what they may be used for, fetching them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli import background
from limner.cli.command import Options, Scripted, command
from limner.cli.facts import facts_of, licence_name, size_of
from limner.cli.output import Output, output_of
from limner.cli.screen import Screen
from limner.cli.stopping import stopping
from limner.cli.work import complete_model
from limner.domain.errors import Cancelled, InvalidOption, ModelUnavailable, WeightsRejected

if TYPE_CHECKING:
    from limner.app.models import Models
    from limner.catalog.catalog import Catalog
    from limner.catalog.collection import Found
    from limner.catalog.shelf import Verdict
    from limner.domain.card import ModelCard


@dataclass(frozen=True, kw_only=True)
class Named(Scripted):
    """Options of commands on one model."""

    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name of models list.", autocompletion=complete_model
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class Pull(Scripted):
    """Options of `models pull`."""

    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name of models list, or a repository of the hub: OWNER/NAME, "
            "OWNER/NAME@REVISION, OWNER/NAME:FILE.",
            autocompletion=complete_model,
        ),
    ]
    variant: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Another precision of a repository's, such as fp16."),
    ] = None

    descriptions: Annotated[
        bool,
        typer.Option(
            "--descriptions",
            metavar="",
            help="Of a diffusers folder only what describes its parts, a few MB: for weights that "
            "are here in single files.",
        ),
    ] = False

    again: Annotated[
        bool,
        typer.Option(
            "--again", metavar="", help="Replace files here that are not what they should be."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Verify(Scripted):
    """Options of `models verify`."""

    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]",
            help="Names of models list; left out: all that Limner has pulled or brings along.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Placed(Scripted):
    """Options of commands on places of models."""

    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Files, folders or lists of folders."),
    ]


@dataclass(frozen=True, kw_only=True)
class Add(Placed):
    """Options of `models add`."""

    hash: Annotated[
        bool | None,
        typer.Option(
            "--hash/--no-hash",
            metavar="",
            help="Read every file now, or only when it is first used. Left out: in the background.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Stating(Scripted):
    """Options of `models licence`."""

    name: Annotated[str, typer.Argument(metavar="MODEL")]

    licence: Annotated[
        str | None,
        typer.Argument(metavar="LICENCE", help="Its SPDX identifier, or LicenseRef-NAME."),
    ] = None
    commercial: Annotated[
        bool | None,
        typer.Option(
            "--commercial/--no-commercial",
            help="Whether it allows commercial use; needed where Limner does not know it.",
        ),
    ] = None
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Where its words can be read.")
    ] = None
    withdraw: Annotated[
        bool, typer.Option("--withdraw", metavar="", help="Take back what was stated.")
    ] = False


def _models(asked: Options) -> "Models":
    from limner.app import wiring
    from limner.app.settings import read_settings

    return wiring.open_models(read_settings(asked.home))


def _catalog(asked: Options) -> "Catalog":
    return _models(asked).catalog


def list_models(asked: Scripted) -> None:
    """List every model: what it does, whether it is here, what it may be used for."""
    output = output_of(asked)
    models = _models(asked)
    catalog = models.catalog
    cards = catalog.cards()
    entries = [_entry(catalog, card) for card in cards]
    own = [found for found in models.found() if found.usable]
    if asked.json:
        for entry in (*entries, *map(_own_entry, own)):
            output.record(entry)
        return
    rows = [
        (
            str(entry["name"]) + (" (demo)" if entry["status"] == "demo" else ""),
            str(entry["state"]),
            size_of(card.bytes),
            licence_name(card.licence.spdx),
            "yes" if card.licence.commercial else "no",
            ", ".join(card.capability.uses),
        )
        for entry, card in zip(entries, cards, strict=True)
    ]
    rows += [
        (
            found.name,
            "yours",
            size_of(found.bytes),
            licence_name(found.licence),
            "yes" if found.commercial else "no",
            f"{found.kind}: {_family(found)}",
        )
        for found in own
    ]
    output.table(("name", "state", "size", "licence", "commercial use", "does"), rows)


def add(asked: Add) -> None:
    """Tell Limner of models of yours: a file, a folder, another program's, its list of folders.

    Nothing is copied. What is added to a folder later is found by itself.
    """
    output = output_of(asked)
    models = _models(asked)
    unread: list[Path] = []
    for path in asked.paths:
        with Screen(output) as screen:
            screen.doing(f"looking through {path}")
            found = models.add(path)
        for missing in models.catalog.collection.missing(path):
            output.say(f"{missing} is in the list, and not here.")
        if asked.json:
            for one in found:
                output.record(_own_entry(one))
        else:
            _tell_found(found, output)
        if asked.hash:
            _read_now(models, found, output)
        elif asked.hash is None and models.takes_reading(found):
            unread.append(path.absolute())
    if unread:
        _read_on(asked, unread, output)


def _read_now(models: "Models", found: "Sequence[Found]", output: Output) -> None:
    with Screen(output) as screen, stopping(screen.say) as token:
        try:
            models.identify(found, screen.tell, token)
        except Cancelled as stopped:
            raise Cancelled("Stopped. Files that were not read are read when used.") from stopped


def _read_on(asked: Add, paths: "Sequence[Path]", output: Output) -> None:
    """Read large files in the background: a first picture need not wait for it then."""
    from limner.app.settings import read_settings

    home = read_settings(asked.home).home.absolute()
    reading = background.go_on(home, ["models", "hash", *map(str, paths)])
    if reading is not None:
        output.say("Large files are read in the background, to know them by their digests.")


def hash_files(asked: Placed) -> None:
    """Read files of yours whole now, to know them by their digests: a first use need not then.

    They lie in places that `limner models add` was told of.
    """
    output = output_of(asked)
    models = _models(asked)
    for path in asked.paths:
        found = models.within(path)
        _read_now(models, found, output)
        usable = [one for one in found if one.usable]
        if asked.json:
            for one in usable:
                output.record({"path": str(one.path), "state": "read"})
        else:
            output.line(f"{path}: {len(usable)} {'is' if len(usable) == 1 else 'are'} read.")


def forget(asked: Placed) -> None:
    """Know models of yours no longer; their files stay as they are."""
    output = output_of(asked)
    models = _models(asked)
    for path in asked.paths:
        models.forget(path)
        if asked.json:
            output.record({"path": str(path), "state": "forgotten"})
        else:
            output.line(f"{path} is forgotten; nothing in it was touched.")


def state_licence(asked: Stating) -> None:
    """State the licence of a model of yours: what its publisher grants, or you have bought.

    Limner takes no licence for granted: where the files of a model state none, commercial
    workspaces refuse it until you do. It counts for these weights alone, and is written into
    the pictures.
    """
    from limner.app.licences import read_licence
    from limner.app.policy import state_licence as state
    from limner.app.settings import read_settings
    from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
    from limner.store.library import Library

    output = output_of(asked)
    if (asked.licence is None) is not asked.withdraw:
        raise InvalidOption("Give a licence, or --withdraw to take back what was stated.")
    if asked.licence is None:
        licence = None
    else:
        licence = read_licence(asked.licence, asked.commercial, asked.url or "")
    models = _models(asked)
    with Library.open(read_settings(asked.home).home) as library:
        card = state(library, models, LOCAL_ACTOR, LOCAL_WORKSPACE, asked.name, licence)
    if asked.json:
        output.record(_entry(models.catalog, card))
        return
    output.line(
        f"{card.name}: {licence_name(card.licence.spdx)}, commercial use "
        f"{'yes' if card.licence.commercial else 'no'}"
    )


def show(asked: Named) -> None:
    """Show what a model can do, its licence and its files."""
    output = output_of(asked)
    catalog = _catalog(asked)
    card = catalog.find(asked.name)
    if asked.json:
        output.record({**_entry(catalog, card), "card": card.model_dump(mode="json")})
        return
    output.table((card.name, card.title), list(facts_of(catalog, card)))
    output.table(
        ("file", "size", "sha256"),
        [(file.name, size_of(file.bytes), file.sha256) for file in card.files],
    )


def pull(asked: Pull) -> None:
    """Fetch the weights of a model, checked against their pinned sha256."""
    output = output_of(asked)
    models = _models(asked)
    catalog = models.catalog
    with Screen(output) as screen, stopping(screen.say) as token:
        try:
            card = models.request(asked.name, asked.variant, screen.tell, token, asked.descriptions)
            catalog.pull(card, screen.tell, token, again=asked.again)
        except Cancelled as stopped:
            raise Cancelled("Stopped. Pull it again to go on from what is here.") from stopped
    card = catalog.find(card.name)
    if asked.json:
        output.record(_entry(catalog, card))
        return
    output.line(f"{card.name} is here ({card.title}), {size_of(card.bytes)}.")
    if not (card.family or asked.descriptions):
        catalog.recognise(card)  # raises why no family draws with it


def verify(asked: Verify) -> None:
    """Read every byte of the weights and compare their sha256 with the pinned one."""
    output = output_of(asked)
    models = _models(asked)
    catalog = models.catalog
    cards = (
        [catalog.find(name) for name in asked.names]
        if asked.names
        else [card for card in catalog.cards() if catalog.status(card) != "can be pulled"]
    )
    worst = 0
    rows = []
    with (
        Screen(output) as screen,
        stopping(screen.say) as token,
        models.telling(screen.tell, token),
    ):
        found = [(card, verdict) for card in cards for verdict in catalog.verify(card)]
    for card, verdict in found:
        worst = max(worst, _exit_status(verdict))
        entry = {
            "model": card.name,
            "file": verdict.file.name,
            "state": verdict.state.value,
            "path": str(verdict.path) if verdict.path else None,
            "sha256": verdict.sha256,
        }
        rows.append((card.name, verdict.file.name, verdict.state.value, entry["path"] or ""))
        if asked.json:
            output.record(entry)
    if not asked.json:
        output.table(("model", "file", "state", "path"), rows)
    if worst:
        raise typer.Exit(worst)


def remove(asked: Named) -> None:
    """Delete the pulled weights of a model."""
    output = output_of(asked)
    catalog = _catalog(asked)
    card = catalog.find(asked.name)
    catalog.remove(card)
    if asked.json:
        output.record(_entry(catalog, card))
    else:
        output.line(f"{card.name} is removed.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(
        help="What can draw: list, show, add, hash, forget, licence, pull, verify, remove.",
        no_args_is_help=True,
    )
    command(group, Scripted, "limner models list", name="list")(list_models)
    command(group, Named, "limner models show vellum")(show)
    command(
        group,
        Add,
        "limner models add ~/ComfyUI",
        "limner models add FLUX.1-Krea-dev style.safetensors",
    )(add)
    command(group, Placed, "limner models hash ~/ComfyUI", name="hash")(hash_files)
    command(group, Placed, "limner models forget ~/ComfyUI")(forget)
    command(
        group,
        Stating,
        "limner models licence painter apache-2.0",
        "limner models licence painter LicenseRef-Bought --commercial",
        "limner models licence painter --withdraw",
        name="licence",
    )(state_licence)
    command(
        group,
        Pull,
        "limner models pull migan",
        "limner models pull flux.1-krea-dev",
        "limner models pull flux.1-krea-dev --descriptions",
        "limner models pull someone/painter@v2 --variant fp16",
        "limner models pull someone/styles:ink.safetensors",
    )(pull)
    command(group, Verify, "limner models verify", "limner models verify vellum")(verify)
    command(group, Named, "limner models remove migan")(remove)
    app.add_typer(group, name="models")


def _entry(catalog: "Catalog", card: "ModelCard") -> dict[str, object]:
    return {
        "name": card.name,
        "title": card.title,
        "tasks": [one.task.value for one in card.capability.tasks],
        "judges": card.capability.judges,
        "status": card.status.value,
        "state": catalog.status(card).value,
        "bytes": card.bytes,
        "licence": card.licence.spdx,
        "commercial": card.licence.commercial,
        "weights_digest": card.weights_digest,
    }


def _own_entry(found: "Found") -> dict[str, object]:
    return {
        "name": found.name,
        "path": str(found.path),
        "kind": found.kind,
        "family": found.family,
        "variant": found.variant,
        "state": "yours" if found.usable else "not usable",
        "bytes": found.bytes,
        "licence": found.licence,
        "commercial": found.commercial,
        "reason": found.reason,
    }


def _tell_found(found: "Sequence[Found]", output: Output) -> None:
    """Print what lies in a place: what can be used first, then why the rest cannot."""
    usable = [one for one in found if one.usable]
    others = [one for one in found if not one.usable]
    for title, group in (("name", usable), ("not usable by itself", others)):
        if group:
            rows = [
                (one.name, str(one.kind), _family(one), size_of(one.bytes), one.reason)
                for one in group
            ]
            output.table((title, "kind", "family", "size", "what it is"), rows)


def _family(found: "Found") -> str:
    return " ".join(one for one in (found.family, found.variant) if one) or "–"


def _exit_status(verdict: "Verdict") -> int:
    """Return the exit status that the state of one file asks for."""
    statuses = {
        "good": 0,
        "missing": ModelUnavailable.exit_status,
        "differs": WeightsRejected.exit_status,
    }
    return statuses[verdict.state.value]
