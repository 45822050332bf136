"""How files and models are named where it matters that they are the same for ever."""

from typing import Annotated

from pydantic import StringConstraints

from limner.domain.canonical import Frozen

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ModelRef(Frozen):
    """A model by name and by the digest of its weights (see `ModelCard.weights_digest`)."""

    name: str
    sha256: Sha256
