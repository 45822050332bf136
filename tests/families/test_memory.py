"""Free memory is what the machine has, or less where a container may take less."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from limner.engine import machine
from limner.families import memory
from limner.families.memory import free_memory

GB = 2**30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 60 GB free, whose control groups lie below the folder."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=60 * GB))
    monkeypatch.setattr(memory, "_OWN", tmp_path / "own")
    monkeypatch.setattr(memory, "_MOUNT", tmp_path / "mount")
    return tmp_path / "mount"


def own(groups: Path, line: str) -> None:
    (groups.parent / "own").write_text(f"{line}\n")


def limit(group: Path, most: object, used: int, files: int = 0) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\nactive_file 7\ninactive_file {files}\n")


def test_without_control_groups_it_is_what_the_machine_has(groups: Path) -> None:
    assert free_memory() == machine.free_memory() == 60 * GB


def test_a_container_has_what_its_limit_leaves(groups: Path) -> None:
    own(groups, "0::/")
    limit(groups, 8 * GB, 5 * GB)
    assert free_memory() == machine.free_memory() == 3 * GB
    limit(groups, 8 * GB, 5 * GB, files=2 * GB)
    assert free_memory() == 5 * GB
    limit(groups, 8 * GB, 9 * GB)
    assert free_memory() == 0
    limit(groups, 500 * GB, GB)
    assert free_memory() == 60 * GB


def test_groups_above_count_too(groups: Path) -> None:
    own(groups, "0::/user.slice/limner.service")
    limit(groups / "user.slice" / "limner.service", "max", GB)
    assert free_memory() == 60 * GB
    limit(groups / "user.slice", 4 * GB, GB)
    assert free_memory() == 3 * GB
    limit(groups / "user.slice" / "limner.service", 2 * GB, GB)
    assert free_memory() == GB


def test_a_group_outside_of_the_container_is_not_looked_for(groups: Path) -> None:
    own(groups, "0::/../../limner.service")
    limit(groups, 4 * GB, GB)
    assert free_memory() == 3 * GB


def test_the_first_version_of_control_groups_is_read(groups: Path) -> None:
    own(groups, "12:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1")
    folder = groups / "memory"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text(str(4 * GB))
    (folder / "memory.usage_in_bytes").write_text(str(3 * GB))
    (folder / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {GB}\n")
    assert free_memory() == 2 * GB
