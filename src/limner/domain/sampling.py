"""Samplers and schedules: our words, and the names that other tools give to the same things.

A sampler is the algorithm that follows the denoiser; a schedule is its choice of noise levels.
A word here need not be one that any model has: a model's Capability says which it takes.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar


class Sampler(StrEnum):
    """How a denoiser is followed from noise to a picture."""

    EULER = "euler"
    EULER_ANCESTRAL = "euler_ancestral"
    HEUN = "heun"
    HEUNPP_2 = "heunpp2"
    DPM_2 = "dpm_2"
    DPM_2_ANCESTRAL = "dpm_2_ancestral"
    DPM_FAST = "dpm_fast"
    DPM_ADAPTIVE = "dpm_adaptive"
    DPMPP_2S = "dpmpp_2s"
    DPMPP_2S_ANCESTRAL = "dpmpp_2s_ancestral"
    DPMPP_2M = "dpmpp_2m"
    DPMPP_3M = "dpmpp_3m"
    DPMPP_SDE = "dpmpp_sde"
    DPMPP_2M_SDE = "dpmpp_2m_sde"
    DPMPP_2M_SDE_HEUN = "dpmpp_2m_sde_heun"
    DPMPP_3M_SDE = "dpmpp_3m_sde"
    LMS = "lms"
    DDIM = "ddim"
    DDPM = "ddpm"
    PLMS = "plms"
    IPNDM = "ipndm"
    DEIS = "deis"
    UNI_PC = "uni_pc"
    UNI_PC_BH2 = "uni_pc_bh2"
    SA_SOLVER = "sa_solver"
    LCM = "lcm"
    TCD = "tcd"
    RESTART = "restart"
    RES_MULTISTEP = "res_multistep"
    RES_MULTISTEP_ANCESTRAL = "res_multistep_ancestral"
    ER_SDE = "er_sde"
    GRADIENT_ESTIMATION = "gradient_estimation"
    SEEDS_2 = "seeds_2"
    SEEDS_3 = "seeds_3"
    IPNDM_V = "ipndm_v"
    SA_SOLVER_PECE = "sa_solver_pece"
    EULER_CFG_PP = "euler_cfg_pp"
    EULER_ANCESTRAL_CFG_PP = "euler_ancestral_cfg_pp"
    DPMPP_2S_ANCESTRAL_CFG_PP = "dpmpp_2s_ancestral_cfg_pp"
    DPMPP_2M_CFG_PP = "dpmpp_2m_cfg_pp"
    RES_MULTISTEP_CFG_PP = "res_multistep_cfg_pp"
    RES_MULTISTEP_ANCESTRAL_CFG_PP = "res_multistep_ancestral_cfg_pp"
    GRADIENT_ESTIMATION_CFG_PP = "gradient_estimation_cfg_pp"


class Schedule(StrEnum):
    """Which noise levels the steps of a sampler stop at."""

    NORMAL = "normal"
    KARRAS = "karras"
    EXPONENTIAL = "exponential"
    POLYEXPONENTIAL = "polyexponential"
    SGM_UNIFORM = "sgm_uniform"
    DDIM_UNIFORM = "ddim_uniform"
    SIMPLE = "simple"
    BETA = "beta"
    LINEAR_QUADRATIC = "linear_quadratic"
    KL_OPTIMAL = "kl_optimal"
    ALIGN_YOUR_STEPS = "align_your_steps"
    ALIGN_YOUR_STEPS_GITS = "align_your_steps_gits"
    BETA57 = "beta57"


SAMPLER_NAMES: Mapping[Sampler, tuple[str, ...]] = MappingProxyType(
    {
        Sampler.EULER: (
            "Euler",
            "k_euler",
            "EulerDiscreteScheduler",
            "FlowMatchEulerDiscreteScheduler",
            "flow_match_euler_discrete",
        ),
        Sampler.EULER_ANCESTRAL: (
            "Euler a",
            "k_euler_a",
            "EulerAncestralDiscreteScheduler",
            "LTXEulerAncestralRFScheduler",
        ),
        Sampler.HEUN: (
            "Heun",
            "k_heun",
            "HeunDiscreteScheduler",
            "FlowMatchHeunDiscreteScheduler",
        ),
        Sampler.HEUNPP_2: ("Heun++ 2",),
        Sampler.DPM_2: ("DPM2", "kdpm_2", "k_dpm_2", "KDPM2DiscreteScheduler"),
        Sampler.DPM_2_ANCESTRAL: (
            "DPM2 a",
            "kdpm_2_a",
            "k_dpm_2_a",
            "KDPM2AncestralDiscreteScheduler",
        ),
        Sampler.DPM_FAST: ("DPM fast",),
        Sampler.DPM_ADAPTIVE: ("DPM adaptive",),
        Sampler.DPMPP_2S: ("DPM++ 2S", "DPMSolverSinglestepScheduler"),
        Sampler.DPMPP_2S_ANCESTRAL: ("DPM++ 2S a",),
        Sampler.DPMPP_2M: (
            "DPM++ 2M",
            "k_dpmpp_2m",
            "dpmpp_2",
            "k_dpmpp_2",
            "DPMSolverMultistepScheduler",
        ),
        Sampler.DPMPP_3M: ("DPM++ 3M",),
        Sampler.DPMPP_SDE: ("DPM++ SDE", "DPMSolverSDEScheduler"),
        Sampler.DPMPP_2M_SDE: ("DPM++ 2M SDE",),
        Sampler.DPMPP_2M_SDE_HEUN: ("DPM++ 2M SDE Heun",),
        Sampler.DPMPP_3M_SDE: ("DPM++ 3M SDE",),
        Sampler.LMS: ("LMS", "k_lms", "LMSDiscreteScheduler"),
        Sampler.DDIM: ("DDIM", "DDIMScheduler"),
        Sampler.DDPM: ("DDPM", "DDPMScheduler"),
        Sampler.PLMS: ("PLMS", "pndm", "PNDMScheduler"),
        Sampler.IPNDM: ("iPNDM", "IPNDMScheduler"),
        Sampler.DEIS: ("DEIS", "DEISMultistepScheduler"),
        Sampler.UNI_PC: ("UniPC",),
        Sampler.UNI_PC_BH2: ("UniPC bh2", "UniPCMultistepScheduler"),
        Sampler.SA_SOLVER: ("SA Solver", "SASolverScheduler"),
        Sampler.LCM: ("LCM", "LCMScheduler", "FlowMatchLCMScheduler"),
        Sampler.TCD: ("TCD", "TCDScheduler"),
        Sampler.RESTART: ("Restart",),
        Sampler.RES_MULTISTEP: ("Res Multistep",),
        Sampler.RES_MULTISTEP_ANCESTRAL: ("Res Multistep a",),
        Sampler.ER_SDE: ("ER SDE",),
        Sampler.GRADIENT_ESTIMATION: ("Gradient Estimation",),
        Sampler.SEEDS_2: ("SEEDS 2",),
        Sampler.SEEDS_3: ("SEEDS 3",),
        Sampler.IPNDM_V: ("iPNDM v",),
        Sampler.SA_SOLVER_PECE: ("SA Solver PECE",),
        Sampler.EULER_CFG_PP: ("Euler CFG++",),
        Sampler.EULER_ANCESTRAL_CFG_PP: ("Euler a CFG++",),
        Sampler.DPMPP_2S_ANCESTRAL_CFG_PP: ("DPM++ 2S a CFG++",),
        Sampler.DPMPP_2M_CFG_PP: ("DPM++ 2M CFG++",),
        Sampler.RES_MULTISTEP_CFG_PP: ("Res Multistep CFG++",),
        Sampler.RES_MULTISTEP_ANCESTRAL_CFG_PP: ("Res Multistep a CFG++",),
        Sampler.GRADIENT_ESTIMATION_CFG_PP: ("Gradient Estimation CFG++",),
    }
)
"""Each sampler's names elsewhere, the AUTOMATIC1111 web UI's (or one in its way) first.

