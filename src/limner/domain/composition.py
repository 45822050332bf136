"""What a picture is composed by besides words: controls, references and a layout."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from limner.domain.canonical import Frozen
from limner.domain.naming import ModelRef, Sha256

Weight = Annotated[float, Field(ge=0, le=2)]
Part = Annotated[float, Field(ge=0, le=1)]


class ControlKind(StrEnum):
    """What of a picture is followed; its map is what a ControlNet is shown."""

    CANNY = "canny"
    LINEART = "lineart"
    SOFT_EDGE = "softedge"
    SCRIBBLE = "scribble"
    GREY = "grey"
    BLUR = "blur"
    TILE = "tile"
    DEPTH = "depth"
    POSE = "pose"

    @property
    def is_seen(self) -> bool:
        """Whether it takes a model of its own to see it in a picture."""
        return self in (ControlKind.DEPTH, ControlKind.POSE)


class _Controlling(Frozen):
    asset: Sha256
    kind: ControlKind
    prepared: bool = False
    weight: Weight = 1.0
    start: Part = 0.0
    end: Part = 1.0

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.start >= self.end:
            raise ValueError("a control ends after it starts")
        return self


class ControlDraft(_Controlling):
    """A control as it was asked for: `model` is a name or path, None for the one that fits."""

    model: str | None = None


class Control(_Controlling):
    """A picture whose structure is followed, from one part of the steps to another.

    `prepared` says that the picture is a map already: white lines, depths, a drawn pose. `model`
    is the ControlNet, None where the model that draws follows such maps by itself; `preparer` the
    model that makes the map where one is needed.
    """

    model: ModelRef | None = None
    preparer: ModelRef | None = None


class Purpose(StrEnum):
    """What is taken from a reference."""

    SUBJECT = "subject"
    STYLE = "style"


class _Referring(Frozen):
    asset: Sha256
    purpose: Purpose = Purpose.SUBJECT
    weight: Weight = 1.0


class ReferenceDraft(_Referring):
    """A reference as it was asked for: `model` is a name or path, None for the one that fits."""

    model: str | None = None


class Reference(_Referring):
    """A picture whose subject or style is taken up.

    `model` is the adapter that sees it, None where the model that draws sees pictures by itself.
    """

    model: ModelRef | None = None


class Box(Frozen):
    """A rectangle of the picture, its sides as parts of width and height from the left top."""

    left: Part
    top: Part
    right: Part
    bottom: Part

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("a box goes from left to right and from top to bottom")
        return self


class Region(Frozen):
    """A part of the picture with a prompt of its own: a box, or where a mask is white."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    weight: Weight = 1.0
    box: Box | None = None
    mask: Sha256 | None = None

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Self:
        if (self.box is None) == (self.mask is None):
            raise ValueError("a region has either a box or a mask")
        return self
