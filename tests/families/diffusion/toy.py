"""A denoiser whose answer is known: pictures are drawn from one normal distribution."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from limner.families.diffusion.recognition.finding import Prediction

MEAN, SPREAD = 0.7, 0.5

NOISE_CONFIG: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
FLOW_CONFIG: dict[str, Any] = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "shift": 3.0,
}
CONFIGS: dict[Prediction, dict[str, Any]] = {
    "epsilon": NOISE_CONFIG,
    "v": {**NOISE_CONFIG, "prediction_type": "v_prediction"},
    "flow": FLOW_CONFIG,
}


def noise_table(config: dict[str, Any] = NOISE_CONFIG) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The noise level of every training time, for a picture of spread 1, from the definition."""
    start, end = config["beta_start"] ** 0.5, config["beta_end"] ** 0.5
    kept = np.cumprod(1 - np.linspace(start, end, config["num_train_timesteps"]) ** 2)
    return np.sqrt((1 - kept) / kept)


@dataclass(frozen=True)
class Drawn:
    """What came out, and what the exact flow of the same noise would have come to."""

    picture: torch.Tensor
    exact: torch.Tensor

    @property
    def error(self) -> float:
        return float((self.picture - self.exact).abs().max())


def draw(
    scheduler: Any, steps: int, prediction: Prediction, seed: int = 0, start: int = 0
) -> Drawn:
    """Follow a scheduler as a pipeline does, asking the exact denoiser.

    From a later step than the first it starts with a flat picture, mixed with noise.
    """
    generator = torch.Generator().manual_seed(seed)
    scheduler.set_timesteps(steps)
    noise = torch.randn(1, 4, 12, 12, generator=generator)
    takes = "generator" in inspect.signature(scheduler.step).parameters
    more = {"generator": generator} if takes else {}
    sample = noise if prediction == "flow" else noise * scheduler.init_noise_sigma
    exact = noise
    times = scheduler.timesteps[start * scheduler.order :]
    if start:
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(start * scheduler.order)
        mix = scheduler.scale_noise if prediction == "flow" else scheduler.add_noise
        flat, first = torch.full_like(noise, 0.2), times[:1]
        sample = mix(flat, first, noise) if prediction == "flow" else mix(flat, noise, first)
    log_table = np.log(noise_table())
    for index, time in enumerate(times):
        if prediction == "flow":
            sigma = float(time) / 1000
            alpha, given = 1 - sigma, sample
        else:
            given = scheduler.scale_model_input(sample, time)
            level = float(np.exp(np.interp(float(time), np.arange(1000), log_table)))
            alpha = 1 / np.sqrt(1 + level**2)
            sigma = alpha * level
        # The mean of a normal distribution seen through noise.
        seen = (alpha * SPREAD) ** 2 + sigma**2
        if index == 0:
            exact = MEAN + SPREAD * (given - alpha * MEAN) / np.sqrt(seen)
        away = (given - alpha * MEAN) / seen
        clean = MEAN + alpha * SPREAD**2 * away
        guess = sigma * away
        if prediction == "flow":
            answer = guess - clean
        elif prediction == "v":
            answer = alpha * guess - sigma * clean
        else:
            answer = guess
        sample = scheduler.step(answer, time, sample, return_dict=False, **more)[0]
    return Drawn(sample, exact)
