"""Pulling from a model hub: a real server on this machine that behaves badly."""

from collections.abc import Callable
from pathlib import Path

import pytest

from limner.catalog import hub
from limner.catalog.catalog import Catalog
from limner.catalog.shelf import Presence
from limner.domain.card import ModelCard
from limner.domain.errors import (
    Cancelled,
    ModelUnavailable,
    PullFailed,
    StorageFull,
    StorageReadOnly,
    WeightsRejected,
)
from limner.domain.event import Pulling

from .workbench import HUB, HUB_PATH, Brush, Listener, Site, make_card, some_bytes, weight

CONTENT = some_bytes(1_000_000)
CARD = make_card("brush-hub", weight("brush.onnx", CONTENT, HUB))
OTHER = HUB.model_copy(update={"repository": "mirror/brush"})
OTHER_PATH = HUB_PATH.replace("someone", "mirror")


def catalog_at(home: Path, address: str | None, *cards: ModelCard) -> Catalog:
    return Catalog(home, {"brush": Brush(cards or (CARD,))}, hub=address)


@pytest.fixture
def catalog(home: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(hub, "_pause", lambda fruitless, progress: None)
    site.contents[HUB_PATH] = CONTENT
    return catalog_at(home, site.address)


def files_below(home: Path) -> list[str]:
    return sorted(
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )


def test_a_pull_brings_the_file_and_says_how_far_it_is(
    catalog: Catalog, site: Site, home: Path, listener: Listener
) -> None:
    site.delay = 0.02
    installed = catalog.pull(CARD, listener, listener.token)
    assert installed.files["brush.onnx"].read_bytes() == CONTENT
    assert files_below(home) == ["brush-hub/brush.onnx"]
    assert catalog.status(CARD) is Presence.HERE
    done = [event.done for event in listener.pulling]
    assert done == sorted(done)
    assert len(set(done)) > 3
    assert listener.pulling[-1] == Pulling("brush-hub", len(CONTENT), len(CONTENT))
    assert {event.total for event in listener.pulling} == {len(CONTENT)}


def test_the_licence_is_told_first(catalog: Catalog, listener: Listener) -> None:
    catalog.pull(CARD, listener, listener.token)
    assert listener.heard[0] is not None
    words = listener.notices["licence"]
    for part in ("BSD-3-Clause", "commercial use is allowed", "A. Painter", "https://example.org"):
        assert part in words


def test_a_licence_that_forbids_commercial_use_says_so(
    home: Path, site: Site, listener: Listener
) -> None:
    card = make_card("nc", weight("brush.onnx", CONTENT, HUB), commercial=False)
    site.contents[HUB_PATH] = CONTENT
    catalog_at(home, site.address, card).pull(card, listener, listener.token)
    assert "commercial use is not allowed" in listener.notices["licence"]


def test_what_is_here_is_not_pulled_twice(catalog: Catalog, site: Site, listener: Listener) -> None:
    catalog.pull(CARD, listener, listener.token)
    catalog.pull(CARD, listener, listener.token)
    assert len(site.requests) == 1


def test_a_broken_connection_is_continued_where_it_broke(
    catalog: Catalog, site: Site, listener: Listener
) -> None:
    site.cut_after = [300_000, 200_000]
    catalog.pull(CARD, listener, listener.token)
    assert [wanted for _, wanted in site.requests] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_cancelled_pull_is_continued_by_the_next(
    catalog: Catalog, site: Site, home: Path
) -> None:
    site.delay = 0.05
    impatient = Listener(stop_at=100_000)
    with pytest.raises(Cancelled):
        catalog.pull(CARD, impatient, impatient.token)
    (part,) = files_below(home)
    assert part.endswith(".part")
    kept = (home / part).stat().st_size
    assert 0 < kept < len(CONTENT)
    assert catalog.status(CARD) is Presence.ABSENT
    patient = Listener()
    catalog.pull(CARD, patient, patient.token)
    assert site.requests[-1][1] == f"bytes={kept}-"
    assert patient.pulling[0].done >= kept
    assert files_below(home) == ["brush-hub/brush.onnx"]


def test_a_pull_cancelled_beforehand_asks_nobody(
    catalog: Catalog, site: Site, listener: Listener
) -> None:
    listener.token.cancel()
    with pytest.raises(Cancelled):
        catalog.pull(CARD, listener, listener.token)
    assert site.requests == []


def test_a_server_without_ranges_is_read_from_the_start(
    catalog: Catalog, site: Site, listener: Listener
) -> None:
    site.ranges = False
    site.cut_after = [300_000]
    catalog.pull(CARD, listener, listener.token)
    assert [wanted for _, wanted in site.requests] == [None, "bytes=300000-"]


def test_a_server_without_ranges_that_never_ends_is_given_up(
    catalog: Catalog, site: Site, listener: Listener
) -> None:
    site.ranges = False
    site.cut_after = [300_000] * 50
    with pytest.raises(PullFailed, match="the connection failed"):
        catalog.pull(CARD, listener, listener.token)
    assert len(site.requests) < 10


def test_a_part_that_was_bad_is_pulled_again_from_the_start(
    catalog: Catalog, site: Site, home: Path, listener: Listener
) -> None:
    part = home / "brush-hub" / f"brush.onnx.{CARD.files[0].sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"!" * 400_000)
    catalog.pull(CARD, listener, listener.token)
    assert [wanted for _, wanted in site.requests] == ["bytes=400000-", None]


@pytest.mark.parametrize("extra", [0, 500])
def test_a_part_as_long_as_the_file_or_longer_does_no_harm(
    catalog: Catalog, site: Site, home: Path, listener: Listener, extra: int
) -> None:
    part = home / "brush-hub" / f"brush.onnx.{CARD.files[0].sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"!" * (len(CONTENT) + extra))
    catalog.pull(CARD, listener, listener.token)
    assert [wanted for _, wanted in site.requests] == [None]


def test_a_whole_part_needs_no_request(
    catalog: Catalog, site: Site, home: Path, listener: Listener
) -> None:
    part = home / "brush-hub" / f"brush.onnx.{CARD.files[0].sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    catalog.pull(CARD, listener, listener.token)
    assert site.requests == []


def test_redirects_are_followed_with_the_range(
    catalog: Catalog, site: Site, listener: Listener
) -> None:
    site.contents = {"/elsewhere": CONTENT}
    site.redirects[HUB_PATH] = f"{site.address}/elsewhere"
    site.cut_after = [400_000]
    catalog.pull(CARD, listener, listener.token)
    assert site.requests[-1] == ("/elsewhere", "bytes=400000-")


def test_a_redirect_to_a_local_file_is_not_followed(
    catalog: Catalog, site: Site, tmp_path: Path, listener: Listener
) -> None:
    (tmp_path / "local").write_bytes(CONTENT)
    site.redirects[HUB_PATH] = f"file://{tmp_path}/local"
    with pytest.raises(PullFailed, match="the model hub"):
        catalog.pull(CARD, listener, listener.token)


def test_a_busy_server_is_asked_again(catalog: Catalog, site: Site, listener: Listener) -> None:
    site.failures = [503, 500]
    catalog.pull(CARD, listener, listener.token)
    assert len(site.requests) == 3


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_refusal_is_told_and_not_repeated(
    catalog: Catalog, site: Site, home: Path, listener: Listener, status: int
) -> None:
    site.failures = [status]
    with pytest.raises(PullFailed, match=rf"the model hub \(someone/brush\).*{status}"):
        catalog.pull(CARD, listener, listener.token)
    assert len(site.requests) == 1
    assert files_below(home) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CONTENT[:-1] + b"!", "sha256"),
        (CONTENT + b"more", "larger than the 1,000,000 bytes pinned"),
        (CONTENT[:-1], "the connection failed"),
        (b"", "the connection failed"),
    ],
)
def test_bytes_that_are_not_the_pinned_ones_never_arrive(
    catalog: Catalog, site: Site, home: Path, listener: Listener, content: bytes, words: str
) -> None:
    site.contents[HUB_PATH] = content
    with pytest.raises(PullFailed, match=words):
        catalog.pull(CARD, listener, listener.token)
    assert "brush-hub/brush.onnx" not in files_below(home)
    assert not catalog.installed(CARD)


