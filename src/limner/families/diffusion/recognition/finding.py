"""What a scan says of a file or folder, and the words it may take into account."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias


class Kind(StrEnum):
    """What a file or folder is for."""

    PIPELINE = "pipeline"
    """A folder of parts that draws by itself."""
    LENDER = "lender"
    """A folder that describes a model and lacks weights of it: denoisers in one file borrow."""
    CHECKPOINT = "checkpoint"
    """A denoiser in one file with other parts of its model."""
    DENOISER = "denoiser"
    AUTOENCODER = "autoencoder"
    PREVIEW = "preview decoder"
    TEXT_ENCODER = "text encoder"
    IMAGE_ENCODER = "image encoder"
    CONTROL = "control"
    REFERENCE = "reference adapter"
    ADAPTER = "adapter"
    EMBEDDING = "embedding"
    UPSCALER = "upscaler"
    OTHER = "other"
    """Known by name, and nothing Limner draws with."""
    UNKNOWN = "unknown"
    REFUSED = "refused"
    """Pickled, damaged, or not readable."""


Layout: TypeAlias = Literal[
    "original", "diffusers", "kohya", "PEFT", "ai-toolkit", "BFL", "XLabs", "OneTrainer",
    "LyCORIS", "",
]  # fmt: skip
"""Whose names the tensors have; empty where nobody's in particular."""


Prediction: TypeAlias = Literal["epsilon", "v", "flow", ""]


@dataclass(frozen=True)
class Finding:
    """What a file or folder is, and why.

    `family` and `variant` are those of the model it is or belongs to, empty where they cannot be
    told. `prefix` is what the denoiser's names begin with, `parts` what else is in the file,
    `prediction` what the denoiser predicts where that can be told, `precision` the number format
    of most of its weights. An adapter `fits` the models of these families, as far as can be told;
    where there are several, the likeliest comes first and `family` is empty.
    """

    kind: Kind
    reason: str
    family: str = ""
    variant: str = ""
    layout: Layout = ""
    prefix: str = ""
    parts: tuple[str, ...] = ()
    prediction: Prediction = ""
    precision: str = ""
    fits: tuple[str, ...] = ()


_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NUMBERS = re.compile(r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])")


class Words:
    """What metadata and names say, for what tensors cannot tell.

    Words of the metadata come before those of the file's name. A word ends where a small letter
    comes before a large one, too, or a letter before a digit: `fluxKontextDev_v1`.
    """

    def __init__(self, *texts: str) -> None:
        spelt = (one for text in texts if text for one in _spelt(text))
        self._texts = tuple(
            f"-{re.sub(r'[^a-z0-9]+', '-', one.lower()).strip('-')}-" for one in spelt
        )

    def say(self, *words: str) -> bool:
        """Whether any of the words is said: lower case, `-` between its parts."""
        return any(f"-{word}-" in text for text in self._texts for word in words)

    def first(self, choices: Mapping[str, tuple[str, ...]]) -> str:
        """Return the first choice one of whose words is said; empty if none is."""
        return next((choice for choice, words in choices.items() if self.say(*words)), "")


def _spelt(text: str) -> tuple[str, ...]:
    """Return a text as it is, with its humps apart, and with its numbers apart besides."""
    apart = _HUMPS.sub("-", text)
    return text, apart, _NUMBERS.sub("-", apart)
