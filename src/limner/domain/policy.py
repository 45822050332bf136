"""What a workspace asks of every picture made in it: marks, labels, licences, safety."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from limner.domain.canonical import Frozen


class Detail(StrEnum):
    """How much of the Recipe a picture file carries as text."""

    FULL = "full"
    DIGEST = "digest"
    NONE = "none"


class Mining(StrEnum):
    """Whether others may train models on a picture (CAWG training and data mining)."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "notAllowed"


class Safety(StrEnum):
    """What happens to a picture that the safety check finds unsafe."""

    OFF = "off"
    FLAG = "flag"
    BLUR = "blur"
    REFUSE = "refuse"


class Label(Frozen):
    """A visible disclosure in the corner of a picture, in a language (BCP 47)."""

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en"


class PromptRule(Frozen):
    """Words no prompt may hold: a case-blind regular expression, and what to say."""

    pattern: Annotated[str, Field(min_length=1, max_length=500)]
    message: Annotated[str, Field(max_length=500)] = ""


class Policy(Frozen):
    """The rules of a workspace. Those that change pixels are copied into the Recipe."""

    detail: Detail = Detail.FULL
    watermark: bool = True
    label: Label | None = None
    mining: Mining = Mining.NOT_ALLOWED
    commercial: bool = False
    safety: Safety = Safety.OFF
    prompt_rules: tuple[PromptRule, ...] = ()
