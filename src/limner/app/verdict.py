"""What verifying a file comes to: the findings of every layer, and one verdict in all."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from limner.domain.canonical import Frozen
from limner.domain.recipe import Draft, Recipe, Sha256
from limner.provenance.manifest import Manifest
from limner.provenance.xmp import names_model


class Integrity(StrEnum):
    """What all marks together say.

    `intact`: marked, and proven to be as it was when it was marked. `changed`: marked, and not
    the file that was marked any more. `unproven`: it says that AI made it, but nothing shows who
    says so and whether it was changed, or that its signer's certificate held when it was signed.
    `unmarked`: no mark was found, which proves nothing.
    """

    INTACT = "intact"
    CHANGED = "changed"
    UNPROVEN = "unproven"
    UNMARKED = "unmarked"

    @property
    def exit_status(self) -> int:
        """0 marked and intact, 1 marked but changed or unproven, 2 no mark found."""
        return {"intact": 0, "unmarked": 2}.get(self.value, 1)


class Match(Frozen):
    """A picture of the library that this one is or comes from, and how it was recognised.

    `made` is whether it was made here; if not, it was brought in, and says nothing of AI.
    `since` is when it was kept, and `here` whether the library still has it. `distance` is how
    many of 256 bits of the fingerprint differ (None = not known), and `correlation` how far the
    pixels, made small, go together (1 = alike, None = not compared). `sure`: it comes from what
    was made here; else it only looks similar, or only bears its mark.
    """

    asset: Sha256
    by: Literal["file", "pixels", "mark", "fingerprint"]
    made: bool
    since: datetime
    here: bool
    sure: bool
    distance: int | None = 0
    correlation: float | None = None


class Declared(Frozen):
    """What a file says of itself in plain metadata, which anyone can write or remove.

    `draft` is what was understood of another tool's settings, `mining` the PLUS term on mining,
    `manifest_at` the address of a manifest that is kept elsewhere.
    """

    source_type: str | None = None
    system: str | None = None
    system_version: str | None = None
    mining: str | None = None
    prompt: str | None = None
    recipe_digest: Sha256 | None = None
    recipe: Recipe | None = None
    settings_of: str | None = None
    draft: Draft | None = None
    manifest_at: str | None = None

    @property
    def says_generated(self) -> bool:
        """Whether it says that a model made the picture or a part of it.

        By its source type, by naming an AI system, or by the settings of a tool.
        """
        by_model = names_model(self.source_type) or self.system is not None
        return by_model or self.recipe_digest is not None or self.settings_of is not None


class Looked(StrEnum):
    """Whether the pixels could be looked at, for a watermark and a likeness."""

    SEEN = "seen"
    DAMAGED = "damaged"
    DRAWING = "drawing"


class Verdict(Frozen):
    """What was found in a file. Layers that hold nothing are None or empty.

    `unasked` is why the library could not be asked, None where it was.
    """

    integrity: Integrity
    summary: str
    media_type: str
    looked: Looked
    manifest: Manifest | None = None
    declared: Declared | None = None
    mark: str | None = None
    matches: tuple[Match, ...] = ()
    unasked: str | None = None
