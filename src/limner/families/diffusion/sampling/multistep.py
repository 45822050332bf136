"""Linear multistep methods, which go on from the slopes of up to four steps: LMS and iPNDM.

They are formulas of k-diffusion and of ComfyUI, put before Euler's class of diffusers, which
knows everything else. That of diffusers for LMS needs scipy, and its iPNDM goes only on levels
of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

_MOST = 4

_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)

_PLACES, _SHARES = np.polynomial.legendre.leggauss(2)
"""Gauss's rule of two places, exact for what three slopes before come to: a cubic."""


class LinearMultistep:
    """Goes down the mean of the last slopes, each weighted by the levels they were seen at."""

    config: Any
    sigmas: Any
    step_index: int | None
    _step_index: int
    _slopes: list[Any]

    def _init_step_index(self, timestep: Any) -> None:
        super()._init_step_index(timestep)  # type: ignore[misc]
        self._slopes = []

    def step(
        self, model_output: Any, timestep: Any, sample: Any, return_dict: bool = True
    ) -> tuple[Any, ...]:
        """Return the sample one step on, in a tuple."""
        del return_dict
        if self.step_index is None:
            self._init_step_index(timestep)
        here = self._step_index
        picture = sample.float()
        self._slopes = [self._slope(model_output.float(), picture, here), *self._slopes][:_MOST]
        levels = [float(self.sigmas[here + 1 - back]) for back in range(len(self._slopes) + 1)]
        for weight, slope in zip(self.weights(levels), self._slopes, strict=True):
            picture = picture + weight * slope
        self._step_index = here + 1
        return (picture.to(model_output.dtype),)

    def weights(self, levels: Sequence[float]) -> Sequence[float]:
        """Return how much each slope counts, the newest first.

        `levels` is where the step ends, where it begins, and where those before it began. The
        weight is the integral of Lagrange's polynomial of each place over the step.
        """
        end, *seen = levels
        half, middle = (end - seen[0]) / 2, (end + seen[0]) / 2
        at = middle + half * _PLACES
        weights = []
        for own in seen:
            others = [one for one in seen if one != own]
            basis = np.prod([(at - one) / (own - one) for one in others], axis=0)
            weights.append(float(half * np.sum(_SHARES * basis)))
        return weights

    def _slope(self, answer: Any, picture: Any, here: int) -> Any:
        """Return how a picture changes with its level, from what the model predicts."""
        if self.config.get("prediction_type", "epsilon") != "v_prediction":
            return answer
        level = self.sigmas[here]
        return picture * level / (level**2 + 1) + answer / (level**2 + 1) ** 0.5


class PseudoLinearMultistep(LinearMultistep):
    """The same with the weights of even steps: iPNDM (arXiv 2204.13902), as ComfyUI has it."""

    def weights(self, levels: Sequence[float]) -> Sequence[float]:
        """Return how much each slope counts, the newest first: Adams' and Bashforth's weights."""
        end, start = levels[:2]
        return [one * (end - start) for one in _ADAMS_BASHFORTH[len(levels) - 2]]
