"""Which of diffusers' solvers a sampler is, and on which noise levels it goes.

    sampler              noise or v prediction       flow matching             schedules
    euler                EulerDiscrete               FlowMatchEulerDiscrete    all
    euler_ancestral      EulerAncestralDiscrete      LTXEulerAncestralRF       all
    heun                 HeunDiscrete                FlowMatchHeunDiscrete     all
    dpm_2                KDPM2Discrete               —                         all
    dpm_2_ancestral      KDPM2AncestralDiscrete      —                         all
    dpmpp_2s             DPMSolverSinglestep         the same                  all
    dpmpp_2m             DPMSolverMultistep          the same                  all
    dpmpp_3m             … of order 3                the same                  all
    dpmpp_sde            DPMSolverSinglestep, SDE    the same                  all
    dpmpp_2m_sde         DPMSolverMultistep, SDE     the same                  all
    dpmpp_2m_sde_heun    … with Heun's formula       the same                  all
    dpmpp_3m_sde         … of order 3, put right     the same                  all
    deis                 DEISMultistep               the same                  all
    uni_pc, uni_pc_bh2   UniPCMultistep, B1 or B2    the same                  all
    sa_solver            SASolver                    —                         all
    lms, ipndm           EulerDiscrete, by formulas  FlowMatchEulerDiscrete    all
                         of `multistep`
    ddim                 DDIM                        —                         all
    lcm                  LCM                         FlowMatchLCM              all for flow
    ddpm, plms, tcd      DDPM, PNDM, TCD             —                         none

“All” is normal, simple, sgm_uniform, karras, exponential, beta and kl_optimal; ddim_uniform for
noise and v; linear_quadratic for flow; align_your_steps for Stable Diffusion 1 and XL alone, as
they predict noise: it has numbers for single kinds of models.

Left open, both are the model's own and nothing differs from diffusers. With a sampler alone, a
noise-predicting model goes on the levels that diffusers gives this solver, a flow-matching one
on its own levels. With a schedule, the levels are those of `levels`, for every solver the same.
DDIM without noise is Euler's method: with a schedule, Euler stands in for it.

`dpmpp_sde` is DPM-Solver++'s own SDE of single steps, which counts each evaluation as a step.
"""

import inspect
import warnings
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

from limner.domain.errors import InvalidOption
from limner.domain.sampling import Sampler, Schedule
from limner.families.diffusion.recognition.finding import Prediction
from limner.families.diffusion.recognition.learnt import Learnt
from limner.families.diffusion.sampling.levels import SCHEDULES
from limner.families.diffusion.sampling.multistep import LinearMultistep, PseudoLinearMultistep
from limner.families.diffusion.sampling.solvers import Solver, follow_flow, follow_noise

_ALIGNED = MappingProxyType({"sd1": "StableDiffusionSigmas", "sdxl": "StableDiffusionXLSigmas"})
"""What diffusers calls the levels of Align Your Steps, by family."""


_MULTISTEP, _SINGLESTEP = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"


def _dpm(name: str, order: int, noisy: bool = False, heun: bool = False) -> Solver:
    """Return DPM-Solver++ (arXiv 2211.01095): of an order, of one or many steps, with noise."""
    settings = {
        "algorithm_type": "sde-dpmsolver++" if noisy else "dpmsolver++",
        "solver_order": order,
        "solver_type": "heun" if heun else "midpoint",
        "final_sigmas_type": "zero",
        "lower_order_final": True,
    }
    return Solver(name, settings)


def _uni_pc(variant: str, end: str) -> Solver:
    settings = {"solver_type": variant, "solver_order": 2, "final_sigmas_type": end}
    return Solver("UniPCMultistepScheduler", settings)


_FOR_BOTH: Mapping[Sampler, Solver] = {
    Sampler.DPMPP_2S: _dpm(_SINGLESTEP, 2),
    Sampler.DPMPP_2M: _dpm(_MULTISTEP, 2),
    Sampler.DPMPP_3M: _dpm(_MULTISTEP, 3),
    Sampler.DPMPP_SDE: _dpm(_SINGLESTEP, 2, noisy=True),
    Sampler.DPMPP_2M_SDE: _dpm(_MULTISTEP, 2, noisy=True),
    Sampler.DPMPP_2M_SDE_HEUN: _dpm(_MULTISTEP, 2, noisy=True, heun=True),
    Sampler.DPMPP_3M_SDE: _dpm(_MULTISTEP, 3, noisy=True, heun=True),
    Sampler.DEIS: Solver("DEISMultistepScheduler", {"algorithm_type": "deis", "solver_order": 2}),
    Sampler.UNI_PC: _uni_pc("bh1", "sigma_min"),
    Sampler.UNI_PC_BH2: _uni_pc("bh2", "zero"),
}
_UNCLIPPED = {"clip_sample": False}

