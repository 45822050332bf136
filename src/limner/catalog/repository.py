"""A repository of a model hub at one commit: which files it has, and on which terms."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from limner.catalog.hub import path_of, read
from limner.catalog.wire import Absent, Hub
from limner.domain.card import HubSource, Licence
from limner.domain.errors import InvalidOption, ModelNotFound, PullFailed
from limner.domain.event import CancelToken
from limner.domain.licensing import named
from limner.families.family import Family, Published, Publishes

MOST_UNHASHED = 32 * 1024 * 1024
"""Bytes above which a file that the hub gives no sha256 for is not fetched: none is so large."""

_LONGEST_ANSWER = 64 * 1024 * 1024

_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+?))?(:(?P<file>[^:]+))?")


@dataclass(frozen=True)
class Asked:
    """What `OWNER/NAME[@REVISION][:FILE]` names; an empty revision is the newest.

    `descriptions`: of a diffusers folder, only what describes its parts, without any weights.
    """

    repository: str
    revision: str = ""
    file: str = ""
    descriptions: bool = False


@dataclass(frozen=True)
class Listed:
    """A file of a repository: its size, its git blob id, its sha256 where it is a large one."""

    name: str
    bytes: int
    blob: str
    sha256: str


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    repository: str
    commit: str
    files: Mapping[str, Listed]
    gated: bool
    licence: Licence

    def source(self, name: str) -> HubSource:
        """Return where a file comes from, for good."""
        return HubSource(repository=self.repository, revision=self.commit, path=name)


def parse(text: str) -> Asked:
    """Return what a name of the hub names; raises InvalidOption."""
    found = _NAME.fullmatch(text)
    if found is None or any(part in (".", "..") for part in re.split(r"[/@:]", text)):
        raise InvalidOption(
            f"“{text[:100]}” is not the name of a model repository. Write OWNER/NAME, "
            "OWNER/NAME@REVISION or OWNER/NAME:FILE; for models on this machine there is "
            "`limner models add PATH`."
        )
    return Asked(found["repository"], found["revision"] or "", found["file"] or "")


def published_as(name: str, families: Iterable[Family]) -> Published | None:
    """Return the repository that a family's makers published as `name`, with or without owner."""
    lowered = name.lower()
    for family in families:
        for one in family.published() if isinstance(family, Publishes) else ():
            if lowered in (one.repository.lower(), one.repository.lower().partition("/")[2]):
                return one
    return None


def list_files(hub: Hub, asked: Asked, token: CancelToken) -> Listing:
    """Ask the hub which files a repository has; the newest commit unless one is asked for.

    Raises ModelNotFound where there is no such repository or revision, and PullFailed.
    """
    revision = quote(asked.revision or "main", safe="")
    path = f"api/models/{quote(asked.repository)}/revision/{revision}?blobs=true"
    try:
        answer = read(hub, asked.repository, path, _LONGEST_ANSWER, token)
        return _listing(hub, asked, json.loads(answer))
    except Absent as error:
        at = f" at {asked.revision}" if asked.revision else ""
        raise ModelNotFound(
            f"{hub.address} does not have {asked.repository}{at}: {error.message}."
        ) from error
    except PullFailed as error:
        raise _failed(asked.repository, error) from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise PullFailed(
            f"{asked.repository} could not be pulled: what {hub.address} answers is not what a "
            "model hub says. Check HF_ENDPOINT."
        ) from error


def fetch_small(hub: Hub, listing: Listing, name: str, token: CancelToken) -> bytes:
    """Return a file that the hub names no sha256 of, checked against its git blob id.

    Raises PullFailed where it is something else.
    """
    try:
        return _fetch(hub, listing, listing.files[name], token)
    except PullFailed as error:
        raise _failed(listing.repository, error) from error


def _fetch(hub: Hub, listing: Listing, listed: Listed, token: CancelToken) -> bytes:
    if listed.bytes > MOST_UNHASHED:
        raise PullFailed(f"{listed.name} has no sha256 there and is too large to go without")
    path = path_of(listing.source(listed.name))
    content = read(hub, listing.repository, path, listed.bytes, token)
    if _blob_id(content) != listed.blob:
        raise PullFailed(f"{listed.name} is not the file that the repository lists")
    return content


def _failed(repository: str, error: PullFailed) -> PullFailed:
    return PullFailed(f"{repository} could not be pulled: {error.message}.")


def _blob_id(content: bytes) -> str:
    """Return what git calls a file of this content (https://git-scm.com/book, 10.2)."""
    sha1 = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    sha1.update(content)
    return sha1.hexdigest()


def _listing(hub: Hub, asked: Asked, answer: Any) -> Listing:
    commit = str(answer["sha"])
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise ValueError(commit)
    return Listing(
        repository=asked.repository,
        commit=commit,
        files={listed.name: listed for listed in map(_listed, answer["siblings"])},
        gated=bool(answer.get("gated")),
        licence=_licence(hub, asked.repository, answer),
    )


def _listed(entry: Any) -> Listed:
    large = entry.get("lfs") or {}
    sha256 = str(large.get("sha256") or "")
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(sha256)
    size = int(large["size"] if sha256 else entry["size"])
    if size < 0:
        raise ValueError(size)
    return Listed(str(entry["rfilename"]), size, str(entry.get("blobId") or ""), sha256)


def _licence(hub: Hub, repository: str, answer: Any) -> Licence:
    """Return the terms that a repository states."""
    said = answer.get("cardData") or {}
    tags = [str(tag) for tag in answer.get("tags") or ()]
    tagged = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    name = str(said.get("license") or tagged)
    own = str(said.get("license_name") or "") if name in ("other", "") else ""
    by = f"By {repository.partition('/')[0]}, as the repository says."
    return named(own or name).model_copy(update={"attribution": by, "url": hub.page(repository)})
