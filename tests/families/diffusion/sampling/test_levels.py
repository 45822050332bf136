"""Noise levels against diffusers' own, against scipy's, and against the formulas' own marks."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from limner.domain.sampling import Schedule
from limner.families.diffusion.sampling.levels import SCHEDULES, noise_levels

pytest.importorskip("diffusers", reason="the table is that of a scheduler of diffusers")

from tests.families.diffusion.toy import NOISE_CONFIG, noise_table

diffusers: Any = import_module("diffusers")

# diffusers hands tensors to numpy in ways that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

TABLE = noise_table()
FLOW = np.linspace(1 / 1000, 1, 1000)


def theirs(steps: int, **settings: Any) -> Any:
    scheduler = diffusers.EulerDiscreteScheduler.from_config(
        {**NOISE_CONFIG, "timestep_spacing": "linspace"}, **settings
    )
    scheduler.set_timesteps(steps)
    return scheduler.sigmas[:-1].numpy()


@pytest.mark.parametrize("table", [TABLE, FLOW], ids=["noise", "flow"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 20, 100, 400])
def test_levels_fall_from_the_top_and_stay_above_zero(
    schedule: Schedule, steps: int, table: Any
) -> None:
    levels = noise_levels(schedule, steps, table)
    assert len(levels) == steps
    assert (np.diff(levels) < 0).all()
    assert table[0] - 1e-12 <= levels[-1] or schedule is Schedule.LINEAR_QUADRATIC
    assert levels[-1] > 0
    if schedule is not Schedule.DDIM_UNIFORM or steps == 1:
        assert levels[0] == pytest.approx(table[-1])


@pytest.mark.parametrize("steps", [2, 5, 20, 50])
def test_karras_exponential_and_normal_are_diffusers_own(steps: int) -> None:
    for schedule, settings in (
        (Schedule.KARRAS, {"use_karras_sigmas": True}),
        (Schedule.EXPONENTIAL, {"use_exponential_sigmas": True}),
        (Schedule.NORMAL, {}),
    ):
        ours = noise_levels(schedule, steps, TABLE)
        np.testing.assert_allclose(ours, theirs(steps, **settings), rtol=2e-4)


def test_karras_by_hand() -> None:
    low, high = 0.03, 14.6
    middle = ((low ** (1 / 7) + high ** (1 / 7)) / 2) ** 7
    levels = noise_levels(Schedule.KARRAS, 3, np.array([low, 1.0, high]))
    np.testing.assert_allclose(levels, [high, middle, low])


@pytest.mark.parametrize("steps", [4, 20, 30])
def test_uniform_times(steps: int) -> None:
    places = np.arange(1000.0)
    trailing = noise_levels(Schedule.SIMPLE, steps, places)
    np.testing.assert_array_equal(trailing, [999 - int(i * 1000 / steps) for i in range(steps)])
    sgm = noise_levels(Schedule.SGM_UNIFORM, steps, places)
    np.testing.assert_allclose(sgm, 999 * (1 - np.arange(steps) / steps))
    leading = noise_levels(Schedule.DDIM_UNIFORM, steps, places)
    np.testing.assert_array_equal(leading, 1 + np.arange(steps)[::-1] * (1000 // steps))
    scheduler = diffusers.DDIMScheduler.from_config(NOISE_CONFIG)
    scheduler.set_timesteps(steps)
    np.testing.assert_array_equal(leading, scheduler.timesteps.numpy())


@pytest.mark.parametrize("steps", [2, 3, 20, 50])
def test_beta_times_are_quantiles(steps: int) -> None:
    stats: Any = pytest.importorskip("scipy.stats", reason="scipy gives the quantiles")
    times = noise_levels(Schedule.BETA, steps, np.arange(1000.0))
    wanted = stats.beta.ppf(1 - np.arange(steps) / steps, 0.6, 0.6) * 999
    np.testing.assert_allclose(times, wanted, atol=0.05)


@pytest.mark.parametrize("table", [TABLE, FLOW], ids=["noise", "flow"])
def test_kl_optimal_turns_by_even_angles(table: Any) -> None:
    turns = np.diff(np.arctan(noise_levels(Schedule.KL_OPTIMAL, 12, table)))
    np.testing.assert_allclose(turns, turns[0])


def test_linear_quadratic_by_its_marks() -> None:
    np.testing.assert_allclose(
        noise_levels(Schedule.LINEAR_QUADRATIC, 4, FLOW), [1, 0.9875, 0.975, 0.725]
    )
    levels = noise_levels(Schedule.LINEAR_QUADRATIC, 20, FLOW)
    np.testing.assert_allclose(np.diff(levels[:11]), -0.0025)
    late = np.diff([*levels[10:], 0.0])
    np.testing.assert_allclose(np.diff(late), np.diff(late)[0])


def test_aligned_steps_keep_their_marks_and_go_between_evenly() -> None:
    marks = (8.0, 2.0, 0.5)
    table = np.array([0.125, 1.0, 8.0])
    for steps, levels in (
        (3, [8, 2, 0.5]),
        (6, [8, 4, 2, 1, 0.5, 0.25]),
        (1, [8]),
    ):
        aligned = noise_levels(Schedule.ALIGN_YOUR_STEPS, steps, table, marks)
        np.testing.assert_allclose(aligned, levels)
