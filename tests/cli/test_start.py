"""Starting quickly: what the program loads before it is needed, and what help says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import limner
from limner import __version__
from limner.cli.main import app

from .conftest import Limner

HEAVY = ("torch", "onnxruntime", "ncnn", "vtracer", "numpy", "sqlalchemy", "PIL", "c2pa")
COMMANDS = [
    ("generate",),
    ("set",),
    ("edit",),
    ("vary",),
    ("erase",),
    ("outpaint",),
    ("upscale",),
    ("cutout",),
    ("library", "list"),
    ("library", "show"),
    ("library", "export"),
    ("library", "remove"),
    ("library", "check"),
    ("import",),
    ("verify",),
    ("replay",),
    ("lineage",),
    ("workspace", "show"),
    ("workspace", "set"),
    ("workspace", "events"),
    ("keys", "init"),
    ("keys", "show"),
    ("keys", "trust"),
    ("keys", "trusted"),
    ("keys", "distrust"),
    ("models", "list"),
    ("models", "show"),
    ("models", "add"),
    ("models", "forget"),
    ("models", "hash"),
    ("models", "licence"),
    ("models", "pull"),
    ("models", "verify"),
    ("models", "remove"),
    ("doctor",),
    ("bench",),
    ("vellum", "corpus"),
    ("vellum", "encoder"),
    ("vellum", "lexicon"),
    ("vellum", "train"),
    ("vellum", "export"),
    ("vellum", "widen"),
    ("vellum", "upscaler"),
    ("vellum", "sheet"),
    ("vellum", "evaluate"),
]


def loaded(*arguments: str, home: Path) -> set[str]:
    """Run the program and return the top-level modules in memory at its end."""
    code = (
        "import sys\nfrom limner.cli.main import run\n"
        f"status = run({list(arguments)!r})\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LIMNER_HOME": str(home)},
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("generate", "--help"), ("library", "--help")],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    modules = loaded(*arguments, home=tmp_path)
    assert modules.isdisjoint(HEAVY)
    assert "typer" in modules


@pytest.mark.parametrize("arguments", [("models", "list"), ("library", "list")], ids=" ".join)
def test_listing_loads_no_runtime(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert loaded(*arguments, home=tmp_path).isdisjoint(("torch", "onnxruntime", "ncnn", "vtracer"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_examples(limner: Limner, command: tuple[str, ...]) -> None:
    ran = limner(*command, "--help")
    assert ran.status == 0
    assert "Examples" in ran.out
    assert f"limner {' '.join(command)}" in ran.out.split("Examples")[1]


def test_every_command_is_listed_here() -> None:
    commands: dict[str, object] = vars(get_command(app))["commands"]
    found: set[tuple[str, ...]] = set()
    for name, one in commands.items():
        inner = vars(one).get("commands")
        found |= {(name, other) for other in inner} if inner else {(name,)}
    assert found == set(COMMANDS)


def test_version(limner: Limner) -> None:
    ran = limner("--version")
    assert (ran.status, ran.out) == (0, f"limner {__version__}\n")
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_no_command_shows_help(limner: Limner) -> None:
    for arguments in ((), ("library",), ("models",), ("vellum",)):
        ran = limner(*arguments)
        assert ran.status == 2
        assert "Usage: limner" in ran.out
        assert ran.err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "limner.cli.main", "--show-completion", shell],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "_LIMNER_COMPLETE" in done.stdout


def test_completion_knows_commands_and_models(tmp_path: Path) -> None:
    def complete(line: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "limner.cli.main"],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "LIMNER_HOME": str(tmp_path),
                "_LIMNER_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(line.split(" ")) - 1),
            },
        )
        return done.stdout

    assert complete("limner gen").split() == ["generate"]
    assert "vellum" in complete("limner generate --model v").split()


def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import limner
from limner.families.session import open_session
open_session(Path(sys.argv[1]), 1)
"""
    package = Path(limner.__file__).parent
    network = package / "families" / "crisp" / "weights" / "crisp.onnx"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ORT_")}
    subprocess.run(
        [sys.executable, "-c", code, str(network)],
        check=True,
        env={**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))
