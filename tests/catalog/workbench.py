"""Cards, archives and local servers for the catalog's tests."""

import base64
import hashlib
import io
import json
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from limner.domain.capability import Capability, TaskInputs
from limner.domain.card import (
    HubSource,
    Installed,
    Licence,
    ModelCard,
    NpmSource,
    Source,
    WeightFile,
    WheelSource,
)
from limner.domain.errors import LimnerError
from limner.domain.event import CancelToken, Happening, Notice, Pulling
from limner.domain.recipe import Task
from limner.families.family import Hash, LoadedModel, Placement


def some_bytes(count: int, salt: str = "weights") -> bytes:
    """Bytes that do not compress and are the same every time."""
    block = hashlib.shake_256(salt.encode()).digest(min(count, 1 << 16))
    return (block * (count // max(len(block), 1) + 1))[:count]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def weight(name: str, content: bytes, *sources: Source) -> WeightFile:
    return WeightFile(name=name, sha256=sha256(content), bytes=len(content), sources=sources)


def make_card(name: str, *files: WeightFile, commercial: bool = True) -> ModelCard:
    return ModelCard(
        name=name,
        title=name.title(),
        summary="For tests.",
        family="brush",
        variant="small",
        files=files,
        licence=Licence(
            spdx="BSD-3-Clause",
            commercial=commercial,
            attribution="Copyright A. Painter.",
            url="https://example.org/licence",
        ),
        homepage="https://example.org",
        capability=Capability(tasks=(TaskInputs(task=Task.UPSCALE),)),
    )


HUB = HubSource(repository="someone/brush", revision="abc123", path="weights/brush.onnx")
HUB_PATH = "/someone/brush/resolve/abc123/weights/brush.onnx"
WHEEL = WheelSource(package="brush-weights", version="1.2.0", member="brush_weights/brush.onnx")
NPM = NpmSource(package="@some/brush", version="2.0.1", member="models/brush.onnx")


@dataclass
class Brush:
    """A family that knows the cards it is given, and files by their names."""

    known: tuple[ModelCard, ...]
    recognised: Mapping[str, ModelCard] = field(default_factory=dict)
    name: str = "brush"

    def cards(self) -> tuple[ModelCard, ...]:
        return self.known

    def recognise(self, path: Path, _: Hash) -> ModelCard | None:
        return self.recognised.get(path.name)

    def load(self, installed: Installed, placement: Placement) -> LoadedModel:
        raise NotImplementedError


@dataclass
class Listener:
    """Hears what happens, and may stop the work once some bytes are told to be here."""

    stop_at: int | None = None
    token: CancelToken = field(default_factory=CancelToken)
    heard: list[Happening] = field(default_factory=list)

    def __call__(self, event: Happening) -> None:
        self.heard.append(event)
        if self.stop_at and isinstance(event, Pulling) and event.done >= self.stop_at:
            self.token.cancel()

    @property
    def pulling(self) -> list[Pulling]:
        return [event for event in self.heard if isinstance(event, Pulling)]

    @property
    def notices(self) -> dict[str, str]:
        return {event.code: event.message for event in self.heard if isinstance(event, Notice)}


def message_of(error: BaseException) -> str:
    assert isinstance(error, LimnerError)
    return error.message


def make_wheel(
    folder: Path, source: WheelSource, members: Mapping[str, bytes], requires: str = ">=3.8"
) -> Path:
    name = source.package.replace("-", "_")
    meta = f"{name}-{source.version}.dist-info"
    path = folder / f"{name}-{source.version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
        wheel.writestr(
            f"{meta}/METADATA",
            f"Metadata-Version: 2.1\nName: {source.package}\nVersion: {source.version}\n"
            f"Requires-Python: {requires}\n",
        )
        wheel.writestr(
            f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{meta}/RECORD", "")
    return path


def make_tarball(members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tarball:
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            tarball.addfile(entry)
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tarball.addfile(entry, io.BytesIO(content))
    return written.getvalue()


@dataclass
class Site:
    """A local web server: contents by path, and how badly it behaves."""

    contents: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off, one entry an answer."""
    failures: list[int] = field(default_factory=list)
    """Statuses that the next requests get instead of an answer."""
    ranges: bool = True
    delay: float = 0.0
    """Seconds to wait after every 64 KiB."""
    wait: float = 0.0
    """Seconds to wait before an answer."""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """The path and the Range header of every request."""
    gates: dict[str, str] = field(default_factory=dict)
    """What gated paths begin with, and the token that opens them."""
    absences: dict[str, str] = field(default_factory=dict)
    """What a hub says that a path lacks, as `RevisionNotFound`."""
    authorisations: list[str | None] = field(default_factory=list)
    """The Authorization header of every request."""
    address: str = ""

    def answer(self, door: BaseHTTPRequestHandler) -> None:
        path = unquote(door.path)
        wanted = door.headers.get("Range")
        self.requests.append((path, wanted))
        self.authorisations.append(door.headers.get("Authorization"))
        time.sleep(self.wait)
        if self.failures:
            door.send_error(self.failures.pop(0))
        elif path in self.absences:
            self._refuse(door, 404, self.absences[path])
        elif token := self._gate(path):
            given = door.headers.get("Authorization")
            if given == f"Bearer {token}":
                self._send(door, self.contents[path], wanted)
            else:
                self._refuse(door, 403 if given else 401, "GatedRepo")
        elif path in self.redirects:
            door.send_response(302)
            door.send_header("Location", self.redirects[path])
            door.send_header("Content-Length", "0")
            door.end_headers()
        elif path in self.contents:
            self._send(door, self.contents[path], wanted)
        else:
            door.send_error(404)

    def _gate(self, path: str) -> str | None:
        return next((self.gates[start] for start in self.gates if path.startswith(start)), None)

    def _refuse(self, door: BaseHTTPRequestHandler, status: int, code: str) -> None:
        door.send_response(status)
        door.send_header("X-Error-Code", code)
        door.send_header("Content-Length", "0")
        door.end_headers()

    def _send(self, door: BaseHTTPRequestHandler, content: bytes, wanted: str | None) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(content) and start:
            door.send_error(416)
            return
        door.send_response(206 if start else 200)
        if start:
            door.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        body = content[start:]
        kind = "text/html" if door.path.endswith("/") else "application/json"
        door.send_header("Content-Type", kind)
        door.send_header("Content-Length", str(len(body)))
        door.end_headers()
        if self.cut_after:
            body = body[: self.cut_after.pop(0)]
        for offset in range(0, len(body), 1 << 16):
            door.wfile.write(body[offset : offset + (1 << 16)])
            time.sleep(self.delay)


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                site.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def publish_wheel(site: Site, wheel: Path) -> str:
    """Put a wheel on a local Python index and return the address of that index."""
    package = wheel.name.split("-")[0].replace("_", "-")
    content = wheel.read_bytes()
    link = f'<a href="/files/{wheel.name}#sha256={sha256(content)}">{wheel.name}</a>'
    site.contents[f"/simple/{package}/"] = f"<html><body>{link}</body></html>".encode()
    site.contents[f"/files/{wheel.name}"] = content
    return f"{site.address}/simple"


def publish_tarball(site: Site, source: NpmSource, tarball: bytes) -> None:
    """Put a tarball on a local npm registry."""
    integrity = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    file = f"/{source.package}/-/brush-{source.version}.tgz"
    version = {
        "name": source.package,
        "version": source.version,
        "dist": {"tarball": f"{site.address}{file}", "integrity": f"sha512-{integrity}"},
    }
    document = {
        "name": source.package,
        "dist-tags": {"latest": source.version},
        "versions": {source.version: version},
    }
    site.contents[f"/{source.package}"] = json.dumps(document).encode()
    site.contents[file] = tarball


COMMIT = "5a" * 20


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def publish_repository(
    site: Site,
    repository: str,
    files: Mapping[str, bytes],
    large: int = 1000,
    **said: object,
) -> dict[str, Any]:
    """Put a repository on a local model hub; return what its API says, which may be changed.

    Files of `large` bytes and more have a sha256 there, as those kept by Git LFS do.
    """
    siblings: list[dict[str, Any]] = []
    for name, content in files.items():
        entry: dict[str, Any] = {
            "rfilename": name,
            "size": len(content),
            "blobId": blob_id(content),
        }
        if len(content) >= large:
            entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
        siblings.append(entry)
        site.contents[f"/{repository}/resolve/{COMMIT}/{name}"] = content
    answer = {"id": repository, "sha": COMMIT, "gated": False, "siblings": siblings, **said}
    for revision in ("main", COMMIT):
        announce(site, repository, answer, revision)
    return answer


def announce(site: Site, repository: str, answer: object, revision: str = "main") -> None:
    """Let the hub's API say this of a revision."""
    path = f"/api/models/{repository}/revision/{revision}?blobs=true"
    site.contents[path] = json.dumps(answer).encode()
