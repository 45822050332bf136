"""Linear multistep methods: against the classes of diffusers for them, and by their formulas."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="the samplers are those of diffusers")

import torch

from limner.families.diffusion.recognition.finding import Prediction
from limner.families.diffusion.recognition.learnt import Learnt
from limner.families.diffusion.sampling import samplers
from limner.families.diffusion.sampling.multistep import LinearMultistep, PseudoLinearMultistep
from tests.families.diffusion.toy import CONFIGS, NOISE_CONFIG, draw

diffusers: Any = import_module("diffusers")

# diffusers hands tensors to numpy in ways that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")


def build(config: Any, sampler: str, schedule: str | None, prediction: Prediction) -> Any:
    return samplers.build(config, sampler, schedule, Learnt(prediction))


def integral(function: Any, start: Any, end: Any, **_: Any) -> tuple[float]:
    """The quadrature of scipy, by a rule that is exact for polynomials of degree 15."""
    places, shares = np.polynomial.legendre.leggauss(8)
    half, middle = (float(end) - float(start)) / 2, (float(end) + float(start)) / 2
    values = [float(function(middle + half * place)) for place in places]
    return (half * float(np.dot(shares, values)),)


@pytest.fixture
def lms(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of diffusers for LMS, which asks scipy for one thing only."""
    module = import_module("diffusers.schedulers.scheduling_lms_discrete")
    quad = SimpleNamespace(quad=integral)
    monkeypatch.setattr(module, "integrate", quad, raising=False)
    return module.LMSDiscreteScheduler


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_lms_on_the_models_levels_is_that_of_diffusers(
    lms: Any, prediction: Any, spacing: str, steps: int
) -> None:
    config = {**CONFIGS[prediction], "timestep_spacing": spacing}
    theirs = draw(lms.from_config(config), steps, prediction)
    ours = draw(build(config, "lms", None, prediction), steps, prediction)
    torch.testing.assert_close(ours.picture, theirs.picture, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 12])
def test_ipndm_is_that_of_diffusers_on_our_levels(steps: int) -> None:
    ours = build(NOISE_CONFIG, "ipndm", "karras", "epsilon")
    ours.set_timesteps(steps)
    theirs = diffusers.IPNDMScheduler()
    theirs.set_timesteps(steps)
    # It knows shares of noise and picture whose squares add up to one.
    theirs.alphas = 1 / (1 + ours.sigmas**2) ** 0.5
    theirs.betas = ours.sigmas * theirs.alphas
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    mixed = sample.clone()
    sample = sample / theirs.alphas[0]
    for index in range(steps):
        noise = torch.tanh(mixed) + 0.1 * mixed
        velocity = (noise - mixed * theirs.betas[index]) / theirs.alphas[index]
        mixed = theirs.step(velocity, theirs.timesteps[index], mixed, return_dict=False)[0]
        sample = ours.step(noise, ours.timesteps[index], sample, return_dict=False)[0]
        torch.testing.assert_close(sample * theirs.alphas[index + 1], mixed, atol=2e-4, rtol=2e-4)


def test_even_steps_have_the_weights_of_adams_and_bashforth() -> None:
    for seen in range(1, 5):
        levels = [float(back) for back in range(-1, seen)]
        even, uneven = PseudoLinearMultistep().weights(levels), LinearMultistep().weights(levels)
        np.testing.assert_allclose(uneven, even, atol=1e-12)
        assert sum(even) == pytest.approx(-1)


def test_a_second_picture_does_not_go_on_from_the_first() -> None:
    scheduler = build(CONFIGS["flow"], "lms", None, "flow")
    once, again = (draw(scheduler, 6, "flow").picture for _ in range(2))
    assert torch.equal(once, again)
