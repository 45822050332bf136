"""Draft and Recipe: what was asked, and the complete description of one picture."""

import re
from enum import StrEnum
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, Field

from limner.domain import naming
from limner.domain.canonical import Frozen, digest
from limner.domain.composition import Control, ControlDraft, Reference, ReferenceDraft, Region
from limner.domain.errors import InvalidSize

Sha256 = naming.Sha256
ModelRef = naming.ModelRef
Extra: TypeAlias = bool | int | float | str

MAX_SEED = 2**53 - 1
"""The largest seed: the largest integer that every JSON reader keeps exactly."""

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Task(StrEnum):
    """What a model is asked to do."""

    TEXT_TO_IMAGE = "text_to_image"
    IMAGE_TO_IMAGE = "image_to_image"
    INPAINT = "inpaint"
    OUTPAINT = "outpaint"
    EDIT = "edit"
    ERASE = "erase"
    UPSCALE = "upscale"
    CUTOUT = "cutout"

    @property
    def takes_words(self) -> bool:
        """Whether a prompt says what to draw."""
        return self not in (Task.ERASE, Task.UPSCALE, Task.CUTOUT)


class InputRole(StrEnum):
    """What an input picture is for."""

    INIT = "init"
    MASK = "mask"


class FileFormat(StrEnum):
    """The file a picture is written to."""

    PNG = "png"
    WEBP = "webp"
    JPEG = "jpeg"
    TIFF = "tiff"
    AVIF = "avif"
    SVG = "svg"

    @property
    def common_name(self) -> str:
        """The name of the format, as people write it."""
        return "WebP" if self is FileFormat.WEBP else self.value.upper()

    @property
    def has_alpha(self) -> bool:
        """Whether the format can hold transparency."""
        return self is not FileFormat.JPEG

    @property
    def media_type(self) -> str:
        """The IANA media type."""
        return "image/svg+xml" if self is FileFormat.SVG else f"image/{self.value}"


class Size(Frozen):
    """Width and height in pixels."""

    width: Annotated[int, Field(ge=1, le=65_535)]
    height: Annotated[int, Field(ge=1, le=65_535)]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `512x512`, `512×384` or `512`; raise InvalidSize for anything else."""
        match = re.fullmatch(r"\s*(\d{1,9})(?:\s*[x×X]\s*(\d{1,9}))?\s*", text)
        if match is None:
            raise InvalidSize(
                f"“{text[:40]}” is not a size. Write width x height in pixels, like 512x512."
            )
        numbers = [int(number) for number in match.groups() if number]
        if not all(1 <= number <= 65_535 for number in numbers):
            raise InvalidSize(
                f"No picture is {text.strip()} large: a side has 1 to 65,535 pixels. Write its "
                "size like 512x512."
            )
        return cls(width=numbers[0], height=numbers[-1])

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    def fitted(self, into: Self) -> Self:
        """Return the largest size of this shape that lies inside another."""
        scale = min(into.width / self.width, into.height / self.height)
        return type(self)(
            width=min(into.width, max(1, round(self.width * scale))),
            height=min(into.height, max(1, round(self.height * scale))),
        )


class AdapterRef(Frozen):
    """An adapter (LoRA and kin) by name and weights digest, with its weight.

    `text_weight` is that in the text encoders, None for the same as in the denoiser.
    """

    name: str
    sha256: Sha256
    weight: Annotated[float, Field(ge=-10, le=10)] = 1.0
    text_weight: Annotated[float, Field(ge=-10, le=10)] | None = None

    @property
    def ref(self) -> ModelRef:
        """The adapter alone, whatever its weight."""
        return ModelRef(name=self.name, sha256=self.sha256)


class Offset(Frozen):
    """Where the left top corner of a picture lies on a larger one, in pixels."""

    left: Annotated[int, Field(ge=0, le=65_535)]
    top: Annotated[int, Field(ge=0, le=65_535)]


class RecipeInput(Frozen):
    """A picture the Recipe starts from: the asset's id, its role, its strength in [0, 1]."""

    asset: Sha256
    role: InputRole
    strength: Annotated[float, Field(ge=0, le=1)] | None = None


