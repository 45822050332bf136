"""What this machine has free: cores and memory."""

import platform
import sys
from pathlib import Path

import psutil

_SAMPLE_SECONDS = 0.05


def cores() -> int:
    """Return how many cores this process may use, after affinity and a cgroup quota."""
    process = psutil.Process()
    allowed = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else None
    count = allowed or psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, count if quota is None else min(count, round(quota)))


def free_cores() -> int:
    """Return how many cores are idle now, at least one.

    Work done at a lowered priority counts as free: it gives way to ours. OpenMP-style pools
    collapse when they get more threads than free cores, so fewer is faster than too many.
    """
    available = cores()
    times = psutil.cpu_times_percent(interval=_SAMPLE_SECONDS)
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "nice", 0.0)
    everything = psutil.cpu_count() or available
    return max(1, min(available, round(idle / 100 * everything)))


def free_memory() -> int:
    """Return the bytes of memory that can be used without swapping."""
    return int(psutil.virtual_memory().available)


def peak_memory() -> int:
    """Return the most bytes of memory this process has held at once so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def processor() -> str:
    """Return the processor's name as the system gives it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cgroup_quota() -> float | None:
    limit = Path("/sys/fs/cgroup/cpu.max")
    if not limit.exists():
        return None
    quota, _, period = limit.read_text().strip().partition(" ")
    return None if quota == "max" else int(quota) / int(period)
