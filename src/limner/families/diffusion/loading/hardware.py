"""What this machine can compute on, and how much memory is free there."""

import platform
from importlib.util import find_spec
from pathlib import Path

import psutil

from limner.families.diffusion.loading.pipelines import libraries
from limner.families.diffusion.planning.demand import Machine

_NATIVE = ("avx512_bf16", "amx_bf16")
"""Flags of CPUs that compute in bfloat16; others only imitate it, many times slower."""


def machine_here() -> Machine:
    """Return what a planner needs to know of this machine; loads torch to ask for a GPU."""
    torch = libraries().torch
    host = int(psutil.virtual_memory().available)
    bits = find_spec("bitsandbytes") is not None
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        major, minor = torch.cuda.get_device_capability()
        return Machine(
            "cuda",
            torch.cuda.get_device_name(),
            int(free),
            host,
            native_bf16=bool(torch.cuda.is_bf16_supported()),
            native_fp8=(major, minor) >= (8, 9),
            bitsandbytes=bits,
        )
    if torch.backends.mps.is_available():
        return Machine("mps", "this Mac's GPU", host, host, native_bf16=True)
    return Machine("cpu", "this computer", host, host, native_bf16=_is_native(), bitsandbytes=bits)


def _is_native() -> bool:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        return any(flag in listing.read_text(errors="replace") for flag in _NATIVE)
    return platform.machine() == "arm64" and platform.system() == "Darwin"
