"""What drawing costs on this machine, measured in one run."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from limner.app.desk import Desk
from limner.app.drafts import make_draft
from limner.app.studio import Made
from limner.domain.recipe import FileFormat, Size
from limner.engine import machine
from limner.families.family import Pixels
from limner.provenance.formats import encode_png

_PROMPTS = ("a red fox", "a slice of pizza", "a rocket", "a cactus", "a penguin")
_STARTED = """
import atexit, runpy, sys, time
atexit.register(lambda: print(time.process_time(), file=sys.stderr))
sys.argv = ["limner", "--help"]
runpy.run_module("{module}", run_name="__main__")
"""
"""Starts a module with --help and says the processor time it took, on any system."""

_PHOTO = Size(width=256, height=256)


@dataclass(frozen=True)
class Measure:
    """One figure: its value in `unit`, and what was done to get it."""

    name: str
    value: float
    unit: str
    note: str = ""


def run_bench(desk: Desk, tell: Callable[[str], None]) -> Iterator[Measure]:
    """Yield figures for start-up, drawing, finishing and memory as they are measured.

    `tell` is told what is measured next. Pictures drawn here are kept like any others.
    """
    tell("start-up")
    yield _start_up("start: limner --help", "limner.cli.main")
    yield Measure("free cores", machine.free_cores(), "cores", machine.processor())
    tell("first picture")
    began = time.perf_counter()
    _draw(desk, _PROMPTS[0], "native")
    yield Measure("first native picture", time.perf_counter() - began, "s", "loads the model")
    tell("warm pictures")
    seconds = [_timed(partial(_draw, desk, word, "native")) for word in _PROMPTS]
    yield Measure("warm native picture", median(seconds), "s", f"median of {len(seconds)}")
    few = [_timed(partial(_draw, desk, word, "native", steps=4)) for word in _PROMPTS]
    yield Measure("in four steps", median(few), "s", f"median of {len(few)}")
    batch = _timed(lambda: desk.generate("a cat", count=8, size=_native(desk), seed=1)) / 8
    yield Measure("one of eight in a batch", batch, "s")
    ratio = median(seconds) / batch
    yield Measure("batch gain", ratio, "×", "one alone ÷ one of eight")
    tell("enlarging")
    full = [_timed(partial(_draw, desk, word, "default")) for word in _PROMPTS[:3]]
    yield Measure("picture at its default size", median(full), "s", "drawn and enlarged")
    made = desk.generate("a cat", seed=1)[0]
    traced = _timed(lambda: desk.generate("a cat", seed=1, format=FileFormat.SVG))
    yield Measure("picture as SVG", traced, "s")
    tell("cutting out")
    desk.cutout(made.file)
    yield Measure("cutout", _timed(lambda: desk.cutout(_noise_photo())), "s", str(_PHOTO))
    tell("switching models")
    switched = [_switched(desk, word) for word in _PROMPTS]
    overhead = 1000 * (median(switched) - median(seconds))
    yield Measure("switch between models in memory", overhead, "ms", "added to a warm picture")
    tell("erasing")
    yield from _erasing(desk)
    yield Measure("peak memory", machine.peak_memory() / 1e6, "MB", "of the whole run")


def _erasing(desk: Desk) -> Iterator[Measure]:
    models = desk.studio.models
    if not models.catalog.installed(models.catalog.find("migan")):
        yield Measure("erase", float("nan"), "s", "not here: `limner models pull migan`")
        return
    photo, mask = _noise_photo(), _mask()
    desk.erase(photo, mask)
    yield Measure("erase", _timed(lambda: desk.erase(photo, mask)), "s", str(_PHOTO))


def _switched(desk: Desk, prompt: str) -> float:
    """Return the seconds of a picture that is drawn right after another model was used."""
    desk.cutout(_noise_photo())
    return _timed(partial(_draw, desk, prompt, "native"))


def _draw(desk: Desk, prompt: str, size: str, steps: int | None = None) -> list[Made]:
    return desk.generate(prompt, size=_native(desk) if size == "native" else None, steps=steps)


def _native(desk: Desk) -> Size:
    draft = make_draft({"prompt": "a cat"})
    return desk.studio.resolve(desk.actor, desk.workspace, draft)[0].native_size


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _start_up(name: str, module: str) -> Measure:
    script = _STARTED.format(module=module)
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return Measure(name, float(ran.stderr), "s", "processor time")


def _noise_photo() -> bytes:
    """Return a picture that is new each time, so that nothing kept answers for it."""
    pixels: Pixels = np.full((_PHOTO.height, _PHOTO.width, 4), 255, np.uint8)
    rows = np.linspace(0, 200, _PHOTO.height, dtype=np.uint8)[:, None, None]
    grain = np.random.default_rng().integers(0, 40, pixels[..., :3].shape, dtype=np.uint8)
    pixels[..., :3] = rows + grain
    pixels[80:180, 90:170, :3] = (200, 60, 40)
    return encode_png(pixels)


def _mask() -> bytes:
    pixels: Pixels = np.zeros((_PHOTO.height, _PHOTO.width, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[80:180, 90:170, :3] = 255
    return encode_png(pixels)
