"""How much of the machine's memory this process may still take."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

_OWN = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class _Version:
    """Where a version of Linux's control groups keeps the limit, the use, and files in memory."""

    controller: str
    mount: str
    limit: str
    used: str
    files: str


_VERSIONS = (
    _Version("", "", "memory.max", "memory.current", "inactive_file"),
    _Version(
        "memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    ),
)


def free_memory() -> int:
    """Return the bytes that can be used without swapping, within the limits of a container."""
    return min((int(psutil.virtual_memory().available), *_left()))


def _left() -> Iterator[int]:
    """Yield what is left within the limit of each control group that this process is in.

    Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux. In a
    container the groups above its own may not be there; those that are count.
    """
    for version in _VERSIONS:
        mount = _MOUNT / version.mount
        for group in _groups(version):
            try:
                limit = int((mount / group / version.limit).read_text())
                used = int((mount / group / version.used).read_text())
                kept = _kept(mount / group, version)
            except (OSError, ValueError):  # not there, or “max”: without a limit
                continue
            yield max(0, limit - max(0, used - kept))


def _groups(version: _Version) -> tuple[PurePosixPath, ...]:
    """Return the path below the mount of this process's group, and those of all above it."""
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        return ()
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if version.controller in controllers.split(","):
            own = PurePosixPath(path.lstrip("/"))
            # A group outside of what a container sees is said to lie above it.
            return (PurePosixPath(),) if ".." in own.parts else (own, *own.parents)
    return ()


def _kept(group: Path, version: _Version) -> int:
    """Return the bytes of files that the system lets go of when it must."""
    for line in (group / "memory.stat").read_text().splitlines():
        name, _, count = line.partition(" ")
        if name == version.files:
            return int(count)
    return 0
