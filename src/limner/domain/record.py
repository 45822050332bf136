"""What is written down for good of what happened in a workspace: who did what to which asset."""

from datetime import datetime
from enum import StrEnum

from limner.domain.canonical import Frozen
from limner.domain.recipe import Sha256


class RecordKind(StrEnum):
    """What happened."""

    POLICY_CHANGED = "policy_changed"
    PROMPT_REFUSED = "prompt_refused"
    LICENCE_REFUSED = "licence_refused"
    LICENCE_STATED = "licence_stated"
    PICTURE_FLAGGED = "picture_flagged"
    PICTURE_BLURRED = "picture_blurred"
    PICTURE_REFUSED = "picture_refused"
    ASSET_REMOVED = "asset_removed"


class Record(Frozen):
    """One line of a workspace's journal. `detail` are (name, value) pairs in plain words.

    `number` is its place in the journal, None until it is written there; later lines have higher
    ones.
    """

    workspace: str
    actor: str
    kind: RecordKind
    at: datetime
    asset: Sha256 | None = None
    detail: tuple[tuple[str, str], ...] = ()
    number: int | None = None
