"""The rules of a workspace: reading and changing them, and holding Recipes to them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from limner.app.licences import find_forbidden, licence_refusal
from limner.app.models import Models
from limner.app.rules import check_rules, find_broken, prompt_refusal
from limner.app.wrong import told_of
from limner.domain.card import Licence, ModelCard
from limner.domain.disclosure import disclosure
from limner.domain.errors import InvalidOption
from limner.domain.policy import Label, Policy, PromptRule
from limner.domain.recipe import Recipe
from limner.domain.record import Record, RecordKind
from limner.domain.workspace import Actor, Role, Workspace
from limner.store.library import Library


@dataclass(frozen=True)
class Changes:
    """What to change in a policy: fields by name, rules to add (or reword) and to take out."""

    values: Mapping[str, object]
    add: Sequence[PromptRule] = ()
    remove: Sequence[str] = ()


def read_policy(library: Library, actor: Actor, workspace: Workspace) -> Policy:
    """Return the rules of a workspace, for anyone in it to know."""
    actor.require(workspace, Role.VIEWER)
    return library.policy(workspace)


def change_policy(library: Library, actor: Actor, workspace: Workspace, changes: Changes) -> Policy:
    """Change the rules of a workspace and return them; what changed is in the journal.

    Raises AccessDenied for anyone but an owner, InvalidOption for values that do not fit.
    """
    actor.require(workspace, Role.OWNER)

    def change(before: Policy) -> tuple[Policy, Record | None]:
        after = changed(before, changes)
        detail = tuple(_differences(before, after))
        record = _record(actor, workspace, RecordKind.POLICY_CHANGED, detail)
        return after, record if detail else None

    return library.change_policy(workspace, change)


def changed(policy: Policy, changes: Changes) -> Policy:
    """Return a policy with changes made; raise InvalidOption for what does not fit."""
    rules = {rule.pattern: rule for rule in policy.prompt_rules}
    for pattern in changes.remove:
        if rules.pop(pattern, None) is None:
            listed = ", ".join(f"“{one}”" for one in rules) or "none"
            raise InvalidOption(f"There is no rule “{pattern}”. These there are: {listed}.")
    rules |= {rule.pattern: rule for rule in changes.add}
    try:
        after = Policy.model_validate(
            {**policy.model_dump(), **changes.values, "prompt_rules": tuple(rules.values())}
        )
    except ValidationError as error:
        raise _refused(error) from error
    if after.label is not None:
        disclosure(after.label.language)
    check_rules(after.prompt_rules, known=policy.prompt_rules)
    return after


def admit(
    library: Library,
    models: Models,
    actor: Actor,
    workspace: Workspace,
    recipes: Sequence[Recipe],
) -> None:
    """Let Recipes be drawn that the rules of a workspace allow.

    Raises LicenceForbids or PromptRefused for the first that they do not, once that is written
    in the journal. What was asked is not: the journal is for good, and names the rule.
    """
    policy = library.policy(workspace)
    alike = {(one.models, one.prompt, one.negative_prompt, one.layout): one for one in recipes}
    for recipe in alike.values():
        card = find_forbidden(recipe, models) if policy.commercial else None
        if card is not None:
            detail = (("model", card.name), ("licence", card.licence.spdx))
            library.record(_record(actor, workspace, RecordKind.LICENCE_REFUSED, detail))
            raise licence_refusal(card, workspace)
        broken = find_broken(recipe, policy.prompt_rules)
        if broken is not None:
            rule, where = broken
            detail = (("rule", rule.pattern), ("in", where))
            library.record(_record(actor, workspace, RecordKind.PROMPT_REFUSED, detail))
            raise prompt_refusal(rule, where, workspace)


def state_licence(
    library: Library,
    models: Models,
    actor: Actor,
    workspace: Workspace,
    name: str,
    licence: Licence | None,
) -> ModelCard:
    """Keep what is stated of the licence of a model, None for nothing any more, and who said so.

    It counts for exactly these weights, and lets a commercial workspace draw with them; it is in
    the journal before it counts. Raises AccessDenied for anyone but an owner, InvalidRequest for a
    model whose terms Limner knows itself, ModelNotFound, WeightsRejected and StorageFailed.
    """
    actor.require(workspace, Role.OWNER)
    card = models.catalog.may_state(name)
    said = "withdrawn" if licence is None else licence.spdx
    allows = "no" if licence is None or not licence.commercial else "yes"
    detail = (("model", card.name), ("licence", said), ("commercial", allows))
    library.record(_record(actor, workspace, RecordKind.LICENCE_STATED, detail))
    return models.state_licence(name, licence)


def _record(
    actor: Actor, workspace: Workspace, kind: RecordKind, detail: tuple[tuple[str, str], ...]
) -> Record:
    return Record(
        workspace=workspace.id, actor=actor.id, kind=kind, at=datetime.now(UTC), detail=detail
    )


def _differences(before: Policy, after: Policy) -> Iterator[tuple[str, str]]:
    for name in Policy.model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if name != "prompt_rules" and old != new:
            yield name, f"{_told(old)} → {_told(new)}"
    was, now = ({one.pattern: one for one in policy.prompt_rules} for policy in (before, after))
    for pattern in {**was, **now}:
        if pattern not in now:
            yield "prompt rule removed", pattern
        elif pattern not in was:
            yield "prompt rule added", pattern
        elif was[pattern] != now[pattern]:
            yield "prompt rule reworded", pattern


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.language if isinstance(value, Label) else str(value or "none")


def _refused(error: ValidationError) -> InvalidOption:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return InvalidOption(f"{name} cannot be “{str(first['input'])[:60]}”: {told_of(first)}.")
