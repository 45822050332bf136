"""Files from a model hub over HTTPS, continued where they were cut off."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from limner.catalog.part import CHUNK, Part
from limner.catalog.progress import Progress
from limner.domain.card import HubSource
from limner.domain.errors import PullFailed

_SILENCE = 10.0
"""Seconds without a byte after which a connection counts as lost."""
_FRUITLESS = 4
"""Connections in a row that may bring nothing before we give up."""


class _Lost(PullFailed):
    """The connection broke or the server is busy: worth another try."""


def fetch(address: str, source: HubSource, part: Part, progress: Progress) -> None:
    """Bring the bytes of a file of the hub at `address` into `part` and finish it.

    Continues with a Range request after whatever is there. Raises PullFailed with the reason.
    """
    url = _url(address, source)
    continued = part.received > 0
    _receive_all(url, part, progress)
    try:
        part.finish()
    except PullFailed:
        if not continued:
            raise
        _receive_all(url, part, progress)  # what we continued from may have been the bad half
        part.finish()


def _url(address: str, source: HubSource) -> str:
    if urlsplit(address).scheme not in ("http", "https"):
        raise PullFailed(f"“{address}” is not the address of a hub; it starts https://")
    path = "/".join(
        quote(piece, safe="/") for piece in (source.repository, "resolve", source.revision)
    )
    return f"{address.rstrip('/')}/{path}/{quote(source.path)}"


def _receive_all(url: str, part: Part, progress: Progress) -> None:
    fruitless = 0
    furthest = part.received
    while not part.complete:
        progress.token.check()
        try:
            _receive(url, part, progress)
        except _Lost as error:
            # Against the furthest ever: a server without ranges begins again each time.
            fruitless = 0 if part.received > furthest else fruitless + 1
            furthest = max(furthest, part.received)
            if fruitless == _FRUITLESS:
                raise PullFailed(f"the connection failed ({error})") from error
            _pause(fruitless, progress)


def _receive(url: str, part: Part, progress: Progress) -> None:
    with _connected(url, part) as response:
        if response.status != HTTPStatus.PARTIAL_CONTENT or not _continues(response, part):
            part.restart()
        for chunk in _chunks(response):
            progress.token.check()
            part.write(chunk)
            progress.at(part.received)
    if not part.complete:
        raise _Lost(f"it ended after {part.received:,} of {part.file.bytes:,} bytes")


def _connected(url: str, part: Part) -> http.client.HTTPResponse:
    opener = _opener(part.received)
    try:
        response: http.client.HTTPResponse = opener.open(url, timeout=_SILENCE)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.restart()
                raise _Lost("the server has fewer bytes than were here") from error
            if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _Lost(f"the server answered {error.code} {error.reason}") from error
            raise PullFailed(f"the server answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise _Lost(str(getattr(error, "reason", error) or type(error).__name__)) from error
    return response


def _opener(start: int) -> urllib.request.OpenerDirector:
    """Return an opener that speaks HTTP and HTTPS only, whatever a redirect says."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "limner"), ("Accept-Encoding", "identity")]
    if start:
        opener.addheaders.append(("Range", f"bytes={start}-"))
    return opener


def _continues(response: http.client.HTTPResponse, part: Part) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {part.received}-")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(CHUNK):
            yield chunk
    except (http.client.HTTPException, OSError) as error:
        raise _Lost(str(error) or type(error).__name__) from error


def _pause(fruitless: int, progress: Progress) -> None:
    until = time.monotonic() + 0.25 * 2**fruitless
    while time.monotonic() < until:
        progress.token.check()
        time.sleep(0.05)
