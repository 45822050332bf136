"""What goes over the wire to a model hub: requests, the token, and what refusals mean."""

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import urlsplit

from limner.domain.errors import PullFailed

TOKENS = "LIMNER_HUB_TOKEN or HF_TOKEN"
"""The variables of the environment that may hold a token."""

_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Lost(PullFailed):
    """The connection broke or the server is busy: worth another try."""


class Absent(PullFailed):
    """The hub has no such repository, revision or file."""


@dataclass(frozen=True)
class Hub:
    """A model hub: its address, and a token that opens gated repositories there."""

    address: str
    token: str | None = field(default=None, repr=False)

    def page(self, repository: str) -> str:
        """Return the address of a repository's page, where its terms are accepted."""
        return f"{self.address.rstrip('/')}/{repository}"

    def owns(self, url: str) -> bool:
        """Whether a URL is one of the hub's own host; no other may see the token."""
        return _origin(url) == _origin(self.address)


def connect(hub: Hub, url: str, start: int, silence: float) -> http.client.HTTPResponse:
    """Return the answer to a request for a URL of the hub, from byte `start` on.

    Raises urllib's and the system's own errors; see `failure`.
    """
    if urlsplit(hub.address).scheme not in ("http", "https"):
        raise PullFailed(f"“{hub.address}” is not the address of a hub; it starts https://")
    request = urllib.request.Request(url)  # noqa: S310 - http or https, as said above
    _authorise(request, hub)
    response: http.client.HTTPResponse = _opener(hub, start).open(request, timeout=silence)
    return response


def failure(error: Exception, hub: Hub, repository: str) -> PullFailed:
    """Return what an error of `connect` means: Lost, where another try may help."""
    if not isinstance(error, urllib.error.HTTPError):
        return Lost(str(getattr(error, "reason", error) or type(error).__name__))
    with error:
        answer = f"the server answered {error.code} {error.reason}"
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code == 429:
            return Lost(answer)
        said = error.headers.get("X-Error-Code", "")
        if said in ("RepoNotFound", "RevisionNotFound", "EntryNotFound"):
            return Absent(_absence(said, hub))
        if said == "GatedRepo" or (error.code in _DENIED and hub.owns(error.url)):
            return PullFailed(f"{answer}. {_access(hub, repository)}")
        return Absent(answer) if error.code == HTTPStatus.NOT_FOUND else PullFailed(answer)


def _absence(said: str, hub: Hub) -> str:
    if said != "RepoNotFound":
        thing = "revision" if said == "RevisionNotFound" else "file"
        return f"the repository has no such {thing}"
    private = "" if hub.token else f", or it is private and needs a token in {TOKENS}"
    return f"there is no such repository{private}"


def _access(hub: Hub, repository: str) -> str:
    page = hub.page(repository)
    if hub.token is None:
        return (
            f"Its makers ask for consent first: accept the terms at {page}, make a token with "
            f"read access at {hub.page('settings/tokens')} and put it into {TOKENS}"
        )
    return (
        f"The token in {TOKENS} does not open it: accept the terms at {page} with the account "
        "that the token belongs to, and see that it may read gated repositories"
    )


def _authorise(request: urllib.request.Request, hub: Hub) -> None:
    """Give a request the token, in a header that no redirect carries on."""
    if hub.token and hub.owns(request.full_url):
        request.add_unredirected_header("Authorization", f"Bearer {hub.token}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; only those that stay on the hub's host take the token along."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            _authorise(request, self._hub)
        return request


def _opener(hub: Hub, start: int) -> urllib.request.OpenerDirector:
    """Return an opener that speaks HTTP and HTTPS only, whatever a redirect says."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(hub),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "limner"), ("Accept-Encoding", "identity")]
    if start:
        opener.addheaders.append(("Range", f"bytes={start}-"))
    return opener


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or usual
