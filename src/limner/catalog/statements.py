"""What the user states of the licences of their own models, kept by the digests of weights.

A statement belongs to the bytes: weights that change are other weights, of which nothing is said.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from limner.catalog.disk import storage_errors, write_whole
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
        known = self._read()
        known.pop(card.weights_digest, None)
        if licence is not None:
            known[card.weights_digest] = Statement(licence, str(path or ""))
        content = {
            digest: {"licence": one.licence.model_dump(mode="json"), "path": one.path}
            for digest, one in known.items()
        }
        with storage_errors(self._kept.parent):
            self._kept.parent.mkdir(parents=True, exist_ok=True)
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
        try:
            content = json.loads(self._kept.read_bytes())
            return {
                str(digest): Statement(Licence.model_validate(entry["licence"]), str(entry["path"]))
                for digest, entry in content.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
            return {}
