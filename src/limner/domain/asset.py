"""Assets: immutable files in the library, and the Environment they were made in."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from limner.domain.canonical import Frozen, digest
from limner.domain.recipe import Recipe, Sha256, Size


class Relation(StrEnum):
    """How an asset came from its parent; a copy was brought in and carries its watermark."""

    IMPORTED = "imported"
    INIT = "init"
    MASK = "mask"
    CONTROL = "control"
    REFERENCE = "reference"
    REGION = "region"
    COPY = "copy"


class Parent(Frozen):
    """An asset this one was made from."""

    asset: Sha256
    relation: Relation


class Environment(Frozen):
    """What the machine added: recorded with every picture, never part of the Recipe.

    `fitting` is how the work was made to fit into memory, where that may change pixels.
    """

    limner: str
    python: str
    platform: str
    processor: str
    device: str
    dtype: str
    threads: int
    libraries: tuple[tuple[str, str], ...] = ()
    fitting: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of the canonical JSON of this Environment.

        What came later is left out where it is unset, so that older ones keep their digest.
        """
        whole = self.model_dump(mode="json")
        return digest({name: value for name, value in whole.items() if value or name != "fitting"})


class Terms(Frozen):
    """The licence of a model as it stood when a picture was made with it."""

    model: str
    spdx: str
    commercial: bool
    attribution: str
    url: str


class Asset(Frozen):
    """One file of the library.

    `id` is the sha256 of the file. `pixel_digest` is the sha256 of its pixels as 8-bit
    straight RGBA rows, headed by the size (see `families.raster.pixel_digest`); for SVG, of the
    raster that was traced. An imported picture has neither Recipe nor Environment.

    `mark` is the id in its invisible watermark, 12 hexadecimal digits; `fingerprint` the PDQ
    hash of its pixels, 64 hexadecimal digits; `drift` the largest colour difference (CIEDE2000)
    that an edit left outside its mask; `unsafe` what the safety check found, from 0 to 1, and
    `blurred` whether it blurred the pixels that the Recipe gives.
    """

    id: Sha256
    workspace: str
    media_type: str
    bytes: int
    size: Size
    pixel_digest: Sha256
    created: datetime
    created_by: str
    parents: tuple[Parent, ...] = ()
    recipe: Recipe | None = None
    environment: Environment | None = None
    seconds: float | None = None
    terms: tuple[Terms, ...] = ()
    mark: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")] | None = None
    fingerprint: Sha256 | None = None
    drift: float | None = None
    unsafe: float | None = None
    blurred: bool = False
