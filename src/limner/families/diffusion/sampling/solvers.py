"""Solvers of diffusers that go on noise levels of our choice.

diffusers lets only some of its solvers choose their levels, and only in ways that differ from one
to the next. Here each is given them directly: the solver's own `set_timesteps` prepares it, and
then the levels are put in place of its own. Everything else about a solver stays as it is.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from limner.domain.errors import InvalidOption
from limner.domain.sampling import Schedule
from limner.families.diffusion.sampling.levels import Floats, noise_levels

_TWICE = frozenset({"HeunDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"})
"""Solvers that evaluate each level but the first twice, and list it twice."""

_BETWEEN = frozenset({"KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"})
"""Solvers that work out more levels between those they are given."""

_LOGARITHMIC = frozenset(
    {
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
    }
)
"""Solvers that divide by what is left of the picture at a level."""

_ABOVE_ZERO = frozenset({"DEISMultistepScheduler", "UniPCMultistepScheduler", "SASolverScheduler"})
"""Solvers that divide by the level they end on, or may."""

_BY_WHOLE_TIMES = frozenset({"SASolverScheduler"})
"""Solvers that look up by the time how much noise a picture is mixed with."""

_DISTILLED = frozenset({"LCMScheduler", "TCDScheduler"})
"""Solvers that go on some of the few times a model was distilled on."""

_SPACINGS = {
    "linspace": Schedule.NORMAL,
    "trailing": Schedule.SGM_UNIFORM,
    "leading": Schedule.DDIM_UNIFORM,
}


@dataclass(frozen=True)
class Solver:
    """A class of diffusers and what its configuration must say; `formula` takes its steps."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    formula: type | None = None


def follow_noise(
    config: Mapping[str, Any],
    solver: Solver,
    schedule: Schedule | None,
    aligned: Sequence[float] = (),
) -> Any:
    """Return a solver for a model that predicts noise or v, on the levels of a schedule.

    Left open, it goes on those that diffusers gives it. `aligned` are the levels of Align Your
    Steps for this kind of model.
    """
    diffusers: Any = import_module("diffusers")
    base = _class_of(diffusers, solver)
    if schedule is None and _loses_zero_snr(config, base):
        schedule = _SPACINGS[config.get("timestep_spacing", "linspace")]
    if schedule is None:
        kind = _derived(_Distilled, base, {}) if solver.name in _DISTILLED else base
        return kind.from_config(dict(config), **solver.settings)
    own = diffusers.EulerDiscreteScheduler.from_config(dict(config))
    share = own.alphas_cumprod.numpy().astype(np.float64)
    table = np.sqrt((1 - share) / share)
    settings = dict(solver.settings)
    if schedule is Schedule.DDIM_UNIFORM:
        settings["timestep_spacing"] = "leading"
    facts = {"schedule": schedule, "table": table, "aligned": tuple(aligned)}
    if solver.name in _BETWEEN:
        settings["use_karras_sigmas"] = True
        return _derived(_BetweenLevels, base, facts).from_config(dict(config), **settings)
    return _derived(_OnLevels, base, facts).from_config(dict(config), **settings)


def follow_flow(config: Mapping[str, Any], solver: Solver, schedule: Schedule | None) -> Any:
    """Return a solver for a flow-matching model, on the levels of a schedule.

    Left open, it goes on the model's own.
    """
    diffusers: Any = import_module("diffusers")
    base = _class_of(diffusers, solver)
    levels = diffusers.FlowMatchEulerDiscreteScheduler
    shift = config.get("shift", config.get("flow_shift", 1.0))
    own = {**config, "_class_name": levels.__name__}
    facts = {
        "schedule": schedule,
        "own": levels.from_config(own, shift=shift),
        "plain": levels.from_config(own, shift=shift, **_PLAIN),
    }
    kind = _TwiceOnFlow if solver.name in _TWICE else _OnFlow
    made = _derived(kind, base, facts).from_config(dict(config), **solver.settings)
    # Pipelines look here for how far the size of a picture shifts the levels.
    made.register_to_config(
        **{k: v for k, v in config.items() if k not in made.config and not k.startswith("_")}
    )
    return made


