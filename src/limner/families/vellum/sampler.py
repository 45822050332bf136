"""From noise to a picture: how Vellum's denoiser is followed.

The denoiser predicts the clean picture x from a mixture z = t·x + (1 - t)·noise; t runs from 0
(noise) to 1 (picture). The velocity is (x - z) / (1 - t), after JiT (arXiv 2511.13720).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_EARLY = 2.0
"""The power that draws times together at the start; 1 would be even steps. See the model card."""

Denoise = Callable[[Floats, float], Floats]
"""Predicts clean pictures B × 4 × N × N from mixtures at one time."""

Report = Callable[[int, int, Floats], None]
"""Is told step, steps and the clean pictures as predicted; may raise Cancelled."""


@dataclass(frozen=True)
class Start:
    """Where sampling begins: the picture (or None), the time, and the part that stays.

    `kept` is B × 1 × N × N in [0, 1]: 1 where the picture stays as it is.
    """

    noise: Floats
    picture: Floats | None = None
    time: float = 0.0
    kept: Floats | None = None


def sample(denoise: Denoise, start: Start, sampler: str, steps: int, report: Report) -> Floats:
    """Return clean pictures, B × 4 × N × N in about [-1, 1].

    `euler` evaluates the denoiser once a step; `heun` twice, and corrects each step by its end
    (Karras and others, arXiv 2206.00364, algorithm 1 without noise). The last step of either
    lands on the picture as predicted.
    """
    times = _times(start.time, steps)
    z = _mixture(start, float(times[0]))
    for number, (now, then) in enumerate(pairwise(times)):
        clean = denoise(z, float(now))
        velocity = (clean - z) / (1 - now)
        ahead = z + (then - now) * velocity
        if sampler == "heun" and number < steps - 1:
            later = (denoise(ahead.astype(np.float32), float(then)) - ahead) / (1 - then)
            ahead = z + (then - now) * (velocity + later) / 2
        z = _with_kept(start, ahead.astype(np.float32), float(then))
        report(number + 1, steps, clean)
    return z


def _times(start: float, steps: int) -> npt.NDArray[np.float64]:
    """Return steps + 1 times from `start` to 1: closer together the more noise there is.

    What a picture is of is decided early; late steps only sharpen.
    """
    return np.linspace(start ** (1 / _EARLY), 1.0, steps + 1) ** _EARLY


def draw_noise(seed: int, pixels: int) -> Floats:
    """Return 4 × N × N normal noise for a seed, the same on every machine.

    RandomState is frozen by NEP 19; numpy's newer generators may change.
    """
    state = np.random.RandomState(np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32))
    return state.standard_normal((4, pixels, pixels)).astype(np.float32)


def _mixture(start: Start, time: float) -> Floats:
    if start.picture is None:
        return start.noise
    return (time * start.picture + (1 - time) * start.noise).astype(np.float32)


def _with_kept(start: Start, z: Floats, time: float) -> Floats:
    """Put the part that stays back to where it must be at this time (arXiv 2201.09865)."""
    if start.kept is None:
        return z
    return (start.kept * _mixture(start, time) + (1 - start.kept) * z).astype(np.float32)