def _in_order(extras: tuple[tuple[str, Extra], ...]) -> tuple[tuple[str, Extra], ...]:
    names = [name for name, _ in extras]
    if len(set(names)) != len(names):
        raise ValueError("an extra is given twice")
    return tuple(sorted(extras))


Extras = Annotated[tuple[tuple[str, Extra], ...], AfterValidator(_in_order)]
"""Values of a family's own options as (name, value) pairs, kept in order of their names."""


class Draft(Frozen):
    """What was asked. `None` means: the default of whatever model draws it.

    Each adapter is a name or the path of a file, with its weight behind a colon unless it is 1.
    `literal` says that braces, wildcards and all else in the prompts are words, as those of a
    picture that was drawn before; otherwise adapters in the prompt (`<lora:NAME:0.8>`) are worn.
    """

    task: Task = Task.TEXT_TO_IMAGE
    model: str | None = None
    adapters: tuple[str, ...] = ()
    prompt: str = ""
    negative_prompt: str = ""
    literal: bool = False
    seed: Seed | None = None
    size: Size | None = None
    offset: Offset | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    schedule: str | None = None
    inputs: tuple[RecipeInput, ...] = ()
    controls: tuple[ControlDraft, ...] = ()
    references: tuple[ReferenceDraft, ...] = ()
    layout: tuple[Region, ...] = ()
    transparent: bool | None = None
    format: FileFormat | None = None
    upscaler: str | None = None
    label: str | None = None
    extras: Extras = ()


_LATER = ("label", "watermark", "offset", "controls", "references", "layout")


class Recipe(Frozen):
    """Everything that decides the pixels of one picture. One Recipe = one picture.

    `label` is the language of a visible disclosure, None for none; `watermark` whether the
    picture carries an invisible one. `size` is the size of the finished picture, `offset`
    where its init lies on it when more is drawn around it. `native_size`
    is the size the model draws at; where they differ, `upscaler` (if set) enlarges before the
    exact fit.
    """

    version: int = 1
    task: Task
    model: ModelRef
    adapters: tuple[AdapterRef, ...] = ()
    prompt: str = ""
    negative_prompt: str = ""
    seed: Seed = 0
    size: Size
    offset: Offset | None = None
    native_size: Size
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    schedule: str | None = None
    inputs: tuple[RecipeInput, ...] = ()
    controls: tuple[Control, ...] = ()
    references: tuple[Reference, ...] = ()
    layout: tuple[Region, ...] = ()
    transparent: bool = True
    format: FileFormat = FileFormat.PNG
    upscaler: ModelRef | None = None
    label: str | None = None
    watermark: bool = False
    extras: Extras = ()

    @property
    def digest(self) -> str:
        """The sha256 of the canonical JSON of this Recipe.

        What came later than version 1 is left out where it is unset, so that older Recipes keep
        their digest.
        """
        whole = self.model_dump(mode="json")
        for adapter in whole["adapters"]:
            if adapter["text_weight"] is None:
                del adapter["text_weight"]
        return digest({k: v for k, v in whole.items() if v or k not in _LATER})

    def extra(self, name: str) -> Extra | None:
        """Return the value of a family's own option, or None where the family has none."""
        return dict(self.extras).get(name)

    def input(self, role: InputRole) -> RecipeInput | None:
        """Return the input with this role, or None."""
        return next((item for item in self.inputs if item.role is role), None)

    @property
    def pictures(self) -> tuple[tuple[Sha256, str], ...]:
        """Every picture it is drawn from, by id, and what it is for: `init`, `control`, …."""
        masks = (one.mask for one in self.layout if one.mask)
        return (
            *((one.asset, one.role.value) for one in self.inputs),
            *((one.asset, "control") for one in self.controls),
            *((one.asset, "reference") for one in self.references),
            *((mask, "region") for mask in masks),
        )

    @property
    def models(self) -> tuple[ModelRef, ...]:
        """Every model whose weights decide pixels, that which draws first; each once."""
        steering = (ref for one in self.controls for ref in (one.model, one.preparer))
        seeing = (one.model for one in self.references)
        adapters = (one.ref for one in self.adapters)
        every = (self.model, *adapters, *steering, *seeing, self.upscaler)
        return tuple(dict.fromkeys(ref for ref in every if ref is not None))