_FOR_NOISE: Mapping[Sampler, Solver] = MappingProxyType(
    {
        Sampler.EULER: Solver("EulerDiscreteScheduler"),
        Sampler.EULER_ANCESTRAL: Solver("EulerAncestralDiscreteScheduler"),
        Sampler.HEUN: Solver("HeunDiscreteScheduler", _UNCLIPPED),
        Sampler.DPM_2: Solver("KDPM2DiscreteScheduler"),
        Sampler.DPM_2_ANCESTRAL: Solver("KDPM2AncestralDiscreteScheduler"),
        **_FOR_BOTH,
        Sampler.LMS: Solver("EulerDiscreteScheduler", formula=LinearMultistep),
        Sampler.IPNDM: Solver("EulerDiscreteScheduler", formula=PseudoLinearMultistep),
        Sampler.SA_SOLVER: Solver("SASolverScheduler", {"algorithm_type": "data_prediction"}),
        Sampler.DDIM: Solver("DDIMScheduler", _UNCLIPPED),
        Sampler.DDPM: Solver("DDPMScheduler", _UNCLIPPED),
        Sampler.PLMS: Solver("PNDMScheduler", {"skip_prk_steps": True}),
        Sampler.LCM: Solver("LCMScheduler", _UNCLIPPED),
        Sampler.TCD: Solver("TCDScheduler", _UNCLIPPED),
    }
)

_FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}

_CERTAIN = {"stochastic_sampling": False}

_FOR_FLOW: Mapping[Sampler, Solver] = MappingProxyType(
    {
        Sampler.EULER: Solver("FlowMatchEulerDiscreteScheduler", _CERTAIN),
        Sampler.EULER_ANCESTRAL: Solver("LTXEulerAncestralRFScheduler"),
        Sampler.HEUN: Solver("FlowMatchHeunDiscreteScheduler"),
        **{word: Solver(one.name, {**one.settings, **_FLOW}) for word, one in _FOR_BOTH.items()},
        Sampler.LMS: Solver("FlowMatchEulerDiscreteScheduler", _CERTAIN, LinearMultistep),
        Sampler.IPNDM: Solver("FlowMatchEulerDiscreteScheduler", _CERTAIN, PseudoLinearMultistep),
        Sampler.LCM: Solver("FlowMatchLCMScheduler"),
    }
)

_TIMED = (Sampler.DDPM, Sampler.PLMS, Sampler.LCM, Sampler.TCD)

_ON_OWN_TIMES = frozenset(_FOR_NOISE[word].name for word in _TIMED)
"""What can only follow its own choice of times."""

_OWN = MappingProxyType(
    {
        "noise": frozenset(one.name for one in _FOR_NOISE.values()) | {"LMSDiscreteScheduler"},
        "flow": frozenset(one.name for one in _FOR_FLOW.values()),
    }
)
"""The solvers a model may bring for others to stand in for; each other kind is its own world."""


_TRAINED_WITH = frozenset(
    {
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "prediction_type",
        "rescale_betas_zero_snr",
        "shift",
        "flow_shift",
        "use_dynamic_shifting",
        "time_shift_type",
    }
)


def samplers_for(prediction: Prediction) -> tuple[str, ...]:
    """Return our words for the samplers of models that predict this."""
    return tuple(word.value for word in _solvers(prediction))


def schedules_for(learnt: Learnt) -> tuple[str, ...]:
    """Return our words for the schedules of models that learnt this, whatever the sampler.

    `ddpm`, `plms`, `tcd`, and `lcm` of models that predict noise, take none of them.
    """
    if not learnt.prediction:
        return ()
    unfit = Schedule.DDIM_UNIFORM if learnt.prediction == "flow" else Schedule.LINEAR_QUADRATIC
    own = (Schedule.ALIGN_YOUR_STEPS,) if _aligned(learnt) else ()
    return tuple(word.value for word in (*SCHEDULES, *own) if word is not unfit)


