"""A few damaged files through all of verify; `python -m tests.fuzz` does thousands."""

import os
import time
from pathlib import Path

import pytest

from limner.app.desk import Desk
from tests.fuzz import Fuzzing, Job, damaged, make_corpus

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def workers_find_these_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


def test_damaged_files_get_a_verdict_or_an_error_of_ours(tmp_path: Path) -> None:
    job = Job(tmp_path, make_corpus(tmp_path), seed=1)
    report = Fuzzing(job, tmp_path / "kept", limit=60).run(files=60, workers=1)
    assert report.is_clean, str(report)
    assert report.outcomes.total() == 60
    assert any(name.startswith("verdict") for name in report.outcomes)
    assert report.outcomes["error invalid_image"] > 0


def test_the_same_number_is_the_same_file() -> None:
    corpus = [b"\x89PNG" + bytes(range(256)) * 8, b"RIFF" + b"x" * 900]
    first = [damaged(corpus, number, 3) for number in range(300)]
    assert first == [damaged(corpus, number, 3) for number in range(300)]
    assert first != [damaged(corpus, number, 4) for number in range(300)]
    assert sum(file in corpus for file in first) < 30


def misbehave(desk: Desk, file: bytes) -> str:
    """Crash, die and hang on the second, third and fourth of four files."""
    first = file[:1]
    if first == b"b":
        raise ZeroDivisionError("on purpose")
    if first == b"c":
        os._exit(3)
    if first == b"d":
        time.sleep(3_600)
    return "verdict intact"


def test_faults_are_reported_and_their_files_kept(tmp_path: Path) -> None:
    corpus = [letter * 5_000_000 for letter in (b"a", b"b", b"c", b"d")]
    job = Job(tmp_path, corpus, seed=0, examine=misbehave)
    report = Fuzzing(job, tmp_path / "kept", limit=5).run(files=4, workers=1)
    assert not report.is_clean
    assert report.outcomes == {"verdict intact": 1, "crash": 1, "died": 1, "hang": 1}
    assert "ZeroDivisionError: on purpose" in report.crashes[0]
    assert "exit status 3" in report.crashes[1]
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == ["crash-0-1.bin", "died-0-2.bin", "hang-0-3.bin"]
