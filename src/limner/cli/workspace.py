"""The commands on the rules of a workspace and what is written down of it."""

from dataclasses import dataclass
from typing import Annotated

import typer

from limner.cli.command import Scripted, command
from limner.cli.output import output_of
from limner.domain.errors import InvalidOption


@dataclass(frozen=True, kw_only=True)
class Rules(Scripted):
    """Options of `workspace set`."""

    commercial: Annotated[
        bool | None,
        typer.Option(
            "--commercial/--no-commercial",
            metavar="",
            help="Refuse models whose licence does not allow commercial use.",
        ),
    ] = None
    detail: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="What files say of their Recipe: full, digest or none."),
    ] = None
    watermark: Annotated[
        bool | None,
        typer.Option("--watermark/--no-watermark", metavar="", help="Mark pictures invisibly."),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(metavar="LANG", help="Put a visible label on every picture; none for none."),
    ] = None
    mining: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="May others train on them: allowed or notAllowed."),
    ] = None
    safety: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Check pictures: off, flag, blur or refuse."),
    ] = None
    prompt_rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Words that no prompt may hold, as a regular expression; may be given several "
            "times.",
        ),
    ] = None
    message: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What those are told whose prompt a new rule refuses."),
    ] = None
    remove_prompt_rule: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Take a rule out again.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Lines(Scripted):
    """Options of `workspace events`."""

    asset: Annotated[str | None, typer.Option(metavar="ID", help="Only what is about it.")] = None
    limit: Annotated[int, typer.Option(metavar="N", help="How many, newest first.")] = 50


def show(asked: Scripted) -> None:
    """Show the rules of the workspace."""
    from limner.app.policy import read_policy
    from limner.app.settings import read_settings
    from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
    from limner.store.library import Library

    output = output_of(asked)
    with Library.open(read_settings(asked.home).home, reading=True) as library:
        policy = read_policy(library, LOCAL_ACTOR, LOCAL_WORKSPACE)
    rules = policy.model_dump(mode="json")
    if asked.json:
        output.record(rules)
        return
    rows = [(name, _told(value)) for name, value in rules.items() if name != "prompt_rules"]
    rows += [("prompt rule", f"{rule.pattern}  {rule.message}") for rule in policy.prompt_rules]
    output.table(("rule", "is"), rows)


def change(asked: Rules) -> None:
    """Change the rules of the workspace; what changed is written down."""
    from limner.app.policy import Changes, change_policy
    from limner.app.settings import read_settings
    from limner.domain.policy import PromptRule
    from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
    from limner.store.library import Library

    names = ("commercial", "detail", "watermark", "mining", "safety")
    values = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    if asked.label is not None:
        none = asked.label.lower() == "none"
        values["label"] = None if none else {"language": asked.label}
    patterns = asked.prompt_rule or ()
    if not all(patterns):
        raise InvalidOption("A prompt rule is empty. Give the words it refuses.")
    if asked.message is not None and not patterns:
        raise InvalidOption("--message goes with --prompt-rule: it is what the rule tells.")
    added = [PromptRule(pattern=pattern, message=asked.message or "") for pattern in patterns]
    changes = Changes(values, added, asked.remove_prompt_rule or ())
    with Library.open(read_settings(asked.home).home) as library:
        policy = change_policy(library, LOCAL_ACTOR, LOCAL_WORKSPACE, changes)
    if asked.safety is not None and policy.safety != "off":
        _tell_of_judge(asked)
    show(asked)


def _tell_of_judge(asked: Rules) -> None:
    """Say where the model that judges pictures comes from, if it is not here yet."""
    from limner.app.settings import read_settings
    from limner.app.wiring import open_models

    models = open_models(read_settings(asked.home))
    judge = models.judge()
    if not models.catalog.installed(judge):
        output_of(asked).say(
            f"The safety check needs {judge.name} ({judge.bytes / 1e6:.0f} MB), which is fetched "
            f"with the next picture, or now by limner models pull {judge.name}."
        )


def events(asked: Lines) -> None:
    """Show what is written down: rules and licences, what was refused, pictures removed."""
    from limner.app.journal import read_journal
    from limner.app.settings import read_settings
    from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
    from limner.store.library import Library

    output = output_of(asked)
    with Library.open(read_settings(asked.home).home, reading=True) as library:
        lines = read_journal(
            library, LOCAL_ACTOR, LOCAL_WORKSPACE, asset=asked.asset, limit=asked.limit
        )
    if asked.json:
        for line in lines:
            output.record(line.model_dump(mode="json"))
        return
    if not lines:
        output.say("Nothing is written down yet.")
        return
    output.table(
        ("when", "who", "what", "about"),
        [
            (
                f"{line.at.astimezone():%Y-%m-%d %H:%M}",
                line.actor,
                line.kind.value.replace("_", " "),
                " ".join(
                    [(line.asset or "")[:12], *(f"{name}: {value}" for name, value in line.detail)]
                ).strip(),
            )
            for line in lines
        ],
    )


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(help="The rules of the workspace: show, set, events.", no_args_is_help=True)
    command(group, Scripted, "limner workspace show")(show)
    command(
        group,
        Rules,
        "limner workspace set --commercial --label en --safety flag",
        'limner workspace set --prompt-rule "\\bacme\\b" --message "Our own name stays out."',
        name="set",
    )(change)
    command(group, Lines, "limner workspace events")(events)
    app.add_typer(group, name="workspace")


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(str(one) for one in value.values())
    return "none" if value is None else str(value)
