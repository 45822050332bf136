"""Noise levels by the names of their schedules: numbers only, for any model and any sampler.

Every schedule picks from the table of levels that a model was trained on, as ComfyUI's and the
AUTOMATIC1111 web UI's do, so that a name means the same whatever the model and the sampler.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from limner.domain.sampling import Schedule

Floats = npt.NDArray[np.float64]

_Levels = Callable[[int, Floats], Floats]


def _at(table: Floats, places: Floats) -> Floats:
    """Return the levels at fractional places in the table, 0 the cleanest."""
    return np.interp(places, np.arange(len(table)), table)


def _normal(steps: int, table: Floats) -> Floats:
    return _at(table, np.linspace(len(table) - 1, 0, steps))


def _sgm_uniform(steps: int, table: Floats) -> Floats:
    return _at(table, np.linspace(len(table) - 1, 0, steps + 1)[:-1])


def _simple(steps: int, table: Floats) -> Floats:
    return _at(table, len(table) - 1 - np.floor(np.arange(steps) * (len(table) / steps)))


def _ddim_uniform(steps: int, table: Floats) -> Floats:
    stride = max(len(table) // steps, 1)
    return _at(table, (1 + np.arange(steps) * stride)[::-1].astype(np.float64))


def _karras(steps: int, table: Floats) -> Floats:
    """Karras and others, arXiv 2206.00364, equation 5 with ρ = 7."""
    high, low = table[-1] ** (1 / 7), table[0] ** (1 / 7)
    return np.asarray((high + np.linspace(0, 1, steps) * (low - high)) ** 7)


def _exponential(steps: int, table: Floats) -> Floats:
    return np.exp(np.linspace(np.log(table[-1]), np.log(table[0]), steps))


def _beta(steps: int, table: Floats) -> Floats:
    """Times spread as Beta(0.6, 0.6): arXiv 2407.12173.

    With x = sin² θ the density becomes 2 (sin θ · cos θ)^0.2, which the trapezium rule can sum.
    """
    angles = np.linspace(0, np.pi / 2, 100_001)
    density = np.power(np.maximum(np.sin(angles) * np.cos(angles), 0), 0.2)
    below = np.concatenate(([0.0], np.cumsum(density[1:] + density[:-1])))
    shares = 1 - np.arange(steps) / steps
    times = np.sin(np.interp(shares * below[-1], below, angles)) ** 2
    return _at(table, times * (len(table) - 1))


def _kl_optimal(steps: int, table: Floats) -> Floats:
    """Sabour and others, arXiv 2404.14507, equation 8: even steps of the angle."""
    return np.tan(np.linspace(np.arctan(table[-1]), np.arctan(table[0]), steps))


def _linear_quadratic(steps: int, table: Floats) -> Floats:
    """As Mochi 1 and Movie Gen (arXiv 2410.13720) have it: small even steps, then ever larger.

    The first half of the steps goes down by 0.025 in all.
    """
    linear, small = steps // 2, 0.025
    if linear == 0:
        return table[-1:].copy()
    done = np.arange(steps, dtype=np.float64)
    curved = steps - linear
    slope = small / linear
    bend = (1 - small - slope * curved) / curved**2
    late = done - linear
    gone = np.where(late < 0, slope * done, small + slope * late + bend * late**2)
    return np.asarray((1 - gone) * table[-1])


def _aligned(steps: int, table: Floats, levels: Sequence[float]) -> Floats:
    """Sabour and others, arXiv 2404.14507: measured for so many steps, else between those.

    As the authors have it: even in the logarithm, the cleanest level of the table at the end.
    """
    if steps == len(levels):
        return np.array(levels, dtype=np.float64)
    marks = np.log([*levels, table[0]])
    places = np.linspace(0, len(levels), steps + 1)[:-1]
    return np.exp(np.interp(places, np.arange(len(marks)), marks))


_BY_SCHEDULE: Mapping[Schedule, _Levels] = MappingProxyType(
    {
        Schedule.NORMAL: _normal,
        Schedule.SIMPLE: _simple,
        Schedule.SGM_UNIFORM: _sgm_uniform,
        Schedule.DDIM_UNIFORM: _ddim_uniform,
        Schedule.KARRAS: _karras,
        Schedule.EXPONENTIAL: _exponential,
        Schedule.BETA: _beta,
        Schedule.KL_OPTIMAL: _kl_optimal,
        Schedule.LINEAR_QUADRATIC: _linear_quadratic,
    }
)

SCHEDULES: tuple[Schedule, ...] = tuple(_BY_SCHEDULE)
"""The schedules that there are levels for, whatever the model."""


def noise_levels(
    schedule: Schedule, steps: int, table: Floats, aligned: Sequence[float] = ()
) -> Floats:
    """Return the noise levels of a schedule: one a step, falling, without the zero at the end.

    `table` is the noise level of every training time, rising. A single step starts at its top.
    `aligned` are the levels that were found best for the kind of model, for Align Your Steps.
    """
    if steps == 1:
        return table[-1:].copy()
    if schedule is Schedule.ALIGN_YOUR_STEPS:
        return _aligned(steps, table, aligned)
    return _BY_SCHEDULE[schedule](steps, table)
