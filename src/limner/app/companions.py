"""What a Draft names besides its model, found: adapters, ControlNets, what sees references."""

from collections.abc import Iterable
from dataclasses import dataclass

from limner.app.models import Models
from limner.domain.capability import Company
from limner.domain.card import ModelCard
from limner.domain.composition import (
    Control,
    ControlDraft,
    ControlKind,
    Reference,
    ReferenceDraft,
)
from limner.domain.errors import InvalidOption, ModelUnavailable
from limner.domain.recipe import Draft, ModelRef


@dataclass(frozen=True)
class Companions:
    """Finds what takes part in pictures of one model."""

    models: Models
    card: ModelCard

    def of(self, draft: Draft, upscaler: ModelRef | None) -> Company:
        """Return what takes part in a Draft.

        Raises ModelNotFound, ModelUnavailable or WeightsRejected for what is not here, and
        InvalidOption for what is here and does something else.
        """
        return Company(
            upscaler=upscaler,
            adapters=tuple(self.models.adapter(text, self.card) for text in draft.adapters),
            controls=tuple(self._control(one) for one in draft.controls),
            references=tuple(self._reference(one) for one in draft.references),
        )

    def _control(self, asked: ControlDraft) -> Control:
        given = asked.model_dump(exclude={"model"})
        steering = None if self.card.capability.follows else self._steering(asked)
        preparer = None
        if asked.kind.is_seen and not asked.prepared:
            preparer = self._preparer(asked.kind).ref
        return Control(**given, model=steering.ref if steering else None, preparer=preparer)

    def _steering(self, asked: ControlDraft) -> ModelCard:
        """Return the ControlNet that is named, or the one that fits."""
        family = self.card.family
        if not self.card.capability.controls:
            raise InvalidOption(f"{self.card.name} follows no controls. Leave them out.")
        if asked.model is not None:
            card = self.models.named(asked.model)
            if card.capability.steers != family:
                does = f"steers {card.capability.steers}" if card.capability.steers else "is none"
                raise InvalidOption(
                    f"{card.name} {does}: {self.card.name} needs a ControlNet for {family}."
                )
            return card
        return self._only(
            (one for one in self.models.own() if one.capability.steers == family),
            asked.kind,
            f"ControlNet for {family} and {asked.kind}",
            f"{asked.kind}@NAME=FILE",
        )

    def _preparer(self, kind: ControlKind) -> ModelCard:
        """Return the model that sees a kind of structure in pictures."""
        found = [one for one in self.models.own() if kind in one.capability.prepares]
        if not found:
            raise ModelUnavailable(
                f"There is no model here that sees {kind} in a picture. Add one with `limner "
                f"models add FOLDER`, or give a finished map as {kind}-map=FILE."
            )
        return self.models.named(found[0].name)

    def _only(
        self, cards: Iterable[ModelCard], kind: ControlKind, what: str, grammar: str
    ) -> ModelCard:
        found = [one for one in cards if kind in one.capability.controls]
        if not found:
            raise ModelUnavailable(
                f"There is no {what} here. Add one with `limner models add PATH`, or name it as "
                f"{grammar}."
            )
        if len(found) > 1:
            names = ", ".join(one.name for one in found)
            raise InvalidOption(f"More than one {what} is here: {names}. Name one as {grammar}.")
        return self.models.named(found[0].name)

    def _reference(self, asked: ReferenceDraft) -> Reference:
        given = asked.model_dump(exclude={"model"})
        if self.card.capability.sees or not self.card.capability.references:
            return Reference(**given)
        family = self.card.family
        if asked.model is not None:
            card = self.models.named(asked.model)
        else:
            fitting = [one for one in self.models.own() if one.capability.refers == family]
            if len(fitting) != 1:
                names = ", ".join(one.name for one in fitting) or "none"
                raise ModelUnavailable(
                    f"{self.card.name} sees references through an adapter of {family}, and "
                    f"{names} is here. Name one as @NAME=FILE, or add one with `limner models add`."
                )
            card = self.models.named(fitting[0].name)
        if card.capability.refers != family:
            raise InvalidOption(f"{card.name} does not see references for {family}.")
        return Reference(**given, model=card.ref)
