"""What this machine can compute on, and how much memory is free there."""

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from limner.families.diffusion.loading.pipelines import libraries
from limner.families.diffusion.planning.demand import Machine
from limner.families.memory import free_memory

_NATIVE = ("avx512_bf16", "amx_bf16")
"""Flags of CPUs that compute in bfloat16; others only imitate it, many times slower."""


def machine_here() -> Machine:
    """Return what a planner needs to know of this machine; loads torch to ask for a GPU."""
    torch = libraries().torch
    host = free_memory()
    bits = find_spec("bitsandbytes") is not None
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        # What torch keeps for the next tensor is free, too.
        kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return Machine(
            "cuda",
            torch.cuda.get_device_name(),
            int(free + kept),
            host,
            native_bf16=bool(torch.cuda.is_bf16_supported(including_emulation=False)),
            native_fp8=has_fp8(torch),
            bitsandbytes=bits,
        )
    if torch.backends.mps.is_available():
        return Machine("mps", "this Mac's GPU", host, host, native_bf16=True)
    return Machine("cpu", "this computer", host, host, native_bf16=_is_native(), bitsandbytes=bits)


def device_memory() -> int | None:
    """Return the bytes that the GPU has, free or not; None where models lie in the machine's own.

    Loads torch.
    """
    torch = libraries().torch
    return int(torch.cuda.mem_get_info()[1]) if torch.cuda.is_available() else None


_AMD_FP8 = ((9, 5), (12, 0), (12, 1))
"""AMD's architectures that multiply in the fp8 of other makers: CDNA 4 and RDNA 4.

RDNA 3 (11.x) has none, CDNA 3 (9.4) one of its own. Source: the precision tables of ROCm.
"""


def has_fp8(torch: Any) -> bool:
    """Whether the GPU multiplies in the fp8 of which weights are, at twice the speed of 16 bits."""
    capability = tuple(torch.cuda.get_device_capability())
    return capability in _AMD_FP8 if torch.version.hip else capability >= (8, 9)


def _is_native() -> bool:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        return any(flag in listing.read_text(errors="replace") for flag in _NATIVE)
    return platform.machine() == "arm64" and platform.system() == "Darwin"
