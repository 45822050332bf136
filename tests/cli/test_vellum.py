"""The commands that make Vellum: what they hand to the training room, and what they refuse."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from limner.training.vellum import corpus, evaluate, export, lexicon, loop, plots, sheets

from .conftest import Limner

RECIPE, WORK = Path("models/vellum"), Path("runs/vellum")


@pytest.fixture
def folders(folder: Path) -> Path:
    """A current folder with lists, a corpus and a checkpoint."""
    for one in (RECIPE, WORK / "corpus", WORK / "run"):
        (folder / one).mkdir(parents=True)
    (folder / WORK / "run" / "ck.pt").touch()
    return folder


def test_corpus(limner: Limner, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[corpus.CorpusConfig] = []

    def build(config: corpus.CorpusConfig) -> SimpleNamespace:
        asked.append(config)
        return SimpleNamespace(pictures=range(1500), concepts=range(300))

    monkeypatch.setattr(corpus, "build_corpus", build)
    ran = limner("vellum", "corpus", "--work", "w")
    assert (ran.status, ran.out) == (0, "w/corpus: 1,500 pictures of 300 things\n")
    assert asked == [corpus.CorpusConfig(RECIPE, Path("w/archives"), Path("w/corpus"))]


def test_train(limner: Limner, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[loop.TrainConfig] = []

    def train(config: loop.TrainConfig) -> SimpleNamespace:
        asked.append(config)
        return SimpleNamespace(samples=64_000, seconds=90)

    monkeypatch.setattr(loop, "train", train)
    ran = limner("vellum", "train", "--minutes", "1.5", "--workers", "2")
    assert (ran.status, ran.out) == (0, f"{WORK}/run: 64,000 pictures seen in 1.5 minutes\n")
    [config] = asked
    assert (config.corpus, config.run) == (WORK / "corpus", WORK / "run")
    assert (config.minutes, config.workers) == (1.5, 2)
    assert (config.encoder / "minilm.onnx").is_file()


def test_export(limner: Limner, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[export.ExportConfig] = []

    def perform(config: export.ExportConfig) -> float:
        asked.append(config)
        return 0.0004

    monkeypatch.setattr(export, "export", perform)
    ran = limner("vellum", "export", "--weights", "out")
    assert (ran.status, ran.out) == (0, "out: within 4.0e-04 of the network\n")
    assert asked == [
        export.ExportConfig(WORK / "run" / "ck.pt", Path("out"), corpus=WORK / "corpus")
    ]


def test_lexicon(limner: Limner, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[lexicon.LexiconConfig] = []

    def make(config: lexicon.LexiconConfig) -> SimpleNamespace:
        asked.append(config)
        return SimpleNamespace(words=range(11_000), names=range(1_164))

    monkeypatch.setattr(lexicon, "make_lexicon", make)
    ran = limner("vellum", "lexicon", "--weights", "out")
    assert (ran.status, ran.out) == (0, "out: 11,000 words for 1,164 names\n")
    assert asked == [lexicon.LexiconConfig(RECIPE, WORK / "archives", WORK / "corpus", Path("out"))]


def test_sheet(limner: Limner, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[sheets.SheetConfig] = []

    def draw(config: sheets.SheetConfig) -> tuple[Path, ...]:
        asked.append(config)
        return (config.target / "common.png", config.target / "styles.png")

    monkeypatch.setattr(sheets, "draw_sheet", draw)
    ran = limner("vellum", "sheet")
    target = RECIPE / "sheets"
    assert (ran.status, ran.lines) == (0, [f"{target}/common.png", f"{target}/styles.png"])
    assert (asked[0].weights / "vellum.onnx").is_file()


def test_evaluate(limner: Limner, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[evaluate.EvaluateConfig] = []

    def measure(config: evaluate.EvaluateConfig) -> SimpleNamespace:
        asked.append(config)
        return SimpleNamespace(table=lambda: "| clear | 0.90 |")

    monkeypatch.setattr(evaluate, "evaluate", measure)
    monkeypatch.setattr(plots, "plot_evaluation", lambda _, target: (target / "figures.png",))
    monkeypatch.setattr(plots, "plot_training", lambda _, target: target / "training.png")
    ran = limner("vellum", "evaluate", "--weights", str(RECIPE))
    target = RECIPE / "sheets"
    assert (ran.status, ran.lines) == (0, ["| clear | 0.90 |", f"{target}/figures.png"])
    (WORK / "run").mkdir(exist_ok=True)
    (WORK / "run" / "log.jsonl").touch()
    ran = limner("vellum", "evaluate", "--weights", str(RECIPE))
    assert ran.lines[-1] == f"{target}/training.png"
    del asked[1:]
    assert asked == [evaluate.EvaluateConfig(RECIPE, WORK / "corpus", RECIPE, WORK / "run")]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("corpus", "--recipe", "none"), "--recipe"),
        (("train",), "--minutes"),
        (("train", "--minutes", "soon"), "--minutes"),
        (("train", "--minutes", "1", "--workers", "0"), "--workers"),
        (("train", "--minutes", "1", "--work", "none"), "limner vellum corpus"),
        (("export",), "--weights"),
        (("export", "--weights", "out", "--work", "none"), "limner vellum train"),
        (("sheet", "--weights", "none"), "--weights"),
        (("sheet", "--work", "none"), "limner vellum corpus"),
    ],
)
def test_refusals(limner: Limner, folders: Path, arguments: tuple[str, ...], word: str) -> None:
    ran = limner("vellum", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert word in ran.err


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("safetensors", ("corpus",)),
        ("torch", ("train", "--minutes", "1")),
        ("torch", ("export", "--weights", "out")),
    ],
)
def test_without_the_training_packages(
    folders: Path, missing: str, arguments: tuple[str, ...]
) -> None:
    code = (
        f"import sys\nsys.modules[{missing!r}] = None\nfrom limner.cli.main import run\n"
        f"sys.exit(run(['vellum', *{arguments!r}]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folders
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert missing in ran.stderr
    assert "pip install “limner[train]”" in ran.stderr
    assert "Traceback" not in ran.stderr
