"""The files of Vellum's weights, and what an export says of itself."""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from limner.domain.canonical import Frozen
from limner.domain.recipe import Sha256

WEIGHTS = Path(__file__).parent / "weights"
DENOISER, ENCODER, TOKENIZER, FACTS = "vellum.onnx", "minilm.onnx", "tokenizer.json", "facts.json"
LEXICON = "lexicon.json"
"""Other words for what is drawn: they change pixels, so they are pinned; not in older exports."""

NOISE = "noise"
"""The denoiser's own note of the standard deviation of its noise."""


class FileFact(Frozen):
    """A file of the weights: its name, sha256 and size."""

    name: str
    sha256: Sha256
    bytes: int


class Facts(Frozen):
    """What an export says of itself: see `training.vellum.export`."""

    pixels: Annotated[int, Field(ge=16, le=1024)]
    styles: tuple[str, ...]
    samples: int
    minutes: float
    files: tuple[FileFact, ...]

    @field_validator("files")
    @classmethod
    def _are_complete(cls, files: tuple[FileFact, ...]) -> tuple[FileFact, ...]:
        names = sorted(file.name for file in files if file.name != LEXICON)
        if names != sorted((DENOISER, ENCODER, TOKENIZER)) or len(files) > len(names) + 1:
            raise ValueError(
                f"the files must be {DENOISER}, {ENCODER}, {TOKENIZER} and, if any, {LEXICON}"
            )
        return files


def fact_of(path: Path) -> FileFact:
    """Return what pins a file as it is now."""
    content = path.read_bytes()
    return FileFact(name=path.name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def read_facts(folder: Path) -> Facts:
    """Return the facts beside a set of weights; raise OSError or ValueError if there are none."""
    return Facts.model_validate_json((folder / FACTS).read_bytes())
