"""What is known of a model, in words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from limner.domain.card import UNSTATED

if TYPE_CHECKING:
    from limner.catalog.catalog import Catalog
    from limner.domain.capability import Capability
    from limner.domain.card import ModelCard


def licence_name(spdx: str) -> str:
    """Return a licence's identifier in words for people."""
    return "not stated" if spdx == UNSTATED else spdx


def size_of(count: int) -> str:
    """Return a number of bytes in words for people."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def facts_of(catalog: "Catalog", card: "ModelCard") -> Iterator[tuple[str, str]]:
    """Yield what is known of a model, as rows of a table."""
    licence = card.licence
    yield "about", card.summary
    yield "state", f"{catalog.status(card).value}, {card.status.value}"
    told = f"{licence_name(licence.spdx)}; commercial use {'yes' if licence.commercial else 'no'}"
    if licence.spdx == UNSTATED:
        told += f" (limner models licence {card.name} … states one that you know of)"
    yield "licence", told
    if licence.attribution or licence.url:
        yield "by", f"{licence.attribution} {licence.url}".strip()
    yield "home", card.homepage
    yield "does", ", ".join(card.capability.uses)
    yield from _abilities(card.capability)


def _abilities(capability: "Capability") -> Iterator[tuple[str, str]]:
    if capability.sizes.native:
        yield "draws at", ", ".join(str(size) for size in capability.sizes.native)
    if capability.sizes.default:
        yield "size", f"{capability.sizes.default} if left out"
    for name, allowed in (
        ("steps", capability.steps),
        ("guidance", capability.guidance),
        ("strength", capability.strength),
    ):
        if allowed:
            yield name, f"{allowed.low:g} to {allowed.high:g}, {allowed.default:g} if left out"
        if name == "guidance" and capability.guidance_meaning:
            yield "", capability.guidance_meaning
    if capability.text_encoders:
        length = (
            f"; {capability.prompt_tokens:,} tokens at once" if capability.prompt_tokens else ""
        )
        yield "words", f"read by {', '.join(capability.text_encoders)}{length}"
    yield from _sampling(capability)
    for extra in capability.extras:
        values = (
            ", ".join(extra.choices)
            if extra.kind == "choice"
            else f"{extra.low:g} to {extra.high:g}"
        )
        yield extra.name, f"{extra.summary}: {values}"


def _sampling(capability: "Capability") -> Iterator[tuple[str, str]]:
    if capability.samplers:
        yield "sampler", ", ".join(capability.samplers)
    if capability.schedules:
        yield "schedule", ", ".join(capability.schedules)
    if capability.usual:
        sampler, schedule = capability.usual
        yield "", f"mostly drawn with --sampler {sampler} --schedule {schedule}"