def _class_of(diffusers: Any, solver: Solver) -> Any:
    base = getattr(diffusers, solver.name)
    settings = solver.settings
    if solver.formula is not None:
        return type(base.__name__, (solver.formula, base), {})
    if settings.get("solver_order") == 3 and settings["algorithm_type"] == "sde-dpmsolver++":
        return type(base.__name__, (_ThirdOrderWithNoise, base), {})
    return base


_PLAIN = {
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
}


def _loses_zero_snr(config: Mapping[str, Any], base: Any) -> bool:
    """Whether a model starts from noise alone and the solver does not know of that."""
    known = inspect.signature(base.__init__).parameters
    return bool(config.get("rescale_betas_zero_snr")) and "rescale_betas_zero_snr" not in known


def _derived(kind: type, base: Any, facts: Mapping[str, Any]) -> Any:
    """Return a class of diffusers with ours before it; some prepare themselves when made."""
    return type(base.__name__, (kind, base), {"base": base, **facts})


class _OnLevels:
    """A solver whose levels come from a schedule."""

    base: Any
    schedule: Schedule
    table: Floats
    aligned: tuple[float, ...]

    def set_timesteps(
        self, num_inference_steps: int, device: Any = None, num_train_timesteps: int | None = None
    ) -> None:
        """Prepare for a number of steps; the number of training times is known already."""
        del num_train_timesteps
        self.base.set_timesteps(self, num_inference_steps, device=device)
        levels = noise_levels(self.schedule, num_inference_steps, self.table, self.aligned)
        places = np.interp(np.log(levels), np.log(self.table), np.arange(len(self.table)))
        _put(self, levels, places, device)


class _BetweenLevels:
    """A solver that adds levels between, and takes the others where it would take Karras's."""

    schedule: Schedule
    table: Floats
    aligned: tuple[float, ...]

    def _convert_to_karras(self, in_sigmas: Floats, num_inference_steps: int) -> Floats:
        del in_sigmas
        return noise_levels(self.schedule, num_inference_steps, self.table, self.aligned)


class _ThirdOrderWithNoise:
    """DPM-Solver++ of the third order as an SDE; diffusers 0.42 has a sign of it wrong.

    The update is that of k-diffusion: the noise-free one (arXiv 2211.01095) for twice the step
    in the logarithm of the signal-to-noise ratio, and the noise that makes up for it.
    """

    sigmas: Any
    step_index: int
    _sigma_to_alpha_sigma_t: Any

    def multistep_dpm_solver_third_order_update(
        self, model_output_list: Sequence[Any], sample: Any, noise: Any
    ) -> Any:
        """Return the sample one step on, from the last three pictures as predicted."""
        index = self.step_index
        places = [self._sigma_to_alpha_sigma_t(self.sigmas[index + 1 - back]) for back in range(4)]
        ratios = [alpha.log() - sigma.log() for alpha, sigma in places]
        h, before, earlier = (ratios[back] - ratios[back + 1] for back in range(3))
        (alpha, sigma), (_, sigma_here) = places[:2]
        newest, newer, new = reversed(model_output_list)
        slope, slope_before = (newest - newer) / (before / h), (newer - new) / (earlier / h)
        r_0, r_1 = before / h, earlier / h
        bend = (slope - slope_before) / (r_0 + r_1)
        slope = slope + r_0 * bend
        fade = -(-2 * h).expm1()
        second = 1 - fade / (2 * h)
        third = second / (2 * h) - 0.5
        return (
            sigma / sigma_here * (-h).exp() * sample
            + alpha * (fade * newest + second * slope - third * bend)
            + sigma * fade.sqrt() * noise
        )


