"""The error tree: every failure Limner reports on purpose.

    LimnerError
    ├── InvalidRequest          what was asked cannot be done as asked
    │   ├── InvalidPrompt
    │   ├── InvalidSize
    │   ├── InvalidOption
    │   ├── InvalidImage        a picture that cannot be read or does not fit
    │   └── InvalidTable        a CSV whose rows cannot be understood
    ├── NotFound
    │   ├── ModelNotFound
    │   └── AssetNotFound
    ├── AccessDenied
    │   ├── LicenceForbids      a model whose licence does not allow what the workspace is for
    │   └── PromptRefused       words that a rule of the workspace does not allow
    ├── ModelUnavailable        known, but its weights are not here and cannot be had
    │   └── PullFailed
    ├── WeightsRejected         bytes that differ from their pinned sha256, or an unsafe format
    ├── StorageFailed           the home folder cannot be written or read
    │   ├── StorageFull
    │   ├── StorageReadOnly
    │   └── LibraryBusy
    ├── PictureRefused          drawn, found unsafe, and not kept
    ├── SigningFailed           keys or signatures that cannot be made or read
    ├── OutOfMemory
    └── Cancelled

Each class carries a stable `code` (for HTTP problem documents and `--json`) and the exit
status of the command line. A message says what was wrong and what to do about it.
"""

import errno
from typing import ClassVar


class LimnerError(Exception):
    """Base of everything Limner raises on purpose."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(LimnerError):
    """The request cannot be carried out as written."""

    code = "invalid_request"
    exit_status = 2


class InvalidPrompt(InvalidRequest):
    """The prompt is empty, too long or unreadable."""

    code = "invalid_prompt"


class InvalidSize(InvalidRequest):
    """The size is not one that can be drawn."""

    code = "invalid_size"


class InvalidOption(InvalidRequest):
    """An option is unknown to the model or out of its range."""

    code = "invalid_option"


class InvalidImage(InvalidRequest):
    """A picture is unreadable, too large, or does not fit its role."""

    code = "invalid_image"


class InvalidTable(InvalidRequest):
    """A table of prompts cannot be understood."""

    code = "invalid_table"


class NotFound(LimnerError):
    """The thing named does not exist, or not for this actor."""

    code = "not_found"
    exit_status = 3


class ModelNotFound(NotFound):
    """No model of that name is known."""

    code = "model_not_found"


class AssetNotFound(NotFound):
    """No asset of that id is in the workspace."""

    code = "asset_not_found"


class AccessDenied(LimnerError):
    """The actor's role does not allow this."""

    code = "access_denied"
    exit_status = 4


class LicenceForbids(AccessDenied):
    """The workspace is commercial, and the licence of a model does not allow that."""

    code = "licence_forbids"


class PromptRefused(AccessDenied):
    """A rule of the workspace does not allow these words."""

    code = "prompt_refused"


class ModelUnavailable(LimnerError):
    """The model is known but its weights are not here."""

    code = "model_unavailable"
    exit_status = 5


class PullFailed(ModelUnavailable):
    """No source could deliver the weights."""

    code = "pull_failed"


class WeightsRejected(LimnerError):
    """Weights differ from their pinned sha256 or have an unsafe format."""

    code = "weights_rejected"
    exit_status = 6


class StorageFailed(LimnerError):
    """The home folder could not be read or written."""

    code = "storage_failed"
    exit_status = 7


class StorageFull(StorageFailed):
    """The disk that holds the home folder is full."""

    code = "storage_full"


class StorageReadOnly(StorageFailed):
    """The home folder cannot be written."""

    code = "storage_read_only"


class LibraryBusy(StorageFailed):
    """Another process holds the library for longer than we wait."""

    code = "library_busy"


class PictureRefused(LimnerError):
    """The safety check of the workspace found a picture unsafe; it was not kept."""

    code = "picture_refused"
    exit_status = 9


class SigningFailed(LimnerError):
    """A picture could not be signed, or keys could not be made or read."""

    code = "signing_failed"
    exit_status = 10


class OutOfMemory(LimnerError):
    """The model does not fit the memory that is free."""

    code = "out_of_memory"
    exit_status = 8


class Cancelled(LimnerError):
    """The person who asked stopped the work."""

    code = "cancelled"
    exit_status = 130


_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def storage_failure(error: OSError, place: object, otherwise: str) -> StorageFailed:
    """Return the error that says what the system's error about a place means.

    `otherwise` is what else can be done, as the end of a sentence: “choose another folder”.
    """
    if error.errno in _FULL:
        return StorageFull(f"The disk that holds {place} is full. Make room, or {otherwise}.")
    if error.errno in _READ_ONLY:
        return StorageReadOnly(f"{place} cannot be written. Allow writing there, or {otherwise}.")
    reason = error.strerror or error
    return StorageFailed(f"{place} could not be used: {reason}. Check the disk, or {otherwise}.")
