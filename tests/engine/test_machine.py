"""What the machine says of itself is usable, whatever the machine."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from limner.engine import machine


def test_there_is_at_least_one_core_and_never_more_free_than_there_are() -> None:
    assert machine.cores() >= 1
    assert 1 <= machine.free_cores() <= machine.cores()


def idle(share: float, nice: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(idle=share, iowait=0.0, nice=nice)


@pytest.mark.parametrize(
    ("times", "free"),
    [(idle(100), 8), (idle(0), 1), (idle(50), 4), (idle(20, nice=30), 4), (idle(99.9), 8)],
)
def test_free_cores_are_the_idle_ones_and_those_at_low_priority(
    monkeypatch: pytest.MonkeyPatch, times: SimpleNamespace, free: int
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_times_percent", lambda interval: times)
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
