"""How far a pull has come, in bytes that really crossed the wire."""

import time

from limner.domain.event import CancelToken, Pulling
from limner.families.family import Watch

_EVERY = 0.1


class Progress:
    """Counts the legs of a pull: each is a file from a hub or a whole package archive.

    The total is what the legs still ahead are known to weigh; it changes when a source fails
    and another one takes its place. A leg of unknown size is told only once it is over.
    """

    def __init__(self, model: str, watch: Watch) -> None:
        self._model = model
        self._watch = watch
        self._finished = 0
        self._total = 0
        self._leg: int | None = None
        self._told = 0.0

    @property
    def token(self) -> CancelToken:
        """The token that stops the pull."""
        return self._watch.token

    def begin(self, leg: int | None, ahead: int, here: int = 0) -> None:
        """Start a leg of `leg` bytes (None: unknown), `here` of them here, `ahead` after it."""
        self._leg = leg
        self._total = self._finished + (leg or 0) + ahead
        self._told = 0.0
        self.at(here)

    def at(self, received: int) -> None:
        """Tell that `received` bytes of this leg are here."""
        now = time.monotonic()
        if self._leg is None or now - self._told < _EVERY:
            return
        self._told = now
        self._tell(self._finished + min(received, self._leg))

    def end(self, received: int) -> None:
        """Tell that this leg is over and weighed `received` bytes in all."""
        self._total += received - (self._leg or 0)
        self._finished += received
        self._tell(self._finished)

    def _tell(self, done: int) -> None:
        self._watch.tell(Pulling(self._model, done, self._total))
