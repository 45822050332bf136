"""What this machine has free: cores and memory."""

import platform
import sys
import time
from pathlib import Path

import psutil

from limner.families import memory

_SAMPLE_SECONDS = 0.1


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
    before = psutil.cpu_times()
    time.sleep(_SAMPLE_SECONDS)
    after = psutil.cpu_times()
    spent: dict[str, float] = {
        name: getattr(after, name) - getattr(before, name) for name in after._fields
    }
    # psutil's own percentages come out too low for less than a second: it divides by 1 at least
    for included in ("guest", "guest_nice"):  # Linux counts these under user and nice, too
        spent.pop(included, None)
    idle = sum(spent.get(name, 0.0) for name in ("idle", "iowait", "nice"))
    everything: int = psutil.cpu_count() or available
    return max(1, min(available, round(idle / max(sum(spent.values()), 1e-9) * everything)))


def free_memory() -> int:
    """Return the bytes of memory that this process can use without swapping."""
    return memory.free_memory()


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
