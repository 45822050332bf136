"""The sampler against denoisers whose true path is known."""

from itertools import pairwise

import numpy as np
import pytest

from limner.domain.errors import Cancelled
from limner.families.vellum.sampler import Floats, Start, draw_noise, sample

MEAN, SPREAD = 0.3, 0.5
"""A world of pictures in which every value is normal with this mean and deviation."""


def expected_picture(z: Floats, time: float) -> Floats:
    """Return the mean of the pictures x that z = t·x + (1 - t)·noise may come from."""
    gain = time * SPREAD**2 / (time**2 * SPREAD**2 + (1 - time) ** 2)
    return (MEAN + gain * (z - time * MEAN)).astype(np.float32)


def true_end(noise: Floats) -> Floats:
    """Return where the exact path from this noise ends.

    A mixture is normal at every time, and the path keeps a value's place in that distribution.
    """
    return (MEAN + SPREAD * noise).astype(np.float32)


def ignore(step: int, steps: int, clean: Floats) -> None:
    return


def error(sampler: str, steps: int) -> float:
    noise = np.stack([draw_noise(seed, 8) for seed in range(4)])
    drawn = sample(expected_picture, Start(noise), sampler, steps, ignore)
    assert drawn.dtype == np.float32
    return float(np.abs(drawn - true_end(noise)).max())


def test_euler_nears_the_true_path_in_proportion_to_its_steps() -> None:
    errors = [error("euler", steps) for steps in (10, 20, 40, 80, 160)]
    for coarse, fine in pairwise(errors):
        assert 1.6 < coarse / fine < 2.5
    assert errors[-1] < 0.03


def test_heun_nears_it_faster_and_is_nearer_for_the_same_evaluations() -> None:
    errors = [error("heun", steps) for steps in (10, 20, 40)]
    for coarse, fine in pairwise(errors):
        assert coarse / fine > 3
    for steps, found in zip((10, 20, 40), errors, strict=True):
        assert found < 0.8 * error("euler", 2 * steps)


def test_steps_are_closer_together_where_there_is_more_noise() -> None:
    times: list[float] = []

    def note(z: Floats, time: float) -> Floats:
        times.append(time)
        return z

    nothing = np.zeros((1, 4, 8, 8), np.float32)
    sample(note, Start(nothing), "euler", 4, ignore)
    assert times == pytest.approx([0, 1 / 16, 1 / 4, 9 / 16])
    times.clear()
    sample(note, Start(nothing, nothing, time=0.25), "euler", 2, ignore)
    assert times == pytest.approx([1 / 4, 9 / 16])


@pytest.mark.parametrize("sampler", ["euler", "heun"])
@pytest.mark.parametrize("steps", [1, 2, 20, 33, 100])
def test_the_last_step_lands_on_the_picture_as_predicted(sampler: str, steps: int) -> None:
    clean = np.stack([draw_noise(7, 8)])
    drawn = sample(lambda z, time: clean, Start(clean * 0 + 5), sampler, steps, ignore)
    assert np.abs(drawn - clean).max() < 1e-5


@pytest.mark.parametrize(("sampler", "evaluations"), [("euler", 10), ("heun", 19)])
def test_each_sampler_asks_as_often_as_it_says_and_in_floats(
    sampler: str, evaluations: int
) -> None:
    times: list[float] = []

    def denoise(z: Floats, time: float) -> Floats:
        assert z.dtype == np.float32
        times.append(time)
        return z

    sample(denoise, Start(draw_noise(1, 4)[None]), sampler, 10, ignore)
    assert len(times) == evaluations
    assert times[0] == 0
    assert max(times) == pytest.approx(0.81)


def test_steps_are_reported_one_by_one_with_the_picture_so_far() -> None:
    told: list[tuple[int, int]] = []
    clean = draw_noise(3, 4)[None]

    def report(step: int, steps: int, picture: Floats) -> None:
        assert np.array_equal(picture, clean)
        told.append((step, steps))

    sample(lambda z, time: clean, Start(clean), "euler", 5, report)
    assert told == [(step, 5) for step in range(1, 6)]


def test_a_report_may_stop_the_work() -> None:
    asked: list[float] = []

    def denoise(z: Floats, time: float) -> Floats:
        asked.append(time)
        return z

    def report(step: int, steps: int, picture: Floats) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        sample(denoise, Start(draw_noise(1, 4)[None]), "euler", 10, report)
    assert len(asked) == 1


def test_a_picture_to_start_from_is_mixed_with_noise_at_its_time() -> None:
    seen: list[Floats] = []
    noise, picture = draw_noise(1, 4)[None], draw_noise(2, 4)[None]

    def denoise(z: Floats, time: float) -> Floats:
        seen.append(z)
        return picture

    drawn = sample(denoise, Start(noise, picture, 0.25), "euler", 3, ignore)
    assert np.allclose(seen[0], 0.25 * picture + 0.75 * noise)
    assert np.allclose(drawn, picture, atol=1e-6)


def test_what_is_kept_is_on_its_own_path_at_every_step_and_exact_at_the_end() -> None:
    noise, picture = draw_noise(1, 4)[None], draw_noise(2, 4)[None]
    kept = np.zeros((1, 1, 4, 4), np.float32)
    kept[..., :2] = 1
    seen: list[tuple[float, Floats]] = []

    def denoise(z: Floats, time: float) -> Floats:
        seen.append((time, z))
        return z * 0 + 9

    drawn = sample(denoise, Start(noise, picture, 0.0, kept), "euler", 5, ignore)
    for time, z in seen:
        path = time * picture + (1 - time) * noise
        assert np.allclose(z[..., :2], path[..., :2], atol=1e-6)
    assert np.array_equal(drawn[..., :2], picture[..., :2])
    assert np.allclose(drawn[..., 2:], 9)


def test_noise_is_normal_and_of_its_seed_alone() -> None:
    one = draw_noise(7, 64)
    assert one.shape == (4, 64, 64)
    assert one.dtype == np.float32
    assert abs(one.mean()) < 0.03
    assert abs(one.std() - 1) < 0.03
    assert np.array_equal(one, draw_noise(7, 64))
    np.random.seed(1)  # what others do to numpy's shared state changes nothing
    assert np.array_equal(one, draw_noise(7, 64))


@pytest.mark.parametrize(
    ("seed", "values"),
    [
        (0, (-0.36259031, -0.41597474, 0.95486492)),
        (2**53 - 1, (-0.14895636, -0.21809252, -0.38343430)),
    ],
)
def test_noise_is_fixed_for_all_time(seed: int, values: tuple[float, ...]) -> None:
    assert draw_noise(seed, 2).ravel()[:3].tolist() == pytest.approx(values, abs=1e-7)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2**32), (1, 2**32 + 1), (2**53 - 1, 2**32 - 1)])
def test_every_bit_of_a_seed_counts(pair: tuple[int, int]) -> None:
    one, other = (draw_noise(seed, 16) for seed in pair)
    assert abs(float(np.corrcoef(one.ravel(), other.ravel())[0, 1])) < 0.15
