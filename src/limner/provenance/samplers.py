"""The names that other tools give to samplers and schedules, and the words we use for them.

The words are those of the model families: `sampler` is the algorithm, `schedule` the choice of
noise levels. A word here need not be one that any model has; a model's Capability says which.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

_SAMPLERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "euler": ("Euler", "k_euler", "flow_match_euler_discrete"),
        "euler_ancestral": ("Euler a", "euler_ancestral", "k_euler_a"),
        "heun": ("Heun", "k_heun"),
        "heunpp2": ("Heun++ 2", "heunpp2"),
        "dpm_2": ("DPM2", "dpm_2", "kdpm_2", "k_dpm_2"),
        "dpm_2_ancestral": ("DPM2 a", "dpm_2_ancestral", "kdpm_2_a", "k_dpm_2_a"),
        "dpm_fast": ("DPM fast",),
        "dpm_adaptive": ("DPM adaptive",),
        "dpmpp_2s_ancestral": ("DPM++ 2S a", "dpmpp_2s_ancestral", "dpmpp_2s"),
        "dpmpp_2m": ("DPM++ 2M", "dpmpp_2m", "k_dpmpp_2m", "dpmpp_2"),
        "dpmpp_sde": ("DPM++ SDE", "dpmpp_sde"),
        "dpmpp_2m_sde": ("DPM++ 2M SDE", "dpmpp_2m_sde"),
        "dpmpp_2m_sde_heun": ("DPM++ 2M SDE Heun", "dpmpp_2m_sde_heun"),
        "dpmpp_3m_sde": ("DPM++ 3M SDE", "dpmpp_3m_sde", "dpmpp_3m"),
        "lms": ("LMS", "k_lms"),
        "ddim": ("DDIM",),
        "ddpm": ("DDPM",),
        "plms": ("PLMS", "pndm"),
        "ipndm": ("iPNDM",),
        "deis": ("DEIS",),
        "uni_pc": ("UniPC", "uni_pc"),
        "uni_pc_bh2": ("UniPC bh2", "uni_pc_bh2"),
        "lcm": ("LCM",),
        "tcd": ("TCD",),
        "restart": ("Restart",),
    }
)
"""Our word for a sampler → its names elsewhere, the AUTOMATIC1111 web UI's first."""

_SCHEDULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "normal": ("Normal", "Uniform"),
        "karras": ("Karras",),
        "exponential": ("Exponential",),
        "polyexponential": ("Polyexponential",),
        "sgm_uniform": ("SGM Uniform", "sgm_uniform"),
        "ddim_uniform": ("DDIM", "ddim_uniform"),
        "simple": ("Simple",),
        "beta": ("Beta",),
        "linear_quadratic": ("Linear Quadratic", "linear_quadratic"),
        "kl_optimal": ("KL Optimal", "kl_optimal"),
        "align_your_steps": ("Align Your Steps", "ays"),
    }
)
"""Our word for a schedule → its names elsewhere, the AUTOMATIC1111 web UI's first."""

_LEFT_OPEN = frozenset({"", "automatic", "default", "usedefault"})


def _plain(name: str) -> str:
    """Return a name without what spellings of it differ in."""
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "p"))


def _known(names: Mapping[str, tuple[str, ...]]) -> Mapping[str, str]:
    known = {_plain(other): word for word, others in names.items() for other in (word, *others)}
    return MappingProxyType(known)


_SAMPLER_OF = _known(_SAMPLERS)
_SCHEDULE_OF = _known(_SCHEDULES)


def read_sampler(name: str) -> tuple[str | None, str | None]:
    """Return our words for a sampler's name from another tool, and for the schedule in it.

    Older names hold both, as “DPM++ 2M Karras” or `dpmpp_2m_k` do. None for what is not known.
    """
    plain = _plain(name).removesuffix("gpu")
    if plain in _SAMPLER_OF:
        return _SAMPLER_OF[plain], None
    for other, word in _SCHEDULE_OF.items():
        sampler = _SAMPLER_OF.get(plain.removesuffix(other))
        if plain.endswith(other) and sampler:
            return sampler, word
    karras = _SAMPLER_OF.get(plain[:-1]) if plain.endswith("k") else None
    return karras, "karras" if karras else None


def read_schedule(name: str) -> str | None:
    """Return our word for a schedule's name from another tool; None for what is not known."""
    return _SCHEDULE_OF.get(_plain(name))


def is_left_open(name: str) -> bool:
    """Whether a name says that the tool was free to choose."""
    return _plain(name) in _LEFT_OPEN


def common_sampler(word: str) -> str:
    """Return the name by which most tools know a sampler, our own word where none is known."""
    return _SAMPLERS.get(word, (word,))[0]


def common_schedule(word: str) -> str:
    """Return the name by which most tools know a schedule, our own word where none is known."""
    return _SCHEDULES.get(word, (word,))[0]
