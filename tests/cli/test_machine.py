"""The commands on this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from limner.app import bench, bench_watermark, doctor
from limner.app.bench import Measure
from limner.app.desk import Desk
from limner.app.doctor import Finding, State
from limner.app.settings import Settings

from .conftest import Limner

WELL = Finding("memory", State.OK, "3.0 GB free")
POOR = Finding("home", State.WARN, "0.1 GB free", "Free some space on this disk.")
BAD = Finding("vellum", State.FAIL, "is not what it should be", "Pull it again.")


@pytest.mark.parametrize(
    ("findings", "status"), [([WELL], 0), ([WELL, POOR], 0), ([WELL, POOR, BAD], 1)]
)
def test_doctor(
    limner: Limner,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    findings: list[Finding],
    status: int,
) -> None:
    asked: list[Settings] = []

    def examine(settings: Settings) -> list[Finding]:
        asked.append(settings)
        return findings

    monkeypatch.setattr(doctor, "examine", examine)
    ran = limner("doctor")
    assert ran.status == status
    assert asked[0].home == home
    for finding in findings:
        assert finding.detail in ran.out
        assert finding.advice in ran.out
    ran = limner("doctor", "--json")
    assert ran.status == status
    assert list(ran.records[0]) == ["name", "state", "detail", "advice"]
    assert [record["state"] for record in ran.records] == [one.state.value for one in findings]


def test_doctor_examines_this_machine(limner: Limner) -> None:
    ran = limner("doctor", "--json")
    names = [record["name"] for record in ran.records]
    assert {"python", "memory", "home", "library"} <= set(names)


def test_bench(limner: Limner, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_bench(desk: Desk, tell: Callable[[str], None]) -> Iterator[Measure]:
        tell("drawing")
        assert desk.generate("a fox")
        yield Measure("warm native picture", 1.234, "s", "median of 5")
        yield Measure("erase", float("nan"), "s", "not here")

    monkeypatch.setattr(bench, "run_bench", run_bench)
    ran = limner("bench")
    assert ran.status == 0
    assert [line.split("  ")[0] for line in ran.lines] == ["what", "warm native picture", "erase"]
    assert "1.23 s  median of 5" in ran.lines[1]
    assert limner("bench", "--json").records == [
        {"name": "warm native picture", "value": 1.234, "unit": "s", "note": "median of 5"},
        {"name": "erase", "value": None, "unit": "s", "note": "not here"},
    ]


def test_bench_of_drawing_by_name(limner: Limner, monkeypatch: pytest.MonkeyPatch) -> None:
    measures = [Measure("peak memory", 1, "MB")]
    monkeypatch.setattr(bench, "run_bench", lambda desk, tell: iter(measures))
    assert limner("bench", "drawing").lines == limner("bench").lines


def test_bench_of_the_watermark(
    limner: Limner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def run(folder: Path, tell: Callable[[str], None]) -> Iterator[Measure]:
        asked.append(folder)
        yield Measure("pictures", 3, "", "1 had too little to hide in")
        yield Measure("JPEG 50", 100.0, "%", "2 of 2")

    monkeypatch.setattr(bench_watermark, "run_watermark_bench", run)
    ran = limner("bench", "watermark", "--pictures", str(tmp_path))
    assert ran.status == 0
    assert asked == [tmp_path]
    assert " ".join(ran.lines[1].split()) == "pictures 3 1 had too little to hide in"
    assert " ".join(ran.lines[2].split()) == "JPEG 50 100.00 % 2 of 2"
    records = limner("bench", "watermark", "--pictures", str(tmp_path), "--json").records
    assert records[1] == {"name": "JPEG 50", "value": 100.0, "unit": "%", "note": "2 of 2"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bench", "watermark"), "--pictures DIR"),
        (("bench", "--pictures", "."), "bench watermark"),
        (("bench", "watermark", "--pictures", "not-here"), "is not a folder"),
        (("bench", "loudness"), "loudness"),
    ],
)
def test_a_bench_that_cannot_be(limner: Limner, arguments: tuple[str, ...], said: str) -> None:
    ran = limner(*arguments)
    assert ran.status == 2
    assert said in ran.err
