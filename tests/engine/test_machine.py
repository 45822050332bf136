"""What the machine says of itself is usable, whatever the machine."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest

from limner.engine import machine


def test_there_is_at_least_one_core_and_never_more_free_than_there_are() -> None:
    assert machine.cores() >= 1
    assert 1 <= machine.free_cores() <= machine.cores()


class Times(NamedTuple):
    """Seconds as psutil gives them; what ran in a guest counts as user time, too."""

    user: float
    nice: float
    idle: float
    guest: float


@pytest.mark.parametrize(
    ("spent", "free"),
    [
        (Times(user=0.0, nice=0.0, idle=0.8, guest=0.0), 8),
        (Times(user=0.8, nice=0.0, idle=0.0, guest=0.8), 1),
        (Times(user=0.4, nice=0.0, idle=0.4, guest=0.0), 4),
        (Times(user=0.4, nice=0.24, idle=0.16, guest=0.4), 4),
        (Times(user=0.0, nice=0.0, idle=0.0, guest=0.0), 1),
    ],
)
def test_free_cores_are_the_idle_ones_and_those_at_low_priority(
    monkeypatch: pytest.MonkeyPatch, spent: Times, free: int
) -> None:
    start = Times(user=100.0, nice=5.0, idle=1000.0, guest=7.0)
    end = Times(*(one + other for one, other in zip(start, spent, strict=True)))
    samples = iter((start, end))
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(samples))
    assert machine.free_cores() == free


def test_a_quota_of_a_container_bounds_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = machine.cores()
    monkeypatch.setattr(machine, "_cgroup_quota", lambda: 0.4)
    assert machine.cores() == 1
    monkeypatch.setattr(machine, "_cgroup_quota", lambda: 10_000.0)
    assert machine.cores() >= everything


@pytest.mark.parametrize(
    ("text", "quota"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("max", None)]
)
def test_a_quota_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, quota: float | None
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(text)
    monkeypatch.setattr(machine, "Path", lambda _: file)
    assert machine._cgroup_quota() == quota


def test_without_affinity_the_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 6 if logical else None)
    monkeypatch.setattr(machine, "_cgroup_quota", lambda: None)
    assert machine.cores() == 6


def test_the_processor_has_a_name_even_where_no_list_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine.processor()
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "none")
    assert machine.processor()


def test_memory_is_counted_in_bytes() -> None:
    assert 10 * 1024**2 < machine.free_memory() <= psutil.virtual_memory().total
    before = machine.peak_memory()
    assert 10 * 1024**2 < before < psutil.virtual_memory().total
    room = before - psutil.Process().memory_info().rss + 60_000_000
    held = np.ones(max(room, 60_000_000), np.uint8)
    assert machine.peak_memory() >= before + 30_000_000
    del held
    assert machine.peak_memory() >= before + 30_000_000