def test_the_next_source_is_tried_and_gets_the_rest(
    home: Path, catalog: Catalog, site: Site, listener: Listener
) -> None:
    card = make_card("brush-hub", weight("brush.onnx", CONTENT, HUB, OTHER))
    site.contents[OTHER_PATH] = CONTENT
    site.cut_after = [300_000, 0, 0, 0, 0]
    catalog_at(home, site.address, card).pull(card, listener, listener.token)
    assert site.requests[-1] == (OTHER_PATH, "bytes=300000-")


def test_when_all_sources_fail_each_reason_is_told(
    home: Path, catalog: Catalog, site: Site, listener: Listener
) -> None:
    card = make_card("brush-hub", weight("brush.onnx", CONTENT, HUB, OTHER))
    site.failures = [403, 404]
    with pytest.raises(PullFailed) as caught:
        catalog_at(home, site.address, card).pull(card, listener, listener.token)
    message = caught.value.message
    assert "someone/brush): the server answered 403" in message
    assert "mirror/brush): the server answered 404" in message
    assert "`limner models pull brush-hub`" in message
    assert caught.value.exit_status == ModelUnavailable.exit_status


def test_several_files_add_up_to_one_total(
    home: Path, catalog: Catalog, site: Site, listener: Listener
) -> None:
    second = HUB.model_copy(update={"path": "weights/more é.onnx"})
    card = make_card("two", weight("a", CONTENT, HUB), weight("b", CONTENT[:999], second))
    site.contents[HUB_PATH.replace("brush.onnx", "more é.onnx")] = CONTENT[:999]
    catalog_at(home, site.address, card).pull(card, listener, listener.token)
    assert {event.total for event in listener.pulling} == {1_000_999}
    assert listener.pulling[-1].done == 1_000_999


