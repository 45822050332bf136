"""At how many pixels a model was trained, where its variant was published at several sizes."""

from dataclasses import replace
from pathlib import Path

from limner.domain.errors import LimnerError
from limner.families.diffusion.known.facts import Facts
from limner.families.diffusion.known.sheet import square
from limner.families.diffusion.recognition.finding import Words
from limner.families.diffusion.recognition.folders import DENOISERS, INDEX, read_pipeline
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.layouts import names_of

_PIXELS = {"sana": 32, "pixart": 8}
"""Pixels per side of a latent, by family: what `sample_size` counts."""


def as_trained(path: Path, facts: Facts) -> Facts:
    """Return the facts of the model at a path: at the size that its files or its names tell."""
    if not facts.sides:
        return facts
    side = (_described(path, facts) if path.is_dir() else 0) or _named(path, facts)
    if side not in facts.sides:
        return facts
    grown = (side / facts.size.width) ** 2
    least, most = facts.area
    return replace(facts, size=square(side), area=(round(least * grown), round(most * grown)))


def _described(folder: Path, facts: Facts) -> int:
    """Return the side that the settings of a folder's denoiser tell; 0 where they do not."""
    try:
        parts = read_pipeline(folder).components
    except LimnerError:
        return 0
    told = (parts[name].settings.get("sample_size") for name in DENOISERS if name in parts)
    return next((one * _PIXELS.get(facts.family, 0) for one in told if isinstance(one, int)), 0)


def _named(path: Path, facts: Facts) -> int:
    """Return the side that metadata or names tell; 0 where they do not."""
    said = "" if path.is_dir() else read_header(path).metadata.get("modelspec.resolution", "")
    inner = path / INDEX if path.is_dir() else path
    words = Words(said, *names_of(inner))
    return next((side for side in facts.sides if words.say(*_spelt(side))), 0)


def _spelt(side: int) -> tuple[str, ...]:
    """Return how names write a side: `512`, `512px`, `512x512`, and `2k` for 2048."""
    thousands = (f"{side // 1024}k", f"{side // 1024}kpx") if side > 1024 else ()
    return (f"{side}", f"{side}px", f"{side}x{side}", *thousands)
