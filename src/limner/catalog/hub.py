"""Files from a model hub over HTTPS, continued where they were cut off."""

import http.client
import time
import urllib.error
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

from limner.catalog.part import CHUNK, Part
from limner.catalog.progress import Progress
from limner.catalog.wire import Hub, Lost, connect, failure
from limner.domain.card import HubSource
from limner.domain.errors import PullFailed
from limner.domain.event import CancelToken

_SILENCE = 10.0
"""Seconds without a byte after which a connection counts as lost."""
_FRUITLESS = 4
"""Connections in a row that may bring nothing before we give up."""


_Got = TypeVar("_Got")


def fetch(hub: Hub, source: HubSource, part: Part, progress: Progress) -> None:
    """Bring the bytes of a file of the hub into `part` and finish it.

    Continues with a Range request after whatever is there. Raises PullFailed with the reason.
    """
    continued = part.received > 0
    _receive_all(hub, source, part, progress)
    try:
        part.finish()
    except PullFailed:
        if not continued:
            raise
        # What we continued from may have been the bad half.
        _receive_all(hub, source, part, progress)
        part.finish()


def read(hub: Hub, repository: str, path: str, most: int, token: CancelToken) -> bytes:
    """Return what the hub answers at a path below its address, at most `most` bytes.

    Raises PullFailed with the reason; Absent where there is nothing of that name.
    """

    def ask() -> bytes:
        with _connected(hub, f"{hub.address.rstrip('/')}/{path}", repository, 0) as response:
            content = b"".join(_bounded(response, most, token))
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and len(content) < int(length):
            raise Lost(f"it ended after {len(content):,} of {int(length):,} bytes")
        return content

    return _insisting(ask, token)


def path_of(source: HubSource) -> str:
    """Return where a file lies, below the address of its hub."""
    start = "/".join(
        quote(piece, safe="/") for piece in (source.repository, "resolve", source.revision)
    )
    return f"{start}/{quote(source.path)}"


def _insisting(ask: Callable[[], _Got], token: CancelToken) -> _Got:
    for fruitless in range(1, _FRUITLESS):
        token.check()
        try:
            return ask()
        except Lost:
            _pause(fruitless, token)
    try:
        return ask()
    except Lost as error:
        raise PullFailed(f"the connection failed ({error})") from error


def _bounded(response: http.client.HTTPResponse, most: int, token: CancelToken) -> Iterator[bytes]:
    total = 0
    for chunk in _chunks(response):
        token.check()
        total += len(chunk)
        if total > most:
            raise PullFailed(f"the answer is longer than the {most:,} bytes it may have")
        yield chunk


def _receive_all(hub: Hub, source: HubSource, part: Part, progress: Progress) -> None:
    fruitless = 0
    furthest = part.received
    while not part.complete:
        progress.token.check()
        try:
            _receive(hub, source, part, progress)
        except Lost as error:
            # Against the furthest ever: a server without ranges begins again each time.
            fruitless = 0 if part.received > furthest else fruitless + 1
            furthest = max(furthest, part.received)
            if fruitless == _FRUITLESS:
                raise PullFailed(f"the connection failed ({error})") from error
            _pause(fruitless, progress.token)


def _receive(hub: Hub, source: HubSource, part: Part, progress: Progress) -> None:
    url = f"{hub.address.rstrip('/')}/{path_of(source)}"
    with _whole_or_rest(hub, url, source.repository, part) as response:
        if response.status != HTTPStatus.PARTIAL_CONTENT or not _continues(response, part):
            part.restart()
        for chunk in _chunks(response):
            progress.token.check()
            part.write(chunk)
            progress.at(part.received)
    if not part.complete:
        raise Lost(f"it ended after {part.received:,} of {part.file.bytes:,} bytes")


def _whole_or_rest(hub: Hub, url: str, repository: str, part: Part) -> http.client.HTTPResponse:
    try:
        return _connected(hub, url, repository, part.received)
    except _Overshot as error:
        part.restart()
        raise Lost("the server has fewer bytes than were here") from error


class _Overshot(PullFailed):
    """The server has fewer bytes than it was asked to begin after."""


def _connected(hub: Hub, url: str, repository: str, start: int) -> http.client.HTTPResponse:
    try:
        return connect(hub, url, start, _SILENCE)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            error.close()
            raise _Overshot("the server has fewer bytes") from error
        raise failure(error, hub, repository) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise failure(error, hub, repository) from error


def _continues(response: http.client.HTTPResponse, part: Part) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {part.received}-")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(CHUNK):
            yield chunk
    except (http.client.HTTPException, OSError) as error:
        raise Lost(str(error) or type(error).__name__) from error


def _pause(fruitless: int, token: CancelToken) -> None:
    until = time.monotonic() + 0.25 * 2**fruitless
    while time.monotonic() < until:
        token.check()
        time.sleep(0.05)
