"""The commands on this machine: whether it is fit to draw, and how fast."""

import math

import typer

from limner.cli.command import Scripted, command
from limner.cli.output import output_of
from limner.cli.screen import Screen


def doctor(asked: Scripted) -> None:
    """Examine machine, home folder, library and models; say what to do where it is not well."""
    from limner.app.doctor import State, examine
    from limner.app.settings import read_settings

    output = output_of(asked)
    with Screen(output) as screen:
        screen.doing("examining")
        findings = examine(read_settings(asked.home))
    if asked.json:
        for one in findings:
            output.record(
                {
                    "name": one.name,
                    "state": one.state.value,
                    "detail": one.detail,
                    "advice": one.advice,
                }
            )
    else:
        rows = [
            (one.state.value, one.name, f"{one.detail}\n{one.advice}".rstrip()) for one in findings
        ]
        output.table(("", "what", "found"), rows)
    if any(one.state is State.FAIL for one in findings):
        raise typer.Exit(1)


def bench(asked: Scripted) -> None:
    """Measure what drawing costs on this machine. The pictures drawn are kept."""
    from limner.app import wiring
    from limner.app.bench import run_bench
    from limner.app.settings import read_settings

    output = output_of(asked)
    rows: list[tuple[str, ...]] = []
    with Screen(output) as screen, wiring.open_desk(read_settings(asked.home)) as desk:
        for one in run_bench(desk, screen.doing):
            known = not math.isnan(one.value)
            rows.append((one.name, f"{one.value:.2f} {one.unit}" if known else "–", one.note))
            if asked.json:
                value = one.value if known else None
                output.record(
                    {"name": one.name, "value": value, "unit": one.unit, "note": one.note}
                )
    if not asked.json:
        output.table(("what", "figure", "note"), rows)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(app, Scripted, "limner doctor", "limner doctor --json")(doctor)
    command(app, Scripted, "limner bench")(bench)