ComfyUI, SwarmUI and InvokeAI use our words, where nothing else stands here.
"""

SCHEDULE_NAMES: Mapping[Schedule, tuple[str, ...]] = MappingProxyType(
    {
        Schedule.NORMAL: ("Normal", "Uniform"),
        Schedule.KARRAS: ("Karras",),
        Schedule.EXPONENTIAL: ("Exponential",),
        Schedule.POLYEXPONENTIAL: ("Polyexponential",),
        Schedule.SGM_UNIFORM: ("SGM Uniform",),
        Schedule.DDIM_UNIFORM: ("DDIM",),
        Schedule.SIMPLE: ("Simple",),
        Schedule.BETA: ("Beta",),
        Schedule.LINEAR_QUADRATIC: ("Linear Quadratic",),
        Schedule.KL_OPTIMAL: ("KL Optimal",),
        Schedule.ALIGN_YOUR_STEPS: ("Align Your Steps", "ays"),
        Schedule.ALIGN_YOUR_STEPS_GITS: ("Align Your Steps GITS", "gits", "ays_gits"),
        Schedule.BETA57: ("Beta57",),
    }
)
"""Each schedule's names elsewhere, the AUTOMATIC1111 web UI's first."""

NEAREST: Mapping[str, str] = MappingProxyType(
    {
        Sampler.HEUNPP_2: Sampler.HEUN,
        Sampler.DPM_FAST: Sampler.DPMPP_2S,
        Sampler.DPM_ADAPTIVE: Sampler.DPMPP_3M,
        Sampler.DPMPP_2S_ANCESTRAL: Sampler.DPMPP_SDE,
        Sampler.RESTART: Sampler.HEUN,
        Sampler.RES_MULTISTEP: Sampler.DPMPP_2M,
        Sampler.RES_MULTISTEP_ANCESTRAL: Sampler.DPMPP_2M_SDE,
        Sampler.ER_SDE: Sampler.DPMPP_3M_SDE,
        Sampler.GRADIENT_ESTIMATION: Sampler.EULER,
        Sampler.SEEDS_2: Sampler.DPMPP_SDE,
        Sampler.SEEDS_3: Sampler.DPMPP_SDE,
        Sampler.IPNDM_V: Sampler.LMS,
        Sampler.SA_SOLVER_PECE: Sampler.SA_SOLVER,
        Sampler.EULER_CFG_PP: Sampler.EULER,
        Sampler.EULER_ANCESTRAL_CFG_PP: Sampler.EULER_ANCESTRAL,
        Sampler.DPMPP_2S_ANCESTRAL_CFG_PP: Sampler.DPMPP_SDE,
        Sampler.DPMPP_2M_CFG_PP: Sampler.DPMPP_2M,
        Sampler.RES_MULTISTEP_CFG_PP: Sampler.DPMPP_2M,
        Sampler.RES_MULTISTEP_ANCESTRAL_CFG_PP: Sampler.DPMPP_2M_SDE,
        Sampler.GRADIENT_ESTIMATION_CFG_PP: Sampler.EULER,
        Schedule.POLYEXPONENTIAL: Schedule.EXPONENTIAL,
        Schedule.ALIGN_YOUR_STEPS_GITS: Schedule.ALIGN_YOUR_STEPS,
        Schedule.BETA57: Schedule.BETA,
    }
)
"""What no model of ours has, and what comes nearest to it."""

_LEFT_OPEN = frozenset({"", "automatic", "default", "usedefault"})

_BETWEEN = re.compile(r"\s+\+\s+")
"""A plus between two names; those of “DPM++” touch it."""

_Word = TypeVar("_Word", bound=StrEnum)


def _plain(name: str) -> str:
    """Return a name without what spellings of it differ in."""
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "p"))


def _known(names: Mapping[_Word, tuple[str, ...]]) -> Mapping[str, _Word]:
    known = {
        _plain(other): word for word, others in names.items() for other in (word.value, *others)
    }
    return MappingProxyType(known)


_SAMPLER_OF = _known(SAMPLER_NAMES)
_SCHEDULE_OF = _known(SCHEDULE_NAMES)
_COMMON_SAMPLER = {word.value: others[0] for word, others in SAMPLER_NAMES.items()}
_COMMON_SCHEDULE = {word.value: others[0] for word, others in SCHEDULE_NAMES.items()}


def read_sampler(name: str) -> tuple[Sampler | None, Schedule | None]:
    """Return the sampler that a name of any tool means, and the schedule in it.

    Older names hold both, as “DPM++ 2M Karras” or `dpmpp_2m_k` do. None for what is not known.
    """
    plain = _plain(name).removesuffix("gpu")
    if plain in _SAMPLER_OF:
        return _SAMPLER_OF[plain], None
    for other, word in _SCHEDULE_OF.items():
        sampler = _SAMPLER_OF.get(plain.removesuffix(other).removesuffix("gpu"))
        if plain.endswith(other) and sampler:
            return sampler, word
    karras = _SAMPLER_OF.get(plain[:-1]) if plain.endswith("k") else None
    return karras, Schedule.KARRAS if karras else None


def read_schedule(name: str) -> Schedule | None:
    """Return the schedule that a name of any tool means; None for what is not known."""
    return _SCHEDULE_OF.get(_plain(name))


def read_sampling(text: str) -> tuple[Sampler | None, Schedule | None]:
    """Return the sampler and the schedule that a text names, in our words or another tool's.

    It may name both (“DPM++ 2M SDE Karras”, “dpmpp_2m + karras”, “euler/beta”), a sampler alone,
    or a schedule alone. (None, None) where it is not understood as a whole.
    """
    sampler, schedule = read_sampler(_BETWEEN.sub(" ", text))
    return (sampler, schedule) if sampler else (None, read_schedule(text))


def is_left_open(name: str) -> bool:
    """Whether a name says that the tool was free to choose."""
    return _plain(name) in _LEFT_OPEN


def common_sampler(word: str) -> str:
    """Return the name by which most tools know a sampler, our own word where none is known."""
    return _COMMON_SAMPLER.get(word, word)


def common_schedule(word: str) -> str:
    """Return the name by which most tools know a schedule, our own word where none is known."""
    return _COMMON_SCHEDULE.get(word, word)