def test_an_address_nobody_answers_is_a_failed_pull(
    home: Path, catalog: Catalog, listener: Listener
) -> None:
    with pytest.raises(PullFailed, match=r"the connection failed.*refused"):
        catalog_at(home, "http://127.0.0.1:9").pull(CARD, listener, listener.token)


@pytest.mark.parametrize(
    ("address", "words"),
    [("file:///etc", "not the address of a hub"), (None, "no model hub is set")],
)
def test_without_a_hub_nothing_is_asked(
    home: Path, listener: Listener, address: str | None, words: str
) -> None:
    with pytest.raises(PullFailed, match=words):
        catalog_at(home, address).pull(CARD, listener, listener.token)


def test_offline_asks_nobody(home: Path, site: Site, listener: Listener) -> None:
    catalog = Catalog(home, {"brush": Brush((CARD,))}, hub=site.address, offline=True)
    with pytest.raises(PullFailed, match="set to stay offline"):
        catalog.pull(CARD, listener, listener.token)
    assert site.requests == []


def test_damaged_weights_are_replaced_only_when_asked(
    catalog: Catalog, home: Path, listener: Listener
) -> None:
    path = home / "brush-hub" / "brush.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsRejected, match="--again"):
        catalog.pull(CARD, listener, listener.token)
    assert path.read_bytes() == b"damaged"
    catalog.pull(CARD, listener, listener.token, again=True)
    assert path.read_bytes() == CONTENT


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, "no")

    return fail


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [(28, StorageFull, "is full"), (30, StorageReadOnly, "cannot be written")],
)
def test_a_disk_that_refuses_stops_the_pull(
    catalog: Catalog,
    home: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[Exception],
    words: str,
) -> None:
    monkeypatch.setattr("limner.catalog.part.os.fsync", failing(number))
    with pytest.raises(kind, match=words):
        catalog.pull(CARD, listener, listener.token)
    assert not catalog.installed(CARD)
    monkeypatch.undo()
    catalog.pull(CARD, listener, listener.token)
    assert catalog.installed(CARD)


def test_too_little_room_is_told_before_anything_is_asked(
    catalog: Catalog, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 999_999})
    monkeypatch.setattr("limner.catalog.pull.shutil.disk_usage", lambda _: usage)
    with pytest.raises(StorageFull, match="1 MB are needed"):
        catalog.pull(CARD, listener, listener.token)
    assert site.requests == []


def test_a_home_that_is_no_folder_is_told(site: Site, tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "file").touch()
    catalog = catalog_at(tmp_path / "file" / "models", site.address)
    with pytest.raises(Exception, match="could not be used: Not a directory") as caught:
        catalog.pull(CARD, listener, listener.token)
    assert getattr(caught.value, "code", "") == "storage_failed"


def test_a_connection_that_falls_silent_is_made_anew(
    catalog: Catalog, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_SILENCE", 0.2)
    site.delay = 0.4
    catalog.pull(CARD, listener, listener.token)
    assert site.requests[1][1] == "bytes=65536-"


def test_a_server_that_stays_silent_is_given_up(
    catalog: Catalog, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_SILENCE", 0.1)
    site.wait = 0.3
    with pytest.raises(PullFailed, match=r"the connection failed \(timed out\)"):
        catalog.pull(CARD, listener, listener.token)
    assert len(site.requests) == 4


def test_waiting_to_ask_again_heeds_cancelling(
    home: Path, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.catalog.hub.time.sleep", lambda _: listener.token.cancel())
    site.failures = [503] * 9
    with pytest.raises(Cancelled):
        catalog_at(home, site.address).pull(CARD, listener, listener.token)
    assert len(site.requests) == 1
