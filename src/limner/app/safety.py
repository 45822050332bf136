"""The safety check of a workspace: what becomes of a finished picture that looks unsafe."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from PIL import Image

from limner.app.models import Models
from limner.domain.asset import Asset
from limner.domain.errors import ModelUnavailable, PictureRefused
from limner.domain.event import CancelToken, Happening, Notice, Preview
from limner.domain.policy import Safety
from limner.domain.recipe import ModelRef, Recipe
from limner.domain.record import Record, RecordKind
from limner.domain.workspace import Actor, Workspace
from limner.families.family import Pixels

UNSAFE = 0.8
"""From this score on a picture counts as unsafe; see `docs/decisions/011-safety-check.md`."""

_CELLS = 10
"""A blurred picture holds no more than this many shades along its longer side."""


class Outcome(StrEnum):
    """What became of a checked picture."""

    PASSED = "passed"
    FLAGGED = "flagged"
    BLURRED = "blurred"
    REFUSED = "refused"


_OUTCOMES = {
    Safety.FLAG: Outcome.FLAGGED,
    Safety.BLUR: Outcome.BLURRED,
    Safety.REFUSE: Outcome.REFUSED,
}
_RECORDED = {
    Outcome.FLAGGED: RecordKind.PICTURE_FLAGGED,
    Outcome.BLURRED: RecordKind.PICTURE_BLURRED,
    Outcome.REFUSED: RecordKind.PICTURE_REFUSED,
}
_SAID = {
    Outcome.FLAGGED: "It is kept and flagged.",
    Outcome.BLURRED: "It is kept blurred.",
    Outcome.REFUSED: "It is not kept.",
}


@dataclass(frozen=True)
class Verdict:
    """What became of a picture: its pixels as they may be kept, and how unsafe it looked.

    `unsafe` is None where nothing was checked. The pixels of a refused picture are not to be
    kept.
    """

    pixels: Pixels
    unsafe: float | None = None
    outcome: Outcome = Outcome.PASSED

    @property
    def notice(self) -> Notice | None:
        """What the maker is told, if anything."""
        if self.outcome is Outcome.PASSED:
            return None
        return Notice(
            self.outcome.value,
            f"A picture looks unsafe ({self.unsafe:.2f}, and {UNSAFE} is where that begins). "
            f"{_SAID[self.outcome]}",
        )


def check(pixels: Pixels, safety: Safety, judge: Callable[[Pixels], float]) -> Verdict:
    """Judge a finished picture and do with it what the workspace says.

    Where the check is off, `judge` is not asked.
    """
    if safety is Safety.OFF:
        return Verdict(pixels)
    unsafe = round(judge(pixels), 4)
    if unsafe < UNSAFE:
        return Verdict(pixels, unsafe)
    outcome = _OUTCOMES[safety]
    kept = blurred(pixels) if outcome is Outcome.BLURRED else pixels
    return Verdict(kept, unsafe, outcome)


def blurred(pixels: Pixels) -> Pixels:
    """Return a picture of which only the broadest colours are left, its outline included.

    The same pixels give the same blurred ones on every machine.
    """
    height, width = pixels.shape[:2]
    scale = min(_CELLS / max(height, width), 0.25)
    cells = (max(1, round(width * scale)), max(1, round(height * scale)))
    coarse = Image.fromarray(pixels).resize(cells, Image.Resampling.BOX)
    return np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))


def record_of(
    verdict: Verdict, actor: Actor, workspace: Workspace, recipe: Recipe, asset: Asset | None
) -> Record | None:
    """Return the line of the journal on a picture that looked unsafe; None for any other.

    `asset` is what was kept, if anything was.
    """
    kind = _RECORDED.get(verdict.outcome)
    if kind is None:
        return None
    return Record(
        workspace=workspace.id,
        actor=actor.id,
        kind=kind,
        at=datetime.now(UTC),
        asset=asset.id if asset else None,
        detail=(("unsafe", f"{verdict.unsafe:.4f}"), ("recipe", recipe.digest)),
    )


def stands(asset: Asset, safety: Safety) -> bool:
    """Whether a picture was kept as the workspace would keep it now.

    One from before there was a check stands, too.
    """
    if asset.unsafe is None or asset.unsafe < UNSAFE:
        return True
    return safety is not Safety.REFUSE and asset.blurred is (safety is Safety.BLUR)


def require_judge(
    models: Models, tell: Callable[[Happening], None], token: CancelToken
) -> ModelRef:
    """Return the model that judges, pulled if need be and verified.

    Raises ModelUnavailable (or a kind of it) or WeightsRejected where it cannot be had: a
    picture that cannot be checked must not be drawn.
    """
    ref = models.judge().ref
    try:
        models.make_ready(ref, tell, token)
        models.locate(ref)
    except ModelUnavailable as error:
        raise type(error)(
            "Nothing was drawn: this workspace has every picture checked for safety, and the "
            f"model for it cannot be had. {error.message}"
        ) from error
    return ref


def shielded(tell: Callable[[Happening], None], safety: Safety) -> Callable[[Happening], None]:
    """Return what to tell through: unfinished pictures are not shown where they may be hidden."""
    if safety not in (Safety.BLUR, Safety.REFUSE):
        return tell

    def tell_the_rest(happening: Happening) -> None:
        if not isinstance(happening, Preview):
            tell(happening)

    return tell_the_rest


def refusal(refused: int, count: int) -> PictureRefused:
    """Return the error that ends a request of which pictures were refused."""
    rest = "" if refused == count else " The others are kept."
    return PictureRefused(
        f"{refused} of {count} pictures looked unsafe and {'was' if refused == 1 else 'were'} "
        f"not kept, as this workspace asks.{rest} Use other words or another seed."
    )