class _Distilled:
    """A solver that has only so many steps."""

    base: Any
    config: Any

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Prepare for a number of steps; raises InvalidOption for more than there are."""
        most = self.config.original_inference_steps
        if num_inference_steps > most:
            raise InvalidOption(f"This sampler takes at most {most} steps. Ask for fewer.")
        self.base.set_timesteps(self, num_inference_steps, device=device)


class _OnFlow:
    """A solver whose levels are those of flow matching: the share of noise in a mixture."""

    base: Any
    schedule: Schedule | None
    own: Any
    plain: Any
    config: Any

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """Prepare for a number of steps, or on the levels that a pipeline gives."""
        given = timesteps if sigmas is None else sigmas
        steps = num_inference_steps if given is None else len(given)
        if steps is None:
            raise TypeError("a number of steps, or the levels of each, must be given")
        mu = mu if self.config.get("use_dynamic_shifting") else None
        schedule = self.schedule
        if schedule is None and given is None and self.base.__name__ in _LOGARITHMIC:
            # What diffusers does with these; Flux's pipelines keep their own levels from them.
            schedule = Schedule.SGM_UNIFORM
        if schedule is None:
            count = steps if given is None else None
            self.own.set_timesteps(count, sigmas=sigmas, mu=mu, timesteps=timesteps)
            levels, times = _numbers(self.own.sigmas[:-1]), _numbers(self.own.timesteps)
        elif timesteps is None:
            levels, times = self._levels(schedule, steps, mu)
        else:
            raise InvalidOption(
                "This model tells its noise levels in a way of its own. Leave the schedule out."
            )
        known = inspect.signature(self.base.set_timesteps).parameters
        shift = {"mu": mu} if "mu" in known and mu is not None else {}
        self.base.set_timesteps(self, steps, device=device, **shift)
        if self.base.__name__ in _LOGARITHMIC:
            levels = _below_one(levels)
        _put(self, levels, times, device)

    def scale_noise(self, sample: Any, timestep: Any, noise: Any) -> Any:
        """Mix a picture with noise, as much as there is at a time."""
        return type(self.own).scale_noise(self, sample, timestep, noise)

    def _levels(self, schedule: Schedule, steps: int, mu: float | None) -> tuple[Floats, Floats]:
        """Return the levels of a schedule, and the times the model is told with them."""
        count = self.plain.config.num_train_timesteps
        self.plain.set_timesteps(sigmas=np.linspace(1, 1 / count, count), mu=mu)
        levels = noise_levels(schedule, steps, _numbers(self.plain.sigmas[:-1])[::-1])
        return levels, levels * count


class _TwiceOnFlow(_OnFlow):
    """A solver that evaluates levels twice, also where a pipeline takes evaluations for steps.

    Pipelines that give levels count what they get back, and start from a picture at any of it:
    in the middle of a step too. Such a half is passed over; the next starts at the same level.
    """

    order: int
    sigmas: Any
    step_index: int | None
    state_in_first_order: bool
    _step_index: int
    _init_step_index: Any

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
        timesteps: Sequence[float] | None = None,
    ) -> None:
        """Prepare for a number of steps, or on the levels that a pipeline gives."""
        super().set_timesteps(num_inference_steps, device, sigmas, mu, timesteps)
        counted = sigmas is not None or timesteps is not None
        self.order = 1 if counted else self.base.order

    def step(self, model_output: Any, timestep: Any, sample: Any, **more: Any) -> Any:
        """Take a step, or no step where only the second half of one is left."""
        if self.step_index is None:
            self._init_step_index(timestep)
        here = self._step_index
        if self.state_in_first_order and self.sigmas[here] == self.sigmas[here + 1]:
            self._step_index = here + 1
            return (sample,)
        return self.base.step(self, model_output, timestep, sample, **more)


def _numbers(tensor: Any) -> Floats:
    return np.asarray(tensor.numpy(), dtype=np.float64)


def _below_one(levels: Floats) -> Floats:
    """Return levels of which the first leaves a little of the picture, still falling."""
    second = levels[1] if len(levels) > 1 else 0.0
    return np.concatenate(([min(levels[0], 1 - min(1e-3, (1 - second) / 2))], levels[1:]))


def _put(solver: Any, levels: Floats, times: Floats, device: Any) -> None:
    """Give a solver its levels, and the times that the model is told with them."""
    torch: Any = import_module("torch")
    end = 1e-4 if solver.base.__name__ in _ABOVE_ZERO else 0.0
    sigmas = torch.tensor([*levels, end], dtype=torch.float32, device=solver.sigmas.device)
    moments = torch.tensor(times, dtype=torch.float32, device=device)
    if solver.base.__name__ in _BY_WHOLE_TIMES:
        moments = moments.round().long()
    if solver.base.__name__ in _TWICE:
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
        moments = torch.cat([moments[:1], moments[1:].repeat_interleave(2)])
    solver.sigmas, solver.timesteps = sigmas, moments
