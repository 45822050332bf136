"""What happens while a picture is made, as every door shows it."""

from dataclasses import dataclass
from threading import Event
from typing import TypeAlias

from limner.domain.errors import Cancelled


@dataclass(frozen=True)
class Pulling:
    """Weights are being fetched: bytes so far and in all."""

    model: str
    done: int
    total: int


@dataclass(frozen=True)
class Hashing:
    """A large file of a model is read whole, once, to know it by its sha256: bytes so far."""

    file: str
    done: int
    total: int


@dataclass(frozen=True)
class Loading:
    """A model is being loaded into memory."""

    model: str


@dataclass(frozen=True)
class Step:
    """One step of work on picture `index` (from 0) of the request is done."""

    index: int
    stage: str
    step: int
    steps: int


@dataclass(frozen=True)
class Preview:
    """How picture `index` looks so far: straight RGBA, 8 bits, row by row."""

    index: int
    width: int
    height: int
    rgba: bytes


@dataclass(frozen=True)
class Notice:
    """Something the maker should know that stops nothing: words unheard, a size enlarged."""

    code: str
    message: str


Happening: TypeAlias = Pulling | Hashing | Loading | Step | Preview | Notice


class CancelToken:
    """Set from any thread to stop the work within a step."""

    def __init__(self) -> None:
        self._event = Event()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the work was asked to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled if the work was asked to stop."""
        if self.cancelled:
            raise Cancelled("Stopped. Pictures finished before are kept.")
