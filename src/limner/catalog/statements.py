"""What the user states of the licences of their own models, kept by the digests of weights.

A statement belongs to the bytes: weights that change are other weights, of which nothing is said.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limner.catalog.disk import locked, put_aside, storage_errors, write_whole
from limner.domain.card import Licence, ModelCard


@dataclass(frozen=True)
class Statement:
    """The terms that were stated of weights, and where those lay then."""

    licence: Licence
    path: str


class Statements:
    """Kept statements, by the digest of a model's weights."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept

    def state(self, card: ModelCard, path: Path | None, licence: Licence | None) -> None:
        """Keep what is stated of a model, or with None nothing any more. Raises StorageFailed."""
        with (
            locked(self._kept.with_name(f".{self._kept.name}.lock"), lambda: None),
            storage_errors(self._kept),
        ):
            try:
                content = self._content()
            except (ValueError, RecursionError):
                put_aside(self._kept)
                content = {}
            content.pop(card.weights_digest, None)
            if licence is not None:
                stated = licence.model_dump(mode="json")
                content[card.weights_digest] = {"licence": stated, "path": str(path or "")}
            write_whole(self._kept, json.dumps(content, indent=1).encode())

    def on(self, card: ModelCard) -> ModelCard:
        """Return a card, under the terms that were stated of exactly these weights."""
        found = self._read().get(card.weights_digest)
        return card if found is None else card.model_copy(update={"licence": found.licence})

    def at(self, path: Path) -> Licence | None:
        """Return what was stated of what lay at a path, for lists: its bytes are not read."""
        stated = (one.licence for one in self._read().values() if one.path == str(path))
        return next(stated, None)

    def _read(self) -> dict[str, Statement]:
        """Return what can be read; one entry that cannot be takes no other one with it."""
        found = {}
        with suppress(OSError, ValueError, RecursionError):
            for digest, entry in self._content().items():
                with suppress(KeyError, TypeError, ValidationError):
                    licence = Licence.model_validate(entry["licence"])
                    found[digest] = Statement(licence, str(entry["path"]))
        return found

    def _content(self) -> dict[str, Any]:
        """Return the entries as they are kept; raises OSError, ValueError."""
        try:
            content = json.loads(self._kept.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        if not isinstance(content, dict):
            raise ValueError("an object is kept here")  # noqa: TRY004 - as JSON that is none
        return content