def _aligned(learnt: Learnt) -> str:
    """Return what diffusers calls the levels of Align Your Steps, empty where there are none."""
    return _ALIGNED.get(learnt.family, "") if learnt.prediction == "epsilon" else ""


def build(
    config: Mapping[str, Any], sampler: str | None, schedule: str | None, learnt: Learnt
) -> Any:
    """Return a fresh scheduler of diffusers for a sampler and a schedule.

    `config` is the model's own, with its `_class_name`. With both left open it is the model's
    own scheduler, unchanged. Raises InvalidOption where the two do not go together, or not with
    the model.
    """
    with warnings.catch_warnings():
        # Some solvers prepare themselves when made, by ways that numpy 2 warns of.
        warnings.filterwarnings("ignore", message="__array", category=DeprecationWarning)
        return _built(config, sampler, schedule, learnt)


def give_noise(scheduler: Any, generator: Any) -> None:
    """Let a scheduler that adds noise draw it from a generator (or one for each picture).

    The pipelines of flow-matching models give it none, and the pictures would not come again.
    """
    if "generator" in inspect.signature(scheduler.step).parameters:
        scheduler.step = partial(scheduler.step, generator=generator)


def _built(
    config: Mapping[str, Any], sampler: str | None, schedule: str | None, learnt: Learnt
) -> Any:
    diffusers: Any = import_module("diffusers")
    own = str(config["_class_name"])
    models = getattr(diffusers, own).from_config(dict(config))
    if sampler is None and schedule is None:
        return models
    prediction = learnt.prediction
    _check_own(config, own, prediction)
    config = _trained(config, models.config)
    solver = _chosen(sampler, schedule, own, prediction)
    word = _schedule(schedule, learnt)
    if prediction == "flow":
        return follow_flow(config, solver, word)
    if word is not None and solver.name in _ON_OWN_TIMES:
        raise InvalidOption(
            f"The sampler “{sampler or own.removesuffix('Scheduler')}” has noise levels of its own "
            f"and does not go on “{schedule}”. Leave the schedule out, or choose another sampler."
        )
    name = _aligned(learnt)
    levels = diffusers.schedulers.AysSchedules[name][:-1] if name else ()  # without the zero
    return follow_noise(config, solver, word, levels)


def _trained(config: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration that says all that the model was trained with.

    What it left out has another meaning for another class: their defaults differ.
    """
    left_out = set(whole.get("_use_default_values", ())) - _TRAINED_WITH
    facts = {key: whole[key] for key in sorted(_TRAINED_WITH) if key in whole}
    return {**config, **facts, "_use_default_values": sorted(left_out)}


def _solvers(prediction: Prediction) -> Mapping[Sampler, Solver]:
    if not prediction:
        return {}
    return _FOR_FLOW if prediction == "flow" else _FOR_NOISE


def _chosen(sampler: str | None, schedule: str | None, own: str, prediction: Prediction) -> Solver:
    """Return the solver of a sampler, the model's own where it is left open."""
    if sampler is None and not (own == "DDIMScheduler" and schedule):
        return Solver(own)
    sampler = sampler or Sampler.DDIM
    if sampler not in samplers_for(prediction):
        can = ", ".join(samplers_for(prediction))
        raise InvalidOption(f"This model has no sampler “{sampler}”. It has: {can}.")
    word = Sampler(sampler)
    if word is Sampler.DDIM and schedule is not None:
        word = Sampler.EULER
    return _solvers(prediction)[word]


def _schedule(schedule: str | None, learnt: Learnt) -> Schedule | None:
    if schedule is None:
        return None
    if schedule not in schedules_for(learnt):
        can = ", ".join(schedules_for(learnt))
        raise InvalidOption(f"This model has no schedule “{schedule}”. It has: {can}.")
    return Schedule(schedule)


def _check_own(config: Mapping[str, Any], own: str, prediction: Prediction) -> None:
    """Raise InvalidOption for a model whose noise is of a kind of its own (EDM, TrigFlow)."""
    known = prediction and own in _OWN["flow" if prediction == "flow" else "noise"]
    if not known or config.get("timestep_type") == "continuous":
        raise InvalidOption(
            f"This model brings a sampler of its own kind ({own.removesuffix('Scheduler')}), and "
            "no other fits it. Leave the sampler and the schedule out."
        )
